"""What the eyes of a `minivlm` are taught: where a thing is, and that they learn it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from jobs.minivlm_models import BUILDERS
from jobs.minivlm_practice import SEEN, sight
from jobs.minivlm_sight import cells_of, sight_batch, teach_sight


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ((0, 0, 16, 16), [0]),
        ((16, 0, 16, 16), [1]),
        ((8, 8, 16, 16), [0, 1, 4, 5]),  # a quarter of it in each
        ((9, 8, 16, 16), [1, 5]),  # 7 * 8 of 256 is less than a quarter, 9 * 8 is more
        ((0, 0, 64, 64), list(range(16))),  # it fills each of them
        ((50, 50, 10, 14), [15]),
        ((60, 60, 40, 40), []),  # of a thing that is cut by the border too little is seen
    ],
)
def test_the_cells_of_a_box(box: tuple[int, int, int, int], cells: list[int]) -> None:
    assert cells_of(box) == cells


def test_every_word_is_shown_and_every_thing_is_in_a_cell() -> None:
    rng = random.Random(3)
    shown: set[str] = set()
    for _ in range(600):
        picture, seen = sight(rng)
        assert picture.shape == (64, 64, 3)
        assert all(cells_of(box) for _, box in seen)
        shown |= {word for words, _ in seen for word in words}
    assert shown == set(SEEN)


def test_a_batch_follows_from_seed_and_step() -> None:
    first, again, other = (sight_batch(1, step, 8) for step in (2, 2, 3))
    assert first[0].shape == (8, 64, 64, 3)
    assert first[1].shape == (8, 16, len(SEEN))
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("kind", ["a", "b"])
def test_only_the_eyes_learn(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    processor, config = BUILDERS[kind]()
    model = AutoModelForImageTextToText.from_config(config)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    adam = torch.optim.AdamW([{"params": list(model.parameters()), "share": 1.0}])
    teach_sight(model, processor, (adam,), seed=1, steps=3, rate=1e-3)
    moved = {
        name.split(".")[1] for name, weight in model.named_parameters()
        if not torch.equal(weight, before[name])
    }  # fmt: skip
    assert moved == {"a": {"vision_model", "connector"},
                     "b": {"vision_tower", "multi_modal_projector"}}[kind]  # fmt: skip
    assert "3/3 sight loss" in capsys.readouterr().out
