"""What stands in a ``pack.yaml``: `Pack`, and `read_pack`, which names the place of a mistake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from lens_ray.errors import SuiteError
from lens_ray.job_yaml import MAX_BYTES, Place, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.suites.packs.demo import DEMOS
from lens_ray.suites.packs.formats import FORMATS, Closed, Parameters, one_of
from lens_ray.yaml_problems import described, first_line

FILE = "pack.yaml"
#: Metrics of other packages register under this group (`lens_ray.scoring.metrics.GROUP`).
_METRIC_GROUP = "lens_ray.metrics"

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Columns_ = str | tuple[str, ...]


class Columns(Closed):
    """Which column of the data says what; what is not named is looked for under its own name.

    Attributes:
        image: File names of the photos, or the photos themselves; several columns for several.
        question: Where the subtask has no fixed question.
        answer: The right answer.
        choices: One column with a list, or one column a choice.
        id: Something that no two rows share; None takes the number of the row.
        cluster: Rows that belong together (one part, one patient), besides those that share a
            photo.
        group: Rows that are marked together.
        chance: Chance level of the row.
        domain: Kind of picture.
        unit: Unit of a quantity.
        tolerance: Tolerance of a quantity.
        rule: Rule for the form of an answer.
        value: What that rule needs.
    """

    image: Columns_ = "image"
    question: str = "question"
    answer: str = "answer"
    choices: Columns_ | None = None
    id: str | None = None
    cluster: str | None = None
    group: str | None = None
    chance: str | None = None
    domain: str | None = None
    unit: str | None = None
    tolerance: str | None = None
    rule: str | None = None
    value: str | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The columns of the photos, in order."""
        return (self.image,) if isinstance(self.image, str) else self.image

    @property
    def parameters(self) -> dict[str, str]:
        """The columns of parameters of the format, by parameter."""
        names = ("unit", "tolerance", "rule", "value")
        found = {name: getattr(self, name) for name in names}
        return {name: column for name, column in found.items() if column is not None}


class Decision(Closed):
    """How a yes/no inspection is judged: recall where false alarms are held down.

    Attributes:
        positive: The answer that raises the alarm.
        max_false_alarms: Largest share of good ones that may raise it.
    """

    positive: Literal["yes", "no"] = "yes"
    max_false_alarms: float = Field(ge=0, lt=1)


