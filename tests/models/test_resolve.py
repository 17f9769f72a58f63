from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from lens_ray import fetching, node_cache
from lens_ray.errors import CheckpointError, StoreUnavailable
from lens_ray.models import resolve as module
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.identity import identify
from lens_ray.models.resolve import resolve
from lens_ray.models.spec import ModelSpec
from lens_ray.testing.fault_proxy import Fault, FaultProxy

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("LENS_RAY_HOME", str(home))
    return home


def one_line(path: str, kind: type[Exception] = CheckpointError) -> str:
    with pytest.raises(kind) as caught:
        resolve(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_folder_is_taken_as_it_is(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny()
    assert resolve(str(folder)) == str(folder.resolve())
    assert resolve(f"file://{folder}") == str(folder.resolve())
    monkeypatch.chdir(folder.parent)
    assert resolve(folder.name) == resolve(f"./{folder.name}/") == str(folder.resolve())


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "/nowhere/at/all", "./none", "x" * 30])
def test_a_path_that_is_none(path: str) -> None:
    one_line(path)


def test_a_file_is_no_checkpoint(tiny: Make) -> None:
    message = one_line(str(tiny() / "config.json"))
    assert "is a file" in message
    assert str(tiny()) in message


def test_a_hub_id_that_is_not_cached_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = one_line("someone/some-model")
    assert "hf download someone/some-model" in message


def test_a_cached_hub_id_needs_no_network(
    tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    commit = "0" * 40
    repo = cache / "models--some--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots").mkdir()
    os.symlink(tiny(), repo / "snapshots" / commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    inspect_checkpoint(resolve("some/tiny"))
    inspect_checkpoint(resolve("some/tiny", commit))
    with pytest.raises(CheckpointError, match="--revision v9"):
        resolve("some/tiny", "v9")


def test_builtin_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Make) -> None:
    monkeypatch.setattr(module, "builtin_root", lambda: tmp_path / "builtin")
    (tmp_path / "builtin" / "minivlm-a").mkdir(parents=True)
    os.symlink(tiny(), tmp_path / "builtin" / "minivlm-a" / "step-0500")
    assert inspect_checkpoint(resolve("builtin:minivlm-a/step-0500"))
    assert "did you mean builtin:minivlm-a/step-0500" in one_line("builtin:minivlm-a/step-500")
    for path in (
        "builtin:",
        "builtin:../../etc",
        "builtin:minivlm-a",
        "builtin:/x/y",
        "builtin:a/..",
    ):
        one_line(path)


def test_a_revision_is_only_for_a_hub_id(tiny: Make) -> None:
    with pytest.raises(CheckpointError, match="only for a hub id"):
        resolve(str(tiny()), "main")


def put(tiny: Make, url: str) -> None:
    files, root = fsspec.core.url_to_fs(url)
    files.makedirs(root, exist_ok=True)
    for path in tiny().iterdir():
        files.pipe_file(f"{root}/{path.name}", path.read_bytes())
    files.pipe_file(f"{root}/optimizer.pt", b"not wanted")


def test_a_url_is_copied_once_for_each_state(tiny: Make, own_home: Path) -> None:
    put(tiny, "memory://bucket/run/step-1")
    folder = resolve("memory://bucket/run/step-1/")
    assert (
        inspect_checkpoint(folder).weights_digest == inspect_checkpoint(str(tiny())).weights_digest
    )
    assert not (Path(folder) / "optimizer.pt").exists()
    before = (Path(folder) / "config.json").stat().st_mtime_ns
    assert resolve("memory://bucket/run/step-1") == folder
    assert (Path(folder) / "config.json").stat().st_mtime_ns == before
    fsspec.filesystem("memory").pipe_file("/bucket/run/step-1/config.json", b"{}  ")
    changed = resolve("memory://bucket/run/step-1")
    assert changed != folder
    assert not list(own_home.rglob("*.partial"))


