"""What answers cost: paid rows, tokens at a price, replica seconds; and what is unknown."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lens_ray.prices import AcceleratorPrice, ApiPrice, Prices
from lens_ray.stats.costs import Cost, costs_of
from lens_ray.store import RunHeader, Store
from tests.store.makers import header, rows, scores

DAY = date(2026, 1, 2)


def accelerator(usd: float) -> AcceleratorPrice:
    return AcceleratorPrice(usd_per_hour=usd, kind="owned", provider="us", source="books", date=DAY)


PRICES = Prices(
    file="prices.yaml",
    date=DAY,
    accelerators={"H100": accelerator(3.6)},
    apis={"talker": ApiPrice(input=2.0, output=8.0, provider="them", source="s", date=DAY)},
)


class Book:
    """A store that is filled run by run."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "store"), create=True)
        self.runs: list[RunHeader] = []

    def run(self, *batches: list[dict[str, object]], path: str = "", **facts: object) -> RunHeader:
        run = header(f"r{len(self.runs)}", model=f"m{len(self.runs)}", backend_path=path)
        log = self.store.open_run(run)
        for batch in batches:
            log.append([{**row, "run_id": run.run_id} for row in batch])
        size = sum(map(len, batches))
        log.commit(scores(run_id=run.run_id), expected=size, left_out=[], facts=facts)
        self.runs.append(run)
        return run

    def cost(self, run: RunHeader, **options: Any) -> Cost:
        found = costs_of(self.store, self.runs, prices=PRICES, **options)
        return found[run.run_id]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_paid_rows_cost_what_they_say_failures_included(book: Book) -> None:
    run = book.run(
        rows(range(3), cost_usd=0.002, latency_s=1.0),
        rows([9], cost_usd=0.002, latency_s=4.0),
        rows([4], status="infra_error", cost_usd=0.008, latency_s=90.0),
    )
    other = book.run(rows(range(2), cost_usd=0.5, latency_s=7.0))
    found = book.cost(run)
    # 4 answers cost 4 x 0.002, the failure 0.008: 0.016 / 4 = 0.004 each.
    assert found.usd_per_1000 == pytest.approx(4.0)
    assert found.answers == 4
    assert found.latency_s == 1.0
    assert found.reason is None
    assert book.cost(other).usd_per_1000 == pytest.approx(500.0)
    assert book.cost(other).latency_s == 7.0


def test_tokens_at_the_listed_price(book: Book) -> None:
    run = book.run(rows(range(4), tokens_in=1000, tokens_out=50), path="talker")
    # (1000 x 2 + 50 x 8) / 1e6 = 0.0024 dollars an answer.
    assert book.cost(run).usd_per_1000 == pytest.approx(2.4)
    assert book.cost(run).basis == "tokens at them, 2026-01-02"
    assert book.cost(run).latency_reason == "no row says how long its answer took"
    untold = book.run(rows(range(4), tokens_in=1000), path="talker")
    assert book.cost(untold).usd_per_1000 is None
    assert "tokens" in str(book.cost(untold).reason)


def test_replica_seconds_on_accelerators(book: Book) -> None:
    # 2 GPUs x 100 s at 3.6 dollars an hour = 0.2 dollars for 400 answers: 0.5 for 1,000.
    told: dict[str, Any] = {"answered": 400, "replica_s": 100.0}
    run = book.run(rows(range(4)), gpus=2.0, accelerator="H100", **told)
    assert book.cost(run).usd_per_1000 == pytest.approx(0.5)
    assert book.cost(run).basis == "measured replica seconds on 2 x H100 at us, 2026-01-02"
    older = book.run(rows(range(4)), device="cuda:0", tensor_parallel="2", **told)
    assert "--accelerator" in str(book.cost(older).reason)
    assert book.cost(older, accelerator="H100").usd_per_1000 == pytest.approx(0.5)
    assert "H100" in str(book.cost(older, accelerator="H10").reason)


def test_cores_cost_only_what_the_table_says(book: Book) -> None:
    run = book.run(rows(range(4)), device="cpu", threads="3", answered=10, replica_s=36.0, gpus=0.0)
    assert book.cost(run).usd_per_1000 is None
    assert "CPU" in str(book.cost(run).reason)
    priced = Prices("p", DAY, {"CPU": accelerator(0.05)}, {})
    found = costs_of(book.store, [run], prices=priced)[run.run_id]
    # 3 cores x 36 s at 5 cents an hour: 0.0015 dollars for 10 answers.
    assert found.usd_per_1000 == pytest.approx(0.15)


def test_what_is_unknown_has_a_reason(book: Book) -> None:
    imported = book.run(rows(range(4)))
    partly = book.run(rows(range(2), cost_usd=0.1), rows([7], cost_usd=float("nan")))
    empty = book.run()
    failed = book.run(rows(range(2), status="infra_error", cost_usd=0.1))
    damaged = book.run(rows(range(2)), answered="x", replica_s=float("1e3"))
    reasons = [
        (imported, "no measured replica seconds"),
        (partly, "1 of 3 answers have no price"),
        (empty, "no sample has an answer"),
        (failed, "no sample has an answer"),
        (damaged, "no measured replica seconds"),
    ]
    for run, words in reasons:
        found = book.cost(run)
        assert found.usd_per_1000 is None
        assert found.basis is None
        assert words in str(found.reason)


def test_no_runs_cost_nothing_to_ask(book: Book) -> None:
    assert costs_of(book.store, []) == {}
