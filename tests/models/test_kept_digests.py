"""An evaluated checkpoint is hashed once, and again after anything about it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lens_ray.models import checkpoint, kept_digests
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.kept_digests import FileState, KeptDigest
from tests.merging import folders


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folders.keep_all_digests(monkeypatch, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(folders.checkpoint(tmp_path / "a", folders.numbers(1), shards=2))


def digest(folder: Path) -> str:
    return inspect_checkpoint(str(folder)).weights_digest


def test_the_second_time_nothing_is_read(folder: Path, home: Path) -> None:
    first = digest(folder)
    assert first == folders.read_whole(folder)
    (entry,) = home.iterdir()
    entry.write_text("f" * 64)  # what is given back is what is kept
    assert digest(folder) == "f" * 64


def test_a_change_within_one_size_and_time_is_seen(folder: Path) -> None:
    file = sorted(folder.glob("*.safetensors"))[0]
    before, first = file.stat(), digest(folder)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digest(folder) == folders.read_whole(folder) != first


def test_what_was_written_just_now_is_not_kept(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another write within the same tick would leave the times as they were."""
    monkeypatch.setattr(kept_digests, "_SETTLED_NS", 10**15)
    states = [FileState.of(file.stat()) for file in folder.glob("*.safetensors")]
    fresh = KeptDigest(states)
    monkeypatch.setattr(kept_digests, "_SETTLED_NS", -(10**12))  # reading it took that long
    fresh.keep("0" * 64)
    assert not home.exists()
    assert fresh.known() is None


def test_what_changes_while_it_is_read_is_not_kept(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, looked = sorted(folder.glob("*.safetensors"))[0], list[int]()
    states = checkpoint._states

    def changed_between(paths: list[Path]) -> list[FileState]:
        if looked:
            os.utime(file)
        looked.append(1)
        return states(paths)

    monkeypatch.setattr(checkpoint, "_states", changed_between)
    assert digest(folder) == folders.read_whole(folder)
    assert len(looked) == 2
    assert not home.exists()


def test_bytes_that_are_no_text_are_no_digest(folder: Path, home: Path) -> None:
    first = digest(folder)
    (entry,) = home.iterdir()
    entry.write_bytes(b"\xff" * 64)
    assert digest(folder) == first
