"""What tests of the search's driver share: checkpoints whose two numbers say how good they are.

The fixtures are of whoever names them: ``store, suite = stage.store, stage.suite``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from lens_ray.merging.asked import Place, StoreAsker, place_of
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.search.trial import Ground, Trial
from lens_ray.merging.spec import MergeSpec
from lens_ray.models.identity import identify
from lens_ray.online.evaluator import Answered, Question
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint

#: Of the first number, which is how far a model went from seeing entities to reading.
ENTITY, OCR = 0.0, 1.0


def checkpoint(folder: Path, place: float, worth: float = 0.0) -> str:
    """A checkpoint at a place between the two abilities; ``worth`` is what it knows besides."""
    return write_checkpoint(folder, values=(place, worth))


def accuracy_of(ability: str, place: float, worth: float) -> float:
    """Reading and entities pull apart; what lies between loses little of either."""
    if ability == "ocr":
        return 0.5 + worth + 0.4 * place * (2 - place)
    if ability == "entity":
        return 0.5 + worth + 0.4 * (1 - place**2)
    return 0.6 + worth


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    return Store(str(tmp_path / "store"), create=True)


@pytest.fixture
def parents(tmp_path: Path) -> tuple[Parent, ...]:
    """Between the ends, which are equally good, both abilities are nearly kept."""
    return parents_in(tmp_path, (0.0, 1.0))


class Weighed(FakeEvaluator):
    """Answers as well as the two numbers of a checkpoint, or merge, say."""

    def __init__(self, store: Store, suite: Suite, **given: Any) -> None:
        super().__init__(store, suite, lambda ability, _: accuracy_of(ability, *self._at), **given)
        self._at = (0.0, 0.0)
        self.questions: list[str] = []

    def _answer(self, question: Question) -> Answered:
        self.questions.append(question.spec.name)
        folder = Path(identify(question.spec).weights)
        first, second = load_file(folder / "model.safetensors")["model.weight"].tolist()
        self._at = (first, second)
        return super()._answer(question)


def parents_in(folder: Path, places: Sequence[float]) -> tuple[Parent, ...]:
    return tuple(
        Parent(name=f"s{step}", path=checkpoint(folder / f"s{step}", place), step=step)
        for step, place in zip(range(100, 10_000, 100), places, strict=False)
    )


def spec_of(store: Store, parents: Sequence[Parent], **keys: Any) -> MergeSpec:
    given = {"name": "m", "suite": "mini:quick", "store": store.url, "parents": tuple(parents)}
    return MergeSpec(**(given | keys))


def single(parent: Parent) -> Trial:
    member = parent.model_copy(update={"weight": 1.0})
    return Trial(parent.name, Recipe(method="linear", parents=(member,)))


def mixture(name: str, parents: Sequence[Parent], shares: Sequence[float]) -> Trial:
    members = tuple(
        parent.model_copy(update={"weight": share})
        for parent, share in zip(parents, shares, strict=True)
    )
    return Trial(name, Recipe(method="linear", parents=members))


def places_of(evaluator: FakeEvaluator, suite: Suite) -> dict[Ground, Place]:
    return {
        "anchor": place_of(evaluator, suite, ("anchor",), None),
        "search": place_of(evaluator, suite, ("anchor", "search"), None),
        "confirm": place_of(evaluator, suite, ("sealed",), None),
    }


def asker_of(spec: MergeSpec, store: Store, evaluator: FakeEvaluator, suite: Suite) -> StoreAsker:
    return StoreAsker(spec, store, places_of(evaluator, suite))
