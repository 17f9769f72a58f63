"""What is foretold of providers' models against what a scripted server counts."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lens_ray.engine.api_forecast import ApiForecast, Known, Likely, forecast_api, known_of
from lens_ray.models.api.options import Price
from lens_ray.models.spec import ModelSpec
from lens_ray.prices import Prices, load_prices
from lens_ray.store import Store
from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.suite import Suite, write_suite
from lens_ray.testing.provider import ProviderServer, Script
from tests.engine.stage import make_plan, play
from tests.suites.makers import pixels, sample

PRICE = Price(input=1.0, output=10.0, batch_input=0.5, batch_output=5.0)
PATHS = {
    "openai": "gpt-4.1-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
}
WORDS = ("how", "many", "of", "the", "small", "red", "shapes", "touch", "an", "edge", "in", "it")


class Chatty:
    """Answers of a random length, the same for the same question."""

    def answer(self, asked: Any) -> str:
        return " ".join(["three"] * random.Random(asked.text).randint(1, 12))


def plain(number: int, draw: random.Random) -> Pixels:
    """Of a random size and one colour, with a mark that no other has; quick to encode."""
    image = np.full((draw.randint(8, 900), draw.randint(8, 900), 3), 200, np.uint8)
    image[:4, :4] = pixels(number, 4, 4)
    return image


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Questions of many lengths about images of many sizes, some about two."""
    draw = random.Random(3)
    samples, images = [], {}
    for number in range(40):
        drawn = [plain(9 * number + k, draw) for k in range(1 + (number % 5 == 0))]
        one, _ = sample(
            number,
            images=tuple(map(image_hash, drawn)),
            question=" ".join(draw.choices(WORDS, k=draw.randint(5, 120))) + "?",
        )
        samples.append(one)
        images.update({image_hash(image): image for image in drawn})
    folder = tmp_path_factory.mktemp("suite")
    return write_suite("sizes", samples, images, folder, licence="MIT", revision="1")


def model(provider: str, server: ProviderServer | None = None, **options: Any) -> ModelSpec:
    url = None
    if server is not None:
        url = server.openai_url if provider == "openai" else server.url
    return ModelSpec(
        name=provider,
        backend=provider,
        path=PATHS[provider],
        access="closed",
        generation={"max_new_tokens": 16},
        options={"base_url": url, "price": PRICE.model_dump(), **options},
    )


def within(count: float, amount: Likely | None) -> bool:
    return amount is not None and amount.low <= count <= amount.high


@pytest.mark.parametrize(
    "provider",
    ["openai", *(pytest.param(name, marks=pytest.mark.slow) for name in ("anthropic", "gemini"))],
)
def test_the_interval_holds_what_the_server_counts(
    tmp_path: Path, suite: Suite, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "not-a-key")
    prices = load_prices()
    with ProviderServer(Script(truth=Chatty(), prices={"*": PRICE})) as server:
        spec = model(provider, server)
        plan = replace(make_plan(tmp_path, suite, spec), limit=20)
        chosen = suite.select(None, 20)
        told = forecast_api(spec, suite, chosen, [], prices)
        play(plan)
        first = server.counts.copy()
        known = known_of(Store(plan.store), Store(plan.store).runs(), suite)
        rest = [one for one in suite.samples if one not in chosen]
        again = forecast_api(spec, suite, rest, known, prices)
        play(replace(plan, limit=None))
        counts = server.counts
    assert (told.requests, told.counted) == (20, 20)
    assert within(first.tokens_in, told.tokens_in)
    assert within(first.tokens_out, told.tokens_out)
    assert within(first.usd, told.usd)
    assert told.usd is not None
    assert first.usd <= (told.usd_most or 0.0) + 1e-12
    assert told.usd_batch == pytest.approx(told.usd.expected / 2)
    # Corrected by the rows: nearer, and of the measured length of the answers.
    assert again.requests == 20
    assert "corrected by 20 stored rows" in again.in_basis
    assert again.usd is not None
    spent = counts.usd - first.usd
    assert again.usd.expected == pytest.approx(spent, rel=0.15)
    assert again.usd.high - again.usd.low < told.usd.high - told.usd.low
    assert "20 stored rows" in again.minutes_basis


def told_of(suite: Suite, *known: Known, **options: Any) -> ApiForecast:
    return forecast_api(model("openai", **options), suite, suite.samples, known, load_prices())


def test_answers_of_others_may_be_off_by_a_factor_of_two(suite: Suite) -> None:
    other = Known("gemini", "g", ["t/1", "t/2"], [None, None], [4, 4], [None, None])
    told = told_of(suite, other)
    assert told.tokens_out == Likely(40 * 2.0, 40 * 4.0, 40 * 8.0)
    assert "other models" in told.out_basis


def test_without_rows_an_answer_is_between_a_token_and_its_limit(suite: Suite) -> None:
    told = told_of(suite, reasoning_tokens=100)
    assert told.tokens_out == Likely(40.0, 40 * (2 + 1 / 4 + 50), 40 * 116.0)
    assert told.usd is not None
    assert told.usd.high <= (told.usd_most or 0.0) + 1e-12


@pytest.mark.parametrize(
    ("options", "minutes", "basis"),
    [
        ({"concurrency": 40}, 3 / 60, "40 calls at once of 3 s (assumed, none was measured)"),
        ({"requests_per_minute": 10}, 4.0, "10 requests a minute"),
        ({"images_per_minute": 8}, 6.0, "8 images a minute"),
    ],
)
def test_minutes_at_the_limits(
    suite: Suite, options: dict[str, int], minutes: float, basis: str
) -> None:
    told = told_of(suite, **options)
    assert told.minutes == pytest.approx(minutes)
    assert told.minutes_basis == basis


def test_a_batch_has_its_price_and_no_minutes(suite: Suite) -> None:
    live, batch = told_of(suite), told_of(suite, mode="batch")
    assert live.usd is not None
    assert batch.usd is not None
    assert batch.usd.expected == pytest.approx(live.usd.expected / 2)
    assert batch.minutes is None


def test_what_has_no_price_has_tokens_and_a_reason(suite: Suite) -> None:
    table = load_prices()
    empty = Prices("mine.yaml", table.date, {}, {})
    spec = model("openai", price=None)
    told = forecast_api(spec, suite, suite.samples[:5], [], empty)
    assert told.usd is None
    assert "mine.yaml has no price of the model gpt-4.1-mini" in str(told.usd_reason)
    assert told.tokens_in is not None
    known = forecast_api(spec, suite, suite.samples[:5], [], table)
    assert "openai" in str(known.usd_basis)


def test_nothing_to_ask_costs_nothing(suite: Suite) -> None:
    told = forecast_api(model("openai"), suite, [], [], load_prices())
    assert told.usd == Likely(0.0, 0.0, 0.0)
    assert (told.minutes_basis, told.usd_basis) == ("all is answered", "all is answered")
