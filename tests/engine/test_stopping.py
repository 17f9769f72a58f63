"""Jobs that stop when the intervals are narrow enough: what is asked, left out and asked later."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.finish import answered, asked
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.stopping import Stopping
from lens_ray.job import Until
from lens_ray.stats.marks import NotComparable, load_marks
from lens_ray.store import Store
from lens_ray.store.fold import RunState
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, write_suite
from tests.engine.stage import Stage, fake, make_plan, play, rows_of
from tests.suites.makers import sample

WIDE = Until(halfwidth=0.12, min_samples=40)


def make_suite(folder: Path, count: int = 400, **given: Any) -> Suite:
    """Half of it counting, half OCR; clusters of two; a fake that guesses digits is right in 1
    of 10, so that an interval of the corrected score needs about 70 samples for 0.12."""
    samples, images = [], {}
    for number in range(count):
        ability = "counting" if number % 4 < 2 else "ocr"
        subtask = f"{ability}_{number % 2}"
        cluster = f"t/{number // 4}/{ability}"
        facts = {"ability": ability, "subtask": subtask, "cluster_id": cluster, **given}
        made, image = sample(number, **facts)
        samples.append(made)
        images.update(image)
    return write_suite("two", samples, images, folder / "suite", licence="x", revision="1")


def plan_of(folder: Path, suite: Suite, until: Until | None, **options: Any) -> EnginePlan:
    return replace(make_plan(folder, suite, fake(**options)), until=until)


def state_of(plan: EnginePlan) -> RunState:
    return Store(plan.store).run(plan.models[0].run_id).refresh()


def left_out(plan: EnginePlan) -> set[str]:
    commit = state_of(plan).commit
    assert commit is not None
    return set(commit.left_out)


def until_facts(plan: EnginePlan) -> dict[str, Any]:
    commit = state_of(plan).commit
    assert commit is not None
    facts = commit.facts["until"]
    assert isinstance(facts, dict)
    return facts


def test_each_ability_is_asked_until_it_is_narrow_and_the_rest_is_listed(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    plan = plan_of(tmp_path, suite, WIDE)
    (outcome,), _ = play(plan)
    assert outcome.status == "complete"
    rows, out = rows_of(plan), left_out(plan)
    assert rows.keys() | out == suite.by_id.keys()
    assert not rows.keys() & out
    assert 80 < len(rows) < 300
    state = state_of(plan)
    assert state.complete
    facts = until_facts(plan)
    assert (facts["halfwidth"], facts["per"], facts["level"]) == (0.12, "ability", 0.95)
    scores = {row["ability"]: row for row in Store(plan.store).scores().to_pylist()}
    for ability, found in facts["abilities"].items():
        mine = [row for row in rows.values() if row["ability"] == ability]
        assert (found["asked"], found["of"], found["reached"]) == (len(mine), 200, True)
        assert found["half_width"] <= 0.12
        assert scores[ability]["n"] == len(mine)
        assert scores[ability]["coverage"] == 1.0
        assert (scores[ability]["ci_high"] - scores[ability]["ci_low"]) / 2 <= 0.13
        # Clusters of an ability are whole, and the subtasks are mixed as they are in the suite.
        clusters = {row["cluster_id"] for row in mine}
        assert all(suite.by_id[name].cluster_id not in clusters for name in out)
        shares = [sum(row["subtask"].endswith(each) for row in mine) for each in "01"]
        assert abs(shares[0] - shares[1]) <= 2


def test_asked_again_nothing_is_asked_and_with_a_tighter_aim_it_goes_on(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    first = plan_of(tmp_path, suite, WIDE)
    play(first)
    rows = rows_of(first)
    log = Store(first.store).run(first.models[0].run_id)
    log.refresh()
    assert answered(log, suite, suite.samples, WIDE)
    assert {one.sample_id for one in asked(log, suite.samples, WIDE)} == rows.keys()
    assert not answered(log, suite, suite.samples)
    (again,), _ = play(first)
    assert (again.status, again.answered, again.resumed) == ("complete", 0, len(rows))
    assert rows_of(first) == rows

    tighter = Until(halfwidth=0.08, min_samples=40)
    assert not answered(log, suite, suite.samples, tighter)
    second = plan_of(tmp_path, suite, tighter)
    (more,), _ = play(second)
    assert (more.status, more.resumed) == ("complete", len(rows))
    assert more.answered > 50
    grown = rows_of(second)
    assert rows.items() <= grown.items()
    assert left_out(second) == suite.by_id.keys() - grown.keys()

    # A looser aim takes nothing away, and no aim asks the rest.
    (looser,), _ = play(plan_of(tmp_path, suite, Until(halfwidth=0.3, min_samples=40)))
    assert (looser.answered, len(left_out(second))) == (0, len(suite.samples) - len(grown))
    (whole,), _ = play(plan_of(tmp_path, suite, None))
    assert (whole.status, whole.answered) == ("complete", len(suite.samples) - len(grown))
    assert left_out(second) == set()


def test_an_aim_out_of_reach_asks_everything(tmp_path: Path) -> None:
    suite = make_suite(tmp_path, 120)
    plan = plan_of(tmp_path, suite, Until(halfwidth=0.001, min_samples=20))
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.answered) == ("complete", 120)
    assert left_out(plan) == set()
    assert not any(found["reached"] for found in until_facts(plan)["abilities"].values())


@pytest.mark.parametrize("paid", [False, True])
def test_a_stop_in_the_middle_is_taken_up_where_it_was(tmp_path: Path, paid: bool) -> None:
    """All replicas die from a moment on, and the job is started again: the same decides."""
    suite = make_suite(tmp_path)
    (tmp_path / "whole").mkdir()
    calm = plan_of(tmp_path / "whole", suite, WIDE, paid=paid)
    play(calm)

    class Killed(Exception):
        pass

    def meddle(stage: Stage) -> None:
        if stage.answered > 60:
            raise Killed

    plan = plan_of(tmp_path, suite, WIDE, paid=paid, batch=4)
    (given_up,), _ = play(plan, meddle)
    assert given_up.status == "failed"
    before = rows_of(plan)
    assert 0 < len(before) < 120
    (outcome,), _ = play(plan)
    assert (outcome.status, outcome.resumed) == ("complete", len(before))
    rows = rows_of(plan)
    assert before.items() <= rows.items()
    assert left_out(plan) == suite.by_id.keys() - rows.keys()
    one, other = until_facts(calm), until_facts(plan)
    for ability in one["abilities"]:
        assert one["abilities"][ability]["half_width"] == other["abilities"][ability]["half_width"]
    if paid:  # nothing was asked ahead of its look, but for what the first looks said
        assert len(rows) <= len(rows_of(calm)) * 1.3


def test_a_new_coordinator_comes_to_the_same_decision(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    (tmp_path / "calm").mkdir()
    calm = plan_of(tmp_path / "calm", suite, WIDE)
    play(calm)
    plan = plan_of(tmp_path, suite, WIDE, batch=2, parallel=2, latency_s=0.01)
    moments = [20, 70, 110, 150]

    def meddle(stage: Stage) -> None:
        if moments and stage.answered >= moments[0]:
            del moments[0]
            stage.coordinator = Coordinator(plan)

    (outcome,), _ = play(plan, meddle)
    assert outcome.status == "complete"
    rows = rows_of(plan)
    assert left_out(plan) == suite.by_id.keys() - rows.keys()
    for ability, found in until_facts(calm)["abilities"].items():
        other = until_facts(plan)["abilities"][ability]
        keys = ("low", "high", "half_width", "reached")
        assert [found[key] for key in keys] == [other[key] for key in keys]


def test_models_that_were_asked_less_were_asked_the_same_first(tmp_path: Path) -> None:
    """One guesses and needs many samples, one is always right and needs few."""
    suite = make_suite(tmp_path)
    sure = dict.fromkeys(suite.by_id, "3")
    slow = {"batch": 2, "latency_s": 0.02, "replicas": 1}
    specs = (fake("guesses", **slow), fake("knows", texts=sure, **slow))
    plan = replace(make_plan(tmp_path, suite, *specs), until=WIDE)
    outcomes, _ = play(plan)
    assert [outcome.status for outcome in outcomes] == ["complete"] * 2
    many, few = rows_of(plan, 0), rows_of(plan, 1)
    assert len(few) < len(many)
    for ability in ("counting", "ocr"):
        one, other = (
            {name for name, row in rows.items() if row["ability"] == ability}
            for rows in (many, few)
        )
        assert one <= other or other <= one
    marks = load_marks(Store(plan.store), on="common")
    assert len(marks.ids) == len(many.keys() & few.keys())
    with pytest.raises(NotComparable, match="not asked the same samples"):
        load_marks(Store(plan.store))


def test_answers_that_fail_do_not_decide(tmp_path: Path) -> None:
    """What ends without an answer is asked again by the next start, and then decides."""
    suite = make_suite(tmp_path)
    stopping = Stopping(suite.samples, suite, WIDE)
    broken = stopping.first[:10]
    plan = plan_of(tmp_path, suite, WIDE, fail_ids=frozenset(broken))
    (outcome,), _ = play(plan)
    assert outcome.status == "incomplete"
    assert "10 of" in str(outcome.reason)
    rows = rows_of(plan)
    assert {name for name, row in rows.items() if row["status"] == "infra_error"} == set(broken)
    log = Store(plan.store).run(plan.models[0].run_id)
    log.refresh()
    assert not answered(log, suite, suite.samples, WIDE)
    assert not set(broken) & left_out(plan)


def blocks_row(sample: Sample, score: float) -> dict[str, object]:
    return {
        "sample_id": sample.sample_id, "ability": sample.ability, "subtask": sample.subtask,
        "status": "ok", "score": score, "chance": sample.chance, "upper": sample.upper,
        "metric": sample.metric, "cluster_id": sample.cluster_id, "group_id": sample.group_id,
    }  # fmt: skip


def test_what_decides_depends_on_the_order_and_not_on_who_is_fast(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    by_id = suite.by_id
    scores = {name: float(hash_of(name) % 2) for name in by_id}
    found = []
    for turn in (1, -1):
        stopping = Stopping(suite.samples, suite, Until(halfwidth=0.2, min_samples=40))
        begun: set[str] = set()
        while True:
            ready = [n for a in stopping.abilities for n in stopping.released(a)]
            left = sorted(set(ready) - begun)[::turn]
            out = {n for a in stopping.abilities for n in stopping.left_out(a)}
            left = [name for name in left if name not in out]
            if not left:
                break
            begun.add(left[0])
            stopping.note(blocks_row(by_id[left[0]], scores[left[0]]))
            stopping.look(begun.__contains__)
        found.append(stopping.facts())
        assert begun == set(stopping.kept)
    assert found[0] == found[1]


def hash_of(name: str) -> int:
    return hashlib.sha256(name.encode()).digest()[0]


def test_a_sample_with_a_row_is_never_left_out(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    last = [s.sample_id for s in suite.samples if s.ability == "ocr"][-5:]
    stopping = Stopping(suite.samples, suite, Until(halfwidth=0.5, min_samples=20), last)
    assert not set(last) & set(stopping.held_back)
    for name in stopping.first:
        stopping.note(blocks_row(suite.by_id[name], 1.0))
    assert sorted(stopping.look(lambda _: False)) == ["counting", "ocr"]
    assert set(last) <= set(stopping.kept)
    assert set(stopping.kept) == {*stopping.first, *last}
