"""A search for a merge as a picture: abilities of parents, final checkpoint and merge.

`write_merged_page` makes one HTML file that loads nothing and runs nothing, `lines_of_merged` the
same for a terminal. Every ability has a scale of its own, as what a merge changes is small beside
what abilities differ by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.merging.recipe import Group
from lens_ray.merging.record import Score
from lens_ray.merging.search.found import Claim, Found
from lens_ray.report.page import static_page, write_page
from lens_ray.report.safe import visible_line
from lens_ray.report.tables import bounds, figure
from lens_ray.stats.abilities import OVERALL, in_order

if TYPE_CHECKING:
    from markupsafe import Markup

#: Of one panel: its width, of that what names take, the height of a row, of title and of foot.
_WIDTH, _NAMES, _ROW, _HEAD, _FOOT = 472, 196, 22, 30, 30
#: Panels beside each other.
_ACROSS = 2
#: Characters of a name that fit.
_CUT = 26
#: Characters of a bar on a terminal.
_BAR = 24


@dataclass(frozen=True, slots=True)
class Merged:
    """What is drawn.

    Attributes:
        scores: By model's label, by ability and ``overall``; the merge comes last.
        ground: On which samples.
    """

    scores: Mapping[str, Mapping[str, Score]]
    ground: str

    @property
    def figures(self) -> list[str]:
        """``overall``, then the abilities."""
        return [OVERALL, *in_order(name for scores in self.scores.values() for name in scores)]


def merged_of(found: Found) -> Merged:
    """The parents of the merge, the final checkpoint, the best single one, and the merge.

    On the samples that confirm; where there were none, on those of the search.
    """
    merge = found.chosen or found.recommended
    shares = {} if merge.single else {each.name: each.weight for each in merge.recipe.parents}
    sure = found.confirmation
    if sure is not None:
        scores = {name: each for name, each in sure.scores.items() if name != "final"}
        ground = f"{sure.n:,} samples that no step of the search had seen"
    else:
        tried = {each.trial.name: each for each in found.tried if each.ground == "search"}
        scores = {
            name: each.scores for name, each in tried.items()
            if each.trial.single or each.trial == merge
        }  # fmt: skip
        if merge.name in scores and not merge.single:
            scores["merge"] = scores.pop(merge.name)
        ground = "the samples of the search"
    ordered = sorted(scores, key=lambda name: (name == "merge", name == found.final))
    return Merged({_label(found, name, shares): scores[name] for name in ordered}, ground)


def _label(found: Found, name: str, shares: Mapping[str, float | None]) -> str:
    if name == "merge":
        return name
    told = [f"{share:.0%}"] if (share := shares.get(name)) else []
    told += ["final"] if name == found.final else []
    told += ["best"] if name == found.best_single else []
    return f"{name} ({', '.join(told)})" if told else name


def write_merged_page(found: Found, out: str | Path) -> Path:
    """Write one self-contained HTML file about a search.

    Args:
        found: The search.
        out: File to write; an older one is replaced when the new one is complete.

    Returns:
        The file.

    Raises:
        UserError: The file cannot be written.
        EnvironmentFailure: The disk is full or fails.
    """
    return write_page(out, lambda: render(found))


def render(found: Found) -> str:
    """The page's text."""
    merged = merged_of(found)
    return static_page(
        "merged.html.jinja", ("report.css", "merge.css"),
        name=visible_line(found.name), verdict=found.verdict, why=visible_line(found.why),
        ground=merged.ground, picture=picture(merged),
        parents=[_parent(each) for each in found.recommended.recipe.parents],
        groups=[_group(each) for each in found.recommended.recipe.groups],
        claims=[_claim(each) for each in found.confirmation.claims] if found.confirmation else [],
        tried=_tried(found), luck=_luck(found),
        notes=[visible_line(line) for line in (*found.notes, *filter(None, (found.stopped,)))],
    )  # fmt: skip


