"""What the page says of a watched training run, and a page of watched runs alone.

Plotly's own script (4.8 MB) stands in a page that has such runs and in no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lens_ray.online.findings import Findings
from lens_ray.report import found as words
from lens_ray.report.curves import curves_figure
from lens_ray.report.safe import visible_line

if TYPE_CHECKING:
    from lens_ray.store import Store

T = TypeVar("T")
_AXES = {"steps": "Steps", "tokens": "Tokens", "gpu_hours": "GPU-hours"}
_VIEWS = {"score": "Abilities", "subtasks": "With subtasks", "stability": "Stability"}


def watched_runs(store: Store) -> list[tuple[str, Findings]]:
    """What is found in every watched run of a store that was asked, with the name of its watch.

    A watch that cannot be read any more is no reason to show nothing: its runs have a note.

    Raises:
        StoreUnavailable: The store is out of reach or damaged.
    """
    from pydantic import ValidationError

    from lens_ray.errors import UserError
    from lens_ray.online.assess import assess
    from lens_ray.online.spec import WatchSpec

    found: list[tuple[str, Findings]] = []
    for name, runs in store.watches().items():
        try:
            spec = WatchSpec.model_validate(store.watch(name).spec())
            known = [assess(spec, store, run) for run in spec.runs]
            found += [(name, findings) for findings in known if findings.step is not None]
        except (UserError, ValidationError) as error:
            said = " ".join(str(error).split())[:300]
            note = f"the curves cannot be shown: {said}; start the watch again"
            found += [(name, Findings(run, None, notes=(note,))) for run in runs]
    return found


def write_watch_page(runs: Sequence[tuple[str, Findings]], out: str | Path, url: str) -> Path:
    """Write one self-contained HTML file about watched runs.

    Args:
        runs: Name of the watch, and what was found.
        out: File to write; an older one is replaced at once when the new one is complete.
        url: Of the store.

    Raises:
        UserError: The file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    from lens_ray.report.page import skeleton, write_page

    return write_page(
        out, lambda: skeleton("watch_page.html.jinja", watches=runs, url=visible_line(url))
    )


def watch_view(watch: str, findings: Findings, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that the skeleton says of a run, and its figure.

    Args:
        watch: Its watch.
        findings: What was found.
        name: Prefix of the ids in it, unique in the page.
    """
    figure = curves_figure(findings)
    step = f"{findings.step:,}" if findings.step is not None else words.NONE
    return {
        "id": name,
        "run": visible_line(findings.run),
        "watch": visible_line(watch),
        "step": step,
        "height": figure["height"],
        "axes": [(key, _AXES[key]) for key in figure["axes"]],
        "views": [(key, _VIEWS[key]) for key in figure["views"]],
        "advice": [
            {
                "line": visible_line(line.line),
                "confidence": None if line.confidence is None else words.sure(line.confidence),
                "evidence": visible_line(", ".join(line.evidence)),
            }
            for line in findings.advice
        ],
        "sections": [
            (title, lines)
            for title, lines in (
                ("Conflicts", _lines(words.conflict_line, findings.conflicts)),
                ("Declines", _lines(words.decline_line, findings.declines)),
                ("Convergence", _lines(words.convergence_line, words.standing(findings))),
                ("Plateaus", _lines(words.plateau_line, findings.plateaus)),
                ("Alarms", _lines(words.alarm_line, findings.alarms)),
                ("Changes of the run", _changes(findings)),
                ("Notes", [visible_line(note) for note in findings.notes]),
            )
            if lines
        ],
    }, figure  # fmt: skip


def _lines(say: Callable[[T], str], found: Iterable[T]) -> list[str]:
    return [visible_line(say(one)) for one in found]


def _changes(findings: Findings) -> list[str]:
    return [
        visible_line(f"{int(step):,}: {what}") for step, what in sorted(findings.changes.items())
    ]


def plotly_script() -> str:
    """Plotly's own script, as the installed package ships it."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    # In a script element it must not end the element.
    return re.sub("</(script)", r"<\\/\1", script, flags=re.IGNORECASE)


def style_marks(script: str) -> list[str]:
    """Ids of style sheets that Plotly would add for maps, which the page's policy refuses.

    Where an element of that id is there already, it adds none.
    """
    return sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', script)))
