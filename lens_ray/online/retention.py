"""What ``lens-ray checkpoints`` does: list a run's checkpoints, pin them, keep some, delete others.

Pins and the rule stand in the store, so that a watcher with ``--prune`` heeds them too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from lens_ray.errors import UserError
from lens_ray.online.best import weights_of
from lens_ray.online.candidates import Candidates, candidates_of
from lens_ray.online.findings import Findings
from lens_ray.online.keep import Fate, Keep, Pruned, fates_of, parse_keep, prune
from lens_ray.online.queue import waiting
from lens_ray.online.series import Series
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.stats.marks import NotComparable
from lens_ray.store import Store
from lens_ray.store.watch_log import Pins, WatchState
from lens_ray.yaml_problems import nearest

#: Where nobody named another rule.
DEFAULT: Keep = "everything"


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of one run.

    Attributes:
        run: Its name.
        keep: The rule.
        fates: Of its checkpoints, by ascending step.
    """

    run: str
    keep: tuple[str, ...]
    fates: tuple[Fate, ...]


def run_of(spec: WatchSpec, name: str | None) -> RunSpec:
    """The run of a name; the only one where none is given.

    Raises:
        UserError: There is none, or none is named and there are several.
    """
    names = [run.name for run in spec.runs]
    if name is None and len(names) > 1:
        raise UserError(f"watch {spec.name} has {len(names)} runs; add --run {names[0]}")
    if name is not None and name not in names:
        raise UserError(f"watch {spec.name} has no run {name!r}; {nearest(name, names)}")
    return spec.runs[0 if name is None else names.index(name)]


def retained(
    spec: WatchSpec, store: Store, run: RunSpec, keep: Collection[Keep] | None = None
) -> Retention:
    """What is kept of a run, and why.

    Args:
        spec: The watch.
        store: Where its state is.
        run: Which of its runs.
        keep: The rule; None takes the one that the store has.

    Raises:
        StoreUnavailable: The store or the run's folder is out of reach.
    """
    log = store.watch(spec.name)
    state, pins = log.state(run.name).read(), log.pins(run.name).read()
    if keep is None:
        keep = parse_keep(pins.keep or DEFAULT)
    series, findings = _series(spec, store, run, state), Findings(run.name, None)
    if series is not None and "before_falls" in keep:
        from lens_ray.online.detect import detect

        findings = detect(series, spec.rules)
    unfinished = [wanted.seen.step for wanted in waiting(spec, run, state)]
    fates = fates_of(
        spec, run.path, state, pins, keep, series=series, findings=findings, waiting=unfinished
    )
    return Retention(run.name, tuple(sorted(keep)), fates)


def _series(spec: WatchSpec, store: Store, run: RunSpec, state: WatchState) -> Series | None:
    """The run as it was asked; None where there are no answers that can be compared."""
    from lens_ray.online.load import load_series

    try:
        return load_series(spec, store, run, state) if state.asked else None
    except NotComparable:  # nobody knows which is the best, so all are kept
        return None


def pin(spec: WatchSpec, store: Store, run: RunSpec, steps: Sequence[int], why: str = "") -> Pins:
    """Keep checkpoints, whatever the rule says.

    Raises:
        UserError: The run has no checkpoint at a step.
        StoreUnavailable: The store cannot be read or written.
    """
    log = store.watch(spec.name)
    _check_steps(spec, run, log.state(run.name).read(), steps)
    text = " ".join(why.split())[:500]

    def change(pins: Pins) -> Pins:
        return replace(pins, steps={**pins.steps, **dict.fromkeys(steps, text)})

    return log.pins(run.name).update(change)


def unpin(spec: WatchSpec, store: Store, run: RunSpec, steps: Sequence[int]) -> Pins:
    """Let the rule decide over checkpoints again.

    Raises:
        UserError: One is not pinned.
        StoreUnavailable: The store cannot be read or written.
    """
    cell = store.watch(spec.name).pins(run.name)
    held = cell.read().steps
    for step in steps:
        if step not in held:
            pinned = ", ".join(str(each) for each in sorted(held)) or "none"
            raise UserError(f"run {run.name}: step {step} is not pinned; pinned: {pinned}")

    def change(pins: Pins) -> Pins:
        return replace(pins, steps={s: why for s, why in pins.steps.items() if s not in steps})

    return cell.update(change)


def set_rule(spec: WatchSpec, store: Store, run: RunSpec, keep: Collection[Keep]) -> Pins:
    """Write down what a prune keeps of a run from now on.

    Raises:
        StoreUnavailable: The store cannot be read or written.
    """
    rule = ",".join(sorted(keep))
    return store.watch(spec.name).pins(run.name).update(lambda pins: replace(pins, keep=rule))


def delete_rest(
    spec: WatchSpec, store: Store, run: RunSpec, keep: Collection[Keep] | None = None
) -> tuple[Pruned, ...]:
    """Delete the checkpoints of a run that are not kept, and note in its state which are gone.

    Args:
        spec: The watch.
        store: Where its state is.
        run: Which of its runs.
        keep: The rule; None takes the one that the store has.

    Returns:
        One for each that was to go.

    Raises:
        StoreUnavailable: The store or the run's folder is out of reach.
    """
    found = prune(run.path, retained(spec, store, run, keep).fates)
    gone = [each.step for each in found if each.deleted]
    if gone:

        def change(state: WatchState) -> WatchState:
            return replace(state, pruned=tuple(sorted({*state.pruned, *gone})))

        store.watch(spec.name).state(run.name).update(change)
    return found


def merge_candidates(
    spec: WatchSpec, store: Store, run: RunSpec, *, replay: bool = False
) -> Candidates:
    """The checkpoints of a run that are worth merging.

    Args:
        spec: The watch.
        store: Where its state is.
        run: Which of its runs.
        replay: Take the stored rows that the run names, as ``watch --replay`` does.

    Raises:
        UserError: None that was asked is there any more.
        StoreUnavailable: The store or the run's folder is out of reach.
    """
    from lens_ray.online.assess import replayed
    from lens_ray.online.detect import detect
    from lens_ray.online.load import load_series

    state = replayed(spec, store, run) if replay else store.watch(spec.name).state(run.name).read()
    if not state.asked:
        raise UserError(f"run {run.name}: no checkpoint was asked so far; run lens-ray watch first")
    series = load_series(spec, store, run, state)
    gone = set(state.pruned)
    paths = {one.step: one.path for one in state.asked if one.step not in gone}
    if replay:
        headers = zip(series.steps.tolist(), series.marks.runs, strict=True)
        paths = {step: header.backend_path for step, header in headers}
    return candidates_of(
        series,
        detect(series, spec.rules),
        paths,
        margin=spec.rules.margin,
        confidence=spec.rules.confidence,
        weights=weights_of(series, spec.needs),
    )


def _check_steps(spec: WatchSpec, run: RunSpec, state: WatchState, steps: Sequence[int]) -> None:
    known = [one.step for one in state.seen]
    for step in steps:
        if step not in known:
            near = sorted(known, key=lambda each: abs(each - step))[:3]
            there = ", ".join(str(each) for each in sorted(near)) or "none so far"
            raise UserError(
                f"watch {spec.name}, run {run.name}: there is no checkpoint at step {step}; "
                f"nearest: {there}"
            )
