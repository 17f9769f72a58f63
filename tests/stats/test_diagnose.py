"""Where a model of a store is weak."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lens_ray.errors import CannotSay, SuiteError, UserError
from lens_ray.stats.diagnose import NEAREST, diagnose
from lens_ray.stats.marks import NotComparable
from tests.stats.stores import Asked, add_run, store_of

SIZE = 400


def answers(seed: int, opened: float, closed: float) -> Sequence[float]:
    """Right with one probability on open questions, with another on the rest."""
    draws = np.random.default_rng(seed).random(SIZE)
    share = np.where(np.arange(SIZE) % 2 == 0, opened, closed)
    return [float(value) for value in draws < share]


@pytest.fixture(autouse=True)
def _no_suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))


def test_a_weakness_of_this_model_against_others(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", {
        "weak": Asked(answers(1, 0.3, 0.85)), "one": Asked(answers(2, 0.7, 0.85)),
        "two": Asked(answers(3, 0.7, 0.85)), "half": Asked(answers(4, 0.7, 0.8)[:9],
                                                          committed=False),
    })  # fmt: skip
    found = diagnose(store, "weak")
    assert (found.model, found.against, found.suite) == ("weak", "others", "tiny")
    assert sorted(found.others) == ["one", "two"]
    assert ("format", "open") in [(look.facet, look.value) for look in found.weaker]
    assert {(look.facet, look.value) for look in found.stronger} >= {("format", "true_false")}
    assert found.tests == sum(look.p is not None for look in found.looks)
    assert found.notes[0].startswith("not among the others: half (00000004) is not finished")
    assert found.notes[1].startswith("image size was not looked at: suite tiny@ddd")
    rows = found.rows()
    assert rows[0]["model"] == "weak"
    assert list(found.to_frame()["facet"]) == [look.facet for look in found.looks]
    # Hard for everybody: no weakness of one.
    assert diagnose(store, "one", others=["two"]).weaker == ()
    own = diagnose(store, "one", against="own")
    assert (own.others, own.against) == ((), "own")
    assert own.looks[0].others is None


def test_the_nearest_are_the_others_where_none_are_named(tmp_path: Path) -> None:
    levels = [0.1, 0.55, 0.2, 0.52, 0.9, 0.45, 0.6, 0.4]
    runs = {"mid": Asked(answers(1, 0.5, 0.5))} | {
        f"m{level}": Asked(answers(place, level, level)) for place, level in enumerate(levels, 2)
    }
    found = diagnose(store_of(tmp_path / "store", runs), "mid")
    assert len(found.others) == NEAREST
    assert set(found.others) == {"m0.55", "m0.52", "m0.45", "m0.6", "m0.4"}


def test_a_store_of_one_model(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", {"weak": Asked(answers(1, 0.2, 0.9))})
    found = diagnose(store, "weak", abilities=["ocr"])
    assert found.against == "own"
    # In ocr a format is a subtask: one look each.
    weak = {(look.facet, look.value): look.same_as for look in found.weaker}
    assert weak == {("format", "open"): ("subtask=signs",)}
    with pytest.raises(CannotSay, match="weak has no other model beside it .* type --against own"):
        diagnose(store, "weak", against="others")


def test_what_cannot_be_diagnosed(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", {
        "a": Asked(answers(1, 0.5, 0.5)), "b": Asked(answers(1, 0.5, 0.5), template="chat@1"),
    })  # fmt: skip
    add_run(store, "00000009-run", "open", Asked([1.0], committed=False))
    with pytest.raises(NotComparable, match=r"open .00000009. is not finished: 1 rows so far"):
        diagnose(store, "open")
    with pytest.raises(NotComparable, match="a and b were asked by templates"):
        diagnose(store, "a", others=["b"])
    with pytest.raises(UserError, match="against 'mean': use own or others"):
        diagnose(store, "a", against="mean")
    with pytest.raises(UserError, match="no model 'c'"):
        diagnose(store, "c")
    with pytest.raises(SuiteError, match="suite mini:quick: it has digest"):
        diagnose(store, "a", images="mini:quick")
    assert diagnose(store, "a").against == "own"
