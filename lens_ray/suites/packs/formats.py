"""What a pack may say of an answer: formats, their metrics, parameters and wording (`FORMATS`).

`lens_ray.scoring.formats` marks these answers and reads the parameters from `Sample.meta`, where
`Parameters.meta` puts them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lens_ray.suites.packs.units import UNITS


class Closed(BaseModel):
    """Base of all that a pack says: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Parameters(Closed):
    """What a format needs to know; most need nothing."""

    def meta(self) -> dict[str, str]:
        """The parameters as `Sample.meta` holds them: those that are set, as text."""
        found: dict[str, str] = {}
        for name, value in self.model_dump().items():
            if isinstance(value, bool):
                found[name] = str(value).lower()
            elif isinstance(value, dict):
                found[name] = json.dumps(value)
            elif isinstance(value, tuple | list):
                found[name] = "\n".join(value)
            elif value is not None:
                found[name] = f"{value:.12g}" if isinstance(value, float) else str(value)
        return found

    def instruction(self) -> str:
        """The closing line of the question where the pack gives none; empty: the template's."""
        return ""


class QuantityParameters(Parameters):
    """A number with its unit.

    Attributes:
        unit: Name in `lens_ray.suites.packs.units.UNITS`; None asks for a bare number.
        tolerance: Largest error that counts as right, in that unit.
        relative_tolerance: The same as a share of the right value; the larger of both counts.
        unit_required: Whether a bare number is wrong.
    """

    unit: str | None = None
    tolerance: float = Field(default=0.0, ge=0)
    relative_tolerance: float = Field(default=0.0, ge=0, le=1)
    unit_required: bool = True

    @field_validator("unit")
    @classmethod
    def _known_unit(cls, value: str | None) -> str | None:
        return None if value is None else one_of(value, UNITS, "unit")

    def instruction(self) -> str:
        """See `Parameters.instruction`."""
        if self.unit is None:
            return "Answer with a number and its unit." if self.unit_required else ""
        return f"Answer with a number in {self.unit}, with its unit."


class LabelsParameters(Parameters):
    """Several labels of a closed list.

    Attributes:
        labels: The list.
        none: The word for none of them.
    """

    labels: tuple[Annotated[str, Field(pattern=r"^[^\n,;|]+$")], ...] = Field(min_length=1)
    none: str = Field(default="none", min_length=1)

    def instruction(self) -> str:
        """See `Parameters.instruction`."""
        return (
            f"Answer with all that apply of: {', '.join(self.labels)}; separated by commas, or "
            f"{self.none}."
        )


class BoxParameters(Parameters):
    """One region.

    Attributes:
        coordinates: Of the accepted answers and of those asked for: ``pixels``, or ``shares`` of
            width and height, 0 to 1.
        corners: ``xyxy`` (left, top, right, bottom) or ``xywh`` (left, top, width, height).
        iou: Overlap from which `box_hit` counts.
    """

    coordinates: Literal["pixels", "shares"] = "pixels"
    corners: Literal["xyxy", "xywh"] = "xyxy"
    iou: float = Field(default=0.5, gt=0, le=1)

    def instruction(self) -> str:
        """See `Parameters.instruction`."""
        names = "left, top, right, bottom" if self.corners == "xyxy" else "left, top, width, height"
        scale = "in pixels" if self.coordinates == "pixels" else "as shares of the image, 0 to 1"
        return f"Answer with four numbers, {scale}: {names}."


class FieldShape(Closed):
    """One field of an object.

    Attributes:
        type: What its value is; a list is compared without its order.
        enum: The only texts that it may be.
        tolerance: Largest error of a number that counts as right.
        optional: Whether an accepted answer may lack it.
    """

    type: Literal["string", "number", "integer", "boolean", "list"] = "string"
    enum: tuple[str, ...] = ()
    tolerance: float = Field(default=0.0, ge=0)
    optional: bool = False


class JsonParameters(Parameters):
    """An object.

    Attributes:
        fields: Its fields by name.
    """

    fields: dict[str, FieldShape] = Field(min_length=1)

    def instruction(self) -> str:
        """See `Parameters.instruction`."""
        said = [
            f"{name} ({' | '.join(shape.enum) if shape.enum else shape.type})"
            for name, shape in self.fields.items()
        ]
        return f"Answer with one JSON object with the fields {', '.join(said)}, and nothing else."


