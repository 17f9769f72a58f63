"""``python -m lens_ray.models.bring PATH``: bring a checkpoint to this machine, out of the way.

It is copied from its URL, or made here.

A process of its own: threads of one interpreter take turns, whatever their priority. Standard input
closes with the process that wants the copy; then this one ends too, and leaves nothing half made.
The one line of its output says what went wrong.
"""

from __future__ import annotations

import os
import sys
import threading

from lens_ray.errors import LensError
from lens_ray.models.made import is_made, made
from lens_ray.models.remote import copied
from lens_ray.node_cache import abandon

_NICE = 5


def main(path: str) -> int:
    """Copy or make it; returns the exit code."""
    os.nice(_NICE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if is_made(path):
            made(path, beyond=False)
        else:
            copied(path, beyond=False)
    except LensError as error:
        print(" ".join(str(error).split()), flush=True)
        return error.exit_code
    except Exception as error:  # a process of its own: the parent reads one line and a code
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    return 0


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    abandon()
    os._exit(1)


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(code)  # a thread that waits for the parent is no reason to stay
