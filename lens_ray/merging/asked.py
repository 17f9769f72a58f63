"""Who asks trials and remembers it in the store: `StoreAsker`.

A trial becomes a question to an `Evaluator`: a single checkpoint by its own path, a merge by
``merge:RECIPE``, which each machine makes for itself. What was asked, in which runs and at what
cost is kept by compare-and-swap (`lens_ray.store.merge_log`), so that a search that was killed
asks nothing twice: finished trials are read from their runs, unfinished ones resume by sample.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import (
    BudgetReached,
    CheckpointError,
    Incomplete,
)
from lens_ray.merging.materialise import digests_of, materialise, path_of
from lens_ray.merging.search.trial import Ground, Spent, Trial
from lens_ray.merging.spec import MergeSpec
from lens_ray.models.checkpoint import resolve
from lens_ray.models.spec import ModelSpec
from lens_ray.node_cache import release
from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Answered, Evaluator, Question
from lens_ray.prices import Prices
from lens_ray.stats.marks import COLUMNS, Marks, by_run, marks_of
from lens_ray.stats.scores import COVERAGE_THRESHOLD
from lens_ray.store import Store
from lens_ray.store.merge_log import MergeLog, MergeState, Tried
from lens_ray.suites.suite import Suite

Splits = tuple[Literal["anchor", "search", "sealed"], ...] | None
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the samples of a ground are asked.

    Attributes:
        evaluator: Asks them.
        suite: Which suite.
        splits: Which of its splits; None is all of it.
        samples: Their ids, of the abilities that are asked.
    """

    evaluator: Evaluator
    suite: Suite
    splits: Splits
    samples: frozenset[str]

    @property
    def key(self) -> str:
        """Names the samples in the state of the search."""
        told = json.dumps([self.suite.digest, self.splits, sorted(self.samples)])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def place_of(
    evaluator: Evaluator, suite: Suite, splits: Splits, abilities: tuple[str, ...] | None
) -> Place:
    """A ground's place.

    Raises:
        SuiteError: The suite has no sample of an ability or split.
    """
    chosen = suite.select(abilities, splits=splits)
    return Place(evaluator, suite, splits, frozenset(one.sample_id for one in chosen))


