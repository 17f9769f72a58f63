"""A training run's marks: from rows, from what is kept of them, and when they have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lens_ray.errors import StoreUnavailable
from lens_ray.online.load import Asked, load_series, series_of
from lens_ray.online.series import Series
from lens_ray.online.shelf import Shelf
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.stats.marks import NotComparable, load_marks
from lens_ray.store import Store
from tests.online.training import RUN, answer, is_anchor, row, run_id_of, state_of, training

SPEC = WatchSpec.model_validate(
    {"name": "w", "suite": "tiny", "store": "x", "runs": [{"name": RUN, "path": "/nowhere"}]}
)
ME = SPEC.runs[0]
N = 80


def scores(seed: int, n: int = N) -> list[float | None]:
    return [float(x) for x in np.random.default_rng(seed).random(n) < 0.6]


def same(one: Series, other: Series) -> bool:
    """Whether two series say the same of everything."""
    for name in ("stratum", "cluster", "chance", "upper", "score"):
        if not np.array_equal(getattr(one.marks, name), getattr(other.marks, name), equal_nan=True):
            return False
    for name, facet in one.marks.facets.items():
        theirs = other.marks.facets[name]
        if facet.labels != theirs.labels or not np.array_equal(facet.code, theirs.code):
            return False
    marks = replace(one.marks, **{name: getattr(other.marks, name) for name in _ARRAYS})
    return marks == other.marks and (
        list(one.steps), one.depth, one.health, one.tokens, one.gpu_hours, one.changes
    ) == (
        list(other.steps), other.depth, other.health, other.tokens, other.gpu_hours, other.changes
    )  # fmt: skip


_ARRAYS = ("stratum", "cluster", "chance", "upper", "score", "facets")


def test_the_marks_are_those_of_any_other_comparison(tmp_path: Path) -> None:
    holes = scores(2)
    holes[3] = holes[17] = None
    store, asked = training(tmp_path, {200: scores(1), 100: holes, 300: scores(3)})
    series = series_of(store, ME, asked)
    assert series.steps.tolist() == [100, 200, 300]
    assert series.marks.models == ("run@100", "run@200", "run@300")
    for place, step in enumerate(series.steps.tolist()):
        alone = load_marks(store, [run_id_of(step)], on="common")
        known = dict(zip(alone.ids, alone.score[0].tolist(), strict=True))
        mine = dict(zip(series.marks.ids, series.marks.score[place].tolist(), strict=True))
        assert {unit: mark for unit, mark in mine.items() if not np.isnan(mark)} == known
    assert series.marks.ids == tuple(f"t/{n:05d}" for n in range(N))
    assert np.isnan(series.marks.score).sum() == 2
    assert series.marks.weights["ocr"] == {"signs": 0.5, "labels": 0.5}
    assert series.abilities == ("counting", "ocr")


def test_an_anchor_is_not_seen_in_part_while_the_rest_is_asked(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1), 200: scores(2)}, {200: "anchor"})
    before = series_of(store, ME, asked)
    answered = ~np.isnan(before.marks.score[1])
    assert [bool(a) for a in answered] == [is_anchor(n) for n in range(N)]
    rest = [row(200, n, scores(2)[n]) for n in range(20) if not is_anchor(n)]
    store.run(run_id_of(200)).append(rest)
    assert same(series_of(store, ME, asked), before)


def watched(store: Store, asked: Sequence[Asked], shelf: Shelf | None = None) -> Series:
    return load_series(SPEC, store, ME, state_of(asked), shelf=shelf)


def no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr("lens_ray.store.run_log.RunLog.rows", refuse)


def test_kept_marks_say_what_the_rows_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holes = scores(3)
    holes[5] = None
    plan = {100: scores(1), 200: scores(2), 300: holes}
    store, asked = training(tmp_path, plan, {200: "anchor"})
    fresh = series_of(store, ME, asked)
    shelf = Shelf(store, "w")
    assert same(watched(store, asked, shelf), fresh)
    units = list((tmp_path / "watch" / "w" / "units").iterdir())
    assert len(units) == 1  # anchors, and a checkpoint that lacks one, are units of the first
    no_rows(monkeypatch)
    assert same(watched(store, asked, shelf), fresh)
    assert same(watched(store, asked, Shelf(Store(str(tmp_path)), "w")), fresh)
    assert same(watched(Store(str(tmp_path)), asked), fresh)


def test_holes_at_first_and_all_later(tmp_path: Path) -> None:
    holes = scores(1)
    holes[5] = None
    store, asked = training(tmp_path, {100: holes, 200: scores(2)})
    fresh = series_of(store, ME, asked)
    shelf = Shelf(store, "w")
    watched(store, asked[:1], shelf)
    assert same(watched(store, asked, shelf), fresh)
    assert same(watched(store, asked), fresh)


def test_who_only_reads_keeps_nothing(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1)})
    watched(store, asked)
    assert not (tmp_path / "watch").exists()


def test_marked_again_and_asked_in_full_is_seen(tmp_path: Path) -> None:
    plan = {100: scores(1), 200: scores(2)}
    store, asked = training(tmp_path, plan, {200: "anchor"})
    shelf = Shelf(store, "w")
    watched(store, asked, shelf)
    log = store.run(run_id_of(100))
    rows = log.rows().to_pylist()
    log.replace(type(log.rows()).from_pylist([{**r, "score": 1 - r["score"]} for r in rows],
                                             schema=log.rows().schema))  # fmt: skip
    found = watched(store, asked, shelf)
    assert found.marks.score[0].tolist() == [1 - (mark or 0.0) for mark in plan[100]]
    assert same(found, watched(store, asked))
    answer(store, 200, plan[200])
    full = (asked[0], replace(asked[1], depth="full"))
    assert same(watched(store, full, shelf), series_of(store, ME, full))
    assert not np.isnan(watched(store, full).marks.score).any()


def test_what_is_kept_may_be_damaged_or_removed(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1), 200: scores(2)})
    shelf = Shelf(store, "w")
    fresh = watched(store, asked, shelf)
    kept = sorted((tmp_path / "watch" / "w" / RUN / "marks").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:-7])
    kept[1].unlink()
    assert same(watched(store, asked), fresh)
    next((tmp_path / "watch" / "w" / "units").iterdir()).write_bytes(b"x")
    assert same(watched(store, asked), fresh)


def test_another_suite_or_template_and_no_answer_are_left_out_and_said(tmp_path: Path) -> None:
    store = Store(str(tmp_path), create=True)
    answer(store, 100, scores(1), suite_digest="e" * 64)
    answer(store, 200, scores(1), template="other@1")
    answer(store, 300, [None] * N)
    answer(store, 400, scores(1))
    asked = [Asked(step, run_id_of(step), "full") for step in (100, 200, 300, 400)]
    series = series_of(store, ME, asked)
    assert series.steps.tolist() == [400]
    said = " / ".join(series.marks.notes)
    assert "step 100 is left out: it was asked tiny (eeeeeeeeeeee)" in said
    assert "step 200 is left out" in said
    assert "other@1" in said
    assert "step 300 is left out: it has no answer" in said


def test_no_answer_yet(tmp_path: Path) -> None:
    store = Store(str(tmp_path), create=True)
    with pytest.raises(NotComparable, match="no checkpoint has answers"):
        load_series(SPEC, store, ME)
    with pytest.raises(NotComparable, match="no checkpoint has answers"):
        series_of(store, ME, ())


def test_samples_that_differ_between_checkpoints_are_one_line(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1), 200: []})
    store.run(run_id_of(200)).append(
        [row(200, n, 1.0, upper=0.5 if n == 7 else 1.0) for n in range(N)]
    )
    with pytest.raises(NotComparable, match="'t/00007' has not the same upper") as caught:
        series_of(store, ME, asked)
    assert "\n" not in str(caught.value)


def test_what_the_trainer_and_its_record_say(tmp_path: Path) -> None:
    store, asked = training(tmp_path / "store", {100: scores(1), 200: scores(2)})
    told = [replace(one, metrics={"tokens": one.step * 10.0}, broken=why) for one, why
            in zip(asked, (None, "NaN in 3 tensors"), strict=True)]  # fmt: skip
    (tmp_path / "run.yaml").write_text("changes: {150: 'more ocr'}")
    me = RunSpec(name=RUN, path=str(tmp_path), gpus=2, seconds_per_step=18)
    spec = SPEC.model_copy(update={"runs": (me,)})
    state = state_of(told)
    state = replace(state, seen=(state.seen[0], replace(state.seen[1], broken="NaN in 3 tensors")))
    series = load_series(spec, store, me, state)
    assert series.tokens == (1000.0, 2000.0)
    assert series.gpu_hours == pytest.approx((1.0, 2.0))
    assert [each.broken for each in series.health] == [None, "NaN in 3 tensors"]
    assert series.changes == {150: "more ocr"}
    (tmp_path / "run.yaml").write_text("changes: [")
    series = load_series(spec, store, me, state)
    assert "run.yaml:1:11: not valid YAML" in series.marks.notes[0]


def test_a_full_disk_is_no_wrong_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked = training(tmp_path, {100: scores(1)})
    fresh = watched(store, asked)

    def full(*_: object) -> bool:
        raise StoreUnavailable("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("lens_ray.store.folder.FolderObjects.create", full)
        with pytest.raises(StoreUnavailable):
            watched(store, asked, Shelf(store, "w"))
        assert same(watched(store, asked), fresh)
    assert same(watched(store, asked, Shelf(store, "w")), fresh)
