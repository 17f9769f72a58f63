"""The search for a merge, on warm replicas, resumable and within its budget: `search_merges`."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lens_ray.engine.interrupt import sigterm_interrupts
from lens_ray.engine.search_bill import SearchBill, bill_of
from lens_ray.errors import UserError
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.asked import Place, Splits, StoreAsker, place_of
from lens_ray.merging.ingredients import Checkpoints, check_there, checkpoints_of
from lens_ray.merging.materialise import clear
from lens_ray.merging.published import Published
from lens_ray.merging.record import FILE, MergeRecord
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.search import search
from lens_ray.merging.search.trial import Ground
from lens_ray.merging.spec import MergeSpec, load_merge
from lens_ray.online.evaluator import Evaluator
from lens_ray.prices import load_prices
from lens_ray.stats.advice.needs import Needs
from lens_ray.store import Store
from lens_ray.store.hold import Hold
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.warm import WarmEvaluator

__all__ = ["Searched", "search_merges"]

#: A driver that did not renew the search for so long is dead.
TTL_S = 15.0
#: Asks a suite, or a part of it.
Evaluators = Callable[[str], Evaluator]


@dataclass(frozen=True, slots=True)
class Searched:
    """How a search came out.

    Attributes:
        found: What was tried, and what is recommended.
        bill: What it cost.
        out: Folder of the merge; None where none was written.
        record: Of the merge in it.
    """

    found: Found
    bill: SearchBill
    out: str | None = None
    record: MergeRecord | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**self.found.to_json(), "cost": asdict(self.bill), "out": self.out}


def search_merges(
    job: MergeSpec | str | Path,
    *,
    store: str | None = None,
    address: str | None = None,
    out: str | Path | None = None,
    needs: Mapping[str, float] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    evaluators: Evaluators | None = None,
) -> Searched:
    """Look for a merge that beats the final checkpoint and the best single one.

    Started again, it goes on where it stopped, and asks nothing twice.

    Args:
        job: A search, or the path of its file.
        store: In the place of the search's store.
        address: Of a running Ray; None starts a local one when there is something to ask.
        out: Folder that the found merge becomes; None writes none.
        needs: Weights of the abilities, in the place of the search's.
        on_line: Called with each line for the log.
        evaluators: Gives who asks a suite; None takes the engine's, with replicas that stay.

    Returns:
        What was found. Where the budget ended the search, ``found.stopped`` says so.

    Raises:
        UserError: The search, a suite, a checkpoint or an argument is at fault.
        StoreUnavailable: The store is out of reach, read-only or full.
        RunBusy: Another driver is at work on it.
        ClusterError: Nobody can be asked.
        Incomplete: A model has too few answers.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was answered is stored.
    """
    spec = job if isinstance(job, MergeSpec) else load_merge(job, store=store)
    spec = _with_needs(spec, needs)
    checkpoints = checkpoints_of(spec)
    spec = spec.model_copy(update={"ancestor": checkpoints.ancestor})
    suites = _suites(spec)
    check_there(checkpoints)
    if out is not None:
        _check_out(Path(out))
    place = Store(store or spec.store, create=True)
    place.merge(spec.name).register(spec.model_dump(mode="json", exclude_defaults=True))
    warm = _Warm(spec, place.url, address) if evaluators is None else None
    ask = warm or evaluators
    assert ask is not None
    try:
        with sigterm_interrupts(), _held(place, spec.name) as hold:
            grounds = _places(spec, suites, ask)
            asker = StoreAsker(
                spec, place, grounds,
                replicas=warm.replicas if warm is not None else lambda: 1,
                prices=load_prices(), check=hold.check, on_line=on_line,
            )  # fmt: skip
            found = search(
                spec,
                checkpoints.parents,
                asker,
                final=checkpoints.final,
                published=Published(spec, suites[0], on_line=on_line),
                confirm_samples=len(grounds["confirm"].samples),
                say=on_line,
            )
            hold.check()
            place.merge(spec.name).found.update(lambda _: found.to_json())
    finally:
        if warm is not None:
            warm.close()
        clear()
    bill = _bill(spec, found, grounds["search"])
    if out is None or found.verdict != "merge":
        return Searched(found, bill)
    record = apply_recipe(
        found.recommended.recipe, out, told=_told(spec, place, asker, found, checkpoints)
    )
    return Searched(found, bill, str(out), record)


class _Warm:
    """Evaluators by the engine: one a suite, all by the same replicas."""

    def __init__(self, spec: MergeSpec, store: str, address: str | None) -> None:
        self._spec = spec
        self._first = WarmEvaluator(
            store, spec.suite, spec.abilities, address=address, name=spec.name
        )

    def __call__(self, suite: str) -> Evaluator:
        if suite == self._spec.suite:
            return self._first
        return self._first.beside(suite, self._spec.abilities)

    def replicas(self) -> int:
        return self._first.replicas

    def close(self) -> None:
        self._first.close()


@contextmanager
def _held(store: Store, name: str) -> Iterator[Hold]:
    """Be the search's driver."""
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
    lease = store.merge(name).acquire(owner, ttl_s=TTL_S, wait_s=2 * TTL_S)
    hold = Hold([lease], TTL_S)
    try:
        yield hold
    finally:
        hold.release()


