"""What a run has cost since a step: `Spent`. What nobody said is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.online.series import Series
from lens_ray.online.spec import RunSpec
from lens_ray.prices import Prices


@dataclass(frozen=True)
class Spent:
    """GPU-hours and dollars of one run, by step.

    Attributes:
        series: The run as it was asked; its own hours are taken where it has some.
        run: What the watch file says of it.
        prices: None: no dollars are told.
    """

    series: Series
    run: RunSpec
    prices: Prices | None = None

    def since(self, step: int) -> float | None:
        """GPU-hours from a checkpoint to the last one; None where nobody said."""
        steps = self.series.steps.tolist()
        hours = self.series.gpu_hours
        if len(hours) == len(steps) and step in steps:
            return float(hours[-1] - hours[steps.index(step)])
        per_step = self.per_step
        return None if per_step is None else float(steps[-1] - step) * per_step

    def ahead(self) -> float | None:
        """GPU-hours from the last checkpoint to the planned end; None where either is unknown."""
        planned, per_step = self.run.planned_steps, self.per_step
        if planned is None or per_step is None or not len(self.series.steps):
            return None
        return max(planned - int(self.series.steps[-1]), 0) * per_step

    @property
    def per_step(self) -> float | None:
        """GPU-hours of one step: as measured over the run, else as the watch file says."""
        steps, hours = self.series.steps, self.series.gpu_hours
        if len(hours) == len(steps) and len(steps) > 1 and hours[-1] > hours[0]:
            return (hours[-1] - hours[0]) / float(steps[-1] - steps[0])
        if self.run.gpus and self.run.seconds_per_step is not None:
            return self.run.gpus * self.run.seconds_per_step / 3600
        return None

    def usd(self, hours: float | None) -> float | None:
        """What GPU-hours cost; None where hours or price are unknown."""
        if hours is None or self.prices is None or self.run.accelerator is None:
            return None
        return self.prices.of_hours(self.run.accelerator, hours).usd

    def words(self, hours: float | None) -> str | None:
        """Hours and dollars in words; None where the hours are unknown."""
        if hours is None:
            return None
        usd = self.usd(hours)
        size = f"{hours:,.1f}" if hours >= 10 else f"{hours:.2g}"
        return f"{size} GPU-hours" + ("" if usd is None else f", ${usd:,.2f}")
