"""``merge:RECIPE``: a checkpoint of this machine's cache, made once, the same on every machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lens_ray import node_cache
from lens_ray.errors import CheckpointError, JobError, UserError
from lens_ray.merging import materialise as module
from lens_ray.merging.materialise import clear, materialise, path_of, recipe_of
from lens_ray.merging.recipe import Group, Parent, Recipe
from lens_ray.models.identity import identify
from lens_ray.models.made import is_made
from lens_ray.models.remote import held_copy
from lens_ray.models.spec import ModelSpec
from tests.merging.stage import checkpoint, mixture, parents_in


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def parents(tmp_path: Path) -> tuple[Parent, ...]:
    return parents_in(tmp_path, (0.0, 1.0))


def half(parents: tuple[Parent, ...], share: float = 0.5) -> Recipe:
    return mixture("half", parents, (1 - share, share)).recipe


def values(folder: str | Path) -> list[float]:
    from safetensors.torch import load_file

    found: list[float] = load_file(Path(folder) / "model.safetensors")["model.weight"].tolist()
    return found


def test_a_path_carries_its_recipe(parents: tuple[Parent, ...]) -> None:
    recipe = half(parents)
    assert is_made(path_of(recipe))
    assert recipe_of(path_of(recipe)) == recipe


def test_a_recipe_that_is_no_path_any_more_goes_to_a_file(parents: tuple[Parent, ...]) -> None:
    weights = {parent.name: 0.5 for parent in parents}
    groups = tuple(Group(match=f"layer.{number}.*", weights=weights) for number in range(400))
    with pytest.raises(UserError, match="write it to a file, and merge:FILE"):
        path_of(half(parents).model_copy(update={"groups": groups}))


def test_it_is_made_once_and_has_the_mean(parents: tuple[Parent, ...]) -> None:
    path = path_of(half(parents, 0.25))
    first = materialise(path)
    made_at = (first / "model.safetensors").stat().st_mtime_ns
    assert values(first) == [0.25, 0.0]
    assert materialise(path) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == made_at


def test_a_recipe_file_serves_any_job(parents: tuple[Parent, ...], tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(half(parents).model_dump(mode="json", exclude_defaults=True)))
    identity = identify(ModelSpec(name="m", path=f"merge:{file}"))
    assert values(identity.weights) == [0.5, 0.0]


def test_the_name_follows_from_bytes_and_numbers_alone(
    parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    """Another machine has the same files elsewhere, and the same name for the merge."""
    there = parents_in(tmp_path / "there", (0.0, 1.0))
    one, two = materialise(path_of(half(parents))), materialise(path_of(half(there)))
    assert one.name != two.name  # a recipe with other paths is another recipe
    again = Path(parents[0].path) / "model.safetensors"
    os.utime(again, ns=(1, 1))
    assert materialise(path_of(half(parents))) == one


def test_a_changed_parent_is_another_merge(parents: tuple[Parent, ...], tmp_path: Path) -> None:
    before = materialise(path_of(half(parents)))
    checkpoint(tmp_path / "s100", 0.5)
    after = materialise(path_of(half(parents)))
    assert after != before
    assert values(after) == [0.75, 0.0]


def test_a_replica_finds_what_the_driver_made(
    parents: tuple[Parent, ...], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = materialise(path_of(half(parents)))
    assert held_copy(str(there)) == str(there)
    elsewhere = Path("/another/machine/checkpoints") / there.name
    assert held_copy(str(elsewhere)) == str(there)


def test_it_is_brought_ahead_by_a_process_of_its_own(
    parents: tuple[Parent, ...], home: Path
) -> None:
    path = path_of(half(parents))
    with subprocess.Popen(
        [sys.executable, "-m", "lens_ray.models.bring", path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert (process.stdout.read(), process.wait()) == (b"", 0)
    [made] = (home / node_cache.CHECKPOINTS).glob("merge-*")
    assert values(made) == [0.5, 0.0]


def test_only_the_latest_stay_on_the_disk(parents: tuple[Parent, ...], home: Path) -> None:
    for number in range(1, 10):
        node_cache.release(materialise(path_of(half(parents, number / 10))))
    left = list((home / node_cache.CHECKPOINTS).glob("merge-*"))
    assert len(left) <= module._STAY + 1
    clear()
    assert not list((home / node_cache.CHECKPOINTS).glob("merge-*"))


def test_one_in_use_is_not_taken_away(parents: tuple[Parent, ...]) -> None:
    held = materialise(path_of(half(parents, 0.1)))
    for number in range(2, 10):
        node_cache.release(materialise(path_of(half(parents, number / 10))))
    clear()
    assert values(held) == pytest.approx([0.1, 0.0])


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a folder of their own, and a file system in memory."""
    monkeypatch.delenv("LENS_RAY_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr(node_cache, "_MEMORY", tmp_path)
    # It lies on the disk here, which may be nearly full.
    roomy = SimpleNamespace(total=1 << 30, used=0, free=1 << 30)
    monkeypatch.setattr("shutil.disk_usage", lambda path: roomy)
    return tmp_path / f"lens-ray-{os.getuid()}"


def test_a_merge_lies_in_memory_where_there_is_room(
    parents: tuple[Parent, ...], memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert materialise(path_of(half(parents))).parent.parent == memory
    monkeypatch.setattr(module, "_SHARE", 1e-9)
    on_disk = materialise(path_of(half(parents, 0.25)))
    assert on_disk.parent.parent == node_cache.home()
    assert held_copy(f"/elsewhere/{on_disk.name}") == str(on_disk)


def test_memory_that_another_user_prepared_is_not_taken(memory: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    memory.symlink_to(tmp_path / "theirs")
    assert node_cache.memory_home() is None
    memory.unlink()
    memory.mkdir(mode=0o777)
    memory.chmod(0o777)
    assert node_cache.memory_home() is None


def test_a_merge_of_merges_is_refused(parents: tuple[Parent, ...]) -> None:
    inner = Parent(name="inner", path=path_of(half(parents)))
    with pytest.raises(CheckpointError, match="rounds twice; write one recipe"):
        materialise(path_of(half((inner, parents[1]))))


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("merge:{}", CheckpointError, "method: Field required"),
        ("merge:{", CheckpointError, "Invalid JSON"),
        ("merge:nowhere.yaml", JobError, "there is no such recipe"),
    ],
)
def test_what_says_nothing_is_one_line(path: str, error: type[UserError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        identify(ModelSpec(name="m", path=path))
    assert "\n" not in str(caught.value)


def test_a_merge_has_no_revision(parents: tuple[Parent, ...]) -> None:
    with pytest.raises(CheckpointError, match="a merge has no revision"):
        identify(ModelSpec(name="m", path=path_of(half(parents)), revision="main"))
