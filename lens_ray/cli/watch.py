"""``lens-ray watch``: look at training runs while they train, or replay one that has ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import note, one_line, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lens_ray.errors import LensError
    from lens_ray.online.ends import Failing
    from lens_ray.online.findings import Findings
    from lens_ray.online.spec import WatchSpec

T = TypeVar("T")


def watch(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The watch file.")],
    store: StoreOverride = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="RAY", help="A running Ray; left out, a local one."),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Take the stored rows that the file names; ask nothing."),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Ask what is there now, and end.")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            metavar="KIND[,KIND]",
            help="End with exit code 3 when one is found: decline, conflict, or a kind of alarm.",
        ),
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(
            "--prune",
            metavar="keep=RULE",
            help="Delete evaluated checkpoints but those of RULE, such as best_per_ability.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="FILE", help="Keep an HTML page of the curves up to date."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Evaluate checkpoints as they appear: convergence, declines, conflicts, and what to do.

    It ends when every run has reached its planned_steps (or was told to stop) and was asked; where
    a run does not say how long it is, Ctrl-C ends it. Started again, it goes on where it stopped.
    """
    from lens_ray.online.ends import Failing
    from lens_ray.online.spec import load_watch
    from lens_ray.report.files import check_target
    from lens_ray.watching import watch as watch_runs

    spec = load_watch(job, store=store)
    fears = [name.strip() for name in fail_on.split(",")] if fail_on is not None else []
    failing = Failing(fears)
    if report is not None:
        check_target(report)
    show = _Show(spec, report)
    found = watch_runs(
        spec,
        address=address,
        replay=replay,
        once=once,
        fail_on=fears,
        prune=prune,
        on_findings=show,
        on_line=note,
    )
    page = report if show.failure is None else None
    if as_json:
        from lens_ray.report.watch_json import watch_json

        print_json(watch_json(spec.name, found))
    else:
        _print(found, page)
    if show.failure is not None:
        raise show.failure
    _exit(spec.name, found, failing)


class _Show:
    """Says each finding once on standard error, and keeps the page up to date."""

    def __init__(self, spec: WatchSpec, report: Path | None) -> None:
        self._spec = spec
        self._report = report
        self._said: set[tuple[str, str]] = set()
        self._runs: dict[str, Findings] = {}
        self.failure: LensError | None = None

    def __call__(self, findings: Findings) -> None:
        """Take a run's findings."""
        from lens_ray.report.found import headlines

        self._runs[findings.run] = findings
        for key, line in headlines(findings):
            if (findings.run, key) not in self._said:
                self._said.add((findings.run, key))
                note(f"{findings.run}: {line}")
        if self._report is not None:
            self._draw(self._report)

    def _draw(self, report: Path) -> None:
        """Write the page; where that fails, the watch goes on and the next page is tried."""
        from lens_ray.errors import LensError
        from lens_ray.report.watched import write_watch_page

        runs = [(self._spec.name, one) for one in self._runs.values()]
        try:
            write_watch_page(runs, report, self._spec.store)
            self.failure = None
        except LensError as error:
            if str(error) != str(self.failure):
                note(f"--report: {error}; the watch goes on")
            self.failure = error


def _print(found: Sequence[Findings], report: Path | None) -> None:
    from lens_ray.report import found as words
    from lens_ray.report.curves_text import lines_of

    for findings in found:
        step = "" if findings.step is None else f", step {findings.step:,}"
        print(one_line(f"run {findings.run}{step}"))
        for line in lines_of(findings):
            print(line)
        _print_list("conflicts", words.conflict_line, findings.conflicts)
        _print_list("declines", words.decline_line, findings.declines)
        _print_list("convergence", words.convergence_line, words.standing(findings))
        _print_list("alarms", words.alarm_line, findings.alarms)
        _print_list("what to do", lambda line: line.line, findings.advice)
        _print_list("notes", str, findings.notes)
        print()
    if report is not None:
        print(f"the curves are drawn in {one_line(str(report))}; open it in any browser")


def _print_list(title: str, say: Callable[[T], str], entries: Sequence[T]) -> None:
    if entries:
        print(f"\n{title}:")
        for entry in entries:
            print(one_line(f"- {say(entry)}"))


def _exit(watch: str, found: Sequence[Findings], failing: Failing) -> None:
    """End with exit code 3 where something feared was found."""
    from lens_ray.errors import NoGo

    feared = [f"{one.run}: {what}" for one in found for what in failing.found(one)]
    if feared:
        more = f" (and {len(feared) - 1} more)" if len(feared) > 1 else ""
        raise NoGo(f"watch {watch}: {feared[0]}{more}")
