"""What the tokens of one model cost: `TokenPrice`, of the job's option or of the price table."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.errors import UserError
from lens_ray.models.api.access import api_options
from lens_ray.models.spec import ModelSpec

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """In US dollars a million tokens.

    Attributes:
        input: Of the prompt, images included.
        output: Of the answer, thinking included.
        basis: Where it was read.
    """

    input: float
    output: float
    basis: str

    def usd(self, tokens_in: int | None, tokens_out: int | None) -> float | None:
        """What a call costs; None where its tokens are not known."""
        if tokens_in is None or tokens_out is None:
            return None
        return (tokens_in * self.input + tokens_out * self.output) / _MILLION


def price_of(spec: ModelSpec) -> TokenPrice | None:
    """The price of a model in the mode that it is asked in; None where nobody says one."""
    from lens_ray.prices import load_prices

    options = api_options(spec)
    batch = options.mode == "batch"
    if options.price is not None:
        given = options.price
        pair = (given.batch_input, given.batch_output) if batch else (given.input, given.output)
        return _price(pair, "the job")
    try:
        prices = load_prices()
    except UserError:
        return None
    entry = prices.apis.get(spec.path)
    if entry is None:
        return None
    pair = (entry.batch_input, entry.batch_output) if batch else (entry.input, entry.output)
    return _price(pair, f"{prices.file}, {entry.date.isoformat()}")


def _price(pair: tuple[float | None, float | None], basis: str) -> TokenPrice | None:
    given, asked = pair
    return None if given is None or asked is None else TokenPrice(given, asked, basis)
