"""What accelerators and API models cost: `Prices`, from one dated YAML file.

What the file does not name is unknown, which is never 0.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from lens_ray.errors import UserError
from lens_ray.job_yaml import MAX_BYTES, YamlProblem, read_yaml
from lens_ray.models.api.options import TokenPrices
from lens_ray.models.spec import ClosedModel

#: Names a file that is used in the place of the shipped one.
VARIABLE = "LENS_RAY_PRICES"
#: The end of a snapshot's id: ``-2025-04-14``, ``-20251001``, ``-001``, ``-latest``.
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3}|latest)$")
_SHIPPED = Path(__file__).with_name("prices.yaml")
#: What a price table calls a CPU core; the shipped one has none.
CPU = "CPU"


class Entry(ClosedModel):
    """Where a price was read.

    Attributes:
        provider: Who asks it, and for which product.
        source: Where it was read.
        date: When.
        unverified: Nobody could check it against the provider's own list.
    """

    provider: str = Field(min_length=1, max_length=200)
    source: str = Field(min_length=1, max_length=400)
    date: date
    unverified: bool = False


class AcceleratorPrice(Entry):
    """Of one accelerator.

    Attributes:
        usd_per_hour: Of one of them, its share of the machine included.
        kind: How it is rented.
    """

    usd_per_hour: float = Field(gt=0)
    kind: Literal["on-demand", "spot", "reserved", "owned"]


class ApiPrice(Entry, TokenPrices):
    """Of one API model: `TokenPrices`, and where they were read."""


class _File(ClosedModel):
    schema_: Literal[1] = Field(alias="schema")
    currency: Literal["USD"]
    date: date
    accelerators: dict[str, AcceleratorPrice] = Field(default_factory=dict)
    apis: dict[str, ApiPrice] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dollars:
    """A sum, or why there is none.

    Attributes:
        usd: The sum; None is unknown.
        reason: Why it is unknown; None where it is known.
        basis: Whose price of which date, and whether it is unverified.
    """

    usd: float | None
    reason: str | None = None
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table.

    Attributes:
        file: Where it was read from.
        date: Of the table.
        accelerators: By name.
        apis: By the provider's model id.
    """

    file: str
    date: date
    accelerators: Mapping[str, AcceleratorPrice]
    apis: Mapping[str, ApiPrice]

    def api(self, model: str) -> ApiPrice | None:
        """The price of an API model; a dated snapshot that is not named costs what its model does.

        Args:
            model: The provider's id.
        """
        exact = self.apis.get(model)
        return exact if exact is not None else self.apis.get(_SNAPSHOT.sub("", model))

    def of_hours(self, accelerator: str, hours: float) -> Dollars:
        """What accelerator-hours cost."""
        price = self.accelerators.get(accelerator)
        if price is None:
            return Dollars(None, self._unknown("accelerator", accelerator, self.accelerators))
        return Dollars(price.usd_per_hour * hours, basis=_basis(price))

    def of_tokens(
        self,
        model: str,
        tokens_in: float,
        tokens_out: float,
        *,
        images: float = 0,
        batch: bool = False,
    ) -> Dollars:
        """What tokens of an API model cost, and images where it bills them by the piece."""
        price = self.api(model)
        if price is None:
            return Dollars(None, self._unknown("model", model, self.apis))
        usd = price.cost(tokens_in, tokens_out, images=images, batch=batch)
        if usd is None:
            return Dollars(None, f"{self.file} has no batch price of {model}")
        return Dollars(usd, basis=_basis(price))

    def _unknown(self, kind: str, name: str, known: Mapping[str, object]) -> str:
        if not name:
            return f"no {kind} is named"
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{self.file} has no price of the {kind} {name}{hint}"


def load_prices(path: str | Path | None = None) -> Prices:
    """Read a price table.

    Args:
        path: None takes the file that ``LENS_RAY_PRICES`` names, else the shipped one.

    Raises:
        UserError: There is no such file, or it is no price table.
    """
    chosen = Path(path or os.environ.get(VARIABLE) or _SHIPPED)
    try:
        with chosen.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"price table {chosen}: cannot be read ({error.strerror}); "
            f"check --prices and {VARIABLE}"
        ) from error
    try:
        table = _File.model_validate(read_yaml(data).value)
    except YamlProblem as problem:
        what = problem.what
        if what.startswith("the file is empty"):  # its hint is that of a job file
            what = "the file is empty; the shipped prices.yaml shows the form"
        raise UserError(
            f"{chosen}:{problem.place.line}:{problem.place.column}: {what}"
        ) from problem
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"price table {chosen}: {where}: {first['msg']}; the shipped prices.yaml shows the form"
        ) from error
    name = chosen.name if chosen == _SHIPPED else str(chosen)
    return Prices(name, table.date, table.accelerators, table.apis)


def _basis(price: AcceleratorPrice | ApiPrice) -> str:
    doubt = ", unverified" if price.unverified else ""
    return f"{price.provider}, {price.date.isoformat()}{doubt}"
