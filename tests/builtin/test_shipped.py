"""What ships with the package keeps what is said of it: checkpoints, rows, pools."""

from __future__ import annotations

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.check_minivlm import paired
from lens_ray.job import load_job
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.resolve import builtin_root, resolve
from lens_ray.stats import load_pool, pool_for, subtask_scores
from lens_ray.store.schema import ROWS
from lens_ray.suites.mini import frozen_digests
from lens_ray.suites.suite import load_suite

JOB = load_job("jobs/quickstart.yaml")
NAMES = [model.name for model in JOB.models]
A = [model for model in JOB.models if "minivlm-a" in model.path]
B = [model for model in JOB.models if "minivlm-b" in model.path]


@cache
def all_rows() -> pa.Table:
    return pq.read_table(builtin_root() / "rows" / "mini-full.parquet")


def rows_of(model: str) -> pa.Table:
    return all_rows().filter(pc.equal(all_rows()["model"], model))


def switch() -> int:
    phases = yaml.safe_load((builtin_root() / "minivlm-a" / "run.yaml").read_text())["phases"]
    return sum(phase["steps"] for phase in phases[:-1])


def test_at_least_eleven_checkpoints_of_two_architectures() -> None:
    facts = [inspect_checkpoint(resolve(model.path)) for model in JOB.models]
    assert len(A) >= 8
    assert len(B) >= 3
    assert len({fact.architecture for fact in facts}) == 2
    assert len({fact.weights_digest for fact in facts}) == len(facts)
    assert all(fact.dtype == "BF16" for fact in facts)
    assert all(1_000_000 <= fact.parameters <= 1_700_000 for fact in facts)
    for series in (A, B):
        assert len({inspect_checkpoint(resolve(model.path)).shell_digest for model in series}) == 1
    for model in JOB.models:
        assert model.path.endswith(f"step-{model.step:04d}")


def test_both_series_are_small() -> None:
    files = [f for s in ("minivlm-a", "minivlm-b") for f in (builtin_root() / s).rglob("*.*")]
    assert sum(file.stat().st_size for file in files) <= 40_000_000
    assert (builtin_root() / "rows" / "mini-full.parquet").stat().st_size <= 8_000_000


def test_rows_beside_them_are_whole() -> None:
    suite = load_suite("mini:full")
    table = all_rows()
    assert table.schema.equals(ROWS)
    assert table.num_rows == len(NAMES) * len(suite.samples)
    assert set(table["model"].to_pylist()) == set(NAMES)
    assert set(table["suite_digest"].to_pylist()) == {frozen_digests()["mini:full"]}
    keys = {model: inspect_checkpoint(resolve(spec.path)).weights_digest
            for model, spec in zip(NAMES, JOB.models, strict=True)}  # fmt: skip
    for name in NAMES:
        rows = rows_of(name)
        assert set(rows["sample_id"].to_pylist()) == set(suite.by_id)
        assert set(rows["weights_digest"].to_pylist()) == {keys[name]}
        assert set(rows["weight_version"].to_pylist()) == {keys[name]}


@pytest.mark.parametrize("size", ["quick", "full"])
def test_pools(size: str) -> None:
    pool = load_pool(f"mini-{size}")
    assert pool_for(f"mini:{size}", frozen_digests()[f"mini:{size}"]) == pool
    assert len(pool.models) >= 11
    assert set(pool.models) == set(NAMES)


def test_the_full_pool_is_what_the_rows_say() -> None:
    pool = load_pool("mini-full")
    for name in NAMES:
        for one in subtask_scores(rows_of(name)):
            assert pool.scores[name][one.ability][one.subtask] == pytest.approx(one.corrected)


def test_difficulty_leaves_room_on_both_sides() -> None:
    best = max(A, key=lambda model: paired_overall(model.name))
    scores = subtask_scores(rows_of(best.name))
    accuracies = [one.accuracy for one in scores if one.accuracy is not None]
    assert len(accuracies) == 18
    assert sum(accuracy < 0.95 for accuracy in accuracies) >= 9
    above = [one for one in scores if one.ci is not None and one.ci[0] > 0]
    assert len(above) > 9


def paired_overall(name: str) -> float:
    weights = load_suite("mini:full").weights
    return paired(rows_of(name), None, weights)["overall"].gain


def test_a_conflict_after_the_switch() -> None:
    weights = load_suite("mini:full").weights
    at = next(model for model in A if model.step == switch())
    moved = paired(rows_of(A[-1].name), rows_of(at.name), weights)
    del moved["overall"]
    rises = [a for a, gain in moved.items() if gain.gain >= 0.08 and gain.low > 0]
    falls = [a for a, gain in moved.items() if gain.gain <= -0.08 and gain.high < 0]
    assert rises, moved
    assert falls, moved


def test_an_ability_converges_early() -> None:
    """By four fifths of the way to the switch, at least one ability has nothing left to gain.

    That is: the paired gain of the checkpoint at the switch over it is below 5 points, upper
    bound included, and the ability is well above chance.
    """
    weights = load_suite("mini:full").weights
    at = next(model for model in A if model.step == switch())
    early = [model for model in A if model.step is not None and model.step <= switch() * 0.8]
    found = []
    for model in early:
        level = paired(rows_of(model.name), None, weights)
        gains = paired(rows_of(at.name), rows_of(model.name), weights)
        found += [a for a in weights if gains[a].high < 0.05 and level[a].low > 0.5]
    assert found


def test_series_b_is_above_chance_in_four_abilities() -> None:
    levels = paired(rows_of(B[-1].name), None, load_suite("mini:full").weights)
    del levels["overall"]
    assert sum(level.low > 0 for level in levels.values()) >= 4
