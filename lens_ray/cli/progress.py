"""Progress of a run: a live table on a terminal, plain lines elsewhere; both on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lens_ray.cli.output import note

if TYPE_CHECKING:
    from rich.table import Table

    from lens_ray.engine.progress import ModelProgress, Progress

#: Seconds between two plain lines of one model, unless its state changes.
EVERY_S = 5.0


@contextmanager
def progress_display() -> Iterator[Callable[[Progress], None]]:
    """Yields what `lens_ray.evaluate` is to call with each progress."""
    if not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:
        yield lambda progress: live.update(live_table(progress))


class PlainLines:
    """A line for a model whenever its state changes, and every few seconds while it answers."""

    def __init__(self, say: Callable[[str], None] = note) -> None:
        """Args: say: Takes each line."""
        self._say = say
        self._said: dict[str, tuple[str, int, float]] = {}

    def __call__(self, progress: Progress) -> None:
        """Say what is new."""
        for model in progress.models:
            state, done, when = self._said.get(model.model, ("waiting", 0, 0.0))
            now, _ = counts(model)
            due = now != done and progress.seconds - when >= EVERY_S
            if model.state != state or due:
                self._said[model.model] = (model.state, now, progress.seconds)
                self._say(f"[{progress.seconds:.0f} s] {plain_line(model)}")


def counts(model: ModelProgress) -> tuple[int, int]:
    """Samples done and samples expected, over all abilities."""
    done = sum(done for done, _ in model.abilities.values())
    return done, sum(total for _, total in model.abilities.values())


def plain_line(model: ModelProgress) -> str:
    """How far one model is."""
    done, total = counts(model)
    parts = [f"{model.model}: {model.state} {done}/{total}"]
    if model.state == "running":
        parts.append(f"{model.rate:.1f}/s")
    if model.failures:
        parts.append(f"{model.failures} failed")
    if model.state == "running" and model.eta_s is not None:
        parts.append(f"{span(model.eta_s)} left")
    return ", ".join(parts)


def span(seconds: float) -> str:
    """A time span as a person says it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def live_table(progress: Progress) -> Table:
    """Models x abilities: done of total, rate, failures, time left."""
    from rich.table import Table
    from rich.text import Text

    abilities = list(dict.fromkeys(name for model in progress.models for name in model.abilities))
    table = Table(title=f"{progress.replicas} replicas, {span(progress.seconds)}", box=None)
    table.add_column("model")
    table.add_column("state")
    for name in (*abilities, "rate", "failed", "left"):
        table.add_column(Text(name), justify="right")
    for model in progress.models:
        cells = [_of(model.abilities.get(name)) for name in abilities]
        running = model.state == "running"
        cells += [
            f"{model.rate:.1f}/s" if running else "",
            str(model.failures or ""),
            span(model.eta_s) if running and model.eta_s is not None else "",
        ]
        table.add_row(*(Text(cell) for cell in (model.model, model.state, *cells)))
    return table


def _of(pair: tuple[int, int] | None) -> str:
    return "" if pair is None else f"{pair[0]}/{pair[1]}"
