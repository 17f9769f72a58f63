"""A watch, whole: `watch` looks at training runs and asks their checkpoints, or replays them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lens_ray.engine.interrupt import sigterm_interrupts
from lens_ray.engine.watch_meter import WatchMeter
from lens_ray.errors import UserError
from lens_ray.online.alerts import Alerts
from lens_ray.online.assess import assess_replay
from lens_ray.online.ends import Failing, run_out
from lens_ray.online.evaluator import Evaluator
from lens_ray.online.findings import Findings
from lens_ray.online.keep import parse_keep
from lens_ray.online.spec import RunSpec, WatchSpec, load_watch
from lens_ray.online.watcher import WatchSettings, caught_up
from lens_ray.online.watcher import watch as look
from lens_ray.prices import load_prices
from lens_ray.stats.pool_making import choose_pool
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from lens_ray.warm import WarmEvaluator

__all__ = ["watch"]

#: So long a watch that is to end (``--once``) waits for a store that is out of reach or damaged.
ONCE_PATIENCE_S = 60.0


def watch(
    job: WatchSpec | str | Path,
    *,
    store: str | None = None,
    address: str | None = None,
    replay: bool = False,
    once: bool = False,
    fail_on: Sequence[str] = (),
    prune: str | None = None,
    on_findings: Callable[[Findings], None] = lambda findings: None,
    on_line: Callable[[str], None] = lambda line: None,
    evaluator: Evaluator | None = None,
) -> tuple[Findings, ...]:
    """Evaluate checkpoints as they appear; started again, it goes on where it stopped.

    It ends when each run has reached its planned steps, or was told to stop, and was asked; where
    a run does not say how long it is, it goes on until it is interrupted.

    Args:
        job: A watch, or the path of its file.
        store: In the place of the watch's store.
        address: Of a running Ray; None starts a local one when there is something to ask.
        replay: Take the stored rows that the watch names, and ask nothing.
        once: End when all that is there now was asked.
        fail_on: End as soon as one of these is found (`lens_ray.online.ends.SUBJECTS`).
        prune: ``keep=RULE``: what of the evaluated checkpoints is kept; the others are deleted.
            None deletes nothing.
        on_findings: Called with a run's findings whenever there is something new.
        on_line: Called with each line for the log.
        evaluator: Asks the checkpoints; None takes the engine's, with replicas that stay.

    Returns:
        The last findings of each run, in the order of the file.

    Raises:
        UserError: The watch, its suite or an argument is at fault.
        StoreUnavailable: The store is out of reach, read-only or full at the start; with ``once``,
            or out of reach or damaged for a minute.
        KeyboardInterrupt: Ctrl-C or SIGTERM; nothing is lost.
    """
    spec = job if isinstance(job, WatchSpec) else load_watch(job, store=store)
    failing = Failing(fail_on)
    if replay and (once or prune is not None or address is not None):
        raise UserError("--replay asks nothing; take out --once, --prune and --address")
    _check_questions(spec)
    place = Store(store or spec.store, create=True)
    if replay:
        found = assess_replay(spec, place)
        for one in found:
            on_findings(one)
        return found
    if prune is not None:
        parse_keep(prune)  # refuses a wrong rule before anything is started
    end = caught_up if once else run_out(spec)
    alerts = Alerts(spec.alerts, place.watch(spec.name).told, spec.name, on_line=on_line)
    asker = evaluator or _warm(spec, place, address)
    meter = WatchMeter(spec.name)
    feared = False

    def told(findings: Findings) -> None:
        nonlocal feared
        feared = feared or bool(failing.found(findings))
        on_findings(findings)
        meter.show(findings)
        alerts.tell(findings)

    for run in spec.runs:
        on_line(f"{run.name}: looking at {run.path} every {spec.poll_s:g} s")
    try:
        with sigterm_interrupts():
            found = look(
                spec,
                place,
                asker,
                on_findings=told,
                on_line=on_line,
                until=lambda standings: feared or end(standings),
                prune=prune,
                settings=WatchSettings(outage_s=ONCE_PATIENCE_S if once else None),
            )
    finally:
        asker.close()
        unheard = alerts.close()
        if unheard:
            on_line(f"watch {spec.name}: {unheard} alerts wait for the next start")
    known = {findings.run: findings for findings in found}
    return tuple(known.get(run.name) or _nothing(run) for run in spec.runs)


def _check_questions(spec: WatchSpec) -> None:
    """Refuse a wrong suite, pool, price or need now, not when a checkpoint comes at night.

    Raises:
        UserError: There is no such suite, ability or pool; the needs name another ability; nobody
            knows what an accelerator costs.
    """
    suite = load_suite(spec.suite)
    suite.select(spec.abilities)
    choose_pool(spec.pool, suite.name, suite.digest)
    if spec.needs is not None:
        abilities = spec.abilities or tuple(suite.info.counts)
        spec.needs.weights_of(abilities, abilities)
    for run in spec.runs:
        if run.accelerator is not None:
            price = load_prices().of_hours(run.accelerator, 1.0)
            if price.usd is None:
                raise UserError(f"run {run.name}: accelerator: {price.reason}")


def _nothing(run: RunSpec) -> Findings:
    note = f"no checkpoint was found in {run.path} so far"
    return Findings(run.name, None, notes=(note,))


def _warm(spec: WatchSpec, store: Store, address: str | None) -> Evaluator:
    return WarmEvaluator(
        store.url,
        spec.suite,
        spec.abilities,
        address=address,
        name=spec.name,
        idle_release_s=spec.idle_release_s,
        give_way=spec.give_way,
    )
