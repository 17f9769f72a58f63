"""What several verbs share: their options, and how a group of them is parsed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lens_ray.job_secrets import refuse_secret


class Verbs(typer.core.TyperGroup):
    """A group of verbs whose own help option exists only where no verb is named.

    For an option of a group that is not given Typer imports pydantic, which would cost every
    verb's ``--help`` more than all the rest.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `typer.core.TyperGroup`."""
        self.add_help_option = not args or args[0].startswith("-")
        return super().parse_args(ctx, args)


def without_secrets(value: str | None) -> str | None:
    """A callback for options that take a URL."""
    if value is not None:
        refuse_secret("the command line", value)
    return value


def without_secrets_each(values: list[str] | None) -> list[str] | None:
    """`without_secrets` for options that may be repeated."""
    for value in values or ():
        refuse_secret("the command line", value)
    return values


Store = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        callback=without_secrets,
        help="Folder or URL of the store to read.",
    ),
]
StoreOverride = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        callback=without_secrets,
        help="Folder or URL; wins over the job's.",
    ),
]
Pool = Annotated[
    str | None,
    typer.Option(
        "--pool",
        metavar="POOL",
        help="Measure DVS and RES against this: a file of `lens-ray pool make`, or NAME[@VERSION]"
        " of a built-in one. Left out: the suite's built-in pool.",
    ),
]
OnlyModels = Annotated[
    list[str] | None, typer.Option("--model", metavar="NAME", help="Only this; repeatable.")
]
OnlySuite = Annotated[
    str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="Only this suite.")
]
OnlyAbilities = Annotated[
    list[str] | None, typer.Option("--ability", metavar="NAME", help="Only this; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Dashboard = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        envvar="RAY_API_SERVER_ADDRESS",
        help="Of the cluster's dashboard, http://HEAD:8265. Its token is read from RAY_AUTH_TOKEN,"
        " the file RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token.",
    ),
]
SubmissionId = Annotated[str, typer.Argument(metavar="ID", help="As `lens-ray jobs` shows it.")]
