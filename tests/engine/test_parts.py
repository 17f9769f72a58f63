"""The small parts: plans, needs, holds, the self-check, the cluster's address."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine import placement
from lens_ray.engine.cluster import Cluster
from lens_ray.engine.entries import Entry, planned
from lens_ray.engine.flip import FlipCheck, mark_of
from lens_ray.engine.hold import hold_runs
from lens_ray.engine.interrupt import sigterm_interrupts
from lens_ray.engine.opening import open_suite
from lens_ray.engine.placement import check_fits, need_of
from lens_ray.engine.plan import expected_costs, family_of, run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.errors import ClusterError, RunBusy, SuiteError
from lens_ray.models.identity import identify
from lens_ray.models.spec import ModelSpec
from lens_ray.store import RunLog, Store
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.engine.stage import fake, make_plan, small_suite
from tests.suites.makers import OPEN


def run_id(**given: Any) -> str:
    facts: dict[str, Any] = {"name": "m", "backend": "fake", "path": "x", **given}
    spec = ModelSpec(**facts)
    return run_id_of(spec, identify(spec), "digest")


def test_a_run_is_named_by_what_decides_its_rows() -> None:
    same = {run_id(), run_id(name="other"), run_id(replicas=3), run_id(options={"latency_s": 1})}
    assert len(same) == 1
    assert run_id(generation={}) == run_id(generation={"temperature": None})
    different = {
        run_id(),
        run_id(path="y"),
        run_id(template="bare"),
        run_id(generation={"max_new_tokens": 5}),
        run_id(options={"seed": 1}),
    }
    assert len(different) == 5
    assert all(len(name) == 16 for name in different)


def test_a_family_is_all_but_the_weights(tmp_path: Path) -> None:
    def family(folder: str, kind: str, seed: int, **given: Any) -> str:
        path = tmp_path / folder
        if not path.exists():
            make_tiny_checkpoint(path, kind, seed)
        spec = ModelSpec(name="m", path=str(path), **given)
        return family_of(spec, identify(spec))

    a = family("a0", "idefics3", 0)
    assert family("a1", "idefics3", 1) == a
    assert family("a1", "idefics3", 1, template="bare", generation={"max_new_tokens": 3}) == a
    assert family("b0", "llava", 0) != a
    assert family("a0", "idefics3", 0, options={"threads": 2}) != a
    assert family("a0", "idefics3", 0, tensor_parallel=2) != a


def sample(name: str, **given: Any) -> Sample:
    facts = {field: getattr(OPEN, field) for field in OPEN.__dataclass_fields__}
    return Sample(**{**facts, "sample_id": name, **given})


def test_costs_grow_with_prompt_images_and_answer_and_have_the_mean_one() -> None:
    samples = [
        sample("plain"),
        sample("wordy", question="how many dots are there in this picture? " * 10),
        sample("pictures", images=("x", "y", "z")),
        sample("answer", answers=("a rather long text to be read",)),
    ]
    costs = expected_costs(samples, fake())
    assert sum(costs.values()) == pytest.approx(4.0)
    assert all(costs["plain"] < costs[name] for name in ("wordy", "pictures", "answer"))
    capped = ModelSpec(name="m", backend="fake", generation={"max_new_tokens": 1})
    short = expected_costs(samples, capped)
    assert short["answer"] == pytest.approx(short["plain"])


def test_needs() -> None:
    real = ModelSpec(name="m", path="x", options={"threads": 4})
    assert need_of(real, gpu=False) == Need(4.0)
    assert need_of(real, gpu=True) == Need(1.0, 1.0)
    on_cpu = ModelSpec(name="m", path="x", options={"device": "cpu"})
    assert need_of(on_cpu, gpu=True) == Need(1.0)
    wide = ModelSpec(name="m", path="x", tensor_parallel=4)
    assert need_of(wide, gpu=False) == Need(1.0, 4.0)
    assert 8 * need_of(fake(), gpu=True).cpus <= 2.0


def test_a_replica_spans_machines_only_where_its_backend_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rooms = (Room(64.0, 8.0), Room(64.0, 8.0), Room(64.0, 4.0))
    wide = ModelSpec(name="m", path="x", tensor_parallel=16)
    assert need_of(wide, gpu=True, rooms=rooms) == Need(1.0, 16.0)
    monkeypatch.setattr(placement, "_SPANNING", frozenset({"transformers"}))
    assert need_of(wide, gpu=True, rooms=rooms) == Need(2.0, 16.0, 2)
    # 20 GPUs: four parts of five do not fit on the third machine, five parts of four do.
    twenty = wide.model_copy(update={"tensor_parallel": 20})
    assert need_of(twenty, gpu=True, rooms=rooms) == Need(5.0, 20.0, 5)
    assert need_of(wide, gpu=True, rooms=(Room(64.0, 16.0),)) == Need(1.0, 16.0)
    large = wide.model_copy(update={"tensor_parallel": 32})
    need = need_of(large, gpu=True, rooms=rooms)
    assert need == Need(1.0, 32.0)
    with pytest.raises(ClusterError, match="32 GPUs, and the whole cluster has 20 GPUs"):
        check_fits(large, need, rooms)


def test_what_fits_nowhere_is_refused_in_one_line() -> None:
    wide = ModelSpec(name="wide", path="x", tensor_parallel=4)
    check_fits(wide, Need(1.0, 4.0), (Room(8.0, 4.0),))
    with pytest.raises(ClusterError) as caught:
        check_fits(wide, Need(1.0, 4.0), (Room(8.0, 2.0), Room(64.0, 2.0)))
    line = "model wide: one replica needs 1 CPUs and 4 GPUs on one machine, and the largest has"
    assert str(caught.value).startswith(f"{line} 64 CPUs and 2 GPUs; lower tensor_parallel")


def test_rooms_of_this_machine_need_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lens_ray.engine.cluster._connected", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster = Cluster()
    (room,) = cluster.rooms()
    assert 1 <= room.cpus <= len(os.sched_getaffinity(0))
    assert not cluster._ready


def test_a_quota_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("lens_ray.engine.cluster._CPU_QUOTA", quota)
    monkeypatch.setattr("lens_ray.engine.cluster._connected", lambda: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    for text, cores in (("150000 100000\n", 2), ("max 100000\n", 64), ("50000 100000\n", 1)):
        quota.write_text(text)
        assert Cluster().rooms() == (Room(float(cores)),)


def test_gpus_are_those_that_may_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / str(number)).mkdir()
    monkeypatch.setattr("lens_ray.engine.cluster._GPUS", tmp_path)
    monkeypatch.setattr("lens_ray.engine.cluster._connected", lambda: False)
    for visible, count in ((None, 3), ("0,2", 2), ("", 0)):
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert Cluster().rooms()[0].gpus == count


def logs_of(folder: Path, count: int) -> list[RunLog]:
    specs = [fake(f"m{number}") for number in range(count)]
    plan = make_plan(folder, small_suite(folder, 2), *specs)
    store = Store(plan.store)
    return [store.run(model.run_id) for model in plan.models]


def test_held_runs_are_renewed_and_given_back(tmp_path: Path) -> None:
    logs = logs_of(tmp_path, 3)
    with hold_runs(logs, ttl_s=0.4) as hold:
        with pytest.raises(RunBusy, match="is at work on it"), hold_runs(logs[1:], ttl_s=0.4):
            raise AssertionError("held twice")
        hold.check()
    with hold_runs(logs, ttl_s=60.0, wait_s=0.0):
        pass


def test_a_dead_drivers_runs_are_waited_for_only_once(tmp_path: Path) -> None:
    import time

    logs = logs_of(tmp_path, 8)
    for log in logs:
        log.acquire("elsewhere:1:dead", ttl_s=1.0)
    began = time.monotonic()
    with hold_runs(logs, ttl_s=1.0):
        assert 0.9 < time.monotonic() - began < 4.0


def test_a_run_that_is_busy_gives_the_others_back(tmp_path: Path) -> None:
    logs = logs_of(tmp_path, 3)
    with hold_runs(logs[:1], ttl_s=0.4):
        with pytest.raises(RunBusy), hold_runs(logs, ttl_s=60.0):
            raise AssertionError("held twice")
        with hold_runs(logs[1:], ttl_s=60.0, wait_s=0.0):
            pass


def test_a_run_that_was_taken_over_ends_the_driver(tmp_path: Path) -> None:
    (log,) = logs_of(tmp_path, 1)
    with hold_runs([log], ttl_s=0.2) as hold:
        log.acquire(hold._leases[0].owner).renew()  # by the same owner, but not by this lease
        hold._thread.join(10)
        with pytest.raises(RunBusy, match="took it over"):
            hold.check()


def test_sigterm_is_an_interrupt_only_inside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    inside: list[Any] = []

    def elsewhere() -> None:
        with sigterm_interrupts():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [before]


def test_the_self_check_compares_what_it_knows() -> None:
    names = [f"s{number}" for number in range(100)]
    check = FlipCheck("run", names, 4)
    assert check.chosen == FlipCheck("run", names[::-1], 4).chosen
    assert check.chosen != FlipCheck("other", names, 4).chosen
    for name in names:
        check.note(name, f"text of {name}")
    asked = check.begin()
    assert set(asked) == check.chosen
    marks = {name: mark_of(f"text of {name}") for name in asked}
    marks[asked[0]] = mark_of("another text")
    check.compare(marks)
    assert (check.flips, check.asked, check.rate, check.done) == (1, 4, 0.25, True)
    assert check.begin() == ()


def test_the_self_check_gives_up_on_engines_that_do_not_survive_it() -> None:
    check = FlipCheck("run", ["a"], 4)
    check.note("a", "text")
    assert check.begin() == check.begin() == ("a",)
    assert check.begin() == ()
    assert check.done
    assert check.rate is None


def test_the_self_check_of_nothing_is_done() -> None:
    assert FlipCheck("run", ["a"], 0).done
    unanswered = FlipCheck("run", ["a"], 4)
    assert unanswered.begin() == ()
    assert unanswered.done


def test_an_actor_finds_the_drivers_suite_and_no_other(tmp_path: Path) -> None:
    suite = small_suite(tmp_path, 2)
    plan = make_plan(tmp_path, suite, fake())
    assert open_suite(plan).digest == suite.digest
    other = small_suite(tmp_path / "other", 3)
    with pytest.raises(SuiteError, match="now holds digest"):
        open_suite(dataclasses.replace(plan, suite_location=other.location))


def test_a_plan_stays_small_enough_to_be_kept_with_its_actor(tmp_path: Path) -> None:
    """Of eleven real checkpoints; Ray stores arguments of 100 KB elsewhere, where they may go."""
    import pickle

    suite = small_suite(tmp_path, 400)
    path = make_tiny_checkpoint(tmp_path / "tiny")
    specs = [ModelSpec(name=f"m{n}", path=path, template="bare") for n in range(11)]
    models = planned([entry(spec, suite, tmp_path) for spec in specs], suite.samples, (Room(2.0),))
    plan = dataclasses.replace(make_plan(tmp_path, suite, fake()), models=models)
    assert len(pickle.dumps(plan)) < 20_000


def entry(spec: ModelSpec, suite: Suite, folder: Path) -> Entry:
    made = Entry(spec, identity=identify(spec), need=Need(1.0))
    made.open(Store(str(folder / "store"), create=True), suite, "test")
    return made