def picture(merged: Merged) -> Markup:
    """A panel an ability, a line a model."""
    from lens_ray.report.svg import tag

    height = _HEAD + _ROW * len(merged.scores) + _FOOT
    panels = [
        tag(
            "g", *_panel(merged, name),
            transform=f"translate({_WIDTH * (at % _ACROSS)} {height * (at // _ACROSS)})",
        )
        for at, name in enumerate(merged.figures)
    ]  # fmt: skip
    rows = -(-len(panels) // _ACROSS)
    return tag(
        "svg",
        tag("title", "Corrected scores of parents, final checkpoint and merge, by ability"),
        *panels,
        viewBox=f"0 0 {_WIDTH * _ACROSS} {height * rows}", role="img", class_="figure",
    )  # fmt: skip


def _panel(merged: Merged, name: str) -> list[Markup]:
    """One ability: every model's mark and interval."""
    from lens_ray.report.svg import COLOURS, Scale, mark, tag

    rows = [(label, scores.get(name)) for label, scores in merged.scores.items()]
    ends = [
        end for _, score in rows if score is not None
        for end in (score.value, score.low, score.high) if end is not None
    ]  # fmt: skip
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = max(high - low, 0.02) * 0.08
    x = Scale(low - room, high + room, _NAMES, _WIDTH - 14)
    parts: list[Markup] = []
    for place, (label, score) in enumerate(rows):
        y = _HEAD + _ROW * place + _ROW / 2
        parts.append(tag("text", _cut(visible_line(label)), x=4, y=y + 4, class_="tick"))
        if score is None or score.value is None:
            continue
        told = f"{label}: {figure(score.value)} {bounds(score.low, score.high)}, n {score.n:,}"
        drawn = [mark(place, x(score.value), y, visible_line(told))]
        if score.low is not None and score.high is not None:
            stem = f"M{x(score.low):.1f} {y:.1f}H{x(score.high):.1f}"
            drawn.insert(0, tag("path", d=stem, class_="whisker"))
        parts.append(tag("g", *drawn, class_=f"model c{place % COLOURS}"))
    foot = _HEAD + _ROW * len(rows) + 14
    return [
        tag("text", _words(name), x=4, y=18, class_="ability"),
        *parts,
        tag("text", f"{low:.3f}", x=x(low), y=foot, class_="tick", text_anchor="middle"),
        tag("text", f"{high:.3f}", x=x(high), y=foot, class_="tick", text_anchor="middle"),
    ]


def lines_of_merged(found: Found) -> list[str]:
    """The picture line by line, without colours: a block an ability, a bar a model."""
    merged = merged_of(found)
    labels = {label: _cut(visible_line(label)) for label in merged.scores}
    width = max(map(len, labels.values()))
    lines = [f"corrected scores with 95 % intervals, on {merged.ground}"]
    for name in merged.figures:
        rows = {label: scores[name] for label, scores in merged.scores.items() if name in scores}
        known = [
            end for each in rows.values()
            for end in (each.value, each.low, each.high) if end is not None
        ]  # fmt: skip
        lines.append(_words(name))
        for label, score in rows.items():
            bar = _bar(score, min(known, default=0.0), max(known, default=1.0))
            told = f"{figure(score.value)} {bounds(score.low, score.high)}"
            lines.append(f"  {labels[label]:{width}}  {bar}  {told}")
    return lines


def _bar(score: Score, low: float, high: float) -> str:
    """``----o---`` between the lowest and the highest bound of all models."""
    cells = [" "] * _BAR

    def cell(value: float) -> int:
        return round((value - low) / max(high - low, 1e-9) * (_BAR - 1))

    if score.low is not None and score.high is not None:
        for place in range(cell(score.low), cell(score.high) + 1):
            cells[place] = "-"
    if score.value is not None:
        cells[cell(score.value)] = "o"
    return "".join(cells)


def _parent(each: Any) -> dict[str, str]:
    return {
        "name": visible_line(each.name), "path": visible_line(each.path),
        "weight": "" if each.weight is None else f"{each.weight:g}",
    }  # fmt: skip


def _group(each: Group) -> dict[str, str]:
    shares = ", ".join(f"{weight:g} × {visible_line(n)}" for n, weight in each.weights.items())
    return {"match": visible_line(each.match), "shares": shares}


def _claim(each: Claim) -> dict[str, str]:
    told = each.difference
    low = "not known" if each.low is None else f"{each.low:+.4f}"
    return {
        "what": _words(each.figure), "against": visible_line(each.against),
        "difference": "not known" if told.difference is None else f"{told.difference:+.4f}",
        "low": low, "least": f"{each.least:+.3f}", "change": each.change,
        "holds": "holds" if each.holds else "does not hold",
    }  # fmt: skip


def _tried(found: Found) -> Sequence[dict[str, str]]:
    return [
        {
            "name": visible_line(each.trial.name), "step": each.step, "ground": each.ground,
            "overall": figure(each.scores[OVERALL].value),
            "gain": "" if each.gain is None else f"{each.gain:+.4f}",
            "verdict": each.verdict, "why": visible_line(each.why),
        }
        for each in found.tried
    ]  # fmt: skip


def _luck(found: Found) -> str:
    if found.optimism is None:
        return ""
    return (
        f"On the samples of the search the merge was {found.optimism.gain:+.4f} ahead of "
        f"{visible_line(found.best_single)}; being the best of {found.optimism.candidates} adds "
        f"about {found.optimism.expected:+.4f} to that by luck."
    )


def _words(name: str) -> str:
    return visible_line(name.replace("_", " "))


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[: _CUT - 1]}…"
