"""The same text as a script of transformers alone, batch 1, on three shipped checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec, load_job
from lens_ray.models.resolve import resolve
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from tests.oracle.independent_loop import answers

pytestmark = pytest.mark.slow


def test_three_checkpoints_on_mini_quick(tmp_path: Path) -> None:
    shipped = load_job("jobs/quickstart.yaml").models
    chosen = (shipped[3], shipped[7], shipped[-1])
    suite = load_suite("mini:quick")
    store = tmp_path / "store"
    report = evaluate(JobSpec(name="oracle", suite="mini:quick", store=str(store), models=chosen))
    for spec, model in zip(chosen, report.models, strict=True):
        assert model.run_id is not None
        rows = Store(str(store)).rows([model.run_id], ["sample_id", "text"]).to_pylist()
        ours = {row["sample_id"]: row["text"] for row in rows}
        theirs = answers(resolve(spec.path), suite.location)
        assert ours.keys() == theirs.keys()
        same = sum(ours[sample] == theirs[sample] for sample in theirs)
        print(f"{spec.name}: {same} of {len(theirs)} texts are the same")
        assert same >= 0.995 * len(theirs)
