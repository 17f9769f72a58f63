"""What metrics and timeline are told, without Ray."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.board import Board
from lens_ray.engine.desk import Desk
from lens_ray.engine.gauges import COUNTER, HISTOGRAM, METRICS, STATES, Gauges, Series, Watch
from lens_ray.engine.messages import Hello, Report
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.planner import Room
from lens_ray.engine.tally import KINDS, MOST_SPANS, Tally, kind_of
from lens_ray.models.protocol import BackendInfo
from lens_ray.store import Store
from lens_ray.suites.suite import Suite
from tests.engine.stage import Stage, fake, make_plan, play, small_suite

DASHBOARD = Path(__file__).resolve().parents[2] / "infra" / "grafana" / "lens-ray.json"
INFO = BackendInfo("fake", "1", batch=4, parallel=1, can_load_weights=True)


class Shown:
    """A meter that keeps what it was shown."""

    def __init__(self) -> None:
        self.gauges: list[Gauges] = []

    def show(self, gauges: Gauges) -> None:
        self.gauges.append(gauges)


def board_of(folder: Path, *names: str, count: int = 10) -> tuple[Board, EnginePlan, Suite]:
    suite = small_suite(folder, count)
    plan = make_plan(folder, suite, *(fake(name) for name in names))
    desks = [Desk(model, plan.settings, suite, suite.samples, None) for model in plan.models]
    return Board(plan, desks, lambda run_id, row: None), plan, suite


def row_of(run_id: str, sample_id: str, **given: Any) -> Mapping[str, object]:
    return {
        "run_id": run_id, "sample_id": sample_id, "ability": "counting", "status": "ok",
        "text": "3", "cause": None, "latency_s": 0.1, "tokens_in": 20, "tokens_out": 2, **given,
    }  # fmt: skip


def test_numbers_of_a_job_by_hand(tmp_path: Path) -> None:
    board, plan, _ = board_of(tmp_path, "a", "b")
    watch, run = Watch(), plan.models[0].run_id
    board.observe((), 0.0)
    board.grow(0.0)
    first = watch.look(board, 0, 0.0)
    assert first.levels["queued", ("a",)] == 10
    assert first.levels["replicas", ("a", "starting")] == 1
    assert first.totals["replica_seconds", ("a", "starting")] == 0.0

    board.report(Report(0, 4, hello=Hello(0, INFO, first=True)), 3.0)
    leased = [name for name, _ in board.direct(0, 4, 3.0).samples]
    assert len(leased) == 4
    board.report(Report(0, rows=tuple(row_of(run, name) for name in leased[:2])), 4.0)
    failed = row_of(
        run, leased[2], status="infra_error", cause="OutOfMemoryError: out of memory",
        tokens_in=None, tokens_out=None,
    )  # fmt: skip
    board.report(Report(0, errors=(failed,)), 4.0)
    watch.commit("rows", 0.02)
    seen = watch.look(board, 2, 5.0)
    assert seen.totals["samples", ("a", "counting", "ok")] == 2
    assert seen.totals["tokens", ("a", "in")] == 40
    assert seen.totals["tokens", ("a", "out")] == 4
    assert seen.totals["failures", ("a", "memory")] == 1
    assert seen.totals["replica_seconds", ("a", "busy")] == 5.0
    assert seen.levels["queued", ("a",)] == 7  # six, and the one that failed
    assert seen.levels["in_flight", ("a",)] == 1
    assert seen.levels["queued", ("b",)] == 10
    assert seen.levels["replicas", ("a", "busy")] == 1
    assert seen.levels["replicas", ("a", "starting")] == 0
    assert seen.levels["busy_share", ("a",)] == 1.0
    assert seen.levels["busy_share", ("b",)] == 0.0
    assert seen.levels["unwritten_rows", ()] == 2
    assert seen.times == ((("start_seconds", ("a",)), 3.0), (("commit_seconds", ("rows",)), 0.02))
    assert watch.look(board, 0, 6.0).times == ()  # told once

    board.observe((), 7.0)
    board._lose(board.seating.seats[0], "ActorDiedError: exit code 9", 7.0)
    lost = watch.look(board, 0, 7.0)
    assert lost.totals["failures", ("a", "death")] == 1
    assert lost.levels["replicas", ("a", "busy")] == 0
    spans = board.desks[0].commit_facts(1000.0)["spans"]
    assert spans == [[0, "start", 1000.0, 3.0], [0, "lost: ActorDiedError: exit code 9", 1007.0, 0]]


def test_every_series_is_of_a_metric_and_totals_never_fall(tmp_path: Path) -> None:
    """Two models share a replica by a swap; the coordinator's own meter."""
    plan = make_plan(tmp_path, small_suite(tmp_path), fake("a", latency_s=0.05), fake("b"))
    shown = Shown()

    def install(stage: Stage) -> None:
        assert stage.coordinator is not None
        stage.coordinator._meter = shown

    outcomes, _ = play(plan, install)
    assert [outcome.status for outcome in outcomes] == ["complete"] * 2
    before: Mapping[Series, float] = {}
    for gauges in shown.gauges:
        for key, values in (
            *gauges.totals,
            *gauges.levels,
            *(series for series, _ in gauges.times),
        ):
            assert len(values) == len(METRICS[key].tags)
        assert all(gauges.totals[series] >= total for series, total in before.items())
        before = gauges.totals
    last, rows = shown.gauges[-1], Store(plan.store).rows().to_pylist()
    answered = {k[1]: n for k, n in last.totals.items() if k[0] == "samples"}
    assert sum(answered.values()) == len(rows) == 80
    for name in "ab":
        run = next(model.run_id for model in plan.models if model.spec.name == name)
        tokens = sum(row["tokens_in"] for row in rows if row["run_id"] == run)
        assert last.totals["tokens", (name, "in")] == tokens
        assert last.levels["queued", (name,)] == last.levels["in_flight", (name,)] == 0
    runs = [s for gauges in shown.gauges for k, s in gauges.times if k[1] == ("run",)]
    assert len(runs) == 2


