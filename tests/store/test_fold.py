"""Whatever is written in whatever order: one row a sample, and the first final one stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.store.fold import Fold
from lens_ray.store.records import Commit, FileRef, Manifest
from lens_ray.store.schema import STATUSES, SUPERSEDABLE

IDS = [f"s{number}" for number in range(6)]
Batch = list[tuple[str, str]]
batches = st.lists(
    st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(STATUSES)), min_size=1, max_size=8),
    max_size=8,
)


def manifest(batch: Batch, *, replaces: bool = False, remarked: bool = False) -> Manifest:
    samples: dict[str, tuple[str, ...]] = {}
    for sample_id, status in batch:
        samples[status] = (*samples.get(status, ()), sample_id)
    file = FileRef("rows/00000000-000000000000.parquet", 1, "0" * 64, len(batch))
    return Manifest("w", (file,), samples, replaces=replaces, remarked=remarked)


def folded(*manifests: Manifest) -> Fold:
    fold = Fold()
    for entry in manifests:
        fold.add(entry)
    return fold


def commit(fold: Fold, expected: int) -> Commit:
    file = FileRef("scores/000000000000.parquet", 1, "0" * 64, 1)
    return Commit(fold.commits, fold.manifests, expected, fold.counts(), (), file)


def live_rows(fold: Fold, manifests: list[Batch]) -> list[tuple[str, str]]:
    """The rows that a reader of the files would see."""
    return [
        row
        for live in fold.live_files()
        for row in manifests[live.manifest]
        if row[0] not in live.dead
    ]


def without_twins(batch: Batch) -> Batch:
    return list(dict(batch).items())


@given(batches)
def test_any_sequence_of_manifests_has_one_row_a_sample(batches: list[Batch]) -> None:
    written = [without_twins(batch) for batch in batches]
    fold = folded(*map(manifest, written))
    rows = live_rows(fold, written)
    assert sorted(rows) == sorted(fold.statuses().items())
    assert {key for batch in written for key, _ in batch} == fold.statuses().keys()
    for sample_id, status in fold.statuses().items():
        history = [dict(batch)[sample_id] for batch in written if sample_id in dict(batch)]
        final = [entry for entry in history if entry not in SUPERSEDABLE]
        assert status == (final or history[-1:])[0]


@given(batches)
def test_an_honest_writer_writes_only_rows_that_count(batches: list[Batch]) -> None:
    fold, written = Fold(), []
    for batch in batches:
        ids, statuses = [key for key, _ in batch], [status for _, status in batch]
        done = set(fold.state().done)
        chosen = fold.choose(ids, statuses)
        assert chosen == sorted(chosen)
        new = [batch[index] for index in chosen]
        assert {key for key, _ in new} == set(ids) - done
        finals = {key for key, status in batch if status not in SUPERSEDABLE} - done
        assert finals == {key for key, status in new if status not in SUPERSEDABLE}
        written.append(new)
        fold.add(manifest(new))
        assert (
            fold.choose(
                [key for key in ids if key in finals],
                ["ok"] * len([key for key in ids if key in finals]),
            )
            == []
        )
    state = fold.state()
    assert state.rows == len(live_rows(fold, written)) == len(state.done) + len(state.open)
    assert sum(state.counts.values()) == state.rows
    assert not state.done & state.open.keys()


@given(batches)
def test_a_compaction_changes_nothing(batches: list[Batch]) -> None:
    written = [without_twins(batch) for batch in batches]
    fold = folded(*map(manifest, written))
    fold.add_commit(commit(fold, 0))
    before = fold.state()
    rows = live_rows(fold, written)
    fold.add(manifest(rows, replaces=True))
    after = fold.state()
    assert (after.done, after.open, after.counts) == (before.done, before.open, before.counts)
    assert after.complete == before.complete
    assert {live.manifest for live in fold.live_files()} <= {len(written)}


def test_what_replaces_must_be_as_final() -> None:
    fold = folded(manifest([("a", "ok"), ("b", "infra_error")]))
    for wrong in (
        [("a", "ok")],
        [("a", "ok"), ("b", "ok")],
        [("a", "ok"), ("c", "infra_error")],
        [("a", "ok"), ("b", "infra_error"), ("c", "ok")],
    ):
        with pytest.raises(ValueError, match="other samples"):
            fold.add(manifest(wrong, replaces=True))
    fold.add(manifest([("a", "refused"), ("b", "over_budget")], replaces=True, remarked=True))
    assert fold.statuses() == {"a": "refused", "b": "over_budget"}


def test_a_commit_of_fewer_rows_is_not_current() -> None:
    fold = folded(manifest([("a", "ok")]))
    assert not fold.current
    fold.add_commit(commit(fold, 1))
    assert fold.state().complete
    fold.add(manifest([("b", "ok")]))
    assert not fold.current
    fold.add_commit(commit(fold, 3))
    assert fold.current
    assert not fold.state().complete
    fold.add(manifest([("a", "refused"), ("b", "ok")], replaces=True, remarked=True))
    assert not fold.current


def test_a_state_does_not_change() -> None:
    fold = folded(manifest([("a", "infra_error")]))
    state = fold.state()
    fold.add(manifest([("a", "ok")]))
    assert state.open == {"a": "infra_error"}
    assert state.done == frozenset()
