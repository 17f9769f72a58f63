"""``lens-ray report``: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lens_ray.cli.options import Json, Store
from lens_ray.cli.output import one_line, print_json


def report(
    store: Store,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The HTML file to write.")
    ] = Path("lens-report.html"),
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", metavar="REF", help="Folder or URL of a suite to take images from."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=0, metavar="N", help="Samples of each suite to show.")
    ] = 200,
    as_json: Json = False,
) -> None:
    """Write leaderboard, profiles and samples as one HTML file."""
    from lens_ray.report import write_report
    from lens_ray.store import Store as OpenStore

    written = write_report(OpenStore(store), out, samples=samples, suites=suite or ())
    if as_json:
        print_json({"report": str(written), "bytes": written.stat().st_size})
    else:
        print(f"report written: {one_line(str(written))}; open it in any browser")
