from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lens_ray.suites.sample import SPLITS, Sample
from lens_ray.suites.splits import assign_splits
from tests.suites.makers import OPEN

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["dots", "boxes"]),
        st.integers(0, 15),  # cluster
        st.none() | st.integers(0, 6),  # group
        st.integers(0, 20),  # image
    ),
    min_size=1,
    max_size=60,
)


def build(rows: Sequence[tuple[str, int, int | None, int]]) -> list[Sample]:
    return [
        dataclasses.replace(
            OPEN,
            sample_id=f"t/{index}",
            subtask=subtask,
            cluster_id=f"c{cluster}",
            group_id=None if group is None else f"g{group}",
            images=(f"i{image}",),
        )
        for index, (subtask, cluster, group, image) in enumerate(rows)
    ]


@given(ROWS, st.integers(0, 2**64 - 1))
def test_what_belongs_together_stays_together(
    rows: list[tuple[str, int, int | None, int]], seed: int
) -> None:
    done = assign_splits(build(rows), seed)
    ties: dict[str, set[str]] = defaultdict(set)
    for sample in done:
        assert sample.split in SPLITS
        for tie in (sample.cluster_id, sample.group_id, *sample.images):
            if tie is not None:
                ties[tie].add(sample.split)
    assert all(len(splits) == 1 for splits in ties.values())


@given(ROWS, st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(
    rows: list[tuple[str, int, int | None, int]], seed: int, random: object
) -> None:
    samples = build(rows)
    shuffled = list(samples)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = {s.sample_id: s.split for s in assign_splits(samples, seed)}
    other = {s.sample_id: s.split for s in assign_splits(shuffled, seed)}
    assert one == other


def test_shares_hold_in_every_subtask() -> None:
    rows = [(("dots", "boxes")[n % 2], n // 2, None, 1000 + n // 2) for n in range(0, 800)]
    samples = [
        dataclasses.replace(s, cluster_id=f"{s.subtask}{s.cluster_id}", images=(f"i{n}",))
        for n, s in enumerate(build(rows))
    ]
    counts = Counter((s.subtask, s.split) for s in assign_splits(samples, 3))
    for subtask in ("dots", "boxes"):
        assert [counts[subtask, split] for split in SPLITS] == [80, 120, 200]


def test_another_seed_gives_other_splits() -> None:
    rows = [("dots", n, None, 1000 + n) for n in range(100)]
    one, other = (assign_splits(build(rows), seed) for seed in (1, 2))
    assert [s.split for s in one] != [s.split for s in other]
    assert one == assign_splits(build(rows), 1)
