"""What the page's skeleton fills in: the parts of a suite as texts, cells and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from lens_ray.report import figures
from lens_ray.report.gather import Run, SuitePage, series_name
from lens_ray.report.safe import visible_line
from lens_ray.report.svg import swatch
from lens_ray.report.tables import (
    APART,
    APART_NOTE,
    NONE,
    OVERALL,
    apart,
    figure,
    interval,
    null_reasons,
    share,
)

if TYPE_CHECKING:
    from lens_ray.stats import AbilityScore

#: Profiles that are drawn at first.
_FIRST = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the leaderboard.

    Attributes:
        text: The figure, or the dash of a null.
        sort: What it is sorted by; empty where it is null.
        title: Its tooltip.
        interval: Its interval, where it has one.
        coverage: Its coverage, where that is not whole.
        bar: The interval as a small figure.
    """

    text: str
    sort: str
    title: str = ""
    interval: str = ""
    coverage: str = ""
    bar: Markup | None = None


def suite_view(page: SuitePage, name: str) -> dict[str, Any]:
    """All that the skeleton says of a suite.

    Args:
        page: From `lens_ray.report.gather.gather`.
        name: Prefix of the ids in it, unique in the page.
    """
    floor = figures.axis_floor(page.rows)
    others = apart(page.abilities)
    shown = _first_shown(page)
    # Those drawn at first take the first slots, so that no two of them share a colour.
    order = [*shown, *(place for place in range(len(page.runs)) if place not in shown)]
    slots = [order.index(place) for place in range(len(page.runs))]
    return {
        "id": name,
        "name": visible_line(page.name),
        "digest": page.digest,
        "abilities": [_heading(ability, others) for ability in page.abilities],
        "apart": APART_NOTE if others else "",
        "runs": [_run_view(run, page.abilities, floor) for run in page.runs],
        "reasons": [
            *null_reasons(page.rows),
            *(visible_line(f"{run.row.label}: {run.missing}") for run in page.runs if run.missing),
        ],
        "pools": sorted({s.pool for run in page.runs for s in run.row.scores if s.pool}),
        "profile": figures.profile(page.rows, slots, name) if page.abilities else None,
        "toggles": [
            {
                "label": visible_line(run.row.label),
                "swatch": swatch(slots[place]),
                "shown": place in shown,
            }
            for place, run in enumerate(page.runs)
        ],
        "curves": figures.curves(page.series, f"{name}-curves") if page.series else None,
        "series": [
            {"label": visible_line(each.name), "swatch": swatch(slot)}
            for slot, each in enumerate(page.series)
        ],
    }


def _first_shown(page: SuitePage) -> list[int]:
    """The models whose profile is drawn at first: the best of each series, a few at most."""
    best: dict[str, int] = {}
    for place, run in enumerate(page.runs):
        if run.row.abilities:
            step = run.header.step
            name = run.header.model if step is None else series_name(run.header.model, step)
            best.setdefault(name, place)
    return list(best.values())[:_FIRST]


def _run_view(run: Run, abilities: Sequence[str], floor: float) -> dict[str, Any]:
    scores = [run.row.abilities.get(ability) for ability in abilities]
    return {
        "label": visible_line(run.row.label),
        "cells": [
            *(_score_cell(*each, run, floor) for each in zip(scores, abilities, strict=True)),
            _score_cell(run.row.overall, OVERALL, run, floor),
            *_overall_cells(run),
        ],
        "access": visible_line(run.header.access),
        "scores": [_sheet_line(score) for score in run.row.scores],
        "facts": [(name, visible_line(text)) for name, text in run.facts],
    }


def _score_cell(score: AbilityScore | None, name: str, run: Run, floor: float) -> Cell:
    if score is None or score.corrected is None:
        why = run.missing or (score.reason if score else None) or "not asked in this run"
        return Cell(NONE, "", visible_line(f"{_words(name)}: {why}"))
    title = (
        f"{run.row.label}, {_words(name)}: corrected {figure(score.corrected)}, 95 % interval "
        f"{interval(score)}, accuracy {figure(score.accuracy)}, n {score.n:,}, "
        f"coverage {share(score.coverage)}, DVS {figure(score.dvs)}, RES {figure(score.res)}"
    )
    whole = score.coverage is not None and score.coverage >= 1.0
    return Cell(
        text=figure(score.corrected),
        sort=repr(score.corrected),
        title=visible_line(title),
        interval=interval(score),
        coverage="" if whole else share(score.coverage),
        bar=figures.interval_bar(score, floor),
    )


def _overall_cells(run: Run) -> list[Cell]:
    """DVS, RES, n and coverage over all, and the step."""
    overall, step = run.row.overall, run.header.step
    why = run.missing or (overall.reason if overall else None) or "no overall score was stored"
    none = Cell(NONE, "", visible_line(why))
    not_a_step = Cell(NONE, "", "not a checkpoint of a training run")
    stepped = not_a_step if step is None else Cell(f"{step:,}", str(step))
    if overall is None:
        return [none, none, none, none, stepped]
    return [
        none if overall.dvs is None else Cell(figure(overall.dvs), repr(overall.dvs)),
        none if overall.res is None else Cell(figure(overall.res), repr(overall.res)),
        Cell(f"{overall.n:,}", str(overall.n)),
        none if overall.coverage is None else Cell(share(overall.coverage), repr(overall.coverage)),
        stepped,
    ]


def _sheet_line(score: AbilityScore) -> dict[str, str]:
    """Every figure of an ability."""
    return {
        "ability": _words(score.ability),
        "n": f"{score.n:,}",
        "coverage": share(score.coverage),
        "accuracy": figure(score.accuracy),
        "corrected": figure(score.corrected),
        "interval": interval(score),
        "dvs": figure(score.dvs),
        "res": figure(score.res),
        "pool": visible_line(score.pool or NONE),
        "reason": visible_line(score.reason or ""),
    }


def _heading(ability: str, others: Sequence[str]) -> str:
    return f"{_words(ability)} {APART}" if ability in others else _words(ability)


def _words(ability: str) -> str:
    return visible_line(ability).replace("_", " ")
