"""The adaptive stop: the order of samples, the interval at a look, and what stopping does to it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.benchmarks.coverage.cell import share_held
from jobs.benchmarks.coverage.less import STOPS
from lens_ray.stats.stopping import blocks_of, look_at
from lens_ray.stats.units import Units
from lens_ray.suites.sample import Sample
from tests.suites.makers import OPEN


def made(number: int, subtask: str = "dots", cluster: str = "") -> Sample:
    from dataclasses import replace

    return replace(
        OPEN, sample_id=f"t/{number}", subtask=subtask, cluster_id=cluster or f"c/{number}"
    )


def units_of(scores: dict[str, list[list[float]]], chance: float = 0.0) -> Units:
    """Scores by subtask and cluster."""
    names = sorted(scores)
    flat = [
        (place, (name, number), score)
        for place, name in enumerate(names)
        for number, cluster in enumerate(scores[name])
        for score in cluster
    ]
    clusters = {key: number for number, key in enumerate(dict.fromkeys(key for _, key, _ in flat))}
    stratum = np.array([place for place, _, _ in flat])
    return Units(
        strata=tuple(("a", name) for name in names),
        stratum=stratum,
        score=np.array([score for _, _, score in flat]),
        chance=np.full(len(flat), chance),
        upper=np.ones(len(flat)),
        cluster=np.array([clusters[key] for _, key, _ in flat]),
        clusters=len(clusters),
        covered=np.bincount(stratum, minlength=len(names)),
        first=np.arange(len(flat)),
    )


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=60),
    shares=st.lists(st.sampled_from("abc"), min_size=60, max_size=60),
    first=st.integers(20, 40),
)
def test_blocks_hold_every_sample_once_and_keep_clusters_whole(
    sizes: list[int], shares: list[str], first: int
) -> None:
    samples: list[Sample] = []
    for cluster, size in enumerate(sizes):
        samples += [made(len(samples) + n, shares[cluster], f"c/{cluster}") for n in range(size)]
    blocks = blocks_of(samples, first, "seed")
    assert Counter(name for block in blocks for name in block) == {
        sample.sample_id: 1 for sample in samples
    }
    block = {name: number for number, names in enumerate(blocks) for name in names}
    homes = {(sample.cluster_id, block[sample.sample_id]) for sample in samples}
    assert len(homes) == len({sample.cluster_id for sample in samples})
    assert all(len(names) >= min(first, len(samples)) for names in blocks[:1])
    # Neither the order of the suite nor its other abilities matter.
    assert blocks_of(samples[::-1], first, "seed") == [
        tuple(sorted(names, key=names.index)) for names in blocks
    ] or sorted(map(sorted, blocks_of(samples[::-1], first, "seed"))) == sorted(map(sorted, blocks))


def test_every_leading_part_has_the_subtasks_in_their_shares() -> None:
    samples = [made(n, "ab"[n % 4 == 0]) for n in range(400)]
    by_id = {sample.sample_id: sample for sample in samples}
    blocks, before = blocks_of(samples, 60, "seed"), 0
    rare = 0
    for block in blocks:
        before += len(block)
        rare += sum(by_id[name].subtask == "b" for name in block)
        assert abs(rare - before / 4) <= 1
    assert [len(block) for block in blocks[:3]] == [60, 16, 16]
    assert [len(block) for block in blocks][-3] == round(0.1 * sum(map(len, blocks[:-3])))
    other = blocks_of(samples, 60, "another seed")
    assert other != blocks


def test_the_cautious_interval_by_hand() -> None:
    """30 of 40 right, one a cluster, chance 0.25: two right and two wrong are added.

    p = 32 / 44 = 0.727; variance p (1 - p) / 43; t of 39 degrees is 2.023; over 1 - 0.25.
    """
    scores = {"dots": [[1.0]] * 30 + [[0.0]] * 10}
    look = look_at(units_of(scores, 0.25), {"dots": 1.0}, level=0.95, enough=0.0)
    assert look is not None
    p = 32 / 44
    half = scipy.stats.t.ppf(0.975, 39) * math.sqrt(p * (1 - p) / 43) / 0.75
    assert look.half_width == pytest.approx(half, rel=1e-9)
    assert (look.low, look.high) == pytest.approx(
        ((p - 0.25) / 0.75 - half, (p - 0.25) / 0.75 + half), rel=1e-9
    )


def test_clusters_count_and_not_samples() -> None:
    single = {"dots": [[1.0]] * 15 + [[0.0]] * 15}
    fours = {"dots": [[1.0] * 4] * 15 + [[0.0] * 4] * 15}
    one, other = (
        look_at(units_of(scores), {"dots": 1.0}, level=0.95, enough=0.0)
        for scores in (single, fours)
    )
    assert one is not None
    assert other is not None
    assert one.half_width == pytest.approx(other.half_width, rel=1e-9)


def test_what_cannot_be_looked_at() -> None:
    scores = {"dots": [[1.0]] * 30}
    level = {"level": 0.95, "enough": 1.0}
    assert look_at(units_of(scores), {}, **level) is None
    assert look_at(units_of(scores), {"dots": 0.5, "bars": 0.5}, **level) is None
    assert look_at(units_of(scores, 1.0), {"dots": 1.0}, **level) is None
    # All right: no variance, and an interval all the same.
    look = look_at(units_of(scores), {"dots": 1.0, "none": 0.0}, **level)
    assert look is not None
    assert look.half_width > 0.05
    one = look_at(units_of({"dots": [[1.0]]}), {"dots": 1.0}, **level)
    assert one is not None
    assert one.half_width > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("cell", STOPS, ids=lambda cell: cell.name)
def test_the_interval_at_the_stop_holds_the_truth(cell: object) -> None:
    from jobs.benchmarks.coverage.cell import Cell

    assert isinstance(cell, Cell)
    held = share_held(cell, 300, 1)
    assert held.none == 0
    assert held.sound, held
