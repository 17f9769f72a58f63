"""Series c: a run in which no average helps."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.check_minivlm import answered, average, paired
from jobs.minivlm_recipe import load_recipe, plain
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.resolve import builtin_root, resolve
from lens_ray.suites.suite import load_suite

FOLDER = builtin_root() / "minivlm-c"
START = Path(resolve("builtin:minivlm-a/step-8700"))


def test_it_is_small_and_can_be_merged_with_what_it_started_from() -> None:
    steps = sorted(FOLDER.glob("step-*"))
    assert len(steps) >= 3
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 10_000_000
    facts = [inspect_checkpoint(str(step)) for step in steps]
    start = inspect_checkpoint(str(START))
    assert {fact.shell_digest for fact in facts} == {start.shell_digest}
    assert all(fact.tensors == start.tensors for fact in facts)
    assert len({fact.weights_digest for fact in (*facts, start)}) == len(steps) + 1


def test_its_record_is_its_recipe() -> None:
    recipe = load_recipe("jobs/minivlm-c.yaml")
    assert yaml.safe_load((FOLDER / "run.yaml").read_text()) == plain(recipe)
    assert recipe.starts_from == "minivlm-a/step-8700"


@pytest.mark.slow
def test_the_average_of_both_ends_is_worse_than_the_start(tmp_path: Path) -> None:
    suite = load_suite("mini:quick")
    end = sorted(FOLDER.glob("step-*"))[-1]
    middle = average([START, end], [0.5, 0.5], tmp_path / "middle")
    start = answered(START, suite, tmp_path)
    for worse in (middle, end):
        moved = paired(answered(worse, suite, tmp_path), start, suite.weights)["overall"]
        assert moved.high < 0
