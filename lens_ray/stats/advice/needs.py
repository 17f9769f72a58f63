"""What a user needs of a model: `Needs`, and `load_needs`, which reads them from a YAML file.

Weights say what counts; everything else is a hard need that a model meets or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from lens_ray.errors import UserError
from lens_ray.job_yaml import MAX_BYTES, Place, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.spec import ClosedModel
from lens_ray.yaml_problems import described, first_line, nearest

#: In `Needs.weights`: the weight of every ability that is not named.
OTHERS = "others"
#: Of one weight; the sum of larger ones may be no finite number.
MOST_WEIGHT = 1e6
#: Of a corrected score, in `Needs.min_score`.
LEAST_SCORE = -10.0


class Needs(ClosedModel):
    """The content of a needs file; every key may be left out.

    Attributes:
        weights: How much each ability counts; one that is not named counts ``others``, or 0 where
            that is not given. Empty: the six abilities count alike.
        min_score: Corrected score that an ability must reach.
        sure: Probability from which a ``min_score`` counts as reached. It counts as missed where
            the level of the advice excludes it (`lens_ray.stats.advice.best.judge`).
        max_usd_per_1000: Dollars for 1,000 answers.
        max_latency_s: Median seconds of an answer.
        gpu_memory_gb: Memory of the one GPU on which the model must run.
        access: ``open``: only models whose weights are open.
        on_site: Images may not leave the site, so no provider may be asked.
        accelerator: On which open models run, for their cost; a name of the price table.
        indifference: Differences of the score below this do not matter.
    """

    weights: dict[str, float] = Field(default_factory=dict)
    min_score: dict[str, float] = Field(default_factory=dict)
    sure: float = Field(default=0.9, gt=0.5, lt=1)
    max_usd_per_1000: float | None = Field(default=None, ge=0)
    max_latency_s: float | None = Field(default=None, gt=0)
    gpu_memory_gb: float | None = Field(default=None, gt=0)
    access: Literal["open"] | None = None
    on_site: bool = False
    accelerator: str | None = Field(default=None, min_length=1, max_length=64)
    indifference: float = Field(default=0.02, gt=0, lt=1)

    @field_validator("weights")
    @classmethod
    def _some_weight(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if weight < 0:
                raise PydanticCustomError(
                    "negative_weight", "{name} has a weight below 0; write 0 or more",
                    {"name": repr(name)},
                )  # fmt: skip
            if weight > MOST_WEIGHT:
                raise PydanticCustomError(
                    "huge_weight", "{name} has a weight above 1,000,000; write a smaller one",
                    {"name": repr(name)},
                )  # fmt: skip
        if value and not any(weight > 0 for weight in value.values()):
            raise PydanticCustomError(
                "no_weight", "no weight is above 0; leave the key out to let all count alike"
            )
        return value

    @field_validator("min_score")
    @classmethod
    def _possible_score(cls, value: dict[str, float]) -> dict[str, float]:
        for name, least in value.items():
            if least < LEAST_SCORE:
                raise PydanticCustomError(
                    "no_need", "{name} has a score below -10; take it out, as every model has more",
                    {"name": repr(name)},
                )  # fmt: skip
            if least > 1:
                raise PydanticCustomError(
                    "impossible_score",
                    "{name} must reach {least}, and the highest score is 1; write 0.8 for 80 %",
                    {"name": repr(name), "least": least},
                )
        return value

    def weights_of(self, abilities: Sequence[str], counted: Sequence[str]) -> dict[str, float]:
        """The weight of each ability, brought to the sum 1.

        Args:
            abilities: All that were asked.
            counted: Those that count alike where no weights are given.

        Raises:
            UserError: An ability that was not asked has a weight or a least score, or nothing
                counts.
        """
        for key, names in (("weights", self.weights), ("min_score", self.min_score)):
            for name in names:
                if name not in abilities and not (key == "weights" and name == OTHERS):
                    raise UserError(
                        f"needs: {key}.{name}: the suite asked nothing of this ability; "
                        f"{nearest(name, abilities)}"
                    )
        given: Mapping[str, float] = self.weights or dict.fromkeys(counted, 1.0)
        found = {name: given.get(name, given.get(OTHERS, 0.0)) for name in abilities}
        total = sum(found.values())
        if not total > 0:
            raise UserError("needs: weights: none is above 0 for an ability that the suite asked")
        return {name: weight / total for name, weight in found.items()}


def load_needs(path: str | Path) -> Needs:
    """Read and check a needs file.

    Raises:
        UserError: ``path:line:column: key: what was found; what to type``.
    """
    name = str(path)
    try:
        with open(path, "rb") as file:
            document = read_yaml(file.read(MAX_BYTES + 1))
        if not isinstance(document.value, dict):
            raise YamlProblem(
                "a needs file is a mapping; write weights:, min_score: or another need", Place(1, 1)
            )
    except YamlProblem as problem:
        what = problem.what
        if what.startswith("the file is empty"):
            what = "the file is empty; write weights: {counting: 1, ocr: 1} or another need"
        where = f"{name}:{problem.place.line}:{problem.place.column}"
        raise UserError(f"{where}: {what}") from problem
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{name!r}: cannot be read ({reason}); give a needs file (YAML)") from error
    try:
        return Needs.model_validate(document.value)
    except ValidationError as error:
        problems = described(error, document.value, _known_keys)
        raise UserError(first_line(name, problems, document)) from error


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    return list(Needs.model_fields) if not path else []
