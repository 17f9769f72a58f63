"""Nothing is to be had without looking: trained models on grey images earn no more than chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec, load_job
from lens_ray.stats import SubtaskScore, subtask_scores
from lens_ray.stats.multiplicity import holm
from lens_ray.store import Store
from lens_ray.suites.controls import blind
from lens_ray.suites.suite import Suite, load_suite

pytestmark = pytest.mark.slow
MODELS = load_job("jobs/quickstart.yaml").models


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return blind(load_suite("mini:confirm"), tmp_path_factory.mktemp("grey") / "blind")


def blind_run(
    grey: Suite, folder: Path, series: str
) -> tuple[dict[str, SubtaskScore], dict[str, float]]:
    """Scores of the last checkpoint of a series by subtask, and their p-values after Holm."""
    last = [model for model in MODELS if series in model.path][-1]
    job = JobSpec(name="blind", suite=grey.location, store=str(folder / "store"), models=(last,))
    (model,) = evaluate(job).models
    assert model.status == "complete", model.reason
    assert model.run_id is not None
    rows = Store(job.store).run(model.run_id).rows()
    scores = {one.subtask: one for one in subtask_scores(rows)}
    assert len(scores) == 18
    values = [one.p_chance for one in scores.values()]
    assert all(value is not None for value in values)
    adjusted = dict(zip(scores, holm([p or 0.0 for p in values]), strict=True))
    for name, one in scores.items():
        print(f"{name}: accuracy {one.accuracy:.4f} chance {one.chance:.4f} "
              f"p {one.p_chance:.3f}, after Holm {adjusted[name]:.3f}")  # fmt: skip
    return scores, adjusted


def test_blind_runs_are_nowhere_above_chance_and_everywhere_once_at_it(
    tmp_path: Path, grey: Suite
) -> None:
    """A model may be below chance: of a grey gauge it says a code, the answer to something else.

    So each subtask must be at chance in the run of at least one series, and above it in none.
    """
    at_chance: set[str] = set()
    for series in ("minivlm-a", "minivlm-b"):
        scores, adjusted = blind_run(grey, tmp_path / series, series)
        for name, one in scores.items():
            if adjusted[name] > 0.05:
                at_chance.add(name)
            else:
                assert one.corrected is not None
                assert one.corrected < 0, name
    assert len(at_chance) == 18
