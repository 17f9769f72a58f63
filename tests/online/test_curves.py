"""Curves: the scores that the runs have, their intervals, and paired changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lens_ray.online.checkpoint import Depth
from lens_ray.online.curves import curves_of
from lens_ray.online.findings import Curve, Point
from lens_ray.online.load import series_of
from lens_ray.online.spec import RunSpec
from lens_ray.stats import ability_scores, make_pool
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.anchors import estimate
from lens_ray.stats.compare import compare
from tests.online.training import is_anchor, run_id_of, training

ME = RunSpec(name="run", path="/nowhere", gpus=1, seconds_per_step=36, tokens_per_step=10)
N = 400
HALVES = {"counting": {"dots": 0.5, "bars": 0.5}, "ocr": {"signs": 0.5, "labels": 0.5}}


def scores(seed: int, share: float = 0.6) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).random(N) < share]


def curve(curves: tuple[Curve, ...], ability: str, subtask: str | None = None) -> Curve:
    return next(c for c in curves if (c.ability, c.subtask) == (ability, subtask))


def test_curves_are_abilities_overall_and_subtasks(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1), 200: scores(2)})
    curves = curves_of(series_of(store, ME, asked))
    assert [(c.ability, c.subtask) for c in curves] == [
        ("counting", None), ("ocr", None), (OVERALL, None), ("counting", "bars"),
        ("counting", "dots"), ("ocr", "labels"), ("ocr", "signs"),
    ]  # fmt: skip
    for each in curves:
        assert [point.step for point in each.points] == [100, 200]
        assert [point.tokens for point in each.points] == [1000.0, 2000.0]
        assert [point.gpu_hours for point in each.points] == [1.0, 2.0]


def test_values_are_the_scores_of_the_runs(tmp_path: Path) -> None:
    pool = make_pool(
        "tiny", 1, "d" * 64,
        {name: {a: {s: base + 0.1 * place for place, s in enumerate(subtasks)}
                for a, subtasks in HALVES.items()}
         for name, base in (("x", 0.2), ("y", 0.5), ("z", 0.9))},
    )  # fmt: skip
    store, asked = training(tmp_path, {100: scores(1), 200: scores(2, 0.8)})
    curves = curves_of(series_of(store, ME, asked), pool)
    for place, step in enumerate((100, 200)):
        alone = ability_scores(
            store.rows([run_id_of(step)]), weights=HALVES,
            expected={"counting": N // 2, "ocr": N // 2}, pool=pool,
        )  # fmt: skip
        for score in alone:
            point = curve(curves, score.ability).points[place]
            assert score.corrected is not None
            assert point.n == score.n
            assert point.value == pytest.approx(score.corrected, abs=1e-12)
            assert point.interval == pytest.approx((score.ci_low, score.ci_high), abs=1e-12)
            assert point.dvs == pytest.approx(score.dvs, abs=1e-12)
            assert point.tau == pytest.approx(score.tau, abs=1e-9)
            assert curve(curves, score.ability).pool == "tiny@1"


def test_a_subtask_by_hand(tmp_path: Path) -> None:
    marks = scores(1)
    store, asked = training(tmp_path, {100: marks})
    curves = curves_of(series_of(store, ME, asked))
    bars = [marks[n] for n in range(N) if n % 4 == 1]  # true or false: chance 0.5
    point = curve(curves, "counting", "bars").points[0]
    assert point.n == N // 4
    assert point.value == pytest.approx((sum(bars) / len(bars) - 0.5) / 0.5)
    assert point.dvs is None
    assert point.change is None


def test_changes_are_those_of_compare(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1), 200: scores(2, 0.7)})
    curves = curves_of(series_of(store, ME, asked))
    found = compare(store, "run@200", "run@100")
    for each in found.figures:
        point = curve(curves, each.figure).points[1]
        assert point.change == pytest.approx(each.difference)
        assert point.change_interval == pytest.approx((each.ci_low, each.ci_high))


def test_changes_between_depths_are_of_the_anchors(tmp_path: Path) -> None:
    early, late = scores(1), scores(2, 0.8)
    depths: dict[int, Depth] = {200: "anchor", 300: "anchor"}
    store, asked = training(tmp_path / "a", {100: early, 200: late, 300: early}, depths)
    mixed = curves_of(series_of(store, ME, asked))
    store, asked = training(tmp_path / "b", {100: early, 200: late}, {100: "anchor", 200: "anchor"})
    alone = curves_of(series_of(store, ME, asked))
    assert sum(map(is_anchor, range(N))) == N // 5
    for one, other in zip(mixed, alone, strict=True):
        assert [point.depth for point in one.points] == ["full", "anchor", "anchor"]
        there, here = one.points[1], other.points[1]
        assert there.change == pytest.approx(here.change)
        assert there.change_interval == pytest.approx(here.change_interval)
        assert one.points[2].change == pytest.approx(-(there.change or 0.0))
    assert curve(mixed, OVERALL).points[0].n == N


def test_an_anchor_after_a_full_checkpoint_is_estimated_for_all_units(tmp_path: Path) -> None:
    late = [mark if n % 7 else 1 - mark for n, mark in enumerate(scores(1))]
    plan = {100: scores(1), 200: late}
    store, asked = training(tmp_path / "a", plan, {200: "anchor"})
    mixed = curves_of(series_of(store, ME, asked))
    found = {one.figure: one for one in estimate(store, "run@200", "run@100").figures}
    store, asked = training(tmp_path / "b", plan)
    truth = curves_of(series_of(store, ME, asked))
    store, asked = training(tmp_path / "c", plan, {100: "anchor", 200: "anchor"})
    plain = curves_of(series_of(store, ME, asked))
    for name in ("counting", "ocr", OVERALL):
        point = curve(mixed, name).points[1]
        assert point.value == pytest.approx(found[name].estimate)
        assert point.interval == pytest.approx((found[name].ci_low, found[name].ci_high))
        assert point.n == curve(plain, name).points[1].n
        there = curve(truth, name).points[1]
        assert point.interval is not None
        assert there.value is not None
        assert point.interval[0] < there.value < point.interval[1]
    alone = curve(plain, "ocr").points[1]
    assert curve(mixed, "ocr", "signs").points[1].value == pytest.approx(
        curve(plain, "ocr", "signs").points[1].value
    )
    assert alone.interval is not None
    mended = curve(mixed, "ocr").points[1].interval
    assert mended is not None
    assert mended[1] - mended[0] < alone.interval[1] - alone.interval[0]


def test_no_pool_and_what_is_unknown_has_a_reason(tmp_path: Path) -> None:
    store, asked = training(tmp_path, {100: scores(1)})
    series = series_of(store, ME, asked)
    counting = curve(curves_of(series), "counting")
    assert counting.points[0].dvs is None
    assert counting.points[0].tau is not None
    assert counting.reason == "no pool for this suite"
    other = make_pool("other", 1, "e" * 64, {"x": {"counting": {"dots": 0.5}}})
    assert curve(curves_of(series, other), "counting").pool is None


def test_an_ability_that_a_checkpoint_was_not_asked_has_no_value(tmp_path: Path) -> None:
    only_counting = [mark if n % 4 < 2 else None for n, mark in enumerate(scores(2))]
    store, asked = training(tmp_path, {100: scores(1), 200: only_counting, 300: scores(3)})
    curves = curves_of(series_of(store, ME, asked))
    for name in ("ocr", OVERALL):
        there = curve(curves, name)
        assert there.points[1] == Point(200, "full", 0, None, None, tokens=2000.0, gpu_hours=2.0)
        assert there.points[2].change is None
        assert there.reason is not None
    assert curve(curves, "counting").points[1].value is not None
    assert curve(curves, "ocr", "signs").points[1].value is None


def test_what_is_remembered_is_what_would_be_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lens_ray.online import curves as module

    depths: dict[int, Depth] = {200: "anchor", 300: "anchor"}
    plan = {100: scores(1), 200: scores(2), 300: scores(3), 400: scores(4)}
    store, asked = training(tmp_path, plan, depths)
    whole = series_of(store, ME, asked)
    pool = make_pool("p", 1, "d" * 64, {
        model: {a: dict.fromkeys(s, share) for a, s in HALVES.items()}
        for model, share in (("x", 0.1), ("y", 0.4))
    })  # fmt: skip
    changed = whole.marks.score.copy()
    changed[1, np.flatnonzero(~np.isnan(changed[1]))[:9]] = 1.0
    uneven = {"counting": {"dots": 0.9, "bars": 0.1}, "ocr": {"signs": 1.0, "labels": 0.0}}
    looks = [
        (series_of(store, ME, asked[:2]), None),
        (whole, None),
        (whole, pool),
        (replace(whole, marks=replace(whole.marks, score=changed)), None),
        (replace(whole, marks=replace(whole.marks, weights=uneven)), pool),
        (replace(whole, depth=("full",) * 4), None),
        (replace(whole, gpu_hours=(1.0, 2.0, 3.0, 9.0)), None),
        (replace(whole, tokens=()), None),
    ]
    remembered = [curves_of(*look) for look in (*looks, *looks)]
    for number, look in enumerate((*looks, *looks)):
        monkeypatch.setattr(module, "_HELD", {})
        assert curves_of(*look) == remembered[number]


def test_no_more_is_remembered_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lens_ray.online import curves as module

    held: dict[bytes, object] = {}
    monkeypatch.setattr(module, "_HELD", held)
    monkeypatch.setattr(module, "_MOST", 2)
    store, asked = training(tmp_path, {step: scores(step) for step in (100, 200, 300)})
    series = series_of(store, ME, asked)
    assert curves_of(series) == curves_of(series)
    assert len(held) == 2
