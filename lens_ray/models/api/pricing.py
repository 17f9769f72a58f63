"""What the tokens of one model cost: `TokenPrice`, of the job's option or of the price table."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.errors import UserError
from lens_ray.models.api.access import api_options
from lens_ray.models.api.options import TokenPrices
from lens_ray.models.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What the calls of one model cost, in the mode that it is asked in.

    Attributes:
        prices: By the million tokens, and by the image where images are billed by the piece.
        batch: Whether those of the batch interface count.
        basis: Where they were read.
    """

    prices: TokenPrices
    batch: bool
    basis: str

    @property
    def input(self) -> float:
        """Of a million tokens of prompts, in the mode."""
        return self.prices.cost(1e6, 0, batch=self.batch) or 0.0

    @property
    def output(self) -> float:
        """Of a million tokens of answers, in the mode."""
        return self.prices.cost(0, 1e6, batch=self.batch) or 0.0

    def usd(self, tokens_in: int | None, tokens_out: int | None, images: int = 0) -> float | None:
        """What a call costs; None where its tokens are not known."""
        if tokens_in is None or tokens_out is None:
            return None
        return self.prices.cost(tokens_in, tokens_out, images=images, batch=self.batch)


def price_of(spec: ModelSpec) -> TokenPrice | None:
    """The price of a model in the mode that it is asked in; None where nobody says one."""
    from lens_ray.prices import load_prices

    options = api_options(spec)
    batch = options.mode == "batch"
    if options.price is not None:
        return _price(options.price, options.price.source or "the job", batch=batch)
    try:
        prices = load_prices()
    except UserError:
        return None
    entry = prices.api(spec.path)
    if entry is None:
        return None
    return _price(entry, f"{prices.file}, {entry.date.isoformat()}", batch=batch)


def _price(prices: TokenPrices, basis: str, *, batch: bool) -> TokenPrice | None:
    known = prices.cost(0, 0, batch=batch) is not None
    return TokenPrice(prices, batch, basis) if known else None