class Subtask(Closed):
    """One table of questions of one kind.

    Attributes:
        name: Unique in the pack.
        ability: One of the six, or any other, which is then shown apart from them.
        format: One of `lens_ray.suites.packs.formats.FORMATS`.
        data: CSV, JSONL or Parquet file, from the pack's folder.
        demo: Instead of data, a generator of `lens_ray.suites.packs.demo.DEMOS`.
        count: Rows that the generator draws.
        images: Folder of the photos, from the pack's folder.
        image_names: What each photo of a question is (``[reference, specimen]``), said in it.
        max_side: Larger photos are scaled down to this many pixels.
        question: The question of every row.
        instruction: The closing line, instead of the format's.
        choices: The options of every row.
        answers: What is written in the data to the answer that it means (``NOK: yes``).
        columns: Where the rest stands.
        parameters: Of the format.
        metric: One of the format's; None takes its first.
        chance: What the best answer earns that does not look; ``majority`` is the share of the
            commonest answer; None takes the format's (1/2, 1 over the choices, or 0).
        upper: Highest score that can be reached.
        domain: Kind of picture; None takes the pack's.
        max_new_tokens: None takes the format's.
        decision: How it is judged as an inspection.
        twin_of: The subtask of the same rows that asks only what there is to see.
    """

    name: Name
    ability: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    format: str
    data: str | None = None
    demo: str | None = None
    count: int = Field(default=40, ge=1, le=10_000)
    images: str | None = None
    image_names: tuple[Text, ...] = ()
    max_side: int | None = Field(default=None, ge=8)
    question: Text | None = None
    instruction: str | None = None
    choices: tuple[Text, ...] | None = None
    answers: dict[str, str] = Field(default_factory=dict)
    columns: Columns = Columns()
    parameters: Mapping[str, object] = Field(default_factory=dict)
    metric: str | None = None
    chance: float | Literal["majority"] | None = None
    upper: float = Field(default=1.0, gt=0, le=1)
    domain: Text | None = None
    max_new_tokens: int | None = Field(default=None, ge=1, le=32_768)
    decision: Decision | None = None
    twin_of: str | None = None

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        return one_of(value, FORMATS, "format")

    @field_validator("demo")
    @classmethod
    def _known_demo(cls, value: str | None) -> str | None:
        return None if value is None else one_of(value, DEMOS, "demo")

    @field_validator("parameters")
    @classmethod
    def _own_parameters(
        cls, value: Mapping[str, object], info: ValidationInfo
    ) -> Mapping[str, object]:
        if "format" in info.data:
            model: type[Closed] = FORMATS[info.data["format"]].parameters
            columns = info.data.get("columns")
            if columns is not None and columns.parameters:
                # The rows say the rest, and are checked with it.
                value = {**value, **dict.fromkeys(columns.parameters)}
                model = _keys_only(model)
            model.model_validate(value)
        return value

    @field_validator("metric")
    @classmethod
    def _fitting_metric(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or "format" not in info.data:
            return value
        known = FORMATS[info.data["format"]].metrics
        if value in {entry.name for entry in entry_points(group=_METRIC_GROUP)}:
            return value
        return one_of(value, known, f"metric of the format {info.data['format']}")

    @field_validator("chance")
    @classmethod
    def _some_room(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, float) and not 0 <= value < 1:
            raise PydanticCustomError("chance", "a chance level lies from 0 to below 1")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Subtask:
        if (self.data is None) == (self.demo is None):
            raise PydanticCustomError(
                "data", "write data: FILE (CSV, JSONL or Parquet), or demo: NAME, and not both"
            )
        if self.format == "multiple_choice" and not (self.choices or self.columns.choices):
            raise PydanticCustomError(
                "choices", "multiple_choice needs choices: [ONE, TWO], or a column of them"
            )
        if self.decision is not None and self.format != "true_false":
            raise PydanticCustomError("decision", "a decision is made on true_false answers only")
        if self.image_names and len(self.image_names) != len(self.columns.images):
            raise PydanticCustomError(
                "image_names", "image_names: as many names as columns.image has columns"
            )
        if (
            self.format == "box"
            and self.max_side
            and self.settings({}).meta()["coordinates"] == ("pixels")
        ):
            raise PydanticCustomError(
                "max_side", "max_side moves pixels: give boxes as coordinates: shares"
            )
        # Where no mapping was written, nothing was validated.
        missing = [
            name
            for name, field in FORMATS[self.format].parameters.model_fields.items()
            if field.is_required() and not self.parameters and name not in self.columns.parameters
        ]
        if missing:
            raise PydanticCustomError(
                "parameters", "the format {format} needs parameters: {names}",
                {"format": self.format, "names": ", ".join(missing)},
            )  # fmt: skip
        return self

    def settings(self, of_row: Mapping[str, object]) -> Parameters:
        """The parameters, with those that a row says itself.

        Raises:
            ValidationError: What the row says is not valid.
        """
        model = FORMATS[self.format].parameters
        return model.model_validate({**self.parameters, **of_row})


class Pack(Closed):
    """A whole ``pack.yaml``.

    Attributes:
        name: Of the suite that it becomes.
        subtasks: What is asked.
        licence: SPDX id or a short text.
        revision: Goes up with the data.
        domain: Kind of picture.
        notice: What whoever uses the pack must know; shown by ``lens-ray suite show``.
    """

    name: Name
    subtasks: tuple[Subtask, ...]
    licence: Text = "private"
    revision: str = "1"
    domain: Text = "photos"
    notice: Text | None = None

    @field_validator("subtasks")
    @classmethod
    def _sound_subtasks(cls, subtasks: tuple[Subtask, ...]) -> tuple[Subtask, ...]:
        if not subtasks:
            raise PydanticCustomError("no_subtask", "the list is empty; write at least one")
        problems: list[InitErrorDetails] = []
        names = Counter(subtask.name for subtask in subtasks)
        for index, subtask in enumerate(subtasks):
            if names[subtask.name] > 1:
                error = PydanticCustomError("repeated", "two subtasks have this name; rename one")
                problems.append({"type": error, "loc": (index, "name"), "input": subtask.name})
            if subtask.twin_of is not None:
                try:
                    one_of(subtask.twin_of, list(names), "subtask")
                except PydanticCustomError as error:
                    problems.append(
                        {"type": error, "loc": (index, "twin_of"), "input": subtask.twin_of}
                    )
        if problems:
            raise ValidationError.from_exception_data("Pack", problems)
        return subtasks


def _keys_only(model: type[Closed]) -> type[Closed]:
    """A model of the same keys that takes any values."""
    fields: dict[str, Any] = {name: (Any, None) for name in model.model_fields}
    return create_model("Keys", __base__=Closed, **fields)


def read_pack(file: Path) -> Pack:
    """Read and check a ``pack.yaml``.

    Raises:
        SuiteError: ``path:line:column: key: what was found; what to type``, in one line.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SuiteError(f"pack {file}: cannot be read ({error.strerror})") from error
    try:
        if not data.strip():
            raise YamlProblem("the file is empty; start with name: and subtasks:", _START)
        document = read_yaml(data)
        if not isinstance(document.value, dict):
            raise YamlProblem("a pack is a mapping; start with name: and subtasks:", _START)
    except YamlProblem as problem:
        where = f"{file}:{problem.place.line}:{problem.place.column}"
        raise SuiteError(f"{where}: {problem.what}") from problem
    try:
        return Pack.model_validate(document.value)
    except ValidationError as error:
        problems = described(error, document.value, _known_keys)
        raise SuiteError(first_line(str(file), problems, document)) from error


_START = Place(1, 1)


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> Sequence[str]:
    """The keys that the mapping at a path of the file may have."""
    model: type[Closed] = Pack
    if path[2:] == ():
        model = Subtask if path else Pack
    elif path[2] == "columns":
        model = Columns
    elif path[2] == "decision":
        model = Decision
    elif path[2] == "parameters":
        subtasks = values["subtasks"]
        assert isinstance(subtasks, list)
        model = FORMATS[subtasks[int(path[1])]["format"]].parameters
        if len(path) > 3:  # a field of the format json
            from lens_ray.suites.packs.formats import FieldShape

            model = FieldShape
    return list(model.model_fields)
