"""``lens-ray merge``: checkpoints made into one."""

from __future__ import annotations

import typer

from lens_ray.cli import (
    merge_apply,
    merge_export,
    merge_repair,
    merge_search,
    merge_sensitivity,
    merge_verify,
)
from lens_ray.cli.options import Verbs

# Each verb has a file of its own.
app = typer.Typer(
    cls=Verbs,
    help="Merge checkpoints: search, apply, verify, export, repair, sensitivity.",
    rich_markup_mode=None,
)
app.command("search")(merge_search.search)
app.command("apply")(merge_apply.apply)
app.command("verify")(merge_verify.verify)
app.command("export")(merge_export.export)
app.command("repair")(merge_repair.repair)
app.command("sensitivity")(merge_sensitivity.sensitivity)