class StoreAsker:
    """`lens_ray.merging.search.trial.Asker` by an evaluator, over a store. Of one thread."""

    def __init__(
        self,
        spec: MergeSpec,
        store: Store,
        places: Mapping[Ground, Place],
        *,
        replicas: Callable[[], int] = lambda: 1,
        prices: Prices | None = None,
        check: Callable[[], None] = lambda: None,
        on_line: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read or asked yet.

        Args:
            spec: The search.
            store: Where rows and state are.
            places: Of each ground.
            replicas: How many are at work, by which seconds are multiplied.
            prices: For a budget in dollars.
            check: Raises where this driver is no longer the search's.
            on_line: Called with each line for the log.
            clock: Seconds.
        """
        self._spec, self._store, self._places = spec, store, dict(places)
        self._log: MergeLog = store.merge(spec.name)
        self._replicas, self._prices, self._check = replicas, prices, check
        self._on_line, self._clock = on_line, clock
        self._state: MergeState | None = None
        self._earlier: Mapping[str, Tried] | None = None

    @property
    def spent(self) -> Spent:
        """So far, by this search, earlier starts included."""
        state = self._known()
        return Spent(
            candidates=state.candidates,
            samples=state.samples,
            seconds=state.seconds,
            merge_seconds=state.merge_seconds,
            usd=self._usd(state.seconds),
        )

    def ask(self, trials: Sequence[Trial], ground: Ground) -> Marks:
        """The marks of some trials; see `lens_ray.merging.search.trial.Asker`."""
        self._check()
        keys = [self._key(trial) for trial in trials]
        place = self._places[ground]
        new = {
            key: trial
            for key, trial in zip(keys, trials, strict=True)
            if self._run(key, place) is None
        }
        if new:
            self._within_budget(new, place)
            self._ask_new(new, place, ground)
        runs = {trial.name: self._run(key, place) for key, trial in zip(keys, trials, strict=True)}
        return self._marks({name: run for name, run in runs.items() if run is not None}, place)

    def run_of(self, trial: Trial, ground: Ground) -> str | None:
        """The run in which a trial was asked; None where it was not."""
        return self._run(self._key(trial), self._places[ground])

    def model_of(self, trial: Trial) -> str:
        """What the store calls a trial."""
        if trial.single:
            return trial.recipe.parents[0].name
        return _model_name(f"{self._spec.name}@{trial.name}")

    def _run(self, key: str, place: Place) -> str | None:
        tried = self._known().tried.get(key)
        return tried.runs.get(place.key) if tried is not None else None

    def _known(self) -> MergeState:
        if self._state is None:
            self._state = self._log.state.read()
            self._earlier = self._state.tried
        return self._state

    def _write(self, change: Callable[[MergeState], MergeState]) -> None:
        self._known()
        self._state = self._log.state.update(change)

    def _key(self, trial: Trial) -> str:
        """Of the recipe, of what its parents hold now, and of how it is hosted."""
        recipe = trial.recipe
        inputs = [*recipe.parents, *([recipe.base] if recipe.base is not None else [])]
        digests = []
        for parent in inputs:
            folder = resolve(parent.path, parent.revision)
            digests.append(digests_of(folder))
            release(Path(folder))
        host = self._spec.model.model_dump(mode="json")
        facts = json.dumps([trial.key, digests, host], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:32]

    def _within_budget(self, new: Mapping[str, Trial], place: Place) -> None:
        """Refuse what the budget has no room for; what was answered is kept.

        Raises:
            BudgetReached: It has none.
        """
        budget, spent = self._spec.budget, self.spent
        known = self._known().tried
        merges = sum(not trial.single and key not in known for key, trial in new.items())
        hours = spent.seconds * self._spec.model.tensor_parallel / _HOUR_S
        asked = sum(len(place.samples) - (known[k].samples if k in known else 0) for k in new)
        limits = (
            ("candidates", budget.candidates, spent.candidates, merges),
            ("samples", budget.samples, spent.samples, max(asked, 0)),
            ("gpu_hours", budget.gpu_hours, hours, 0),
            ("usd", budget.usd, spent.usd or 0.0, 0),
        )
        for name, limit, gone, more in limits:
            if limit is not None and (gone + more > limit or gone >= limit):
                wanted = f", {more:,} more are wanted" if more else ""
                raise BudgetReached(
                    f"merge search {self._spec.name}: {gone:,.6g} of budget.{name} {limit:,.6g} "
                    f"are spent{wanted}; raise it in the merge file to go on"
                )

    def _ask_new(self, new: Mapping[str, Trial], place: Place, ground: Ground) -> None:
        began = {key: self._begun(key, trial, place) for key, trial in new.items()}
        self._write(lambda state: state.with_tried(began))
        merging = self._make(new)
        start = self._clock()
        names = ", ".join(trial.name for trial in new.values())
        self._on_line(f"{ground}: asking {len(place.samples):,} samples of {names}")
        questions = [self._question(trial) for trial in new.values()]
        answers = place.evaluator.evaluate(questions_on(questions, place))
        seconds = (self._clock() - start) * max(1, self._replicas())
        asked = zip(began.items(), answers, strict=True)
        done = {key: self._done(key, tried, answer, place) for (key, tried), answer in asked}
        self._write(
            lambda state: replace(
                state.with_tried(done),
                seconds=state.seconds + seconds,
                merge_seconds=state.merge_seconds + merging,
            )
        )
        for trial, answer in zip(new.values(), answers, strict=True):
            _accept(trial, answer, place)
        self._check()

    def _make(self, new: Mapping[str, Trial]) -> float:
        """Make the merges on this machine, where they are identified; the seconds that it took."""
        start = self._clock()
        for trial in new.values():
            if not trial.single:
                release(materialise(path_of(trial.recipe)))
        return self._clock() - start

    def _begun(self, key: str, trial: Trial, place: Place) -> Tried:
        known = self._known().tried.get(key)
        if known is None:
            told = trial.recipe.model_dump(mode="json", exclude_defaults=True)
            known = Tried(trial.name, told, single=trial.single)
        return replace(known, begun=tuple(dict.fromkeys((*known.begun, place.key))))

    def _done(self, key: str, tried: Tried, answer: Answered, place: Place) -> Tried:
        """With the run, and with what it cost.

        Rows that another start of this search had asked before it was killed are counted now:
        that start had no time to.
        """
        earlier = (self._earlier or {}).get(key)
        killed = earlier is not None and place.key in earlier.begun
        counted = tried.samples
        samples = counted + answer.asked
        if killed:
            samples = max(samples, min(answer.asked + answer.resumed, counted + len(place.samples)))
        if answer.run_id is None or not _enough(answer, place):
            return replace(tried, samples=samples)
        left = tuple(one for one in tried.begun if one != place.key)
        runs = {**tried.runs, place.key: answer.run_id}
        return replace(tried, runs=runs, begun=left, samples=samples)

    def _question(self, trial: Trial) -> Question:
        name, parent = self.model_of(trial), trial.recipe.parents[0]
        path = parent.path if trial.single else path_of(trial.recipe)
        step = parent.step if trial.single else None
        spec: ModelSpec = self._spec.model.model_spec(name, path, step)
        if trial.single and parent.revision is not None:
            spec = spec.model_copy(update={"revision": parent.revision})
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Question(Checkpoint(name, step or 0, path, trial.key, now), spec, "full")

    def _marks(self, runs: Mapping[str, str], place: Place) -> Marks:
        ids = list(dict.fromkeys(runs.values()))
        headers = {run: self._store.run(run).header for run in ids}
        rows = self._store.rows(ids, columns=("run_id", *COLUMNS))
        wanted = pa.array(sorted(place.samples), pa.string())
        rows = rows.filter(pc.is_in(rows["sample_id"], value_set=wanted))
        tables = dict(zip(ids, by_run(rows, ids), strict=True))
        return marks_of(
            {name: tables[run] for name, run in runs.items()},
            weights=place.suite.weights,
            suite=place.suite.name,
            suite_digest=place.suite.digest,
            runs=[headers[run] for run in runs.values()],
        )

    def _usd(self, seconds: float) -> float | None:
        accelerator = self._spec.budget.accelerator
        if accelerator is None or self._prices is None:
            return None
        hours = seconds * self._spec.model.tensor_parallel / _HOUR_S
        return self._prices.of_hours(accelerator, hours).usd


def questions_on(questions: Sequence[Question], place: Place) -> list[Question]:
    """Questions to a place's samples."""
    return [replace(one, splits=place.splits) for one in questions]


def _enough(answer: Answered, place: Place) -> bool:
    have = answer.asked + answer.resumed
    return answer.status == "complete" or have >= COVERAGE_THRESHOLD * len(place.samples)


def _accept(trial: Trial, answer: Answered, place: Place) -> None:
    """Raise where a trial has too few answers to be compared."""
    if answer.status == "failed":
        raise CheckpointError(f"{trial.name} cannot be asked: {answer.reason}")
    if not _enough(answer, place):
        raise Incomplete(
            f"{trial.name} has {answer.asked + answer.resumed:,} of {len(place.samples):,} "
            f"answers: {answer.reason}; the same command goes on"
        )


def _model_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._@+-]", "-", name)[:128]
