"""Weights by group and by score table."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import UserError
from lens_ray.merging.recipe import Group, ScoreTable
from lens_ray.merging.weights import Weights, top_of
from tests.merging.methods.made import recipe

TENSORS = ("vision.0.w", "vision.1.w", "text.0.w", "text.1.w", "head.w")


def table(folder: Path, scores: object, **keys: object) -> ScoreTable:
    (folder / "scores.json").write_text(json.dumps(scores))
    return ScoreTable.model_validate(
        {"file": str(folder / "scores.json"), "weights": {"a": 0.7, "b": 0.3}, **keys}
    )


def test_the_first_group_then_the_table_then_the_parents(tmp_path: Path) -> None:
    scores = dict(zip(TENSORS, (1.0, 5.0, 2.0, 4.0, 3.0), strict=True))
    how = recipe(
        "linear", (0.0, 1.0), table=table(tmp_path, scores, top=0.4),
        groups=(
            Group(match="vision.0.*", weights={"a": 1.0, "b": 0.0}),
            Group(match="vision.*", weights={"a": 0.5, "b": 0.5}),
        ),
    )  # fmt: skip
    weights = Weights.of(how, TENSORS)
    assert weights.top == {"vision.1.w", "text.1.w"}
    assert [weights.on(name) for name in TENSORS] == [
        (1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (0.7, 0.3), (0.0, 1.0),
    ]  # fmt: skip


def test_shares_are_divided_by_their_sum_and_coefficients_are_not() -> None:
    shares = recipe("linear", (1.0, 3.0), normalize=True)
    assert Weights.of(shares).on("x") == (0.25, 0.75)
    coefficients = recipe("task_arithmetic", (1.0, 3.0))
    assert Weights.of(coefficients).on("x") == (1.0, 3.0)


@given(st.dictionaries(st.text(min_size=1), st.floats(-9, 9), min_size=1), st.floats(0.01, 1))
def test_what_is_chosen_scores_no_lower_than_what_is_not(
    scores: dict[str, float], share: float
) -> None:
    top = top_of(scores, share)
    assert len(top) == max(1, round(share * len(scores)))
    rest = scores.keys() - top
    assert min(scores[name] for name in top) >= max((scores[name] for name in rest), default=-9)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([], "a JSON object of tensors' names and scores is expected"),
        ({}, "a JSON object of tensors' names and scores is expected"),
        ({"head.w": "high"}, "the score of 'head.w' is 'high'; write a number"),
        ({"head.w": 10**400}, "the score of 'head.w' is 1000"),
        ({"head.w": True}, "the score of 'head.w' is True; write a number"),
        ({"head.w": float("nan")}, "the score of 'head.w' is nan; write a number"),
        ({"head.w": 1.0}, "4 of 5 tensors have no score, such as 'text.0.w'"),
        (dict.fromkeys((*TENSORS, "module.x"), 1.0), "1 of its 6 tensors are not in the parents"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, scores: object, says: str) -> None:
    how = recipe("linear", (0.0, 1.0), table=table(tmp_path, scores))
    with pytest.raises(UserError) as caught:
        Weights.of(how, TENSORS)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_or_another_one(tmp_path: Path) -> None:
    scores = dict.fromkeys(TENSORS, 1.0)
    there = table(tmp_path, scores)
    right = sha256(Path(there.file).read_bytes()).hexdigest()
    Weights.of(recipe("linear", (0.0, 1.0), table=table(tmp_path, scores, digest=right)), TENSORS)
    other = recipe("linear", (0.0, 1.0), table=table(tmp_path, scores, digest="0" * 64))
    with pytest.raises(UserError, match="its digest is"):
        Weights.of(other, TENSORS)
    Path(there.file).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        Weights.of(recipe("linear", (0.0, 1.0), table=there), TENSORS)


def test_a_group_that_matches_nothing_is_refused() -> None:
    how = recipe("linear", (0.0, 1.0), groups=(Group(match="tower.*", weights={"a": 1, "b": 0}),))
    with pytest.raises(UserError, match=r"groups\[0\].match: 'tower.\*' matches none of the 5"):
        Weights.of(how, TENSORS)
