"""Who drives a run or a watch: a lease object, written by compare-and-swap.

No two machines' clocks are compared. Who waits watches the object with a clock of its own: where
its version does not change for the time that its holder promised, the holder is dead.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lens_ray.errors import RunBusy, StoreUnavailable
from lens_ray.store.objects import ObjectStore
from lens_ray.store.records import dump, load

#: The watcher looks this many times while a holder's promise lasts, at least once a second.
_LOOKS = 10


@dataclass(frozen=True, slots=True)
class _Holder:
    owner: str
    nonce: str
    ttl_s: float
    released: bool

    def __str__(self) -> str:
        """Owner strings are ``host:pid:uuid``."""
        host, _, rest = self.owner.partition(":")
        pid = rest.partition(":")[0]
        return f"{self.owner} (host {host}, pid {pid or 'unknown'})"


class Lease:
    """The right to drive a run, until it is released or not renewed in time.

    Attributes:
        owner: Who holds it.
        ttl_s: It is dead when it was not renewed for so long.
    """

    def __init__(self, objects: ObjectStore, key: str, what: str, owner: str, ttl_s: float) -> None:
        self.owner = owner
        self.ttl_s = ttl_s
        self._objects = objects
        self._key = key
        self._what = what
        self._nonce = uuid.uuid4().hex
        self._beat = 0
        self._version: str | None = None

    def renew(self) -> None:
        """Say that the holder lives; call it several times within ``ttl_s``.

        Raises:
            RunBusy: Another driver took the run over.
            StoreUnavailable: The store cannot be written.
        """
        holder = self._rewrite(released=False)
        if holder is not None:
            raise RunBusy(f"{self._what}: {holder} took it over; this driver stops")

    def release(self) -> None:
        """Give the run back; nothing happens where another driver took it over.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        self._rewrite(released=True)

    def take(self, version: str | None) -> bool:
        """Write oneself in, if the object still has that version."""
        return self._write(version, released=False)

    def _rewrite(self, *, released: bool) -> str | None:
        """Write the object again; returns who holds it where that is somebody else."""
        while not self._write(self._version, released=released):
            found = self._objects.get_versioned(self._key)
            if found is None:
                return "somebody who removed its lease"
            holder = _holder(self._objects, self._key, found.data)
            if holder.nonce != self._nonce:
                return str(holder)
            self._version = found.version  # an earlier write landed though its answer was lost
        return None

    def _write(self, version: str | None, *, released: bool) -> bool:
        self._beat += 1
        host, _, rest = self.owner.partition(":")
        record: dict[str, object] = {
            "kind": "lease",
            "schema_version": 1,
            "owner": self.owner,
            "host": host,
            "pid": rest.partition(":")[0],
            # Both make every version's bytes new, so that a version never comes back.
            "nonce": self._nonce,
            "beat": self._beat,
            "ttl_s": self.ttl_s,
            "released": released,
        }
        new = self._objects.swap(self._key, dump(record), version)
        if new is not None:
            self._version = new
        return new is not None


def acquire(
    objects: ObjectStore,
    key: str,
    what: str,
    owner: str,
    *,
    ttl_s: float,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease:
    """Take a lease; see `lens_ray.store.run_log.RunLog.acquire`.

    Args:
        objects: The store.
        key: Of the lease.
        what: For messages: ``run X``.
        owner: ``host:pid:uuid``.
        ttl_s: This owner counts as dead when it does not renew for so long.
        wait_s: Longest wait for another owner's lease to run out.
        clock: Of the one who waits.
        sleep: The same.
    """
    lease = Lease(objects, key, what, owner, ttl_s)
    began = seen_at = clock()
    watched: str | None = None
    while True:
        found = objects.get_versioned(key)
        holder = _holder(objects, key, found.data) if found is not None else None
        free = holder is None or holder.released or holder.owner == owner
        if holder is not None and found is not None and not free:
            if watched is not None and found.version != watched:
                raise RunBusy(f"{what}: {holder} is at work on it; wait for it or stop it there")
            if watched is None:
                watched, seen_at = found.version, clock()
            free = clock() - seen_at >= holder.ttl_s
        if free:
            if lease.take(found.version if found is not None else None):
                return lease
            continue  # somebody was faster: look again
        assert holder is not None
        left = wait_s - (clock() - began)
        if left <= 0:
            raise RunBusy(
                f"{what}: {holder} holds it and was silent for {wait_s:g} s of the "
                f"{holder.ttl_s:g} s that it has; start again"
            )
        sleep(max(0.001, min(left, holder.ttl_s / _LOOKS, 1.0)))


def _holder(objects: ObjectStore, key: str, data: bytes) -> _Holder:
    try:
        record: dict[str, Any] = load(data, "lease")
        return _Holder(
            owner=str(record["owner"]),
            nonce=str(record["nonce"]),
            ttl_s=float(record["ttl_s"]),
            released=bool(record["released"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(
            f"store {objects.url}: {key} is damaged ({error}); remove it if no driver is at work"
        ) from error
