"""Suites and plans of which nothing is read, for tests that need no store and no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lens_ray.engine.plan import EnginePlan, Expected, ModelPlan
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.settings import EngineSettings
from lens_ray.models.identity import Identity
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.suite import Suite, SuiteInfo
from tests.suites.makers import suite_of

#: The self-check of a model asks so many samples again, here: none.
NO_CHECK = {"flip_samples": 0}


def suite(count: int) -> Suite:
    """Samples of equal cost."""
    samples, _ = suite_of(count, images=(), question="how many dots?")
    info = SuiteInfo("simulated", "0" * 64, "MIT", "1", {}, {}, 0)
    return Suite("simulated", "0" * 64, tuple(samples), info, "")


def model(
    number: int,
    family: str,
    need: Need,
    expected: Expected | None = None,
    **spec: Any,
) -> ModelPlan:
    """One model."""
    name = f"m{number}"
    made = ModelSpec(name=name, backend="fake", **spec)
    identity = Identity(name, "0" * 64, name, None)
    guess = expected or Expected()
    return ModelPlan(number, f"run{number}", name, made, identity, need, family, guess)


def plan(models: Sequence[ModelPlan], rooms: Sequence[Room], **settings: Any) -> EnginePlan:
    """All of them on a cluster."""
    given = EngineSettings(**{**NO_CHECK, **settings})
    return EnginePlan("", "simulated", "0" * 64, "", None, None, tuple(models), tuple(rooms), given)
