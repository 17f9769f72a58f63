"""Marks of one run's checkpoints on the same units: `Series`, the ground of every finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lens_ray.online.checkpoint import Depth
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Ints


@dataclass(frozen=True)
class Health:
    """What a checkpoint's answers are like, beside their marks.

    Attributes:
        n: Rows.
        empty: Share of answers without text.
        commonest: Share of the commonest extracted answer, by format (``multiple_choice``, ...).
        unparsed: Share of answers from which nothing could be extracted.
        broken: Why its weights cannot be trusted (NaN, ...); None where nothing was found.
    """

    n: int = 0
    empty: float = 0.0
    commonest: Mapping[str, float] = field(default_factory=dict)
    unparsed: float = 0.0
    broken: str | None = None


@dataclass(frozen=True)
class Series:
    """One training run, as far as it was asked.

    Attributes:
        run: Its name.
        steps: Of its checkpoints, ascending.
        marks: Checkpoints (as its models, in the order of the steps) x units; NaN where a
            checkpoint was not asked a unit.
        depth: How far each checkpoint was asked.
        tokens: Trained on up to each checkpoint; empty where nobody said.
        gpu_hours: Spent up to each checkpoint; empty where nobody said.
        health: Of each checkpoint's answers; empty where it is not known.
        changes: What the run's ``run.yaml`` changes, by step: ``{8700: "mix: ocr 1.4 -> 3"}``.
    """

    run: str
    steps: Ints
    marks: Marks
    depth: tuple[Depth, ...]
    tokens: tuple[float, ...] = ()
    gpu_hours: tuple[float, ...] = ()
    health: tuple[Health, ...] = ()
    changes: Mapping[int, str] = field(default_factory=dict)

    @property
    def abilities(self) -> tuple[str, ...]:
        """In their usual order, without ``overall``."""
        from lens_ray.stats.abilities import in_order

        return tuple(in_order({ability for ability, _ in self.marks.strata}))
