"""A store with everything that stability is made of: variants, repeats, several models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lens_ray.store import RunHeader, Store
from lens_ray.suites import Suite, write_suite
from lens_ray.suites.controls import make_control
from tests.cli.stores import commit, header, row
from tests.suites.makers import sample

SUBTASKS = (("counting", "dots"), ("counting", "bars"), ("ocr", "label"), ("ocr", "panel"))
#: Questions of each subtask.
EACH = 24


@dataclass(frozen=True)
class Ground:
    """Where it lies.

    Attributes:
        store: Models a, b and c on ``ground``; a on a variant of it too, and a second time.
        night: Another store: a on ``ground`` once more.
        suite: The suite.
        variant: The variant.
    """

    store: Path
    night: Path
    suite: Suite
    variant: Suite


def make_ground(folder: Path) -> Ground:
    samples, images = [], {}
    for number in range(EACH * len(SUBTASKS)):
        ability, subtask = SUBTASKS[number % len(SUBTASKS)]
        made, image = sample(number, ability=ability, subtask=subtask)
        samples.append(made)
        images.update(image)
    suite = write_suite("ground", samples, images, folder / "suite", licence="x", revision="1")
    variant = make_control(suite, "rephrase", folder / "variant")
    store, night = Store(str(folder / "store"), create=True), Store(str(folder / "n"), create=True)
    for each in (suite, variant):
        store.put_suite(each.info)
    night.put_suite(suite.info)
    for number, name in enumerate("abc"):
        _answer(store, header(f"run-{name}-00", name, suite), suite, 0.5 + 0.15 * number, number)
    _answer(store, header("run-a-vary", "a", variant), variant, 0.5, 0, other=9)
    again = replace(header("run-a-seed", "a", suite), generation={"seed": 2},
                    created_at="2026-11-25T12:00:00+00:00")  # fmt: skip
    _answer(store, again, suite, 0.5, 0, other=8)
    later = replace(header("run-a-00", "a", suite), created_at="2026-11-27T12:00:00+00:00")
    _answer(night, later, suite, 0.5, 0, other=7)
    return Ground(Path(store.url), Path(night.url), suite, variant)


def _answer(
    store: Store, run: RunHeader, suite: Suite, skill: float, seed: int, other: int | None = None
) -> None:
    """Right answers to a share of the questions; ``other`` changes one in five."""
    size = len(suite.samples)
    right = np.random.default_rng(seed).random(size) < skill
    if other is not None:
        right ^= np.random.default_rng(other).random(size) < 0.2
    log = store.open_run(run)
    log.append([row(log, suite, place, "3" if right[place] else "4") for place in range(size)])
    commit(log, suite)
