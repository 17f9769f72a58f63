"""Marks in a few kilobytes: what was written is read, and what is damaged is said to be."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import StoreError
from lens_ray.store.marks_file import MarksFile, parse_marks


def made(score: list[float]) -> MarksFile:
    return MarksFile("r1", 500, "full", 3, "u" * 64, np.array(score), {"n": 2})


@given(st.lists(st.floats(), max_size=50))
def test_what_was_written_is_read(score: list[float]) -> None:
    file = made(score)
    found = parse_marks(file.to_bytes())
    assert np.array_equal(found.score, file.score, equal_nan=True)
    assert (found.run_id, found.step, found.depth, found.upto, found.units, found.health) == (
        "r1", 500, "full", 3, "u" * 64, {"n": 2}
    )  # fmt: skip


def test_rights_and_wrongs_of_twelve_thousand_units_are_small() -> None:
    score = (np.random.default_rng(1).random(12_000) < 0.6).astype(float).tolist()
    assert len(made(score).to_bytes()) < 4_000


def changed(**head: object) -> bytes:
    line, _, packed = made([0.0, 1.0]).to_bytes().partition(b"\n")
    return json.dumps({**json.loads(line), **head}).encode() + b"\n" + packed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"{}\n",
        made([0.0, 1.0]).to_bytes()[:-3],
        made([0.0, 1.0]).to_bytes().replace(b'"kind":"marks"', b'"kind":"other"'),
        changed(count=1),
        changed(count=3),
        changed(count=-1),
        changed(count=10**12),
        changed(upto="3"),
        changed(units=None),
        changed(health=[]),
        changed().partition(b"\n")[0] + b"\n" + zlib.compress(bytes(50_000_000)),
    ],
)  # fmt: skip
def test_damage_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_marks(data)


def test_a_newer_version_is_no_damage() -> None:
    with pytest.raises(StoreError, match="newer"):
        parse_marks(changed(schema_version=99))
