"""SIGTERM ends a job as Ctrl-C does, whatever Ray does to its handler."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from lens_ray.engine.interrupt import sigterm_interrupts, sigterm_kept


def test_sigterm_interrupts_after_another_handler_was_set() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts():
        with sigterm_kept():  # as ray.init does
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
