"""``lens-ray merge apply``: a recipe carried out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, without_secrets
from lens_ray.cli.output import note, one_line, print_json

if TYPE_CHECKING:
    from lens_ray.merging.record import MergeRecord
    from lens_ray.merging.writer import Progress

#: Seconds between two lines of progress.
_EVERY_S = 5.0


def apply(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="What is merged, and how.")],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="DIR",
            callback=without_secrets,
            help="Folder that the merge becomes, or s3:// URL of one; not there yet.",
        ),
    ],
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Left out: every core that this process may use."),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Verify structure and algebra before the folder gets its name.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Merge checkpoints into a model folder, which is whole or not there.

    It goes to DIR.partial first. Killed in the middle, the same command makes it again; where DIR
    holds this merge already, nothing is done.
    """
    from lens_ray.merging.apply import apply_recipe
    from lens_ray.merging.recipe import load_recipe

    began = time.monotonic()
    with _progress() as progress:
        record = apply_recipe(
            load_recipe(recipe),
            out,
            threads=threads,
            check=check,
            progress=progress,
            remark=note,
        )
    if as_json:
        print_json({"out": out, "seconds": time.monotonic() - began, "record": _told(record)})
        return
    parents = ", ".join(parent.name for parent in record.parents)
    print(one_line(f"{out}: {record.recipe.method} of {parents}"))
    print(f"weights (SHA-256): {record.weights_digest}")
    print(one_line(f"next: lens-ray merge verify {out}"))


def _told(record: MergeRecord) -> dict[str, object]:
    return record.model_dump(mode="json")


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, a line every few seconds elsewhere; both on standard error."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("merging", total=None)
        yield lambda done, whole: bars.update(bar, completed=done, total=whole)


class _Lines:
    """Says how far the merge is, now and then; what is done within seconds says nothing."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, whole: int) -> None:
        """Take how many bytes are written, and of how many."""
        now = time.monotonic()
        if now - self._said >= _EVERY_S:
            self._said = now
            note(f"[{now - self._began:.0f} s] {done / 1e9:.2f} of {whole / 1e9:.2f} GB written")
