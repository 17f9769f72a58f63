"""SIGTERM ends a job as Ctrl-C does: `sigterm_interrupts`, `sigterm_kept`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Turn SIGTERM into `KeyboardInterrupt`; only the main thread of a process can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Put back what SIGTERM did before: ``ray.init`` sets a handler of its own, which exits."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        ours = callable(before) and threading.current_thread() is threading.main_thread()
        if ours:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
