"""What travels through Ray's calls stays below 100 KB, beyond which Ray takes another way."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from pathlib import Path

import pytest

from lens_ray.engine.coordinator import Coordinator
from lens_ray.engine.entries import Entry, planned
from lens_ray.engine.messages import (
    IDS_BYTES,
    ROWS_BYTES,
    Directive,
    Observed,
    Orders,
    Outcome,
    Report,
    Wanted,
    row_bytes,
    within,
)
from lens_ray.engine.plan import EnginePlan
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.progress import ModelProgress, Progress
from lens_ray.models.identity import identify
from lens_ray.models.spec import ModelSpec
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, write_suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.engine.stage import Stage, fake, make_plan, rows_of
from tests.suites.makers import sample

LIMIT = 100_000
HUGE = 300_000


class Scales(Stage):
    """Weighs every message as it would travel.

    Attributes:
        reports: With their weights.
        heaviest: Of every other kind.
    """

    def __init__(self, plan: EnginePlan, restarts: tuple[int, ...] = ()) -> None:
        super().__init__(plan)
        self.weights: list[tuple[int, Report]] = []
        self.heaviest: dict[str, int] = {}
        self.said: list[int] = []
        self._restarts = list(restarts)

    async def pull(self, report: Report) -> Directive:
        report = pickle.loads(self._weigh(report))
        if self._restarts and self.answered >= self._restarts[0]:
            del self._restarts[0]
            self.coordinator = Coordinator(self.plan)
        if report.hello is not None and not report.hello.first:
            self.said.append(len(report.hello.held))
        directive: Directive = pickle.loads(self._weigh(await super().pull(report)))
        return directive

    async def step(self) -> Orders:
        seen = tuple(Observed(number, model) for number, model in self.started.items())
        self._weigh(seen)
        orders = await super().step()
        self._weigh(orders)
        return orders

    def _weigh(self, message: object) -> bytes:
        data = pickle.dumps(message, protocol=5)
        if isinstance(message, Report):
            self.weights.append((len(data), message))
        else:
            kind = type(message).__name__
            self.heaviest[kind] = max(len(data), self.heaviest.get(kind, 0))
        return data


def weigh(plan: EnginePlan, restarts: tuple[int, ...] = ()) -> Scales:
    async def run() -> Scales:
        scales = Scales(plan, restarts)
        outcomes = await asyncio.wait_for(scales.play(), 120)
        assert {outcome.status for outcome in outcomes} == {"complete"}
        return scales

    return asyncio.run(run())


def suite_with(folder: Path, ids: list[str]) -> Suite:
    samples, images = [], {}
    one, image = sample(0)
    images.update(image)
    samples = [dataclasses.replace(one, sample_id=name, cluster_id=name) for name in ids]
    return write_suite("ids", samples, images, folder / "suite", licence="x", revision="1")


def test_long_answers_come_in_several_reports_and_a_huge_one_alone(tmp_path: Path) -> None:
    """Answers of 4,096 tokens, some of them not ASCII, and one that no report should hold."""
    ids = [f"t/{number}" for number in range(150)]
    texts = {
        name: ("the answer is 3. " if number % 3 else "答えは3。") * 1000
        for number, name in enumerate(ids)
    }
    texts["t/77"] = "3 " * (HUGE // 2)
    suite = suite_with(tmp_path, ids)
    plan = make_plan(tmp_path, suite, fake(batch=16, parallel=4, texts=texts), rooms=(Room(1.0),))
    scales = weigh(plan)
    over = [report for weight, report in scales.weights if weight >= LIMIT]
    assert [[row["sample_id"] for row in report.rows] for report in over] == [["t/77"]]
    assert sum(len(report.rows) > 1 for _, report in scales.weights) > 10
    assert {kind: weight < LIMIT for kind, weight in scales.heaviest.items()} == {
        "Directive": True, "Orders": True, "tuple": True
    }  # fmt: skip
    rows = rows_of(plan)
    assert {name: row["text"] for name, row in rows.items()} == texts
    for weight, report in scales.weights:  # estimates are on the safe side, and not far off
        estimate = sum(map(row_bytes, report.rows))
        assert weight <= estimate + 2000
        assert not report.rows or weight > 0.6 * estimate
    commit = Store(plan.store).run(plan.models[0].run_id).refresh().commit
    assert commit is not None
    assert commit.facts["large_rows"] == 1
    assert commit.facts["flip_n"] == 16  # their texts did not travel, their marks did


def test_windows_of_long_names_are_leased_and_held_in_parts(tmp_path: Path) -> None:
    """A window of 1,024 names of 200 letters is 200 KB; the coordinator dies in the middle."""
    ids = [f"{'benchmark-of-the-long-name/' * 7}{number:011d}" for number in range(1500)]
    suite = suite_with(tmp_path, ids)
    plan = make_plan(
        tmp_path, suite, fake(batch=64, parallel=16, latency_s=0.2, latency_sigma=0.5),
        need=Need(1.0), rooms=(Room(1.0),),
    )  # fmt: skip
    scales = weigh(plan, restarts=(100, 900))
    assert max(weight for weight, _ in scales.weights) < LIMIT
    assert max(scales.heaviest.values()) < LIMIT
    assert max(scales.said) == IDS_BYTES // 208  # more were held than one message names
    assert rows_of(plan).keys() == set(ids)


def test_a_plan_of_sixty_models_stays_small(tmp_path: Path) -> None:
    suite = suite_with(tmp_path, ["t/0"])
    path = make_tiny_checkpoint(tmp_path / "tiny")
    store = Store(str(tmp_path / "store"), create=True)
    entries = []
    identity = identify(ModelSpec(name="m", path=path))
    for number in range(60):
        spec = ModelSpec(
            name=f"a-model-with-quite-a-long-name-{number:05d}",
            path=f"s3://a-bucket-of-checkpoints/runs/2026-11-01-{number}/step-{number:07d}",
            generation={"max_new_tokens": 4096, "stop": ["\n\n", "###"]},
            options={"batch_size": 16, "dtype": "bfloat16"},
        )
        entry = Entry(
            spec, identity=dataclasses.replace(identity, weights=f"{path}/{number}"),
            need=Need(8.0, 1.0),
        )  # fmt: skip
        entry.open(store, suite, "test")
        entries.append(entry)
    rooms = tuple(Room(96.0, 8.0) for _ in range(8))
    models = planned(entries, suite.samples, rooms)
    plan = dataclasses.replace(make_plan(tmp_path, suite, fake()), models=models, rooms=rooms)
    assert len(pickle.dumps(plan)) < LIMIT
    assert all(model.remote for model in plan.models)
    abilities = {f"ability-number-{number}": (10**6, 10**6) for number in range(6)}
    shown = tuple(
        ModelProgress(model.spec.name, "running", dict(abilities), 10**6, 1e4, 1e4)
        for model in plan.models
    )
    wanted = tuple(Wanted(number, number % 60, Need(8.0, 1.0)) for number in range(256))
    outcomes = tuple(
        Outcome(model.run_id, "failed", "x" * 300, 5, 10**6, 10**6, 0.1, 16)
        for model in plan.models
    )
    orders = Orders(wanted, Progress(1e4, 256, shown), ("x" * 300,) * 90, outcomes)
    assert len(pickle.dumps(orders)) < LIMIT


@pytest.mark.parametrize("text", ["a" * 9000, "é" * 4500, "答" * 3000, "\U0001f600" * 2250])
def test_a_row_is_estimated_in_bytes_and_not_in_letters(text: str) -> None:
    row = {"text": text, "sample_id": "t/0", "score": 1.0, "cause": None}
    pickled = len(pickle.dumps(row))
    assert 9000 <= pickled <= row_bytes(row) <= pickled + 600


def test_names_are_counted_in_bytes() -> None:
    assert within(["a" * 12] * 10, 60) == ("a" * 12,) * 3  # 20 bytes each
    assert within(["答" * 4] * 10, 60) == ("答" * 4,) * 3
    assert within([], 60) == ()
    assert ROWS_BYTES + IDS_BYTES < LIMIT
