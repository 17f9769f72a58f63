"""The policy file of a gate: `Policy`, and `load_policy`, which names line, column and key.

A policy is a list of rules, each a mapping of one key, the kind of rule::

    name: release
    candidate: new-model
    baseline: old-model
    level: 0.05
    rules:
      - noninferior: {abilities: all, margin: 0.05}
      - superior: {abilities: overall, by: 0.0}
      - max_unparsed: 0.02
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lens_ray.errors import UserError
from lens_ray.job_yaml import MAX_BYTES, Place, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.spec import NAME_PATTERN, ClosedModel
from lens_ray.yaml_problems import described, first_line, nearest

T = TypeVar("T")
ALL = "all"
OVERALL = "overall"
#: What a policy says first, in messages.
_START = "start with name:, candidate: and rules:"


class PolicyError(UserError):
    """A policy file is not valid."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _some(value: tuple[T, ...]) -> tuple[T, ...]:
    """After its items were checked: a bound on the length would hide what is wrong with them."""
    if not value:
        raise PydanticCustomError("empty", "the list is empty; write at least one entry")
    return value


#: ``all`` (each ability of the suite), ``overall``, or names of abilities.
Abilities = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_some)]
Share = Annotated[float, Field(ge=0, le=1)]


class Scored(ClosedModel):
    """What a rule on scores is about.

    Attributes:
        abilities: ``all``, ``overall``, or names of abilities; one check each.
        weights: In the place of ``abilities``: one composite, the mean of the abilities' corrected
            scores by these weights.
    """

    abilities: Abilities = (OVERALL,)
    weights: dict[str, Annotated[float, Field(gt=0, le=1e6)]] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Scored:
        if self.weights is not None and "abilities" in self.model_fields_set:
            raise PydanticCustomError(
                "both", "abilities and weights are both given; keep one of them"
            )
        if self.weights is not None and not self.weights:
            raise PydanticCustomError("empty", "weights is empty; write {ocr: 2, counting: 1}")
        if self.weights is not None and ALL in self.weights:
            raise PydanticCustomError("all", "weights has 'all'; name the abilities one by one")
        return self


class NonInferior(Scored):
    """The candidate is less than ``margin`` below the baseline, in every ability named."""

    abilities: Abilities = (ALL,)
    margin: float = Field(gt=0, le=2)


class Superior(Scored):
    """The candidate is more than ``by`` above the baseline.

    Attributes:
        by: How much.
        any: One of the abilities is enough; tested with Holm's step over all of them.
    """

    by: float = Field(default=0.0, ge=0, le=2)
    any: bool = False


class MinScore(Scored):
    """The candidate's corrected score is above ``score``."""

    score: float = Field(ge=-10, le=1)


class Counted(ClosedModel):
    """A bound on a share of the candidate's samples; a plain number is the bound.

    Attributes:
        share: The bound, itself allowed.
        abilities: ``overall`` (all samples at once), ``all`` or names; one check each.
    """

    share: Share
    abilities: Abilities = (OVERALL,)

    @model_validator(mode="before")
    @classmethod
    def _plain_number(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"share": value} if is_number else value


class MaxShare(Counted):
    """At most this share of the candidate's answers has a status.

    Attributes:
        tested: The share is an estimate, and its interval is held against the bound; else the run's
            own count is.
    """

    tested: bool = False


class Stability(ClosedModel):
    """The candidate is not less steady than the baseline by ``no_worse_by`` or more.

    Attributes:
        kind: ``dvs`` or ``res`` (against the suite's pool) or ``tau`` (noise-free spread over the
            subtasks), which must not be higher; ``consistency``, the share of answers that stay
            when a question is put in another way, which must not be lower.
        no_worse_by: How much worse the figure may be.
        abilities: See `Scored`.
        variants: Of ``consistency``: suites that both models answered besides; None takes all
            controls that keep a question's meaning.
    """

    kind: Literal["dvs", "res", "tau", "consistency"]
    no_worse_by: float = Field(gt=0)
    abilities: Abilities = (OVERALL,)
    variants: Abilities | None = None

    @model_validator(mode="after")
    def _variants_of_consistency(self) -> Stability:
        if self.variants is not None and self.kind != "consistency":
            raise PydanticCustomError(
                "variants", "variants belong to kind: consistency; take the key out"
            )
        return self


