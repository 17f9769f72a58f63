"""One side of bench_merge_mergekit: ``python merge_side.py lens-ray|mergekit < CALLS.json``.

Runs by path in either environment, so it imports nothing of this project at its head. It reads a
JSON list of calls, ``{"arguments": [...], "out": FOLDER}``, makes them one after the other in this
process, and prints what each took. A first call that merges something tiny takes the imports out of
the others' times. Every call ends with an fsync of all that it wrote.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_MIB = 1 << 20
_LOOK_S = 0.005


def anonymous() -> int:
    """Bytes of this process that are no file's: resident less shared."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """The most anonymous memory while it is entered; mapped files do not count."""

    def __enter__(self) -> Peak:
        self.most = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            self.most = max(self.most, anonymous())

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def fsync_all(folder: Path) -> None:
    """Everything in a folder, and the folder, is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def lens_ray(arguments: Sequence[str]) -> str | None:
    """``lens-ray`` with these arguments: what went wrong, or None."""
    from lens_ray.cli.main import main

    code = main(list(arguments))
    return f"exit code {code}" if code else None


def mergekit(arguments: Sequence[str]) -> str | None:
    """``mergekit-yaml`` with these arguments."""
    script = importlib.import_module("mergekit.scripts.run_yaml")
    script.main.main(list(arguments), standalone_mode=False)
    return None


SIDES: dict[str, Callable[[Sequence[str]], str | None]] = {
    "lens-ray": lens_ray, "mergekit": mergekit,
}  # fmt: skip


def call(side: str, arguments: Sequence[str], out: Path) -> dict[str, Any]:
    """Make one call: seconds until it returned, of the fsync, and its memory."""
    os.sync()
    before = anonymous()
    began, worked = time.perf_counter(), time.process_time()
    with Peak() as peak:
        try:
            error = SIDES[side](arguments)
        except Exception as raised:  # of another tool, with any class: it is the result
            traceback.print_exc()
            error = f"{type(raised).__name__}: {str(raised).strip().splitlines()[0][:200]}"
        returned = time.perf_counter()
    if error is None:
        fsync_all(out)
    return {
        "seconds": time.perf_counter() - began,
        "fsync_s": time.perf_counter() - returned,
        "cpu_s": time.process_time() - worked,
        "before_mib": round(before / _MIB),
        "peak_mib": round(peak.most / _MIB),
        "error": error,
    }


def main() -> int:
    """Make all calls; what they print goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    calls = json.load(sys.stdin)
    found = [call(sys.argv[1], one["arguments"], Path(one["out"])) for one in calls]
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        json.dump(found, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
