"""Who hears of findings: `Alerts`, which tells each of them once, and stops nothing.

An alert is tried by a thread of its own channel, so a webhook that hangs delays no look and no
other channel. Before a try the store is told that it begins, and after it how it ended: a watcher
that is killed in between does not know whether the other side heard, and does not say it again; it
says in the log which one that is. A try that failed or hung is repeated later, with the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from lens_ray.errors import LensError
from lens_ray.online.alert import Alert, alerts_of, check_subjects
from lens_ray.online.findings import Findings
from lens_ray.online.spec import AlertSpec
from lens_ray.online.webhooks import Send, channels_of
from lens_ray.store.watch_log import Told

log = logging.getLogger(__name__)

#: Pauses between two tries of what failed: the first, and the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0
_TRYING = "trying"


class _Cell(Protocol):
    """`lens_ray.store.watch_log.Cell` of a run's `Told`."""

    def read(self) -> Told: ...
    def update(self, change: Callable[[Told], Told]) -> Told: ...


class Alerts:
    """Tells findings to the channels of a watch."""

    def __init__(
        self,
        spec: AlertSpec,
        told: Callable[[str], _Cell],
        watch: str,
        *,
        on_line: Callable[[str], None] = log.warning,
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Start a thread for each channel.

        Args:
            spec: Who hears of what.
            told: Of a training run: `lens_ray.store.watch_log.WatchLog.told`.
            watch: Name of the watch.
            on_line: Called with each line for the log, from any thread.
            pause_s: After the first failed try; about twice as long after each further one.

        Raises:
            UserError: A variable of ``spec`` is not set, or holds no URL of the web; or ``on``
                names something unknown.
        """
        check_subjects(spec.on)
        self._on = spec.on
        self._channels = [
            _Channel(name, send, told, on_line, pause_s, spec.timeout_s)
            for name, send in channels_of(spec, watch).items()
        ]

    def tell(self, findings: Findings) -> None:
        """Tell what is new in a run's findings; returns at once."""
        alerts = alerts_of(findings, self._on)
        for channel in self._channels:
            channel.put(alerts)

    def close(self, wait_s: float = 5.0) -> int:
        """Wait a little for what is on its way; returns how many alerts nobody has heard.

        They are told by the next watcher, which finds the same.
        """
        until = time.monotonic() + wait_s
        return sum(channel.close(max(0.0, until - time.monotonic())) for channel in self._channels)


@dataclass
class _Due:
    """An alert that is not told so far."""

    alert: Alert
    tries: int = 0
    at: float = 0.0


class _Channel:
    """One who hears, and the thread that tells."""

    def __init__(
        self,
        name: str,
        send: Send,
        told: Callable[[str], _Cell],
        on_line: Callable[[str], None],
        pause_s: float,
        timeout_s: float,
    ) -> None:
        self.name = name
        self._send, self._told, self._on_line = send, told, on_line
        self._pause_s, self._timeout_s = pause_s, timeout_s
        self._due: dict[tuple[str, str], _Due] = {}
        self._done: set[tuple[str, str]] = set()
        self._read: set[str] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=f"lens-alerts-{name}", daemon=True)
        self._thread.start()

    def put(self, alerts: Sequence[Alert]) -> None:
        with self._changed:
            for alert in alerts:
                place = alert.run, alert.key
                if place not in self._done and place not in self._due:
                    self._due[place] = _Due(alert)
            self._changed.notify()

    def close(self, wait_s: float) -> int:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(wait_s)
        with self._changed:
            return len(self._due)

    def _work(self) -> None:
        while (due := self._next()) is not None:
            try:
                failure = self._deliver(due.alert)
            except LensError as error:
                failure = str(error)
            self._settle(due, failure)

    def _next(self) -> _Due | None:
        """The next alert whose time has come; None where the channel closes."""
        with self._changed:
            while True:
                now = time.monotonic()
                ready = [due for due in self._due.values() if due.at <= now]
                if self._closing and not any(due.tries == 0 for due in ready):
                    return None
                if ready:
                    return min(ready, key=lambda due: (due.tries, due.at))
                waits = [due.at - now for due in self._due.values()]
                self._changed.wait(min(waits, default=None))

    def _deliver(self, alert: Alert) -> str | None:
        """Tell one alert, unless it was told; returns why that failed."""
        cell, key = self._told(alert.run), f"{self.name}:{alert.key}"
        if alert.run not in self._read:
            self._start(alert.run, cell.read())
        if (alert.run, alert.key) in self._done:
            return None
        self._note(cell, key, f"{_TRYING} {_now()}")
        failure = _within(self._timeout_s, lambda: self._send(alert))
        if failure is not None:
            self._note(cell, key, None)
            return failure
        with suppress(LensError):  # that it was begun is written, so nobody tells it again
            self._note(cell, key, _now())
        return None

    def _start(self, run: str, told: Told) -> None:
        """Take over what earlier watchers told."""
        start = f"{self.name}:"
        for name, state in told.keys.items():
            if name.startswith(start):
                key = name.removeprefix(start)
                self._done.add((run, key))
                if state.startswith(_TRYING):
                    self._on_line(
                        f"{run}: {self.name}: an earlier watcher ended while it told {key}; "
                        "it may not have been heard and is not told again"
                    )
        self._read.add(run)

    @staticmethod
    def _note(cell: _Cell, key: str, state: str | None) -> None:
        def change(told: Told) -> Told:
            keys = {name: held for name, held in told.keys.items() if name != key}
            return replace(told, keys=keys if state is None else {**keys, key: state})

        cell.update(change)

    def _settle(self, due: _Due, failure: str | None) -> None:
        place = due.alert.run, due.alert.key
        if failure is None:
            with self._changed:
                self._done.add(place)
                self._due.pop(place, None)
            return
        pause = min(self._pause_s * 2**due.tries, LONGEST_PAUSE_S)
        with self._changed:
            due.tries += 1
            due.at = time.monotonic() + pause
        if due.tries == 1:
            self._on_line(
                f"{due.alert.run}: {self.name} did not take {due.alert.key}: {failure}; "
                "it is tried again later"
            )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _within(timeout_s: float, call: Callable[[], str | None]) -> str | None:
    """What a call says, or that it takes too long; sockets alone bound each read, not the whole."""
    said: list[str | None] = []
    thread = threading.Thread(target=lambda: said.append(call()), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return said[0] if said else f"no answer within {timeout_s:g} s"
