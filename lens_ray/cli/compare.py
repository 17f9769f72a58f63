"""``lens-ray compare``: two models side by side, paired by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, OnlyAbilities, Store
from lens_ray.cli.output import CELL, one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.compare import Compared, Comparison
    from lens_ray.stats.flips import Flip

Suite = Annotated[
    str | None,
    typer.Option("--suite", metavar="NAME[@DIGEST]", help="Which, where there are several."),
]


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A model, or the id of a run.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The model it is held against.")],
    store: Store,
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="FACET", help="ability, source, subtask, format, domain or metric."
        ),
    ] = "ability",
    suite: Suite = None,
    ability: OnlyAbilities = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="SAMPLES",
            help="all: refuse runs that were not asked the same. common: what both answered.",
        ),
    ] = "all",
    flips: Annotated[
        int, typer.Option("--flips", min=0, metavar="N", help="Samples marked differently to show.")
    ] = 5,
    as_json: Json = False,
) -> None:
    """Compare two models, paired by sample: what differs, and what would have been seen."""
    from lens_ray.stats.compare import compare as compare_models
    from lens_ray.store import Store as OpenStore

    found = compare_models(
        OpenStore(store), a, b, by=by, suite=suite, abilities=ability, on=on, flips=flips,
        wording=True,
    )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Comparison) -> None:
    print(one_line(f"A = {found.a}"))
    print(one_line(f"B = {found.b}"))
    print(f"on {one_line(found.suite)}, paired by sample; 0 is chance, 1 is perfect\n")
    level = f"{100 * found.confidence:g} % interval"
    columns = (
        found.by, "A", "B", "A - B", level, "p", "n", "only A", "only B", "changed", "in words",
    )  # fmt: skip
    print_table(columns, [_line(each) for each in found.figures])
    for line in _below(found):
        print(one_line(line))
    if found.flips:
        print("\nsamples marked differently (what the models wrote is quoted):")
        for flip in found.flips:
            _print_flip(flip)


def _line(each: Compared) -> tuple[object, ...]:
    interval = None
    if each.ci_low is not None and each.ci_high is not None:
        interval = f"[{each.ci_low:+.3f}, {each.ci_high:+.3f}]"
    return (
        each.figure or "(none)", fixed(each.value_a), fixed(each.value_b),
        None if each.difference is None else f"{each.difference:+.3f}", interval,
        p_text(each.p_holm), each.n, each.only_a, each.only_b,
        None if each.churn is None else f"{each.churn:.0%}", each.says,
    )  # fmt: skip


def fixed(value: float | None) -> str | None:
    """A figure with three decimals; None stays."""
    return None if value is None else f"{value:.3f}"


def p_text(value: float | None) -> str | None:
    """A p-value as people write it; None stays."""
    if value is None:
        return None
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _below(found: Comparison) -> list[str]:
    """What the table's columns mean, and what a reader may stumble over."""
    lines = [""]
    for name, members in found.families.items():
        if len(members) > 1:
            lines.append(f"p: Holm over {len(members)} tests ({name}); overall stands apart")
    lines.append(
        "n: samples, or groups of them that are marked as one; only A, only B: those that one "
        "alone has right; changed: share whose mark differs; would have been seen: 8 times in 10"
    )
    level = 1 - found.confidence
    lines += [
        f"{each.figure}: p is {each.p:.3f} alone, and no finding among all that were tested"
        for each in found.figures
        if each.p is not None and each.p < level and each.winner is None
    ]
    lines += [f"{each.figure}: {each.says}" for each in found.figures if len(each.says) > CELL]
    lines += [f"{each.figure}: {each.note}" for each in found.figures if each.note]
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _print_flip(flip: Flip) -> None:
    print(one_line(f"- {flip.sample_id} ({flip.subtask}): {flip.better.upper()} is better"))
    if flip.question is not None:
        options = f" {' | '.join(flip.choices)}" if flip.choices else ""
        right = " or ".join(flip.answers or ())
        print(f"    {_short(flip.question + options, 120)} -> {_short(right, 40)}")
    for name, text, score, status in (
        ("A", flip.text_a, flip.score_a, flip.status_a),
        ("B", flip.text_b, flip.score_b, flip.status_b),
    ):
        mark = "no mark" if score is None else f"{score:g}"
        said = "nothing" if text is None else f'"{_short(text, CELL)}"'
        print(f"    {name}: {said} ({mark}{'' if status == 'ok' else ', ' + one_line(status)})")


def _short(text: str, most: int) -> str:
    line = one_line(text)
    return line if len(line) <= most else line[: most - 3] + "..."