def test_a_copy_that_breaks_leaves_nothing(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, "memory://bucket/half")
    real = type(fsspec.filesystem("memory")).get_file

    def broken(self: object, remote: str, local: str, **given: object) -> None:
        if remote.endswith("tokenizer.json"):
            raise TimeoutError("slow")
        real(self, remote, local, **given)

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", broken)
    assert "cannot be copied" in one_line("memory://bucket/half", StoreUnavailable)
    monkeypatch.setattr(
        type(fsspec.filesystem("memory")),
        "get_file",
        lambda self, remote, local, **given: Path(local).write_bytes(b"short"),
    )
    assert "arrived" in one_line("memory://bucket/half", StoreUnavailable)
    assert list((own_home / "checkpoints").iterdir()) == []


def test_a_copy_that_was_cut_off_is_made_again(tiny: Make, own_home: Path) -> None:
    put(tiny, "memory://bucket/cut")
    folder = Path(resolve("memory://bucket/cut"))
    size = (folder / "model.safetensors").stat().st_size
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(size // 2)
    assert resolve("memory://bucket/cut") == str(folder)
    assert (folder / "model.safetensors").stat().st_size == size


def test_a_checkpoint_that_is_being_written_is_not_taken(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, "memory://bucket/moving")
    memory = fsspec.filesystem("memory")
    real = type(memory).get_file

    def overtaken(self: object, remote: str, local: str, **given: object) -> None:
        real(self, remote, local, **given)
        if remote.endswith("config.json"):
            memory.pipe_file("/bucket/moving/model-2.safetensors", b"the next shard")

    monkeypatch.setattr(type(memory), "get_file", overtaken)
    message = one_line("memory://bucket/moving", StoreUnavailable)
    assert "was written to while it was copied" in message
    assert list((own_home / "checkpoints").iterdir()) == []


def test_several_files_come_at_once(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four transfers meet at a barrier, which one after the other never would."""
    put(tiny, "memory://bucket/many")
    together = threading.Barrier(4, timeout=30)
    memory = type(fsspec.filesystem("memory"))
    real = memory.get_file
    large = sorted(tiny().iterdir(), key=lambda path: -path.stat().st_size)[:4]
    names = {path.name for path in large}

    def met(self: object, remote: str, local: str, **given: object) -> None:
        if Path(remote).name in names:
            together.wait()
        real(self, remote, local, **given)

    monkeypatch.setattr(memory, "get_file", met)
    resolve("memory://bucket/many")
    assert not together.broken


def test_a_disk_that_fills_up_is_one_line(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, "memory://bucket/full")

    def full(self: object, remote: str, local: str, **given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", full)
    message = one_line("memory://bucket/full", StoreUnavailable)
    assert f"{own_home / 'checkpoints'}: no room for a copy of " in message
    assert "export LENS_RAY_HOME=FOLDER" in message
    assert list((own_home / "checkpoints").iterdir()) == []


def test_room_is_looked_for_before_anything_is_copied(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, "memory://bucket/big")
    copied = sum(p.stat().st_size for p in tiny().iterdir())
    monkeypatch.setattr(node_cache, "_free", lambda folder: copied + 10**6)  # and no margin
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", pytest.fail)
    assert "no room for a copy" in one_line("memory://bucket/big", StoreUnavailable)


def test_a_bucket_that_fails_now_and_then(
    tiny: Make, bucket_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.0)
    put(tiny, bucket_url)
    proxy.clear()
    proxy.add(Fault("status", method="GET", path="safetensors", status=503, times=2))
    proxy.add(Fault("lost_answer", method="GET", path="tokenizer"))
    folder = resolve(bucket_url)
    assert sum(seen.fault is not None for seen in proxy.seen) == 3
    own = inspect_checkpoint(str(tiny()))
    assert inspect_checkpoint(folder).weights_digest == own.weights_digest


def test_who_identified_a_model_uses_its_copy_no_longer(
    tiny: Make, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tiny, "memory://bucket/known")
    identity = identify(ModelSpec(name="m", path="memory://bucket/known"))
    with node_cache.alone(Path(identity.weights), "use") as unused:
        assert unused


def test_urls_without_a_checkpoint(tmp_path: Path) -> None:
    assert "no checkpoint at" in one_line("memory://bucket/nothing-here")
    assert "nosuchscheme" in one_line("nosuchscheme://a/b")
    fsspec.filesystem("memory").pipe_file("/bucket/odd/readme.md", b"x")
    assert "no checkpoint at" in one_line("memory://bucket/odd")
