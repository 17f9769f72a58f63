"""What a search asks is asked once, whoever was killed, and never beyond the budget."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lens_ray.errors import BudgetReached, CheckpointError
from lens_ray.merging.asked import StoreAsker
from lens_ray.merging.recipe import Parent
from lens_ray.merging.spec import SearchBudget
from lens_ray.stats.cells import means_of
from lens_ray.store import Store
from lens_ray.suites.suite import Suite
from tests.merging import stage
from tests.merging.stage import (
    Weighed,
    asker_of,
    checkpoint,
    mixture,
    places_of,
    single,
    spec_of,
)

ANCHOR, SEARCH = 121, 300


parents, store, suite = stage.parents, stage.store, stage.suite


def test_a_second_driver_asks_nothing_again(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    spec, first, second = spec_of(store, parents), Weighed(store, suite), Weighed(store, suite)
    trials = [single(parents[0]), mixture("half", parents, (0.5, 0.5))]
    asked = asker_of(spec, store, first, suite).ask(trials, "anchor")
    again = asker_of(spec, store, second, suite)
    marks = again.ask(trials, "anchor")
    assert first.questions == ["s100", "m@half"]
    assert second.questions == []
    assert marks.models == ("s100", "half") == asked.models
    assert (marks.score == asked.score).all()
    assert again.spent.samples == 2 * ANCHOR
    assert again.spent.candidates == 1


def test_a_deeper_question_asks_only_what_is_new(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    evaluator = Weighed(store, suite)
    asker = asker_of(spec_of(store, parents), store, evaluator, suite)
    trial = mixture("half", parents, (0.5, 0.5))
    asker.ask([trial], "anchor")
    marks = asker.ask([trial], "search")
    assert asker.spent.samples == SEARCH
    assert asker.spent.candidates == 1
    assert set(marks.facets["split"].labels) == {"anchor", "search"}


def test_marks_of_a_ground_have_no_other_samples(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    """A run that holds all splits, as another job asked it, shows the search only its own."""
    asker = asker_of(spec_of(store, parents), store, Weighed(store, suite), suite)
    trial = single(parents[0])
    for ground in ("confirm", "search", "anchor"):
        marks = asker.ask([trial], ground)
    assert set(marks.facets["split"].labels) == {"anchor"}
    # Answers that were there before are no cost of the search.
    assert asker.spent.samples == len(suite.samples)


def test_a_merge_answers_as_its_weights_say(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    asker = asker_of(spec_of(store, parents), store, Weighed(store, suite), suite)
    trials = [*map(single, parents), mixture("half", parents, (0.5, 0.5))]
    marks = asker.ask(trials, "search")
    ocr = [place for place, (name, _) in enumerate(marks.strata) if name == "ocr"]
    entity, reader, half = means_of(marks)[:, ocr].mean(axis=1)
    assert entity < half < reader  # 0.5, 0.8 and 0.9 of the questions


def test_equal_recipes_are_asked_once(
    store: Store, suite: Suite, parents: tuple[Parent, ...]
) -> None:
    evaluator = Weighed(store, suite)
    asker = asker_of(spec_of(store, parents), store, evaluator, suite)
    one, two = (mixture(name, parents, (0.5, 0.5)) for name in ("one", "two"))
    marks = asker.ask([one, two], "anchor")
    assert len(evaluator.questions) == 1
    assert (marks.score[0] == marks.score[1]).all()


def test_a_parent_that_changed_is_asked_again(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    trial = mixture("half", parents, (0.5, 0.5))
    before = asker_of(spec_of(store, parents), store, Weighed(store, suite), suite)
    low = before.ask([trial], "anchor")
    checkpoint(tmp_path / "s100", 0.0, worth=0.3)
    after = Weighed(store, suite)
    high = asker_of(spec_of(store, parents), store, after, suite).ask([trial], "anchor")
    assert after.questions == ["m@half"]
    assert high.score.mean() > low.score.mean()


class Dies(Weighed):
    """Killed after some batches of the store."""

    def __init__(self, store: Store, suite: Suite, log: Path, batches: int) -> None:
        super().__init__(store, suite, batch=32, log=log)
        self._left = batches

    def _row(self, *given: object) -> dict[str, object]:
        log = self._log
        assert log is not None
        if len(log.read_text().splitlines()) > self._left:
            raise KeyboardInterrupt
        return super()._row(*given)  # type: ignore[arg-type]


@pytest.mark.parametrize("batches", [0, 1, 3, 4, 7])
def test_killed_in_the_middle_nothing_is_asked_or_counted_twice(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path, batches: int
) -> None:
    spec, logs = spec_of(store, parents), [tmp_path / "one.log", tmp_path / "two.log"]
    trials = [single(parents[0]), mixture("half", parents, (0.5, 0.5))]
    dying = asker_of(spec, store, Dies(store, suite, logs[0], batches), suite)
    with pytest.raises(KeyboardInterrupt):
        dying.ask(trials, "anchor")
    asker = asker_of(spec, store, Weighed(store, suite, batch=32, log=logs[1]), suite)
    marks = asker.ask(trials, "anchor")
    done = logs[0].read_text().splitlines()[:batches] + logs[1].read_text().splitlines()
    asked = Counter((line.split()[0], one) for line in done for one in line.split()[2].split(","))
    assert set(asked.values()) == {1}
    assert len(asked) == 2 * ANCHOR
    assert asker.spent.samples == 2 * ANCHOR
    assert marks.answered.all()


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (SearchBudget(candidates=1), "1 of budget.candidates 1 are spent, 1 more are wanted"),
        (SearchBudget(samples=2 * ANCHOR), "242 of budget.samples 242 are spent, 121 more"),
        (SearchBudget(gpu_hours=1e-12), "of budget.gpu_hours 1e-12 are spent; raise it"),
    ],
)
def test_a_budget_refuses_what_it_has_no_room_for(
    store: Store, suite: Suite, parents: tuple[Parent, ...], budget: SearchBudget, says: str
) -> None:
    evaluator = Weighed(store, suite)
    asker = asker_of(spec_of(store, parents, budget=budget), store, evaluator, suite)
    first = [single(parents[0]), mixture("half", parents, (0.5, 0.5))]
    asker.ask(first, "anchor")
    with pytest.raises(BudgetReached, match=says):
        asker.ask([*first, mixture("more", parents, (0.25, 0.75))], "anchor")
    assert len(evaluator.questions) == 2
    assert asker.ask(first, "anchor").models == ("s100", "half")  # what was answered is there


def test_dollars_need_no_gpu_hours(store: Store, suite: Suite, parents: tuple[Parent, ...]) -> None:
    """A dollar is replica-seconds at the price table's rate."""
    from lens_ray.prices import load_prices

    budget = SearchBudget(usd=1e-9, accelerator="H100")
    spec = spec_of(store, parents, budget=budget)
    asker = StoreAsker(spec, store, places_of(Weighed(store, suite), suite), prices=load_prices())
    asker.ask([single(parents[0])], "anchor")
    assert asker.spent.usd is not None
    assert asker.spent.usd > 1e-9
    with pytest.raises(BudgetReached, match=r"budget\.usd"):
        asker.ask([single(parents[1])], "anchor")


def test_a_parent_that_cannot_be_hosted_is_one_line(
    store: Store, suite: Suite, parents: tuple[Parent, ...], tmp_path: Path
) -> None:
    asker = asker_of(spec_of(store, parents), store, Weighed(store, suite), suite)
    (tmp_path / "s100" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer"):
        asker.ask([single(parents[0])], "anchor")
