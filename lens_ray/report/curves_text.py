"""The curves of a watched training run for a terminal: `lines_of`.

Each ability is one line: its values as small bars, the last one with its interval, its change,
and what was found. Where something was found or changed, a second line has its mark below the bar
of its step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from lens_ray.online.findings import Curve, Findings, Point
from lens_ray.report.found import estimate, signed, verdicts
from lens_ray.report.safe import visible_line

_BARS = "▁▂▃▄▅▆▇█"
#: Checkpoints that one line shows; of more, the last of each of so many stretches.
WIDTH = 40
#: What the marks below the bars mean.
LEGEND = "marks: c converged since here, v decline seen, x conflict seen, | the run changed"


def lines_of(findings: Findings, width: int = WIDTH) -> list[str]:
    """The view, line by line, without colours; nothing in it can move a terminal's cursor.

    Args:
        findings: Of one run.
        width: Most bars of a line.
    """
    curves = [curve for curve in findings.curves if curve.subtask is None and curve.points]
    if not curves:
        return ["no checkpoint was asked so far"]
    steps = _shown([point.step for point in curves[-1].points], width)
    name = max(len(visible_line(curve.ability)) for curve in curves)
    lines = [f"{'':{name}}  steps {steps[0]:,} to {steps[-1]:,}, {len(curves[-1].points)} asked"]
    marked = False
    for curve in curves:
        lines.append(f"{visible_line(curve.ability):{name}}  {_line(curve, steps, findings)}")
        marks = _marks(curve, steps, findings)
        if marks.strip():
            marked = True
            lines.append(f"{'':{name}}  {marks}".rstrip())
    return [*lines, LEGEND] if marked else lines


def _shown(steps: Sequence[int], width: int) -> list[int]:
    """The steps that have a bar: all, or the last of each of ``width`` equal stretches."""
    count = len(steps)
    if count <= width:
        return list(steps)
    return [steps[(place + 1) * count // width - 1] for place in range(width)]


def _line(curve: Curve, steps: Sequence[int], findings: Findings) -> str:
    by_step = {point.step: point for point in curve.points}
    bars = "".join(_bar(by_step.get(step)) for step in steps)
    last = curve.points[-1]
    change = "" if last.change is None else f"  {signed(last.change, last.change_interval)}"
    found = visible_line("; ".join(verdicts(curve.ability, findings)))
    return f"{bars}  {estimate(last.value, last.interval)}{change}  {found}".rstrip()


def _bar(point: Point | None) -> str:
    """The height of a corrected score: chance or worse is the lowest, all right the highest."""
    if point is None or point.value is None:
        return " "
    return _BARS[min(max(int(point.value * len(_BARS)), 0), len(_BARS) - 1)]


def _marks(curve: Curve, steps: Sequence[int], findings: Findings) -> str:
    row = [" "] * len(steps)
    for step, mark in _events(curve.ability, findings):
        if steps[0] <= step <= steps[-1]:
            row[min(bisect_left(steps, step), len(steps) - 1)] = mark
    return "".join(row)


def _events(ability: str, findings: Findings) -> Iterator[tuple[int, str]]:
    """Steps and their marks, the weightiest last."""
    for step in findings.changes:
        yield step, "|"
    for found in findings.convergence:
        if found.ability == ability and found.phase == "converged" and found.step is not None:
            yield found.step, "c"
    for fall in findings.declines:
        if fall.ability == ability:
            yield fall.declared_at, "v"
    for clash in findings.conflicts:
        if ability in (clash.rises, clash.falls):
            yield clash.declared_at, "x"
