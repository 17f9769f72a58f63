"""Which budgets a job may have: what is limited has a price, or the job is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lens_ray.engine.budgets import budgets_of, check_budgets, with_price
from lens_ray.engine.entries import Entry
from lens_ray.engine.plan import run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.purse import Account, Holding
from lens_ray.engine.till import record_of
from lens_ray.errors import UserError
from lens_ray.job import JobSpec
from lens_ray.models.api.pricing import price_of
from lens_ray.models.identity import identify
from lens_ray.models.spec import ModelSpec
from lens_ray.prices import AcceleratorPrice, ApiPrice, Prices
from lens_ray.store import RunHeader, Store
from tests.engine.stage import small_suite

DAY = date(2026, 1, 2)
TALKER = ApiPrice(provider="p", source="s", date=DAY, input=2.0, output=8.0)
H100 = AcceleratorPrice(provider="p", source="s", date=DAY, usd_per_hour=6.0, kind="owned")
CPU = H100.model_copy(update={"usd_per_hour": 0.05})
TABLE = Prices("mine.yaml", DAY, {"H100": H100}, {"talker": TALKER})
ROOMS = (Room(8.0),)


def closed(path: str = "talker", budget: float | None = None, **options: Any) -> ModelSpec:
    limit = {"usd": budget} if budget is not None else None
    return ModelSpec(name=path, backend="openai", path=path, options=options, budget=limit)


def hosted(budget: float | None = None) -> ModelSpec:
    limit = {"usd": budget} if budget is not None else None
    return ModelSpec(name="open", path="builtin:minivlm-a/step-0500", budget=limit)


def job(*models: ModelSpec, budget: dict[str, object] | None = None) -> JobSpec:
    return JobSpec.model_validate(
        {"name": "j", "suite": "mini:quick", "store": "x", "models": models, "budget": budget}
    )


def entries(*specs: ModelSpec, gpus: float = 0.0) -> list[Entry]:
    return [
        Entry(spec, need=Need(1.0, gpus if spec.backend == "transformers" else 0.0))
        for spec in specs
    ]


def test_a_job_without_a_budget_needs_no_price() -> None:
    assert check_budgets(job(closed("silent")), entries(closed("silent")), ROOMS, TABLE) is None


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (
            closed("tolker", budget=1.0),
            r"model tolker has no price for its budget: mine.yaml has no price of the model "
            r"tolker; did you mean talker\?; write options: \{price: \{input: ..., output: ...\}\}",
        ),
        (closed(budget=1.0, mode="batch"), r"no batch price of talker.*batch_input and batch_out"),
        (
            closed("x", budget=1.0, mode="batch", price={"input": 1, "output": 2}),
            "options.price of .* has no batch_input or batch_output",
        ),
        (hosted(budget=1.0), "model open has no price for its budget: .*no price of the.*CPU"),
    ],
)
def test_a_budget_without_a_price_is_an_error(spec: ModelSpec, line: str) -> None:
    with pytest.raises(UserError, match=line):
        check_budgets(job(spec), entries(spec), ROOMS, TABLE)


def test_gpus_of_a_job_with_a_budget_need_a_price() -> None:
    spec = hosted()
    with pytest.raises(UserError, match="what the GPUs are is not known; write budget"):
        check_budgets(job(spec, budget={"usd": 1}), entries(spec, gpus=2), ROOMS, TABLE)
    limited = job(spec, budget={"usd": 1, "accelerator": "H100"})
    rates = check_budgets(limited, entries(spec, gpus=2), ROOMS, TABLE)
    assert rates is not None
    assert rates.hourly == {"open": 12.0}
    assert not rates.notes


def test_cores_without_a_price_are_not_counted_and_that_is_said() -> None:
    specs = (hosted(), closed())
    rates = check_budgets(job(*specs, budget={"usd": 1}), entries(*specs), ROOMS, TABLE)
    assert rates is not None
    assert rates.hourly == {}
    assert "its CPU hours are not in the budget" in rates.notes[0]
    with pytest.raises(UserError, match="has a budget, and nothing in it has a price"):
        check_budgets(job(hosted(), budget={"usd": 1}), entries(hosted()), ROOMS, TABLE)
    priced = Prices("mine.yaml", DAY, {"CPU": CPU}, {})
    rates = check_budgets(job(hosted(), budget={"usd": 1}), entries(hosted()), ROOMS, priced)
    assert rates is not None
    assert rates.hourly == {"open": 0.05}


def test_the_price_goes_to_every_node_and_changes_no_run() -> None:
    spec = closed("talker-2026-01-01")
    known = with_price(spec, TABLE)
    price = price_of(known)
    assert price is not None
    assert price.usd(1_000_000, 1_000_000) == 10.0
    assert price.basis == "mine.yaml, 2026-01-02"
    assert identify(known).model_key == identify(spec).model_key
    own = closed(price={"input": 1.0, "output": 1.0})
    assert with_price(own, TABLE) is own
    assert with_price(hosted(), TABLE).options == {}


def test_what_the_rest_of_a_job_has_cost_counts(tmp_path: Path) -> None:
    """Two of its models are done or left out by ``--only``; the third is asked."""
    suite = small_suite(tmp_path)
    store = Store(str(tmp_path / "store"), create=True)
    specs = [closed(), closed("mumbler"), closed("third")]
    opened = []
    for spec, spent in zip(specs, (0.25, 0.5, 0.125), strict=True):
        identity = identify(spec)
        header = RunHeader(
            run_id_of(spec, identity, suite.digest), spec.name, identity.model_key,
            identity.weights_digest, suite.name, suite.digest, spec.template, spec.backend,
            spec.path, spec.access, None, {}, "2026-01-01T00:00:00+00:00", "j",
        )  # fmt: skip
        log = store.open_run(header)
        # A holder that died had a dollar; the store shows none of it, and a call was in flight.
        holdings = {"dead/0": Holding(granted=1.0, spent=spent - 0.0625, risk=0.0625)}
        log.book("dead").write(record_of(Account(0.0, 0.0, holdings)))
        opened.append(Entry(spec, identity=identity, run_id=header.run_id, log=log))
    whole = job(*specs, budget={"usd": 2})
    asked = whole.only(["third", "talker"])
    assert [spec.name for spec in asked.rest] == ["mumbler"]
    rates = check_budgets(job(*specs[:1], budget={"usd": 2}), entries(*specs[:1]), ROOMS, TABLE)
    assert rates is not None
    found = budgets_of(asked, rates, [opened[2]], [opened[0]], store, suite)
    assert (found.job, found.models, found.hourly) == (2.0, {}, {})
    assert found.before == pytest.approx(0.25 + 0.5)
    assert found.limit(0)
