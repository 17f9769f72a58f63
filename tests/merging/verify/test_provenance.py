"""V5: digests computed once more."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import CheckpointError
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.checks import Check
from lens_ray.merging.record import FILE, MergeRecord
from lens_ray.merging.verify.kin import Kin, gather_kin, shares_of
from lens_ray.merging.verify.provenance import provenance, read_record, rerun
from lens_ray.models.checkpoint import WEIGHTS
from lens_ray.models.resolve import resolve
from tests.merging.verify.merges import THREE, UP, change, edit, found, recipe_of


def looked(folder: Path, moved: dict[str, str] | None = None) -> tuple[Kin, tuple[Check, ...]]:
    record = read_record(folder)
    kin = gather_kin(record, moved, digest=True)
    return kin, provenance(folder, record, kin.facts, kin.adapter_digests)


def bad(checks: tuple[Check, ...]) -> list[tuple[str, str | None]]:
    return [(check.name, check.subject) for check in checks if check.verdict != "pass"]


def test_a_merge_is_what_its_record_tells_of(pristine: Path) -> None:
    _, checks = looked(pristine)
    assert bad(checks) == []
    assert {check.subject for check in checks if check.name == "parent"} == {"switch", "end"}
    record = read_record(pristine)
    data = (pristine / WEIGHTS).read_bytes()
    assert record.weights_digest == record.files[WEIGHTS] == hashlib.sha256(data).hexdigest()


def test_weights_that_were_changed_afterwards_are_found(merge: Path) -> None:
    change(merge, lambda held: held[UP.format(0)].mul_(2))
    _, checks = looked(merge)
    assert bad(checks) == [("files", None), ("weights", None)]
    assert f"{WEIGHTS} was changed" in found(checks, "files")


def test_files_that_came_or_went_are_found(merge: Path) -> None:
    (merge / "chat_template.jinja").unlink()
    (merge / "notes.txt").write_text("hello")
    _, checks = looked(merge)
    assert bad(checks) == [("files", None)]
    assert found(checks, "files") == "chat_template.jinja is missing (and 1 more)"


def test_what_is_said_of_a_merge_later_is_no_change(merge: Path) -> None:
    (merge / "README.md").write_text("another card")
    (merge / "verification.json").write_text("{}")
    _, checks = looked(merge)
    assert bad(checks) == []


def test_a_parent_that_was_replaced_is_found_and_one_that_is_gone_is_skipped(
    tmp_path: Path,
) -> None:
    parent = Path(shutil.copytree(resolve(THREE), tmp_path / "end"))
    parents = [{"name": "end", "path": str(parent), "weight": 1.0}]
    apply_recipe(recipe_of(parents=parents), tmp_path / "merge", durable=False)
    change(parent, lambda held: held[UP.format(0)].mul_(2))
    _, checks = looked(tmp_path / "merge")
    assert bad(checks) == [("parent", "end")]
    assert "was replaced after the merge" in found(checks, "parent")
    shutil.rmtree(parent)
    kin, checks = looked(tmp_path / "merge")
    assert [check.verdict for check in checks if check.name == "parent"] == ["skipped"]
    assert kin.missing is not None
    assert str(parent) in kin.missing
    _, checks = looked(tmp_path / "merge", {"end": THREE})
    assert bad(checks) == []


def test_the_recipe_gives_the_same_bytes_again(pristine: Path, tmp_path: Path) -> None:
    record = read_record(pristine)
    again = apply_recipe(record.recipe, tmp_path / "again", durable=False, check=False, threads=1)
    assert rerun(record, again).verdict == "pass"
    other = recipe_of(
        parents=[
            {**one.model_dump(), "weight": weight}
            for one, weight in zip(record.recipe.parents, (0.5, 0.5), strict=True)
        ]
    )
    second = apply_recipe(other, tmp_path / "other", durable=False, check=False)
    assert rerun(record, second).verdict == "fail"


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda path: path.unlink(), "--recipe RECIPE.yaml"),
        (lambda path: path.write_text("{"), "no valid JSON"),
        (lambda path: path.write_text("[" * 100_000), "no valid JSON"),
        (lambda path: path.write_text("[]"), "merge.json"),
        (lambda path: edit(path, surprise=1), "surprise"),
        (lambda path: edit(path, files={"a": 1}), "files.a"),
    ],
)
def test_a_record_that_is_none_is_one_line(merge: Path, spoil: Any, wanted: str) -> None:
    spoil(merge / FILE)
    with pytest.raises(CheckpointError) as caught:
        read_record(merge)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shares_are_those_of_the_weights_or_equal() -> None:
    parents = [{"name": name, "path": THREE, "weight": w} for name, w in (("a", -1.0), ("b", 3.0))]
    extrapolated = recipe_of(parents=parents, normalize=True)
    assert shares_of(extrapolated) == (0.25, 0.75)
    stock = recipe_of(
        method="model_stock",
        base={"name": "start", "path": THREE},
        parents=[{"name": "a", "path": THREE}, {"name": "b", "path": THREE}],
    )
    assert shares_of(stock) == (0.5, 0.5)


def test_a_record_is_read_back_as_it_was_written(pristine: Path) -> None:
    told = json.loads((pristine / FILE).read_text())
    assert MergeRecord.model_validate(told) == read_record(pristine)


def test_a_record_without_the_recipes_parents_is_none(merge: Path) -> None:
    edit(merge / FILE, parents=[])
    with pytest.raises(CheckpointError, match=r"parents and base are not the recipe's \(switch, "):
        read_record(merge)


def test_pipes_keep_nobody_waiting(merge: Path) -> None:
    os.mkfifo(merge / "zz.safetensors")
    _, checks = looked(merge)
    assert bad(checks) == []  # structure names it
    (merge / FILE).unlink()
    os.mkfifo(merge / FILE)
    with pytest.raises(CheckpointError, match="no file"):
        read_record(merge)
