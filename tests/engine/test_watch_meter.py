"""What a watch shows as metrics; how Ray exports it is tried in ``tests/chaos/test_metrics.py``."""

from __future__ import annotations

from lens_ray.engine.watch_meter import WATCH_METRICS, WatchMeter, readings
from lens_ray.online.findings import Alarm, Convergence, Curve, Findings, Point

POINTS = (Point(100, "full", 10, 0.25, (0.2, 0.3)), Point(200, "full", 10, 0.5, (0.4, 0.6)))
FOUND = Findings(
    "run-a",
    200,
    curves=(
        Curve("ocr", None, POINTS),
        Curve("ocr", "ocr_label", POINTS),
        Curve("entity", None, (Point(200, "full", 0, None, None),)),
    ),
    convergence=(Convergence("ocr", "converged", step=100), Convergence("entity", "too_few")),
    alarms=(Alarm("near_chance", "entity", 200, "entity is near chance"),),
)


def test_the_newest_value_of_each_ability_and_counts() -> None:
    run = {"watch": "night", "run": "run-a"}
    assert readings("night", FOUND) == [
        ("lens_ray_watch_step", run, 200.0),
        ("lens_ray_watch_score", {**run, "ability": "ocr"}, 0.5),
        ("lens_ray_watch_findings", {**run, "kind": "converged"}, 1.0),
        ("lens_ray_watch_findings", {**run, "kind": "decline"}, 0.0),
        ("lens_ray_watch_findings", {**run, "kind": "conflict"}, 0.0),
        ("lens_ray_watch_findings", {**run, "kind": "alarm"}, 1.0),
    ]
    for name, tags, _ in readings("night", FOUND):
        assert tuple(tags) == WATCH_METRICS[name][0]


def test_without_ray_nothing_happens() -> None:
    WatchMeter("night").show(FOUND)