class Rule(ClosedModel):
    """One entry of ``rules``: exactly one of these."""

    noninferior: NonInferior | None = None
    superior: Superior | None = None
    min_score: MinScore | None = None
    min_coverage: Counted | None = None
    max_unparsed: MaxShare | None = None
    max_refused: MaxShare | None = None
    max_truncated: MaxShare | None = None
    stability: Stability | None = None
    max_usd_per_1000: Annotated[float, Field(ge=0)] | None = None
    max_latency_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Rule:
        if len(self.model_fields_set) != 1 or self.value is None:
            known = ", ".join(type(self).model_fields)
            raise PydanticCustomError(
                "one_rule", "an entry is one rule with its value; write one of: {known}",
                {"known": known},
            )  # fmt: skip
        return self

    @property
    def kind(self) -> str:
        """Its name."""
        return next(iter(self.model_fields_set))

    @property
    def value(self) -> ClosedModel | float | None:
        """What the rule says."""
        found: ClosedModel | float | None = getattr(self, self.kind)
        return found

    @property
    def compares(self) -> bool:
        """Whether it needs a baseline."""
        return self.kind in ("noninferior", "superior", "stability")


class Policy(ClosedModel):
    """When a candidate may take a baseline's place.

    Attributes:
        name: Of the policy.
        candidate: Name of a model or id of a run; may be given at the call instead.
        baseline: The same; needed where a rule compares.
        suite: ``NAME`` or ``NAME@DIGEST``; needed where the models have several in common.
        on: ``all``, or ``common`` (see `lens_ray.stats.marks.load_marks`).
        pool: Pool of the stability rules: built-in name or file; None takes the suite's own.
        accelerator: On which open models run, for their cost; a name of the price table.
        level: Share of wrong GOs that is tolerated, and of wrong NO-GOs.
        min_clusters: With fewer clusters a test cannot say.
        rules: All of them must hold.
    """

    name: str = Field(pattern=NAME_PATTERN)
    candidate: str | None = Field(default=None, min_length=1, max_length=256)
    baseline: str | None = Field(default=None, min_length=1, max_length=256)
    suite: str | None = Field(default=None, min_length=1, max_length=4096)
    on: Literal["all", "common"] = "all"
    pool: str | None = Field(default=None, min_length=1, max_length=4096)
    accelerator: str | None = Field(default=None, min_length=1, max_length=64)
    level: float = Field(default=0.05, gt=0, le=0.25)
    min_clusters: int = Field(default=20, ge=2)
    rules: Annotated[tuple[Rule, ...], AfterValidator(_some)]


def load_policy(path: str | Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: ``path:line:column: key: what was found; what to type``. Where there are
            several mistakes, the first one, and how many more there are.
    """
    data = _read(path)
    written = [line.split(b"#")[0].strip() for line in data.splitlines()]
    if not any(written):
        raise PolicyError(f"{path}:1:1: the file is empty; {_START}")
    try:
        document = read_yaml(data)
        if not isinstance(document.value, dict):
            raise YamlProblem(f"a policy is a mapping; {_START}", Place(1, 1))
    except YamlProblem as problem:
        where = f"{path}:{problem.place.line}:{problem.place.column}"
        raise PolicyError(f"{where}: {problem.what}") from problem
    try:
        return Policy.model_validate(document.value)
    except ValidationError as error:
        problems = described(error, document.value, _known_keys)
    raise PolicyError(first_line(str(path), problems, document))


def as_policy(policy: Policy | Mapping[str, Any] | str | Path) -> Policy:
    """A policy as it is given to the library: itself, its content, or its file.

    Raises:
        PolicyError: It is not valid.
    """
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, str | Path):
        return load_policy(policy)
    try:
        return Policy.model_validate(policy)
    except ValidationError as error:
        path, _, what = described(error, policy, _known_keys)[0]
        where = ".".join(str(part) for part in path) or "policy"
        raise PolicyError(f"{where}: {what}") from error


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        found = [file.name for file in sorted(Path(path).parent.glob("*.y*ml"))]
        hint = nearest(Path(path).name, found) if found else "check the path"
        raise PolicyError(f"{path}: there is no such policy file; {hint}") from error
    except IsADirectoryError as error:
        raise PolicyError(f"{path}: is a folder; give a policy file (YAML)") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise PolicyError(
            f"{str(path)!r}: cannot be read ({reason}); give a policy file"
        ) from error


_KINDS: Mapping[str, type[BaseModel]] = {
    "noninferior": NonInferior, "superior": Superior, "min_score": MinScore,
    "min_coverage": Counted, "max_unparsed": MaxShare, "max_refused": MaxShare,
    "max_truncated": MaxShare, "stability": Stability,
}  # fmt: skip


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> Sequence[str]:
    """The keys that the mapping at a path may have."""
    model: type[BaseModel] = Policy
    if len(path) == 2:
        model = Rule
    elif len(path) >= 3:
        model = _KINDS.get(str(path[2]), Rule)
    return list(model.model_fields)
