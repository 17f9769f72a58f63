"""The limits of a scripted provider, with the time given: `Gate`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lens_ray.testing.provider.script import ServerLimits
from lens_ray.testing.provider.wire import Standing


@dataclass(slots=True)
class _Meter:
    """One limit of one key and model.

    Attributes:
        limit: A minute.
        size: The most that it holds.
        level: What it holds.
        since: When that was so.
    """

    limit: int
    size: float
    level: float
    since: float


class Gate:
    """Lets calls through, or says when to come back."""

    def __init__(self, limits: ServerLimits, now: float) -> None:
        """Begin with full buckets, or with a new window.

        Args:
            limits: What is permitted.
            now: Seconds of a monotonic clock.
        """
        self._limits = limits
        span = limits.burst_s if limits.kind == "bucket" else limits.window_s
        self._meters: dict[str, _Meter] = {}
        for name in ("requests", "tokens", "images"):
            limit: int | None = getattr(limits, name)
            if limit is not None:
                size = max(1.0, limit * span / 60)
                self._meters[name] = _Meter(limit, size, size, now)

    def take(self, tokens: int, images: int, now: float) -> tuple[str, float] | None:
        """Take what a call needs; or, with nothing taken, which limit stops it and for how long.

        Args:
            tokens: Of the prompt and the most of the answer.
            images: How many.
            now: As above.
        """
        wanted = {"requests": 1, "tokens": tokens, "images": images}
        for name, meter in self._meters.items():
            self._fill(meter, now)
            # What is larger than the bucket goes through when that is full.
            need = min(wanted[name], meter.size)
            if meter.level + 1e-9 < need:
                return name, self._wait(meter, need, now)
        for name, meter in self._meters.items():
            meter.level -= wanted[name]
        return None

    def standings(self, now: float) -> dict[str, Standing]:
        """How the key stands with each limit."""
        said: dict[str, Standing] = {}
        for name, meter in self._meters.items():
            self._fill(meter, now)
            left = max(0, math.floor(meter.level + 1e-9))
            said[name] = Standing(meter.limit, left, self._wait(meter, meter.size, now))
        return said

    def _fill(self, meter: _Meter, now: float) -> None:
        if self._limits.kind == "bucket":
            gained = (now - meter.since) * meter.limit / 60
            meter.level = min(meter.size, meter.level + gained)
            meter.since = now
            return
        passed = math.floor((now - meter.since) / self._limits.window_s)
        if passed > 0:
            meter.since += passed * self._limits.window_s
            meter.level = meter.size

    def _wait(self, meter: _Meter, need: float, now: float) -> float:
        if meter.level >= need:
            return 0.0
        if self._limits.kind == "bucket":
            return (need - meter.level) * 60 / meter.limit
        return max(0.0, meter.since + self._limits.window_s - now)
