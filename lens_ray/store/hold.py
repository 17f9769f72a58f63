"""Leases that are renewed in a thread of their own: `Hold`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from lens_ray.errors import LensError, RunBusy, StoreUnavailable
from lens_ray.store.lease import Lease

_RENEWALS = 4


class Hold:
    """Leases that are renewed until `release`.

    Attributes:
        error: Why a lease was lost; the driver is to end.
    """

    def __init__(self, leases: Sequence[Lease], ttl_s: float) -> None:
        """Begin to renew."""
        self.error: LensError | None = None
        self._leases = leases
        self._pause_s = ttl_s / _RENEWALS
        self._ended = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what made a lease be lost."""
        if self.error is not None:
            raise self.error

    def release(self) -> None:
        """Give the runs back."""
        self._ended.set()
        self._thread.join()
        for lease in self._leases:
            try:
                lease.release()
            except StoreUnavailable:
                # Nothing depends on it: an unreleased lease runs out by itself.
                return

    def _renew(self) -> None:
        while not self._ended.wait(self._pause_s):
            try:
                for lease in self._leases:
                    lease.renew()
                self._failures = 0
            except RunBusy as error:
                self.error = error
                return
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures >= _RENEWALS:
                    self.error = error
                    return