def test_spans_are_epoch_seconds_of_starts_swaps_and_checks(tmp_path: Path) -> None:
    plan = make_plan(
        tmp_path, small_suite(tmp_path), fake("a", replicas=1), fake("b", replicas=1),
        rooms=(Room(1.0),),
    )  # fmt: skip
    began = time.time()
    _, stage = play(plan)
    ended = time.time()
    assert len(stage.started) == 1
    kinds = []
    for model in plan.models:
        commit = Store(plan.store).run(model.run_id).refresh().commit
        assert commit is not None
        spans: Any = commit.facts["spans"]
        assert "spans_cut" not in commit.facts
        for replica, _, at, seconds in spans:
            assert replica == 0
            assert began - 0.1 <= at <= at + seconds <= ended + 0.1
        kinds.append(sorted(what for _, what, _, _ in spans))
    assert sorted(kinds) == [["check", "start"], ["check", "swap"]]


def test_spans_are_bounded_and_it_is_said(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(MOST_SPANS + 7):
        tally.span(number, "lost: " + "x" * 500, float(number), 0.0)
    facts: Any = tally.facts(0.0)
    assert len(facts["spans"]) == MOST_SPANS
    assert facts["spans_cut"] == 7
    assert len(json.dumps(facts)) < 40_000
    assert Tally().facts(0.0) == {}


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("alone in its batch: OutOfMemoryError: CUDA out of memory", "memory"),
        ("no answer for 300 s (hung)", "silence"),
        ("not ready for 1800 s", "silence"),
        ("ActorDiedError: The process was killed", "death"),
        ("it ended", "death"),
        ("the backend gave no answer", "no answer"),
        ("image 1234 is missing", "image"),
        ("config.json of the checkpoint differs", "weights"),
        ("WrongWeights: t/1 was answered by weights a, not b", "weights"),
        ("something \N{SNOWMAN} else", "other"),
    ],
)
def test_causes_have_few_kinds(cause: str, kind: str) -> None:
    assert kind_of(cause) == kind
    assert kind in KINDS


def test_the_dashboard_asks_for_metrics_and_tags_that_there_are() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    exported: dict[str, tuple[str, ...]] = {}
    for metric in METRICS.values():
        if metric.kind == HISTOGRAM:
            for part in ("bucket", "sum", "count"):
                exported[f"{metric.exported}_{part}"] = (*metric.tags, "job", "le")
        else:
            exported[metric.exported] = (*metric.tags, "job")
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [one["query"] for one in board["templating"]["list"] if one["type"] == "query"]
    used = set()
    for query in queries:
        names = set(re.findall(r"\bray_\w+", query))
        assert names <= exported.keys(), query
        known = {tag for name in names for tag in exported[name]}
        tags = re.findall(r"(\w+)\s*=~?\s*\"", query)
        tags += [
            t.strip() for group in re.findall(r"by \(([^)]*)\)", query) for t in group.split(",")
        ]
        assert set(tags) <= known, query
        used |= names
    # Nothing is measured that nobody can look at.
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert shown == {metric.exported for metric in METRICS.values()}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24


def test_names_are_as_prometheus_wants_them() -> None:
    for key, metric in METRICS.items():
        assert metric.name == f"lens_ray_{key}"
        assert not metric.name.endswith("_total")
        assert metric.exported.endswith("_total") == (metric.kind == COUNTER)
        assert bool(metric.bounds) == (metric.kind == HISTOGRAM)
    assert len(set(STATES)) == len(STATES)
