"""``lens-ray diagnose``: where a model is weaker than its own mean."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.compare import Suite, fixed, p_text
from lens_ray.cli.options import Json, OnlyAbilities, Store
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.diagnose import Diagnosis
    from lens_ray.stats.looks import Look


def diagnose(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, or the id of a run.")],
    store: Store,
    suite: Suite = None,
    ability: OnlyAbilities = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="WHAT",
            help="own: its own mean. others: the same, less what is hard for the other models too"
            " (taken where the store has others).",
        ),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option("--other", metavar="MODEL", help="Only this as another; repeatable."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="REF", help="Folder or URL of the suite, for its images."),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show every look, not only what was found.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find in what a model is weaker than its own mean, corrected for the number of looks."""
    from lens_ray.stats.diagnose import diagnose as diagnose_model
    from lens_ray.store import Store as OpenStore

    found = diagnose_model(
        OpenStore(store), model, suite=suite, abilities=ability, against=against, others=other,
        images=images,
    )  # fmt: skip
    if as_json:
        print_json(found)
    else:
        _print(found, show_all)


def _print(found: Diagnosis, show_all: bool) -> None:
    print(one_line(f"{found.model} on {found.suite}, against its own mean"))
    if found.others:
        print(one_line(f"less what is hard for models near it too: {', '.join(found.others)}"))
    print(f"{found.tests} looks, p adjusted for all of them (Holm); 0 is chance, 1 is perfect\n")
    shown = found.looks if show_all else (*found.weaker, *found.stronger)
    if shown:
        beside = ("others", "their mean") if found.others else ()
        heads = ("", "look", "n", "score", "its mean", *beside, "difference")
        level = f"{100 * found.confidence:g} % interval"
        print_table((*heads, level, "p"), [_line(look, bool(found.others)) for look in shown])
    print(one_line(_verdict(found)))
    untested = [look for look in found.looks if look.p is None]
    for look in untested[:3]:
        print(one_line(f"not looked at: {look.facet} {look.value or '(none)'}: {look.reason}"))
    if len(untested) > 3:
        print(f"not looked at: {len(untested) - 3} more; --json has them all")
    for note in found.notes:
        print(one_line(f"note: {note}"))


def _line(look: Look, beside: bool) -> tuple[object, ...]:
    interval = None
    if look.ci_low is not None and look.ci_high is not None:
        interval = f"[{look.ci_low:+.3f}, {look.ci_high:+.3f}]"
    return (
        look.finding or "",
        " = ".join([f"{look.facet} {look.value or '(none)'}", *look.same_as]),
        look.n, fixed(look.score), fixed(look.mean),
        *((fixed(look.others), fixed(look.others_mean)) if beside else ()),
        None if look.difference is None else f"{look.difference:+.3f}", interval,
        p_text(look.p_holm),
    )  # fmt: skip


def _verdict(found: Diagnosis) -> str:
    if not found.tests:
        return "nothing could be looked at"
    if found.weaker:
        named = ", ".join(f"{look.facet} {look.value or '(none)'}" for look in found.weaker)
        return f"weaker in: {named}"
    seen = [look.mde for look in found.looks if look.mde is not None]
    return (
        f"no weakness found; one of {median(seen):.2f} would have been seen in half of the looks, "
        f"of {max(seen):.2f} in all"
    )
