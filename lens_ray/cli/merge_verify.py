"""``lens-ray merge verify``: may a merge be shipped?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, without_secrets
from lens_ray.cli.output import note, one_line, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lens_ray.asking_merges import Asking, Split
    from lens_ray.merging.checks import Check, Tier
    from lens_ray.merging.verify.policy import Decision
    from lens_ray.merging.verify.verification import Verification

#: Lines of evidence that a terminal shows of one tier; ``--json`` and the report have all.
_LINES = 12


def verify(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", callback=without_secrets, help="The merge: folder or URL."),
    ],
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            callback=without_secrets,
            help="Where answers are and go; left out, the one that the merge records.",
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="What GO is; left out, the built-in one."),
    ] = None,
    tiers: Annotated[
        str | None,
        typer.Option("--tiers", metavar="V0,V1,...", help="Only these; left out, all six."),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            metavar="SUITE",
            callback=without_secrets,
            help="For V2 to V4; left out, what confirmed the merge.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="NAME", help="Of the suite, for V4; repeatable."),
    ] = None,
    final: Annotated[
        str | None,
        typer.Option(
            "--final",
            metavar="PARENT",
            help="What would be shipped without a merge; left out, the parent of the last step.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="How it was made, if it has no merge.json."),
    ] = None,
    parent: Annotated[
        list[str] | None,
        typer.Option("--parent", metavar="NAME=PATH", help="Where a parent lies now; repeatable."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="NAME", help="That hosts them, for V4.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, a local one."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write an HTML page for a reviewer."),
    ] = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Merge once more; the bytes must be the same.")
    ] = False,
    no_write: Annotated[
        bool, typer.Option("--no-write", help="Leave the folder, its model card too, as it is.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that the checkpoints bring.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Verify a merge: GO (exit code 0), NO-GO (3) or cannot say (4), with the evidence."""
    from dataclasses import replace

    from lens_ray.asking_merges import Asking
    from lens_ray.cli.progress import progress_display
    from lens_ray.report.files import check_target
    from lens_ray.verifying import verify_merge

    if report is not None:
        check_target(report)
    asking = Asking(store=store, suite=suite, splits=_splits(split), final=final, address=address)
    asking = _hosted(asking, backend, trust_remote_code)
    with progress_display() as show:
        found = verify_merge(
            folder,
            policy=policy,
            tiers=_tiers(tiers),
            recipe=recipe,
            parents=_parents(parent or []),
            asking=replace(asking, on_progress=show),
            again=rerun,
            trust_remote_code=trust_remote_code,
            write=not no_write,
            on_line=note,
        )
    if report is not None:
        from lens_ray.report.merge_report import write_merge_report

        write_merge_report(found, report)
    print_json(found.to_json()) if as_json else _print(found, report)
    _exit(found)


def _tiers(given: str | None) -> tuple[Tier, ...] | None:
    from lens_ray.errors import UserError
    from lens_ray.merging.verify.policy import TIERS

    if given is None:
        return None
    names = [name.strip().upper() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in TIERS:
            raise UserError(f"--tiers {name!r}: there are {', '.join(TIERS)}")
    if not names:
        raise UserError(f"--tiers names none; there are {', '.join(TIERS)}")
    return tuple(tier for tier in TIERS if tier in names)


def _splits(given: list[str] | None) -> tuple[Split, ...] | None:
    from typing import get_args

    from lens_ray.asking_merges import Split
    from lens_ray.errors import UserError

    known: tuple[Split, ...] = get_args(Split)
    for name in given or ():
        if name not in known:
            raise UserError(f"--split {name!r}: there are {', '.join(known)}")
    return tuple(name for name in known if name in given) if given else None


def _parents(given: list[str]) -> dict[str, str]:
    from lens_ray.errors import UserError

    found: dict[str, str] = {}
    for pair in given:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise UserError(f"--parent {pair!r}: write NAME=PATH")
        if name in found:
            raise UserError(f"--parent names {name!r} twice; keep one")
        found[name] = path
    return found


def _hosted(asking: Asking, backend: str | None, trust_remote_code: bool) -> Asking:
    """How V4 hosts the models, where the command line says it."""
    from dataclasses import replace

    from lens_ray.online.spec import HostSpec

    if backend is None and not trust_remote_code:
        return asking
    options = {"trust_remote_code": True} if trust_remote_code else {}
    return replace(asking, host=HostSpec(backend=backend or "transformers", options=options))


def _print(found: Verification, report: Path | None) -> None:
    from lens_ray.merging.verify.policy import TIERS
    from lens_ray.merging.verify.verification import ASKS, WORDS

    print(one_line(f"{found.folder}: {found.record.recipe.method} of "
                   f"{', '.join(one.name for one in found.record.recipe.parents)}"))  # fmt: skip
    for tier in TIERS:
        pairs = found.of(tier)
        if pairs:
            print(f"\n{tier} {ASKS[tier]}")
            _print_tier(pairs)
    print(f"\n{WORDS[found.decision]} by policy {found.policy.name}")
    for line in found.reasons:
        print(one_line(f"- {line}"))
    for line in found.left_behind():
        print(one_line(f"- no obstacle by this policy, against the best parent: {line}"))
    if report is not None:
        print(one_line(f"report: {report}"))


_SHOWN = {"pass": "ok", "fail": "FAILED", "cannot_say": "cannot say", "skipped": "skipped"}


def _print_tier(pairs: Sequence[tuple[Check, Decision]]) -> None:
    """What stands against a GO, and as many of the others as there is room for."""
    against = sum(1 for _, decision in pairs if decision != "go")
    room = max(0, _LINES - against)
    for check, decision in pairs:
        if decision == "go":
            room -= 1
            if room < 0:
                continue
        of = f" ({check.subject})" if check.subject else ""
        print(f"  {_SHOWN[check.verdict]:10}  {one_line(f'{check.name}{of}: {check.what}')}")
    if room < 0:
        print(f"  ... and {-room} more that hold; --json and --report have them all")


def _exit(found: Verification) -> None:
    """End with the exit code of a decision."""
    from lens_ray.errors import CannotSay, NoGo

    if found.decision == "go":
        return
    more = f" (and {len(found.reasons) - 1} more)" if len(found.reasons) > 1 else ""
    line = f"{found.folder}: {found.reasons[0]}{more}"
    raise NoGo(f"NO-GO: {line}") if found.decision == "no_go" else CannotSay(f"cannot say: {line}")
