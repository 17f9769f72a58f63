"""Copies of a machine: once for all processes, whole or not at all, within their bound."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lens_ray import node_cache
from lens_ray.errors import StoreUnavailable, UserError
from tests.disks import TinyDisk

ROOT = Path(__file__).resolve().parents[1]
#: Fills ``checkpoints/x`` in two halves and notes in a file of the folder above that it did. Where
#: it is told to, it stops between the halves until it is killed.
FILLER = """
import os, sys
from pathlib import Path
from lens_ray import node_cache
top = node_cache.home()
def fill(folder):
    note = os.open(top / "fills", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(note, b"x")
    with (folder / "data").open("w") as file:
        file.write("half ")
        file.flush()
        if sys.argv[1] == "stop":
            print("half", flush=True)
            sys.stdin.read()
        file.write("and half")
entry = node_cache.keep(top / "checkpoints" / "x", fill, 100)
print((entry / "data").read_text(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "home"
    top.mkdir()
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    monkeypatch.delenv("LENS_RAY_CACHE_GB", raising=False)
    return top


def filler(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FILLER, how],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.communicate()


def of_bytes(size: int) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        (folder / "data").write_bytes(b"x" * size)

    return fill


def never(folder: Path) -> None:
    raise AssertionError("it was begun")


def make(entry: Path, size: int = 1000, used: int = 0) -> Path:
    """An entry that nobody uses, last used so many seconds after the epoch."""
    node_cache.keep(entry, of_bytes(size), size)
    node_cache.release(entry)
    os.utime(entry, (used, used))
    return entry


def test_many_processes_make_one_copy(home: Path) -> None:
    processes = [filler("go") for _ in range(4)]
    assert [said(process) for process in processes] == ["half and half"] * 4
    assert (home / "fills").read_text() == "x"
    end(*processes)
    assert os.listdir(home / "checkpoints") == ["x"]


def test_a_maker_that_is_killed_leaves_the_work_to_the_next(home: Path) -> None:
    first = filler("stop")
    assert said(first) == "half"
    (half,) = (home / "checkpoints").iterdir()
    second = filler("go")
    first.send_signal(signal.SIGKILL)
    assert said(second) == "half and half"
    end(first, second)
    assert (home / "fills").read_text() == "xx"
    assert not half.exists()
    assert os.listdir(home / "checkpoints") == ["x"]


def test_what_the_dead_left_of_other_copies_is_removed_and_of_the_living_is_not(
    home: Path,
) -> None:
    living = filler("stop")
    assert said(living) == "half"
    (half,) = (home / "checkpoints").iterdir()
    dead = home / "checkpoints" / ".gone.0123.partial"
    older = home / "checkpoints" / "gone.4567.partial"  # as versions before named it
    for one in (dead, older):
        one.mkdir()
        (one / "data").write_text("half ")
    make(home / "checkpoints" / "y")
    assert sorted(os.listdir(home / "checkpoints")) == sorted([half.name, "y"])
    end(living)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(home: Path, code: int) -> None:
    def fill(folder: Path) -> None:
        (folder / "data").write_text("half ")
        raise OSError(code, os.strerror(code))

    with pytest.raises(StoreUnavailable) as caught:
        node_cache.keep(home / "checkpoints" / "x", fill, 5_000_000)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{home / 'checkpoints'}: no room for a copy of 5.0 MB, ")
    assert " GB free; free some, or export LENS_RAY_HOME=FOLDER" in message
    assert os.listdir(home / "checkpoints") == []
    make(home / "checkpoints" / "x")  # and there is nothing in the way of the next try


def test_a_file_that_cannot_grow(home: Path) -> None:
    """The kernel's own limit, in a process of its own."""
    script = """
import resource
from lens_ray import node_cache
from lens_ray.errors import StoreUnavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
def fill(folder):
    (folder / "data").write_bytes(b"x" * 1_000_000)
try:
    node_cache.keep(node_cache.home() / "checkpoints" / "x", fill, 1_000_000)
except StoreUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "no room for a copy of 1.0 MB" in done.stdout
    assert os.listdir(home / "checkpoints") == []


def test_a_file_system_that_is_really_full(home: Path, tiny_disk: TinyDisk) -> None:
    """More comes than was said, so that it fills up in the middle."""
    disk = tiny_disk(home / "checkpoints", 20)

    def fill(folder: Path) -> None:
        (folder / "one").write_bytes(b"x" * 10**7)
        (folder / "two").write_bytes(b"x" * 2 * 10**7)

    with pytest.raises(StoreUnavailable, match="no room for a copy"):
        node_cache.keep(disk / "x", fill, 1000)
    assert os.listdir(disk) == []
    make(disk / "y", 1000)


def test_what_cannot_fit_is_not_begun(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(path: object) -> Any:
        return SimpleNamespace(free=2 * 10**7)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    make(home / "checkpoints" / "small", 1000)
    with pytest.raises(StoreUnavailable, match=r"no room for a copy of 9\.0 MB, 20\.0 MB free"):
        node_cache.keep(home / "checkpoints" / "x", never, 9_000_000)


def test_a_folder_that_cannot_be_written(home: Path) -> None:
    (home / "checkpoints").write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"cannot be written .*export LENS_RAY_HOME"):
        make(home / "checkpoints" / "x")


def test_an_error_of_the_maker_is_its_own(home: Path) -> None:
    def fill(folder: Path) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        node_cache.keep(home / "checkpoints" / "x", fill, 1)
    with node_cache.alone(home / "checkpoints" / "x", "use") as unused:
        assert unused


def test_a_copy_that_is_not_whole_is_made_again(home: Path) -> None:
    entry = make(home / "checkpoints" / "x", 1000)
    (entry / "data").write_bytes(b"cut off")

    def sound(folder: Path) -> bool:
        return (folder / "data").is_file() and (folder / "data").stat().st_size == 1000

    node_cache.keep(entry, of_bytes(1000), 1000, sound)
    assert sound(entry)
    assert os.listdir(home / "checkpoints") == ["x"]


def test_the_least_recently_used_go_where_there_is_a_bound(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: three of 1.0 MB are there, one of 1.5 MB comes, 3.0 MB are allowed."""
    kinds = (node_cache.CHECKPOINTS, node_cache.CHECKPOINTS, node_cache.SUITES)
    a, b, c = (
        make(home / kind / name, 10**6, used)
        for kind, name, used in zip(kinds, "abc", (300, 100, 200), strict=True)
    )
    mine = home / "suites" / "installed"
    mine.mkdir(parents=True)
    (mine / "data").write_bytes(b"x" * 10**6)
    make(home / "checkpoints" / "unbounded", 100, 400)
    monkeypatch.setenv("LENS_RAY_CACHE_GB", "0.003")
    make(home / "checkpoints" / "d", 1_500_000)
    assert [one.exists() for one in (a, b, c)] == [True, False, False]
    assert mine.exists()


def test_what_is_in_use_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = filler("go")  # of x, and alive
    assert said(user) == "half and half"
    os.utime(home / "checkpoints" / "x", (1, 1))
    own = node_cache.keep(home / "checkpoints" / "own", of_bytes(1000), 1000)
    os.utime(own, (2, 2))
    idle = make(home / "checkpoints" / "idle", 1000, 3)
    monkeypatch.setenv("LENS_RAY_CACHE_GB", "1e-6")
    with pytest.raises(StoreUnavailable, match="more than LENS_RAY_CACHE_GB leaves"):
        node_cache.keep(home / "checkpoints" / "ahead", never, 1000, beyond=False)
    assert sorted(os.listdir(home / "checkpoints")) == ["own", "x"]
    assert not idle.exists()
    needed = node_cache.keep(home / "checkpoints" / "needed", of_bytes(1000), 1000)
    node_cache.release_others(needed)
    end(user)
    make(home / "checkpoints" / "last", 1000)
    assert sorted(os.listdir(home / "checkpoints")) == ["last", "needed"]
    node_cache.release(needed)


@pytest.mark.parametrize("given", ["much", "0", "-1", "nan", "inf"])
def test_a_bound_that_is_none(home: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("LENS_RAY_CACHE_GB", given)
    with pytest.raises(UserError, match=f"LENS_RAY_CACHE_GB is '{given}'; export"):
        make(home / "checkpoints" / "x")


def test_without_locks_copies_are_whole_and_none_is_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setenv("LENS_RAY_CACHE_GB", "1e-6")
    first = make(home / "checkpoints" / "first", 1000, 1)
    second = make(home / "checkpoints" / "second", 1000, 2)
    assert first.is_dir()
    assert (second / "data").stat().st_size == 1000

    def slower(folder: Path) -> None:  # another process is faster meanwhile
        of_bytes(1000)(folder)
        entry = home / "checkpoints" / "third"
        entry.mkdir()
        (entry / "data").write_bytes(b"y" * 1000)

    third = node_cache.keep(home / "checkpoints" / "third", slower, 1000)
    node_cache.release(third)
    assert (third / "data").read_bytes() == b"y" * 1000
    assert not list((home / "checkpoints").glob("*.partial"))


def test_what_is_not_there_is_not_held(home: Path) -> None:
    assert not node_cache.hold(home / "checkpoints" / "x")
    make(home / "checkpoints" / "x")
    assert node_cache.hold(home / "checkpoints" / "x")
    with node_cache.alone(home / "checkpoints" / "x", "use") as unused:
        assert not unused
    node_cache.release(home / "checkpoints" / "x")
    with node_cache.alone(home / "checkpoints" / "x", "use") as unused:
        assert unused