#: Rule to the closing line that asks for it; ``{value}`` is what the rule needs.
RULE_WORDS: Mapping[str, str] = {
    "one_word": "Answer with exactly one word.",
    "max_words": "Answer with at most {value} words.",
    "upper_case": "Answer in capital letters only.",
    "lower_case": "Answer in small letters only.",
    "digits_only": "Answer with digits only.",
    "json_only": "Answer with JSON only, without any other text.",
    "list_of": "Answer with a list of exactly {value} items, one a line, each after a dash.",
    "comma_list_of": "Answer in one line with exactly {value} items, separated by commas.",
    "yes_no_in": "Answer only with the {value} word for yes or for no.",
    "starts_with": "Begin the answer with: {value}",
    "ends_with": "End the answer with: {value}",
    "without": "Do not use this anywhere in the answer: {value}",
}
_NUMBERED = ("max_words", "list_of", "comma_list_of")
#: Languages of the rule ``yes_no_in`` (ISO 639-1).
LANGUAGES: Mapping[str, str] = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "nl": "Dutch", "pt": "Portuguese", "pl": "Polish", "zh": "Chinese", "ja": "Japanese",
}  # fmt: skip


class RuleParameters(Parameters):
    """A rule for the form of the answer.

    Attributes:
        rule: One of `RULE_WORDS`.
        value: What it needs: a number, a language (ISO 639-1), or a text.
    """

    rule: str
    value: str | int | None = None

    @field_validator("rule")
    @classmethod
    def _known_rule(cls, value: str) -> str:
        return one_of(value, RULE_WORDS, "rule")

    @model_validator(mode="after")
    def _fitting_value(self) -> RuleParameters:
        needed = "{value}" in RULE_WORDS[self.rule]
        text = str(self.value)
        if needed == (self.value is None):
            raise PydanticCustomError(
                "value", "the rule {rule} {what}",
                {"rule": self.rule, "what": "needs a value: ..." if needed else "takes no value"},
            )  # fmt: skip
        if self.rule in _NUMBERED and not (text.isdecimal() and 0 < int(text) < 1000):
            raise PydanticCustomError(
                "value", "the rule {rule} needs a whole number, 1 to 999", {"rule": self.rule}
            )
        if self.rule == "yes_no_in":
            one_of(text, LANGUAGES, "language")
        return self

    def instruction(self) -> str:
        """See `Parameters.instruction`."""
        text = str(self.value)
        said = LANGUAGES[text] if self.rule == "yes_no_in" else text
        return RULE_WORDS[self.rule].replace("{value}", said)


def one_of(value: str, known: Sequence[str] | Mapping[str, object], what: str) -> str:
    """The value where it is known.

    Raises:
        PydanticCustomError: It is not; the nearest is given.
    """
    if value not in known:
        near = get_close_matches(value, list(known), 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        # The texts go in as values: a brace in them would be taken for a placeholder.
        raise PydanticCustomError(
            "unknown_name", "no {what} is called {value}; {hint}",
            {"what": what, "value": repr(value), "hint": hint},
        )  # fmt: skip
    return value


@dataclass(frozen=True, slots=True)
class Format:
    """One way to answer.

    Attributes:
        metrics: What may mark it, the default first.
        parameters: What it needs to know.
        max_new_tokens: Generation limit unless the pack says otherwise.
    """

    metrics: tuple[str, ...]
    parameters: type[Parameters] = Parameters
    max_new_tokens: int = 16


#: Every format by the name that a pack and `Sample.format` use.
FORMATS: Mapping[str, Format] = {
    "true_false": Format(("exact",)),
    "multiple_choice": Format(("exact",)),
    "open": Format(
        ("exact", "edit_similarity", "numeric", "relaxed_numeric", "anls"), max_new_tokens=32
    ),
    "quantity": Format(("quantity",), QuantityParameters, 32),
    "labels": Format(("label_set_f1", "label_set"), LabelsParameters, 48),
    "box": Format(("box_iou", "box_hit"), BoxParameters, 48),
    "json": Format(("json_fields", "json_exact"), JsonParameters, 256),
    "rule": Format(("obeys", "obeys_and_right"), RuleParameters, 96),
}  # fmt: skip
