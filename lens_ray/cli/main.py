"""``lens-ray``: the verbs, and what becomes of every error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import cast

import typer

from lens_ray.cli import (
    advise,
    checkpoints,
    compare,
    control,
    diagnose,
    doctor,
    estimate,
    export,
    gate,
    import_,
    jobs,
    leaderboard,
    logs,
    merge,
    plan,
    pool,
    power,
    query,
    report,
    rescore,
    run,
    scores,
    sequential,
    stability,
    stop,
    store,
    submit,
    suite,
    timeline,
    watch,
)
from lens_ray.cli.options import Verbs
from lens_ray.cli.output import note
from lens_ray.errors import LensError

INTERRUPTED = 130
#: Every wrong use of the command line; Typer exports only this leaf of them.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])

app = typer.Typer(
    name="lens-ray",
    cls=Verbs,
    help="Per-ability evaluation of vision-language models on Ray.",
    epilog="lens-ray --version names the version.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("scores")(scores.scores)
app.command("advise")(advise.advise)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("compare")(compare.compare)
app.command("diagnose")(diagnose.diagnose)
app.command("stability")(stability.stability)
app.command("power")(power.power)
app.command("estimate")(estimate.estimate)
app.command("sequential")(sequential.sequential)
app.command("query")(query.query)
app.command("gate")(gate.gate)
app.command("export")(export.export)
app.command("rescore")(rescore.rescore)
app.command("import")(import_.import_)
app.command("report")(report.report)
app.command("timeline")(timeline.timeline)
app.command("doctor")(doctor.doctor)
app.command("watch")(watch.watch)
app.command("submit")(submit.submit)
app.command("jobs")(jobs.jobs)
app.command("logs")(logs.logs)
app.command("stop")(stop.stop)
suite.app.command("control")(control.control)
app.add_typer(suite.app, name="suite")
app.add_typer(store.app, name="store")
app.add_typer(pool.app, name="pool")
app.add_typer(checkpoints.app, name="checkpoints")
app.add_typer(merge.app, name="merge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; None takes those of the process.

    Returns:
        The exit code: 0 done, 2 the user's input, 5 the environment, 6 finished but incomplete,
        130 interrupted. A bug is not caught: Python shows its traceback and exits with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # A Typer option of the group would cost every verb's --help an import of pydantic.
        code = _version() if given == ["--version"] else _invoke(given or ["--help"])
        sys.stdout.flush()
        return code
    except LensError as error:
        note(f"lens-ray: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        note("lens-ray: interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    except OSError as error:
        return _output_failed(error)


def _version() -> int:
    from importlib.metadata import version

    print(f"lens-ray {version('lens-ray')}")
    return 0


def _invoke(arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("lens-ray", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except _UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "lens-ray"
        note(f"{where}: {error.format_message().rstrip('.')}; see {where} --help")
        return 2
    return 0


def _output_failed(error: OSError) -> int:
    """A closed or full standard output is no bug; any other error of the system is."""
    try:
        print(flush=True)  # fails again where standard output is what failed
    except BrokenPipeError:
        _forget_stdout()
        return 0  # who reads has seen enough: lens-ray query ... | head
    except OSError as full:
        _forget_stdout()
        note(f"lens-ray: standard output cannot be written: {full.strerror}")
        return 5
    raise error


def _forget_stdout() -> None:
    """What is still in the buffer goes nowhere, so that the interpreter does not try again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
