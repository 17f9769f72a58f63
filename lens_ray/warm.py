"""Checkpoints of a run that goes on, asked by replicas that stay: `WarmEvaluator`.

It runs the same jobs as `evaluate` does (`lens_ray.evaluate.run_job`), on one cluster that stays
open and with a `lens_ray.engine.parked.Pool` between them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from lens_ray.engine.cluster import Cluster
from lens_ray.engine.settings import EngineSettings
from lens_ray.errors import ClusterError, StoreUnavailable
from lens_ray.evaluate import ModelReport, run_job
from lens_ray.job import JobSpec
from lens_ray.online.evaluator import Answered, Question
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite

if TYPE_CHECKING:
    from lens_ray.engine.parked import Pool  # imports ray

log = logging.getLogger("lens_ray.engine")

Status = Literal["complete", "incomplete", "failed"]
Splits = tuple[Literal["anchor", "search", "sealed"], ...] | None


class WarmEvaluator:
    """`lens_ray.online.evaluator.Evaluator` by the engine. Of one thread."""

    def __init__(
        self,
        store: str,
        suite: str,
        abilities: tuple[str, ...] | None = None,
        settings: EngineSettings | None = None,
        address: str | None = None,
        *,
        name: str = "watch",
        idle_release_s: float | None = None,
        give_way: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            store: Folder or URL.
            suite: As in a job file.
            abilities: Of the suite's; None asks all.
            settings: Of the engine.
            address: Of a running Ray; None starts a local one.
            name: Of the jobs, for their metrics.
            idle_release_s: Replicas without a question are given back after so long; None keeps
                them.
            give_way: Whether they are given back as soon as others of the cluster wait for room.
        """
        self._store, self._suite, self._abilities = store, suite, abilities
        self._settings = settings or EngineSettings()
        self._cluster = Cluster(address)
        self._lender: WarmEvaluator | None = None
        self._name = name
        self._idle_release_s = idle_release_s
        self._give_way = give_way
        self._opened: tuple[Suite, Store] | None = None
        self._pool: Pool | None = None
        self._busy_at = time.monotonic()

    def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        """Ask some checkpoints; one answer a question, in their order.

        Raises:
            SuiteError: The suite is not known, or has no sample of an ability or split.
            StoreUnavailable: The store is out of reach or full.
            ClusterError: Nobody can be asked now.
            RunBusy: Another driver is at work on one of the runs.
            KeyboardInterrupt: Stopped; what was answered is stored.
        """
        answers: dict[int, Answered] = {}
        for splits, batch in _batches(questions):
            came = self._ask([questions[number] for number in batch], splits)
            answers.update(zip(batch, came, strict=True))
            self._busy_at = time.monotonic()
            self._step_back()
        return tuple(answers[number] for number in range(len(questions)))

    def beside(self, suite: str, abilities: tuple[str, ...] | None = None) -> WarmEvaluator:
        """One that asks another suite by the same replicas, on the same cluster.

        It ends with this one; the two are never asked at once.

        Args:
            suite: As in a job file.
            abilities: Of the suite's; None asks all.
        """
        other = WarmEvaluator(self._store, suite, abilities, self._settings, name=self._name)
        other._cluster, other._lender = self._cluster, self
        return other

    @property
    def replicas(self) -> int:
        """Replicas that are here between two questions."""
        return len(self._warm()) if self._pool or self._lender else 0

    def idle(self) -> None:
        """Give back the replicas that others wait for, or that had nothing to do for too long."""
        limit = self._idle_release_s
        if limit is not None and time.monotonic() - self._busy_at > limit:
            self._release(f"nothing was asked for {limit:.0f} s")
        self._step_back()

    def close(self) -> None:
        """End every replica, and the Ray that was started for them."""
        if self._lender is not None:
            return  # they are another one's, which ends them
        if self._pool is not None:
            self._pool.end_all()
            self._pool = None
        self._cluster.close()

    def _ask(self, questions: Sequence[Question], splits: Splits) -> list[Answered]:
        suite, store = self._open()
        job = JobSpec(
            name=self._name,
            suite=self._suite,
            abilities=self._abilities,
            store=self._store,
            models=tuple(question.spec for question in questions),
            splits=splits,
        )
        try:
            self._cluster.start()
            report = run_job(
                job, suite, store, self._cluster, settings=self._settings, pool=self._warm()
            )
        except ClusterError:
            (self._lender or self).close()  # the next question connects again
            raise
        return [
            _answered(question, model, report.seconds, store)
            for question, model in zip(questions, report.models, strict=True)
        ]

    def _open(self) -> tuple[Suite, Store]:
        """Read once: every checkpoint is to be asked the same."""
        if self._opened is None:
            suite = load_suite(self._suite)
            suite.look_ahead(suite.select(self._abilities))
            self._opened = suite, Store(self._store, create=True)
        return self._opened

    def _warm(self) -> Pool:
        if self._lender is not None:
            return self._lender._warm()
        if self._pool is None:
            from lens_ray.engine.parked import Pool  # imports ray

            self._pool = Pool()
        return self._pool

    def _step_back(self) -> None:
        if self._give_way and self._pool:
            from lens_ray.engine.demand import others_wait  # imports ray

            waiting = others_wait()
            if waiting is not None:
                self._release(f"{waiting} waits for room")

    def _release(self, why: str) -> None:
        if self._pool:
            log.warning("%d warm replicas are given back: %s", len(self._pool), why)
            self._pool.end_all()


def _batches(questions: Sequence[Question]) -> Iterator[tuple[Splits, list[int]]]:
    """Numbers of questions that one job can ask: of the same splits, no name twice, in order."""
    left = list(range(len(questions)))
    while left:
        splits, names, batch = _splits(questions[left[0]]), set(), []
        for number in left:
            question = questions[number]
            if _splits(question) == splits and question.spec.name not in names:
                names.add(question.spec.name)
                batch.append(number)
        left = [number for number in left if number not in batch]
        yield splits, batch


def _splits(question: Question) -> Splits:
    if question.splits is not None:
        return question.splits
    return ("anchor",) if question.depth == "anchor" else None


def _answered(question: Question, model: ModelReport, seconds: float, store: Store) -> Answered:
    asked, swapped = model.answered, None
    if asked and model.run_id is not None:
        commit = store.run(model.run_id).refresh().commit
        how = commit.facts.get("loaded_by") if commit is not None else None
        swapped = how == "swap" if how is not None else None
    status: Status = "incomplete"
    if model.status == "complete":
        status = "complete"
    elif model.status == "failed":
        # Where only its URL is out of reach, that may pass.
        away = model.run_id is None and model.exit_code == StoreUnavailable.exit_code
        status = "incomplete" if away else "failed"
    return Answered(
        question, model.run_id, status, model.reason, asked, model.resumed, seconds, swapped
    )
