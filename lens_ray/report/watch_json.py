"""What ``lens-ray watch --json`` prints: one object, each entry with its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lens_ray.online.findings import Conflict, Findings

#: Of the intervals of single checkpoints.
_LEVEL = 0.95


def watch_json(watch: str, found: Sequence[Findings]) -> dict[str, Any]:
    """The findings of a watch's runs.

    Nothing in it says when or where it was made: the same rows give the same object.

    Args:
        watch: Its name.
        found: One a run.

    Returns:
        ``watch``; ``runs``: of each its name and last step; then one list a kind of finding, each
        entry with its ``run``, ability, steps, effect, interval and confidence. What is undefined
        is None, with a ``reason`` where one is known.
    """
    return {
        "watch": watch,
        "runs": [{"run": one.run, "step": one.step} for one in found],
        "curves": [
            {"run": one.run, "confidence": _LEVEL, **asdict(curve)}
            for one in found
            for curve in one.curves
        ],
        "convergence": _entries((one.run, one.convergence) for one in found),
        "plateaus": _entries((one.run, one.plateaus) for one in found),
        "declines": _entries((one.run, one.declines) for one in found),
        "conflicts": [
            {"run": one.run, **_conflict(clash)} for one in found for clash in one.conflicts
        ],
        "shifts": _entries((one.run, one.shifts) for one in found),
        "alarms": _entries((one.run, one.alarms) for one in found),
        "advice": [
            {
                "run": one.run,
                "ability": None if line.about == "run" else line.about,
                **asdict(line),
            }
            for one in found
            for line in one.advice
        ],
        "changes": [
            {"run": one.run, "step": int(step), "what": what}
            for one in found
            for step, what in sorted(one.changes.items())
        ],
        "notes": [{"run": one.run, "line": note} for one in found for note in one.notes],
    }


def _conflict(clash: Conflict) -> Mapping[str, Any]:
    """The ability whose effect is told is the one that fell."""
    return {"ability": clash.falls, **asdict(clash)}


def _entries(found: Iterable[tuple[str, Iterable[Any]]]) -> list[dict[str, Any]]:
    return [{"run": run, **asdict(one)} for run, ones in found for one in ones]
