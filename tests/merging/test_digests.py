"""Digests of parents are kept as long as their files are the same, and no longer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lens_ray.errors import CheckpointError
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.digests import weights_digest
from lens_ray.merging.reader import Reader
from lens_ray.models import kept_digests
from lens_ray.models.checkpoint import inspect_checkpoint
from tests.merging.folders import (
    checkpoint,
    keep_all_digests,
    linear,
    numbers,
    read_whole,
    two,
)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return keep_all_digests(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(checkpoint(tmp_path / "a", numbers(1), shards=3))


def _digest(folder: Path) -> str:
    reader = Reader(folder, inspect_checkpoint(str(folder), digest=False).weights)
    try:
        return weights_digest(reader, threading.Event())
    finally:
        reader.close()


def test_it_is_the_checkpoints(folder: Path) -> None:
    assert _digest(folder) == read_whole(folder)


def test_the_second_time_nothing_is_read(
    folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _digest(folder)
    assert len(list(kept.iterdir())) == 1
    monkeypatch.setattr(Reader, "raw", lambda *_: pytest.fail("it was read"))
    assert _digest(folder) == first


def test_whoever_evaluated_it_need_not_read_it_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = inspect_checkpoint(str(folder)).weights_digest
    monkeypatch.setattr(Reader, "raw", lambda *_: pytest.fail("it was read"))
    assert _digest(folder) == evaluated == read_whole(folder)


def test_a_change_that_hides_its_time_is_seen(folder: Path) -> None:
    """The time of the content can be set back; that of the inode cannot."""
    file = sorted(folder.glob("*.safetensors"))[1]
    before, first = file.stat(), _digest(folder)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    with file.open("r+b") as opened:
        opened.write(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert _digest(folder) == read_whole(folder) != first


def test_fresh_and_small_weights_are_not_kept(
    folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_digests, "_SETTLED_NS", 10**15)
    _digest(folder)
    monkeypatch.setattr(kept_digests, "_SETTLED_NS", -(10**12))
    monkeypatch.setattr(kept_digests, "_KEPT_FROM", 10**9)
    _digest(folder)
    assert not kept.exists()


@pytest.mark.parametrize("damage", ["", "x" * 64, "0" * 63])
def test_a_damaged_entry_is_made_again(folder: Path, kept: Path, damage: str) -> None:
    first = _digest(folder)
    (entry,) = kept.iterdir()
    entry.write_text(damage)
    assert _digest(folder) == first
    assert entry.read_text() == first


def test_a_home_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "file"))
    assert _digest(folder) == read_whole(folder)


def test_who_waits_no_longer_gets_nothing(folder: Path, kept: Path) -> None:
    reader = Reader(folder, inspect_checkpoint(str(folder), digest=False).weights)
    stopped = threading.Event()
    stopped.set()
    assert weights_digest(reader, stopped) == ""
    reader.close()
    assert not kept.exists()


def test_a_file_that_changes_meanwhile_is_not_kept(folder: Path, kept: Path) -> None:
    reader = Reader(folder, inspect_checkpoint(str(folder), digest=False).weights)
    with sorted(folder.glob("*.safetensors"))[0].open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match="changed while it was read"):
        weights_digest(reader, threading.Event())
    reader.close()
    assert not kept.exists()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("lens_ray.merging.apply.stream", stop)
        yield


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_leaves_nothing_and_waits_for_nobody(tmp_path: Path) -> None:
    recipe = linear(two(tmp_path / "x"), [0.5, 0.5])
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        apply_recipe(recipe, tmp_path / "out")
    assert threading.active_count() == threads
    assert not (tmp_path / "out.partial").exists()
