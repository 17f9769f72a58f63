"""Trees of processes: found whole, slowed, ended. Real processes, no Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster import processes
from cluster.processes import Process

#: A parent whose child leaves an orphan behind, in a session of its own; each says who it is.
FAMILY = """
import os, signal, sys, time
def say(): os.write(1, f"{os.getpid()}\\n".encode())
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        say()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pause()
    os._exit(0)
os.wait()
say()
signal.pause()
"""


@contextmanager
def family(code: str, lines: int) -> Iterator[tuple[Process, list[int]]]:
    """Run a first process that adopts orphans; yields it, and the pids that were said."""
    first = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=processes.adopt_orphans,
    )
    assert first.stdout is not None
    said = [int(first.stdout.readline()) for _ in range(lines)]
    found = Process.of(first.pid)
    assert found is not None
    try:
        yield found, said
    finally:
        processes.end(found)
        first.stdout.close()
        first.returncode = 0  # `end` took its remains away


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if true():
            return True
    return False


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_orphans_are_found_and_ended() -> None:
    with family(FAMILY, 2) as (first, said):
        assert set(processes.tree(first)) == set(said)
        assert processes.tree(first)[0] == first.pid
        processes.end(first)
        assert processes.tree(first) == []
        for pid in said:
            assert Process.of(pid) is None
        processes.end(first)  # once more is no matter


def test_a_number_that_was_given_again_is_another_process() -> None:
    own = Process.of(os.getpid())
    assert own is not None
    assert own.alive
    former = Process(own.pid, own.started - 1)
    assert not former.alive
    assert processes.tree(former) == []
    processes.end(former)  # and this test goes on


def test_slow_halts_and_wakes_until_it_is_ended(tmp_path: Path) -> None:
    with family("import os\nos.write(1, b'%d\\n' % os.getpid())\nwhile True: pass", 1) as (
        first,
        _,
    ):
        slower = processes.start_slowing(first, 5, tmp_path / "log")
        assert eventually(lambda: state(first.pid) == "T")
        assert eventually(lambda: state(first.pid) != "T")
        processes.end(slower)
        os.kill(first.pid, signal.SIGSTOP)  # as it may have been left
        processes.resume(first)
        assert eventually(lambda: state(first.pid) == "R")
    assert (tmp_path / "log").read_bytes() == b""


def test_slowing_ends_with_what_it_slows(tmp_path: Path) -> None:
    with family("import os\nos.write(1, b'%d\\n' % os.getpid())\nwhile True: pass", 1) as (
        first,
        _,
    ):
        slower = processes.start_slowing(first, 50, tmp_path / "log")
        processes.end(first)
        assert eventually(lambda: not slower.alive)
        with pytest.raises(ChildProcessError):  # noqa: PT012 - either it was reaped, or is now
            os.waitpid(slower.pid, 0)
            os.waitpid(slower.pid, 0)
