"""`search_merges`, whole, with pretended answers: found, resumed, refused, recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import RunBusy, UserError
from lens_ray.merging.recipe import Parent
from lens_ray.merging.record import FILE, MergeRecord
from lens_ray.merging.spec import SearchBudget, TrainingCost
from lens_ray.online.evaluator import Answered, Question
from lens_ray.searching import Searched, search_merges
from lens_ray.store import Store
from lens_ray.suites.suite import Suite
from tests.merging import stage
from tests.merging.stage import Weighed, spec_of

parents, store, suite = stage.parents, stage.store, stage.suite


def run(store: Store, parents: tuple[Parent, ...], evaluator: Weighed, **given: Any) -> Searched:
    out, keys = given.pop("out", None), {"search": {"margin": 0.2, "confidence": 0.6}} | given
    return search_merges(
        spec_of(store, parents, **keys), out=out, evaluators=lambda suite: evaluator
    )


def test_a_found_merge_is_confirmed_written_and_recorded(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    searched = run(
        store, parents, Weighed(store, suite), out=tmp_path / "out",
        training=TrainingCost(seconds=1e6),
    )  # fmt: skip
    assert searched.found.verdict == "merge", searched.found.why
    record = MergeRecord.model_validate_json((tmp_path / "out" / FILE).read_bytes())
    assert record.recipe == searched.found.recommended.recipe
    assert (record.suite, record.confirm, record.store) == ("mini:quick", "sealed", store.url)
    assert set(record.models) == {"s100", "s200", "final", "merge"}
    runs = {header.model for header in store.runs()}
    assert set(record.models.values()) <= runs
    assert set(record.scores["merge"]) >= {"ocr", "entity", "overall"}
    assert searched.bill.share == pytest.approx(
        (searched.bill.device_s + searched.bill.merge_s) / 1e6
    )
    assert store.check() == []


def test_a_search_that_has_ended_asks_nobody(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    first = run(store, parents, Weighed(store, suite))
    silent = Weighed(store, suite)
    second = run(store, parents, silent)
    assert silent.questions == []
    assert _told(second) == _told(first)


class Stops(Weighed):
    """Interrupted at its n-th question, in the middle of it."""

    def __init__(self, store: Store, suite: Suite, at: int) -> None:
        super().__init__(store, suite)
        self._at_question = at

    def evaluate(self, questions: Any) -> tuple[Answered, ...]:
        if len(self.questions) >= self._at_question:
            raise KeyboardInterrupt
        return super().evaluate(questions)


def test_stopped_again_and_again_it_comes_to_the_same_end(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    whole = run(store, parents, Weighed(store, suite))
    other = Store(str(tmp_path / "other"), create=True)
    asked: list[str] = []
    for _ in range(50):
        stops = Stops(other, suite, 1)
        try:
            resumed = run(other, parents, stops)
            break
        except KeyboardInterrupt:
            asked += stops.questions
    else:
        pytest.fail("it never ended")
    assert _told(resumed) == _told(whole)
    assert resumed.found.spent.samples == whole.found.spent.samples
    assert resumed.found.spent.candidates == whole.found.spent.candidates


def test_a_budget_ends_it_with_the_best_so_far(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    searched = run(store, parents, Weighed(store, suite), budget=SearchBudget(candidates=2))
    assert searched.found.stopped is not None
    assert "budget.candidates 2" in searched.found.stopped
    assert searched.found.verdict in ("unconfirmed", "single")
    assert searched.found.spent.candidates <= 2


class Meets(Weighed):
    """Starts a second driver while it is asked."""

    def __init__(self, store: Store, suite: Suite, second: Callable[[], object]) -> None:
        super().__init__(store, suite)
        self._second = second

    def _answer(self, question: Question) -> Answered:
        with pytest.raises(RunBusy, match="merge search m"):
            self._second()
        raise KeyboardInterrupt


def test_a_second_driver_is_refused_while_the_first_is_at_work(
    store: Store, suite: Suite, parents: tuple[Parent, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.searching.TTL_S", 0.4)
    meets = Meets(store, suite, lambda: run(store, parents, Weighed(store, suite)))
    with pytest.raises(KeyboardInterrupt):
        run(store, parents, meets)


def test_samples_that_confirm_may_not_be_those_of_the_search(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    with pytest.raises(UserError, match=r"confirm: 612 questions of mini:quick are asked by"):
        run(store, parents, Weighed(store, suite), confirm="mini:quick")


def test_a_place_that_is_taken_is_refused_before_anybody_is_asked(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    evaluator = Weighed(store, suite)
    with pytest.raises(UserError, match=r"--out .*out: something else than a merge is there"):
        run(store, parents, evaluator, out=tmp_path / "out")
    assert evaluator.questions == []


def test_needs_are_those_of_the_call(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    spec = spec_of(store, parents, search={"margin": 0.5, "confidence": 0.6})
    searched = search_merges(spec, needs={"ocr": 1.0}, evaluators=lambda _: Weighed(store, suite))
    assert searched.found.weights["ocr"] == 1.0
    assert searched.found.best_single == "s200"


def _told(searched: Searched) -> str:
    """All but what it cost."""
    told = searched.found.to_json()
    return json.dumps({key: value for key, value in told.items() if key != "spent"})
