"""What a call costs, in the mode in which it is asked; by hand."""

from __future__ import annotations

import pytest

from lens_ray.models import ModelSpec
from lens_ray.models.api.pricing import price_of

PRICE = {"input": 2.0, "output": 8.0, "batch_input": 1.0, "batch_output": 4.0}


@pytest.mark.parametrize(("mode", "usd"), [("live", 0.0036), ("batch", 0.0018)])
def test_a_batch_costs_the_price_of_batches(mode: str, usd: float) -> None:
    spec = ModelSpec(
        name="m", backend="openai", path="gpt-x", options={"mode": mode, "price": PRICE}
    )
    price = price_of(spec)
    assert price is not None
    # 1,000 tokens in and 200 out: 1,000 x 2 + 200 x 8 = 3,600 millionths; half of it by batch.
    assert price.usd(1000, 200) == pytest.approx(usd)


def test_without_a_price_of_batches_there_is_none() -> None:
    bare = {"input": 2.0, "output": 8.0}
    spec = ModelSpec(
        name="m", backend="openai", path="gpt-x", options={"mode": "batch", "price": bare}
    )
    assert price_of(spec) is None
