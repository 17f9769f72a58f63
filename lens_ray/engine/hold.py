"""The driver's leases of its runs: `hold_runs`.

The lease says that a driver is at work on a run, so the driver holds it, and not an actor that
Ray may move. Two drivers that both believe they hold it do no harm (the store keeps one row a
sample); the lease keeps them from doing the work twice.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lens_ray.store import RunLog
from lens_ray.store.hold import Hold

_WAIT_S = 30.0
_AT_ONCE = 16


@contextmanager
def hold_runs(logs: Sequence[RunLog], *, ttl_s: float, wait_s: float = _WAIT_S) -> Iterator[Hold]:
    """Be the driver of some runs.

    All of them are asked for at once, so a dead driver's runs are waited for only once.

    Raises:
        RunBusy: Another driver lives and holds one of them; the others are given back.
    """
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lease") as threads:
        asked = [threads.submit(log.acquire, owner, ttl_s=ttl_s, wait_s=wait_s) for log in logs]
    errors = [future.exception() for future in asked]
    leases = [future.result() for future, error in zip(asked, errors, strict=True) if error is None]
    first = next((error for error in errors if error is not None), None)
    hold = Hold(leases, ttl_s)
    try:
        if first is not None:
            raise first
        yield hold
    finally:
        hold.release()
