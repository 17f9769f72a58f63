"""Progress: few plain lines, and a live table of the same figures."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lens_ray.cli.progress import PlainLines, live_table, progress_display, span
from lens_ray.engine.progress import ModelProgress, Progress


def at(
    seconds: float, state: str, done: int, failures: int = 0, eta: float | None = 10
) -> Progress:
    abilities = {"counting": (min(done, 300), 300), "ocr": (max(0, done - 300), 300)}
    model = ModelProgress("m", state, abilities, failures, 38.24, eta)
    return Progress(seconds, 2, (model, ModelProgress("other", "waiting", {}, 0, 0.0, None)))


def test_plain_lines_come_at_changes_and_now_and_then() -> None:
    lines: list[str] = []
    show = PlainLines(lines.append)
    for progress in (
        at(0, "waiting", 0),
        at(1, "starting", 0),
        at(2, "running", 0),
        at(3, "running", 100),
        at(7.4, "running", 250, 1),
        at(8, "running", 300, 1),
        at(30, "running", 300, 1),
        at(31, "done", 600, 1),
        at(50, "done", 600, 1),
    ):
        show(progress)
    assert lines == [
        "[1 s] m: starting 0/600",
        "[2 s] m: running 0/600, 38.2/s, 10 s left",
        "[7 s] m: running 250/600, 38.2/s, 1 failed, 10 s left",
        "[30 s] m: running 300/600, 38.2/s, 1 failed, 10 s left",
        "[31 s] m: done 600/600, 1 failed",
    ]


def test_the_live_table_shows_every_ability() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(live_table(at(65, "running", 350, 2, None)))
    text = out.getvalue()
    assert "2 replicas, 1 min 05 s" in text
    assert [line.split() for line in text.splitlines()[1:3]] == [
        ["model", "state", "counting", "ocr", "rate", "failed", "left"],
        ["m", "running", "300/300", "50/300", "38.2/s", "2"],
    ]


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display() as show:
        show(at(1, "starting", 0))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "[1 s] m: starting 0/600\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (3599, "59 min 59 s"), (7322, "2 h 02 min")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
