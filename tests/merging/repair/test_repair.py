"""Tiny checkpoints that are really fine-tuned: what is kept, what is said, what is refused."""

from __future__ import annotations

import errno
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.merging.answers import Example
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.live import LiveCheckpoint
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.record import Score
from lens_ray.merging.repair import RepairPlan, RepairRecord, read_repair, repair
from lens_ray.merging.repair.train import Trained, fine_tune
from lens_ray.merging.verify.policy import Policy
from lens_ray.merging.verify.provenance import provenance, read_record
from lens_ray.models.checkpoint import assert_swappable, inspect_checkpoint
from lens_ray.suites.suite import Suite
from lens_ray.testing.tiny_checkpoint import FAMILIES, save_sharded
from lens_ray.verifying import verify_merge

Make = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning", "ignore::FutureWarning"
)
TOLD = ("made", "d" * 64)
PLAN = RepairPlan(steps=6, batch=4, lr=3e-3)


def mend(folder: Path, examples: list[Example], out: Path, plan: RepairPlan = PLAN) -> RepairRecord:
    return repair(folder, examples, out, plan, calibration=TOLD, durable=False)


def test_it_learns_and_only_numbers_change(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    made = mend(tiny(), examples, tmp_path / "out")
    assert made.loss_after < made.loss_before - 0.1
    before, after = inspect_checkpoint(str(tiny())), inspect_checkpoint(str(tmp_path / "out"))
    assert_swappable(before, after)
    assert made.start_digest == before.weights_digest
    assert made.weights_digest == after.weights_digest != before.weights_digest
    assert read_repair(tmp_path / "out") == made
    assert (made.seen, made.examples) == (24, 12)
    assert made.answer_tokens < made.tokens
    for file in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o444 == 0o444
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_again_is_the_same_and_equal_plans_cost_the_same(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    plan = RepairPlan(steps=2, batch=4, lr=1e-3)
    one = mend(tiny(), examples, tmp_path / "one", plan)
    two = mend(tiny(), examples, tmp_path / "two", plan)
    other = mend(tiny(seed=1), examples, tmp_path / "other", plan)
    assert one.weights_digest == two.weights_digest != other.weights_digest
    assert (one.seen, one.tokens, one.answer_tokens) == (
        other.seen, other.tokens, other.answer_tokens,
    )  # fmt: skip
    # What is there is not made again, and nothing else is overwritten.
    assert mend(tiny(), examples, tmp_path / "one", plan) == one
    for source, changed in ((tiny(seed=1), plan), (tiny(), PLAN)):
        with pytest.raises(UserError, match="is there already, and is not this repair"):
            mend(source, examples, tmp_path / "one", changed)


def test_what_is_not_trained_is_bitwise_as_it_was(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    plan = RepairPlan(steps=2, batch=4, lr=1e-2, only=("*connector*",))
    mend(tiny(), examples, tmp_path / "out", plan)
    before, after = (load_file(f / "model.safetensors") for f in (tiny(), tmp_path / "out"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "connector" in name} != set()
    with pytest.raises(UserError, match=r"--only nothing\* matches none of the"):
        mend(tiny(), examples, tmp_path / "no", RepairPlan(only=("nothing*",)))
    assert not list(tmp_path.glob("no*"))


def test_parts_of_a_batch_give_the_step_of_the_whole(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    """Same tokens and nearly the same weights: sums in another order, then rounded to bfloat16."""
    whole = mend(tiny(), examples, tmp_path / "whole", RepairPlan(steps=1, batch=12, lr=1e-3))
    parts = mend(
        tiny(), examples, tmp_path / "parts", RepairPlan(steps=1, batch=12, lr=1e-3, accumulate=3)
    )
    assert parts.tokens == whole.tokens
    assert parts.loss_before == pytest.approx(whole.loss_before, rel=1e-3)


def test_a_merge_keeps_its_record_without_the_scores_that_are_no_longer_its_own(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    parents = (
        Parent(name="a", path=str(tiny()), weight=0.5),
        Parent(name="b", path=str(tiny(seed=1)), weight=0.5),
    )
    scores = {name: {"overall": Score(value=0.5)} for name in ("a", "merge")}
    told = {"models": {"a": "run-a", "merge": "run-m"}, "scores": scores}
    merge = apply_recipe(
        Recipe(method="linear", parents=parents), tmp_path / "merge", told=told, durable=False
    )
    made = mend(tmp_path / "merge", examples, tmp_path / "out", RepairPlan(steps=1, lr=1e-3))
    held = read_record(tmp_path / "out")
    assert held.recipe == merge.recipe
    assert held.weights_digest == made.weights_digest
    assert (held.models, set(held.scores)) == ({"a": "run-a"}, {"a"})
    checks = {one.name: one.verdict for one in provenance(tmp_path / "out", held, {})}
    assert checks["files"] == checks["weights"] == "pass"
    card = tmp_path / "out" / "README.md"
    assert "then fine-tuned (below)" in card.read_text()
    # A verification writes the card anew: it still tells of the repair. V1 cannot be recomputed;
    # the recipe, carried out once more, makes what was trained.
    cheap = Policy(tiers=("V0", "V1", "V5"))
    found = verify_merge(tmp_path / "out", policy=cheap, tiers=cheap.tiers, again=True)
    assert found.decision == "go", found.reasons
    verdicts = {f"{one.tier}.{one.name}": one.verdict for one in found.checks}
    assert verdicts["V1.repaired"] == "skipped"
    assert verdicts["V5.repair"] == verdicts["V5.rerun"] == "pass"
    text = card.read_text()
    assert "nothing was trained" not in text
    assert text.index("## Repair") < text.index("**GO**")
    # Weights that the repair did not make are no excuse.
    shutil.copy(tiny() / "model.safetensors", tmp_path / "out" / "model.safetensors")
    found = verify_merge(tmp_path / "out", policy=cheap, tiers=cheap.tiers, write=False)
    assert any("the repair made" in line for line in found.reasons)
    assert found.decision == "no_go"


def test_a_disk_that_is_full_leaves_nothing(
    tiny: Make, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = RepairPlan(steps=1, batch=2)
    monkeypatch.setattr("lens_ray.merging.repair.write.write_file", full)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        mend(tiny(), examples, tmp_path / "out", plan)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert mend(tiny(), examples, tmp_path / "out", plan).seen == 2


def test_a_loss_that_is_no_number_is_said_with_its_step(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    plan = RepairPlan(steps=8, batch=4, lr=1.0, warmup=0.0, max_grad_norm=1e30)
    with pytest.raises(
        UserError, match=r"loss of step \d+ is no number|after training; lower --lr"
    ):
        repair_until_it_breaks(tiny(), examples, tmp_path / "out", plan)
    assert not list(tmp_path.iterdir())


def repair_until_it_breaks(
    folder: Path, examples: list[Example], out: Path, plan: RepairPlan
) -> None:
    """AdamW moves by the rate, so a rate of 1 only spoils; infinity is put in by hand."""

    def broken(live: LiveCheckpoint, some: list[Example], told: RepairPlan) -> Trained:
        with torch.no_grad():
            next(iter(live.model.parameters())).fill_(torch.inf)
        return fine_tune(live, some, told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lens_ray.merging.repair.make.fine_tune", broken)
        mend(folder, examples, out, plan)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(tiny: Make, examples: list[Example], tmp_path: Path, family: str) -> None:
    shutil.copytree(tiny(family), tmp_path / "sharded")
    save_sharded(tmp_path / "sharded", 3)
    made = mend(tmp_path / "sharded", examples, tmp_path / "out", RepairPlan(steps=2, lr=1e-3))
    before, after = (inspect_checkpoint(str(tmp_path / name)) for name in ("sharded", "out"))
    assert_swappable(before, after)
    assert before.weights == after.weights
    assert len(after.weights) > 1
    assert made.weights_digest == after.weights_digest
    assert json.loads((tmp_path / "out" / "repair.json").read_text())["plan"]["steps"] == 2


_LONG = """
import sys
from lens_ray.merging.answers import examples_of
from lens_ray.merging.repair import RepairPlan, repair
from lens_ray.suites.suite import read_suite
suite = read_suite(sys.argv[2])
plan = RepairPlan(steps=100_000, batch=1)
repair(sys.argv[1], examples_of(suite, suite.samples), sys.argv[3], plan, calibration=("made", "d"))
"""


@pytest.mark.slow
def test_killed_while_it_trains_it_leaves_no_model_and_can_be_run_again(
    tiny: Make, suite: Suite, examples: list[Example], tmp_path: Path
) -> None:
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    command = [sys.executable, "-c", _LONG, str(tiny()), suite.location, str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not partial.is_dir():
            assert process.poll() is None, process.stderr and process.stderr.read()
        process.kill()
    assert not out.exists()
    assert mend(tiny(), examples, out, RepairPlan(steps=1)).seen == 12
    assert not partial.exists()
