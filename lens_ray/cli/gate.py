"""``lens-ray gate``: may a candidate take the baseline's place?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Store
from lens_ray.cli.output import note, one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.stats.gate import Check, Verdict
    from lens_ray.stats.gate.simulate import Characteristics


def gate(
    policy: Annotated[str, typer.Argument(metavar="POLICY.yaml", help="The rules.")],
    store: Store,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="MODEL", help="Wins over the policy's.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="MODEL", help="Wins over the policy's.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME[@DIGEST]", help="Wins over the policy's.")
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="Show how often this policy errs, by simulation, instead."),
    ] = False,
    runs: Annotated[
        int, typer.Option("--runs", min=20, max=100_000, help="Simulated runs of each scenario.")
    ] = 400,
    shift: Annotated[
        list[float] | None,
        typer.Option(
            "--shift", metavar="X", help="A true difference to simulate; repeatable.", min=-2, max=2
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say GO (exit code 0), NO-GO (3) or cannot say (4), with the evidence."""
    from lens_ray.stats.gate.decide import gate as decide
    from lens_ray.stats.gate.simulate import simulate as characterise

    if simulate:
        found = characterise(
            policy, store, candidate=candidate, baseline=baseline, suite=suite, runs=runs,
            shifts=shift, progress=None if as_json else note,
        )  # fmt: skip
        print_json(found) if as_json else _print_characteristics(found)
        return
    verdict = decide(policy, store, candidate=candidate, baseline=baseline, suite=suite)
    print_json(verdict) if as_json else _print_verdict(verdict)
    _exit(verdict)


def _exit(verdict: Verdict) -> None:
    """End with the exit code of a decision."""
    from lens_ray.errors import CannotSay, NoGo
    from lens_ray.stats.gate import Decision

    name = f"policy {verdict.policy}: {verdict.candidate}"
    if verdict.decision is Decision.NO_GO:
        raise NoGo(f"{name}: NO-GO, by {_named(verdict, Decision.NO_GO)}")
    if verdict.decision is Decision.CANNOT_SAY:
        raise CannotSay(f"{name}: cannot say, for {_named(verdict, Decision.CANNOT_SAY)}")


def _named(verdict: Verdict, decision: str) -> str:
    """The checks with a decision, by rule."""
    found: dict[str, list[str]] = {}
    for check in verdict.checks:
        if check.decision == decision:
            found.setdefault(check.rule, []).append(check.figure)
    return ", ".join(f"{rule} ({', '.join(figures)})" for rule, figures in found.items())


def _print_verdict(verdict: Verdict) -> None:
    against = f" against {verdict.baseline}" if verdict.baseline else ""
    suite = f"{verdict.suite} ({verdict.suite_digest[:12]})"
    print(one_line(f"policy {verdict.policy}: {verdict.candidate}{against} on {suite}"))
    print()
    share = f"{100 * (1 - 2 * verdict.level):g} % interval"
    columns = ("", "rule", "on", "requirement", "found", share, "p for", "p against", "n")
    print_table(columns, [_row(check) for check in verdict.checks])
    print()
    for check in verdict.checks:
        if (said := _remark(check)) is not None:
            print(one_line(f"- {check.rule}, {check.figure}: {said}"))
    for line in verdict.notes:
        print(one_line(f"- {line}"))
    print(f"{verdict.decision}: {_meaning(verdict)}")


def _row(check: Check) -> tuple[object, ...]:
    interval = None
    if check.ci_low is not None and check.ci_high is not None:
        interval = f"[{_figure(check, check.ci_low)}, {_figure(check, check.ci_high)}]"
    found = None if check.estimate is None else _figure(check, check.estimate)
    return (
        check.decision.value, check.rule, check.figure, check.requirement, found, interval,
        _p(check.p), _p(check.p_against), check.n,
    )  # fmt: skip


def _p(value: float | None) -> str | None:
    if value is None:
        return None
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _figure(check: Check, value: float) -> str:
    """A value, with its sign where it is a difference."""
    return f"{value:+.3f}" if check.baseline is not None else f"{value:.3f}"


def _remark(check: Check) -> str | None:
    if check.reason is not None:
        return check.reason
    if check.times is not None:
        return (
            f"about {check.times:.1f} times the samples would decide, if what was found is the "
            "truth"
        )
    return None


def _meaning(verdict: Verdict) -> str:
    from lens_ray.stats.gate import Decision

    level = f"{100 * verdict.level:g} %"
    if verdict.decision is Decision.GO:
        return (
            "every requirement is met; were one not, this would be said in at most "
            f"{level} of cases"
        )
    if verdict.decision is Decision.NO_GO:
        return (
            f"not met: {_named(verdict, Decision.NO_GO)}; were every one met, a test would say "
            f"this in at most {level} of cases"
        )
    return (
        "no requirement is shown to fail, and not every one is shown to be met: "
        f"{_named(verdict, Decision.CANNOT_SAY)}"
    )


def _print_characteristics(found: Characteristics) -> None:
    against = f" against {found.baseline}" if found.baseline else ""
    print(
        one_line(f"policy {found.policy}, simulated with the marks of {found.candidate}{against}")
    )
    print()
    columns = (
        "true difference", "overall", "all hold", "GO", "NO-GO", "cannot say", "wrong", "stopped by"
    )  # fmt: skip
    words = {True: "yes", False: "no", None: None}
    rows = [
        (
            each.scenario, _signed(each.truth.get("overall")), words[each.holds],
            *(f"{share:.3f}" for share in (each.go, each.no_go, each.cannot_say)),
            None if each.wrong is None else f"{each.wrong:.3f}", each.stopped_by,
        )
        for each in found.scenarios
    ]  # fmt: skip
    print_table(columns, rows)
    print()
    worst = max((each.wrong for each in found.scenarios if each.wrong is not None), default=None)
    if worst is not None:
        runs = found.scenarios[0].runs
        print(
            f"wrong: GO where a requirement does not hold, NO-GO where all do; at most {worst:.3f} "
            f"here, {found.level:g} allowed ({runs:,} runs each)"
        )


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.3f}"
