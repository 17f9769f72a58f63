"""``lens-ray merge``: checkpoints made into one."""

from __future__ import annotations

import typer

from lens_ray.cli import merge_apply, merge_export, merge_repair, merge_sensitivity, merge_verify
from lens_ray.cli.options import Verbs

# Each verb has a file of its own: merge_search, merge_apply, merge_verify, merge_export.
app = typer.Typer(
    cls=Verbs,
    help="Merge checkpoints: search, apply, verify, export.",
    rich_markup_mode=None,
)
app.command("apply")(merge_apply.apply)
app.command("repair")(merge_repair.repair)
app.command("sensitivity")(merge_sensitivity.sensitivity)
app.command("verify")(merge_verify.verify)
app.command("export")(merge_export.export)
