"""How often the models that `advise` cannot exclude hold the true best: `CELLS`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.benchmarks.coverage.cell import Cell
from lens_ray.stats.advice.best import Judged, judge
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats

#: Replicates of a simulated field; the product takes 2,000.
_REPLICATES = 1000
_ABILITIES = ("attribute", "counting", "ocr")
_WEIGHTS = {"attribute": 0.25, "counting": 0.5, "ocr": 0.25}


@dataclass(frozen=True)
class FieldOf:
    """Simulated models: skills by model and ability, images of several questions.

    Attributes:
        models: How many.
        images: Of each ability.
        questions: Of an image.
        spread: Standard deviation of the models' skills, in logits; 0 makes all equal.
        own: Standard deviation of a model's skill from ability to ability.
        bar: A corrected score that counting must reach, or None.
    """

    models: int
    images: int
    questions: int
    spread: float
    own: float
    bar: float | None = None

    def skills(self, rng: np.random.Generator) -> Floats:
        """Models x abilities, in logits."""
        common = rng.normal(0, self.spread, (self.models, 1))
        found: Floats = common + rng.normal(0, self.own, (self.models, len(_ABILITIES)))
        return found

    def truth(self, skills: Floats) -> tuple[Floats, Floats]:
        """True corrected score and true counting score of each model, by quadrature."""
        nodes, mass = np.polynomial.hermite_e.hermegauss(40)
        # Ease of an image and of a question are normal with variance 1 and 0.5.
        ease = nodes * 1.5**0.5
        chance = 1 / (1 + np.exp(-(skills[:, :, None] + ease)))
        right = chance @ (mass / mass.sum())
        return right @ np.array([_WEIGHTS[name] for name in _ABILITIES]), right[:, 1]

    def marks(self, rng: np.random.Generator, skills: Floats) -> Marks:
        """What the models answer."""
        size = self.images * self.questions
        parts = []
        for place in range(len(_ABILITIES)):
            ease = np.repeat(rng.normal(0, 1, self.images), self.questions)
            ease = ease + rng.normal(0, 0.5**0.5, size)
            chance = 1 / (1 + np.exp(-(skills[:, [place]] + ease)))
            parts.append((rng.random(chance.shape) < chance).astype(float))
        total = size * len(_ABILITIES)
        stratum = np.repeat(np.arange(len(_ABILITIES)), size)
        return Marks(
            models=tuple(f"m{number}" for number in range(self.models)),
            runs=(),
            suite="simulated",
            suite_digest="",
            ids=tuple(map(str, range(total))),
            strata=tuple((name, "all") for name in _ABILITIES),
            stratum=stratum,
            cluster=np.arange(total) // self.questions,
            clusters=total // self.questions,
            chance=np.zeros(total),
            upper=np.ones(total),
            score=np.concatenate(parts, axis=1),
            weights={},
            facets={"ability": Facet(_ABILITIES, stratum)},
        )


def judged_field(field: FieldOf, rng: np.random.Generator) -> tuple[Judged, Floats, int | None]:
    """One field: what is judged of it, the true scores, and the true best model, if any."""
    skills = field.skills(rng)
    score, counting = field.truth(skills)
    marks = field.marks(rng, skills)
    draws = draw_jointly(marks, str(rng.integers(1 << 40)), _REPLICATES)
    bar = {} if field.bar is None else {"counting": field.bar}
    judged = judge(draws, ability_figures(marks), _WEIGHTS, min_score=bar)
    good = np.ones(field.models, dtype=bool) if field.bar is None else counting >= field.bar
    best = int(np.where(good, score, -np.inf).argmax()) if good.any() else None
    return judged, score, best


def _cell(name: str, field: FieldOf) -> Cell:
    def once(rng: np.random.Generator) -> tuple[bool, float] | None:
        judged, _, best = judged_field(field, rng)
        if best is None:
            return None
        return bool(judged.possible[best]), float(judged.possible.sum())

    return Cell("best model", name, 0.95, 1.0, once)


#: The first is the hardest there is: nothing but noise tells the models apart.
CELLS: tuple[Cell, ...] = (
    _cell("8 equal models, 3 x 60 images of 3", FieldOf(8, 60, 3, 0.0, 0.0)),
    _cell("12 models, counting must reach 0.5, 3 x 40 images of 2",
          FieldOf(12, 40, 2, 0.4, 0.3, 0.5)),
)  # fmt: skip