def _suites(spec: MergeSpec) -> tuple[Suite, Suite]:
    """The suites of the search and of the confirmation, which share no question.

    Raises:
        UserError: They do, or one is not known.
    """
    mine = load_suite(spec.suite)
    asked = mine.select(spec.abilities, splits=_searched(spec))
    if spec.needs is not None:
        abilities = spec.abilities or tuple(mine.info.counts)
        spec.needs.weights_of(abilities, abilities)
    if spec.confirm is None:
        mine.select(spec.abilities, splits=("sealed",))
        return mine, mine
    other = load_suite(spec.confirm)
    seen = {(one.images, one.question) for one in asked}
    both = sum((one.images, one.question) in seen for one in other.select(spec.abilities))
    if both:
        raise UserError(
            f"confirm: {both:,} questions of {spec.confirm} are asked by the search too; give a "
            f"suite that shares none with {spec.suite}, or take the key out: the split sealed"
        )
    return mine, other


def _places(spec: MergeSpec, suites: tuple[Suite, Suite], ask: Evaluators) -> dict[Ground, Place]:
    mine, other = suites
    evaluator = ask(spec.suite)
    if spec.confirm is None:
        confirm = place_of(evaluator, mine, ("sealed",), spec.abilities)
    else:
        confirm = place_of(ask(spec.confirm), other, None, spec.abilities)
    return {
        "anchor": place_of(evaluator, mine, ("anchor",), spec.abilities),
        "search": place_of(evaluator, mine, _searched(spec), spec.abilities),
        "confirm": confirm,
    }


def _searched(spec: MergeSpec) -> Splits:
    """Splits that a search may look at: all of them where another suite confirms.

    Half of the samples are sealed; without them the best of three nearly equal checkpoints of the
    shipped series is a matter of luck, and so is what is mixed into it.
    """
    return ("anchor", "search") if spec.confirm is None else None


def _with_needs(spec: MergeSpec, weights: Mapping[str, float] | None) -> MergeSpec:
    if not weights:
        return spec
    needs = (spec.needs or Needs()).model_dump(exclude_defaults=True)
    return spec.model_copy(update={"needs": Needs(**{**needs, "weights": dict(weights)})})


def _check_out(out: Path) -> None:
    """Refuse a place that is taken now, not after the search.

    Raises:
        UserError: Something else than a merge is there.
    """
    if out.is_dir() and ((out / FILE).is_file() or not any(out.iterdir())):
        return
    if os.path.lexists(out):
        raise UserError(f"--out {out}: something else than a merge is there; give another folder")


def _bill(spec: MergeSpec, found: Found, ground: Place) -> SearchBill:
    spent, training = found.spent, spec.training
    devices = max(spec.model.tensor_parallel, 1)
    return bill_of(
        device_s=spent.seconds * devices,
        merge_s=spent.merge_seconds,
        answers=spent.samples,
        models=len(found.tried),
        samples=[ground.suite.by_id[one] for one in sorted(ground.samples)],
        training_s=training.seconds * training.devices if training is not None else None,
    )


def _told(
    spec: MergeSpec, store: Store, asker: StoreAsker, found: Found, checkpoints: Checkpoints
) -> dict[str, Any]:
    """What the record of the merge says of the search."""
    confirmed = found.confirmation
    names = [parent.name for parent in found.recommended.recipe.parents]
    by_name = {one.trial.name: one.trial for one in found.tried if one.trial.single}
    models = {name: asker.model_of(by_name[name]) for name in names if name in by_name}
    models["final"] = found.final
    models["merge"] = asker.model_of(found.recommended)
    suite = load_suite(spec.suite)
    return {
        "suite": spec.suite,
        "suite_digest": suite.digest,
        "confirm": spec.confirm or "sealed",
        "store": store.url,
        "abilities": spec.abilities,
        "models": models,
        "scores": {} if confirmed is None else confirmed.scores,
    }
