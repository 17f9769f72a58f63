"""The processes of one node: all below a first one, found, slowed and ended together.

The first process of a node adopts the orphans below it (it is the init of its own pid namespace,
or a subreaper), so that the tree below it is the node, whatever Ray forks.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
#: A node that is slowed runs for a part of each such period and stands still for the rest.
PERIOD_S = 0.1
_SCAN_S = 0.5
_GONE_S = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process, told from a later one with the same number by when it started.

    Attributes:
        pid: Its number.
        started: Clock ticks after the machine's start.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now; None where there is none, or only its remains."""
        facts = _stat(pid)
        return None if facts is None or facts[0] in "ZX" else cls(pid, int(facts[19]))

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return Process.of(self.pid) == self


def adopt_orphans() -> None:
    """Make this process the parent of its grandchildren whose parent ends. Survives an exec."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tree(first: Process) -> list[int]:
    """A process and all below it, the first one first; empty where it has ended."""
    if not first.alive:
        return []
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        facts = _stat(int(folder.name))
        if facts is not None and facts[0] not in "ZX":
            children.setdefault(int(facts[1]), []).append(int(folder.name))
    found = [first.pid]
    for pid in found:  # grows while it is read
        found += children.get(pid, [])
    return found


def end(first: Process) -> None:
    """Kill -9 a process and all below it, as a machine that loses its power.

    All are halted first, so that none starts another or says goodbye.

    Raises:
        RuntimeError: Something is left of them.
    """
    halted: set[int] = set()
    while new := set(tree(first)) - halted:
        send(new, signal.SIGSTOP)
        halted |= new
    known = [process for pid in halted if (process := Process.of(pid)) is not None]
    send(halted - {first.pid}, signal.SIGKILL)
    send(halted & {first.pid}, signal.SIGKILL)  # last, since it is who adopts the others
    until = time.monotonic() + _GONE_S
    while left := [process.pid for process in known if process.alive]:
        if time.monotonic() > until:
            raise RuntimeError(f"processes {left} do not end; look at them with ps")
        with suppress(ChildProcessError):  # where it is a child of ours, take its remains away
            os.waitpid(first.pid, os.WNOHANG)
        time.sleep(0.02)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal processes; one that is gone is no matter."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def start_slowing(first: Process, percent: float, log: Path) -> Process:
    """Start what lets a node run only a part of the time; `end` ends it, `resume` wakes the node.

    Args:
        first: Of the node.
        percent: Of the time that the node runs, above 0 and below 100.
        log: Where its errors go.
    """
    command = [sys.executable, str(Path(__file__).resolve())]
    command += [str(first.pid), str(first.started), str(percent)]
    with log.open("ab") as out:
        helper = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    found = Process.of(helper.pid)
    assert found is not None
    return found


def resume(first: Process) -> None:
    """Let every process of a node run again."""
    send(tree(first), signal.SIGCONT)


def slow(first: Process, percent: float) -> None:
    """Halt and wake a node by turns, until it ends."""
    run_s = PERIOD_S * percent / 100
    pids: list[int] = []
    scanned = 0.0
    while first.alive:
        if time.monotonic() - scanned > _SCAN_S:
            pids, scanned = tree(first), time.monotonic()
        send(pids, signal.SIGSTOP)
        time.sleep(PERIOD_S - run_s)
        send(pids, signal.SIGCONT)
        time.sleep(run_s)


def _stat(pid: int) -> list[str] | None:
    """What follows the name in ``/proc/PID/stat``: state, parent, ...; None where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def main() -> None:
    """``processes.py PID STARTED PERCENT``: slow one node."""
    parser = argparse.ArgumentParser(description="Let a process and all below it run slowly.")
    parser.add_argument("pid", type=int)
    parser.add_argument("started", type=int)
    parser.add_argument("percent", type=float)
    given = parser.parse_args()
    slow(Process(given.pid, given.started), given.percent)


if __name__ == "__main__":
    main()
