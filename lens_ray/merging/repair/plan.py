"""How a repair trains: `RepairPlan`, and the batches that it makes of examples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase

from pydantic import Field

from lens_ray.errors import UserError
from lens_ray.merging.answers import Example, alike
from lens_ray.models.spec import ClosedModel


class RepairPlan(ClosedModel):
    """The numbers of a repair; equal plans over equal examples cost the same.

    Attributes:
        steps: Of the optimiser.
        batch: Examples a step.
        lr: Highest learning rate of AdamW; it rises over ``warmup`` and falls by half a cosine.
        warmup: Share of the steps.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are cut to this norm.
        accumulate: Parts of a batch that go through the model one by one, to save memory.
        seed: Of the order of the examples.
        only: Globs over the model's parameters that are trained; empty trains all of them.
        max_pixels: Larger images are made smaller.
    """

    steps: int = Field(default=100, ge=1, le=1_000_000)
    batch: int = Field(default=16, ge=1, le=65_536)
    lr: float = Field(default=2e-5, gt=0, le=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    max_grad_norm: float = Field(default=1.0, gt=0)
    accumulate: int = Field(default=1, ge=1, le=65_536)
    seed: int = Field(default=0, ge=0, lt=2**32)
    only: tuple[str, ...] = ()
    max_pixels: int = Field(default=4_194_304, ge=1024)

    def trains(self, parameter: str) -> bool:
        """Whether a parameter is trained."""
        return not self.only or any(fnmatchcase(parameter, glob) for glob in self.only)

    def parts(self, examples: Sequence[Example]) -> list[list[Example]]:
        """What goes through the model, ``accumulate`` parts a step, in order.

        Every epoch takes all examples in an order of its own, which hangs on nothing but the seed.
        Within a part all examples have images or none has.

        Raises:
            UserError: There is no example.
        """
        if not examples:
            raise UserError("no example to train on; name a calibration suite with samples")
        size = -(-self.batch // self.accumulate)
        rng = random.Random(f"lens-ray repair {self.seed}")
        found: list[list[Example]] = []
        while len(found) < self.steps * self.accumulate:
            order = list(examples)
            rng.shuffle(order)
            epoch = alike(order, size)
            rng.shuffle(epoch)
            found += epoch
        return found[: self.steps * self.accumulate]
