"""Nothing is to be had without looking: a trained model on grey images earns the chance level."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec, load_job
from lens_ray.stats import subtask_scores
from lens_ray.stats.multiplicity import holm
from lens_ray.store import Store
from lens_ray.suites.controls import blind
from lens_ray.suites.suite import load_suite

pytestmark = pytest.mark.slow


def test_a_blind_run_on_mini_confirm_is_at_chance(tmp_path: Path) -> None:
    suite = blind(load_suite("mini:confirm"), tmp_path / "blind")
    models = [m for m in load_job("jobs/quickstart.yaml").models if "minivlm-a" in m.path]
    store = str(tmp_path / "store")
    report = evaluate(
        JobSpec(name="blind", suite=suite.location, store=store, models=(models[-1],))
    )
    (model,) = report.models
    assert model.status == "complete", model.reason
    assert model.run_id is not None
    scores = subtask_scores(Store(store).run(model.run_id).rows(), seed_key="blind")
    assert len(scores) == 18
    values = {one.subtask: one.p_chance for one in scores}
    assert all(value is not None for value in values.values())
    adjusted = dict(zip(values, holm([p or 0.0 for p in values.values()]), strict=True))
    for one in scores:
        print(f"{one.subtask}: accuracy {one.accuracy:.4f} chance {one.chance:.4f} "
              f"p {one.p_chance:.3f}, after Holm {adjusted[one.subtask]:.3f}")  # fmt: skip
    assert min(adjusted.values()) > 0.05
