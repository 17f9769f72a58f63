"""The order of a repair's examples, and what they may not be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import SuiteError, UserError
from lens_ray.merging.answers import Example
from lens_ray.merging.repair import RepairPlan, refuse_overlap
from lens_ray.models.protocol import Generation, Request
from lens_ray.suites.suite import Suite
from tests.merging.repair.conftest import asked


def example(number: int) -> Example:
    images = (b"png",) if number % 4 else ()
    request = Request(f"{number}", "?", images, Generation())
    return Example(request, "yes", asked(number, f"{number:x}"))


@given(
    count=st.integers(1, 40), steps=st.integers(1, 12), batch=st.integers(1, 9),
    accumulate=st.integers(1, 3), seed=st.integers(0, 9),
)  # fmt: skip
def test_every_example_once_an_epoch_in_the_same_order_again(
    count: int, steps: int, batch: int, accumulate: int, seed: int
) -> None:
    plan = RepairPlan(steps=steps, batch=batch, accumulate=accumulate, seed=seed)
    examples = [example(number) for number in range(count)]
    parts = plan.parts(examples)
    assert parts == plan.parts(examples)
    assert len(parts) == steps * accumulate
    assert all(1 <= len(part) <= -(-batch // accumulate) for part in parts)
    assert all(len({bool(one.request.images) for one in part}) == 1 for part in parts)
    seen = Counter(one.request.request_id for part in parts for one in part)
    if len(seen) == count:
        assert max(seen.values()) - min(seen.values()) <= 1
    else:  # less than one epoch: nothing twice
        assert set(seen.values()) == {1}


def test_no_example_is_no_plan() -> None:
    with pytest.raises(UserError, match="no example to train on"):
        RepairPlan().parts([])


def test_globs_say_what_is_trained() -> None:
    plan = RepairPlan(only=("*connector*", "lm_head.*"))
    names = ("model.connector.proj.weight", "lm_head.weight", "model.text.layer.weight")
    assert [plan.trains(name) for name in names] == [True, True, False]
    assert all(RepairPlan().trains(name) for name in names)


def test_splits_of_one_suite_are_apart_and_whole_suites_are_not(suite: Suite) -> None:
    mine = suite.select(splits=("search",))
    refuse_overlap("made", mine, [("made (sealed)", suite.select(splits=("sealed",)))])
    with pytest.raises(
        SuiteError, match=r"made/1 has the same content as made/1 of made"
    ) as caught:
        refuse_overlap("made", mine, [("made", suite.samples)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"question": "how many squares?", "sample_id": "x/1", "cluster_id": "x"}, "image"),
        ({"images": ("00",), "question": "how many squares?", "cluster_id": "x"}, "sample id"),
        ({"images": ("00",), "question": "how many squares?", "sample_id": "x/1"}, "cluster"),
        ({"sample_id": "x/1", "cluster_id": "x", "source": "y"}, "content"),
    ],
)
def test_what_makes_two_samples_one(suite: Suite, change: dict[str, object], what: str) -> None:
    one = suite.samples[1]
    other = replace(one, **change)  # type: ignore[arg-type]
    with pytest.raises(SuiteError, match=f"has the same {what} as {other.sample_id} of other"):
        refuse_overlap("made", [one], [("other", [other])])


def test_clusters_of_other_sources_are_other_clusters(suite: Suite) -> None:
    one = suite.samples[1]
    other = replace(one, images=("00",), question="other?", sample_id="y/1", source="y")
    refuse_overlap("made", [one], [("other", [other])])
