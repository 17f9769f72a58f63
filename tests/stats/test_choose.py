"""From names to runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.stats.choose import choose_runs, labels_of
from lens_ray.store import Store
from tests.stats.stores import Asked, add_run, store_of

TEN = Asked([1.0] * 4)
OTHER = Asked([1.0] * 4, suite="other", digest="e" * 64)


def test_by_name_by_id_or_all(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": TEN, "b": TEN})
    a, b = store.runs()
    assert choose_runs(store) == [a, b]
    assert choose_runs(store, ["b", "a"]) == [b, a]
    assert choose_runs(store, ["00000001"]) == [a]
    assert labels_of([a, b]) == ("a", "b")


def test_the_latest_committed_run_of_a_model_counts(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": TEN})
    add_run(store, "00000002-run", "a", Asked([0.0] * 4, template="chat@1"))
    add_run(store, "00000003-run", "a", Asked([0.0] * 4, committed=False))
    first, second, _ = store.runs()
    assert choose_runs(store, ["a"])[0] in (first, second)
    assert labels_of([first, second]) == ("a (00000001)", "a (00000002)")


def test_the_suite_that_all_named_models_share(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": TEN, "b": OTHER})
    add_run(store, "00000003-run", "a", OTHER)
    chosen = choose_runs(store, ["a", "b"])
    assert {run.suite for run in chosen} == {"other"}
    assert [run.suite for run in choose_runs(store, ["a"], suite="tiny")] == ["tiny"]
    assert [run.suite for run in choose_runs(store, suite="other@eeee")] == ["other", "other"]


@pytest.mark.parametrize(
    ("models", "suite", "says"),
    [
        (["aa"], None, "the store has no model 'aa'; did you mean 'a'?"),
        (["zzzz"], None, "the store has no model 'zzzz'; there are: a, b"),
        (["0000001"], None, "the store has no model '0000001'; there are: a, b"),
        (["a", "a"], None, "the model 'a' is named twice"),
        (["a", "00000001"], "tiny", "a model is named twice"),
        (["a"], None, "these models have runs of several suites; add --suite with one of other@e"),
        (None, None, "the store has runs of several suites; add --suite with one of other@e"),
        (["a"], "third", "has no run of the suite third; it has: other, tiny"),
        (["a"], "tiny@ff", "has no run of the suite tiny@ff; it has: other, tiny"),
    ],
)
def test_what_cannot_be_chosen(
    tmp_path: Path, models: list[str] | None, suite: str | None, says: str
) -> None:
    store = store_of(tmp_path, {"a": TEN, "b": TEN})
    add_run(store, "00000003-run", "a", OTHER)
    with pytest.raises(UserError) as error:
        choose_runs(store, models, suite=suite)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no run; type `lens-ray run JOB.yaml` first"):
        choose_runs(Store(str(tmp_path), create=True))
