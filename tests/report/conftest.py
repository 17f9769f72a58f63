"""A suite, and a store with two training runs and two other models on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite
from tests.report.makers import add_run, clever, even


@pytest.fixture(scope="session")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture(scope="session")
def store(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Read-only for the tests."""
    folder: Path = tmp_path_factory.mktemp("report") / "store"
    store = Store(str(folder), create=True)
    for step in (500, 1000, 4000):
        skill = even(suite, 0.3 + step / 8000)
        add_run(store, suite, f"minivlm-a-step-{step:04d}", clever(skill, f"a{step}"), step=step)
    for step in (1000, 2000):
        skill = even(suite, 0.2 + step / 8000)
        add_run(store, suite, f"minivlm-b-step-{step:04d}", clever(skill, f"b{step}"), step=step)
    guess = clever(even(suite, 0.6), "closed")
    add_run(
        store, suite, "closed-model",
        lambda s: None if s.ability == "ocr" and s.sample_id.endswith("3") else guess(s),
        access="closed",
    )  # fmt: skip
    return store
