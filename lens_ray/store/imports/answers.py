"""What a file of another tool says: `Answer`, and by what it names its question: `Evidence`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lens_ray.errors import UserError
from lens_ray.scoring.mark import INFRA_ERROR, OVER_BUDGET

#: Beginnings of texts that tools store where a model gave no answer, with the status they mean.
_FAILURES = (
    ("[LMMS_EVAL_BUDGET_EXCEEDED", OVER_BUDGET),
    ("[LMMS_EVAL_REQUEST_FAILED", INFRA_ERROR),
    ("Failed to obtain answer", INFRA_ERROR),
)
#: Causes are cut to this many characters.
_CAUSE = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file.

    Attributes:
        file: The file.
        line: Such as ``line 7`` or ``row 7``, counted from 1.
    """

    file: Path
    line: str

    def fault(self, what: str, column: str | None = None) -> UserError:
        """The error of this place, in one line."""
        where = f"{self.file}, {self.line}" + (f", column {column!r}" if column else "")
        return UserError(f"{where}: {what}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """By what a row names the question it answers; None and () where it says nothing.

    Attributes:
        sample_id: The id in the suite itself.
        ids: Ids of the data set's publisher, those that say most first.
        row: Position in the data set's split, from 0.
        question: A text in which the question stands.
        options: Options in the order shown.
        gold: The accepted answer.
    """

    sample_id: str | None = None
    ids: tuple[str, ...] = ()
    row: int | None = None
    question: str | None = None
    options: tuple[str, ...] = ()
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file may say besides the text; None where it does not."""

    finish_reason: str | None = None
    confidence: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_s: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of a file.

    Attributes:
        place: Where it stands.
        says: What it answers.
        text: Raw text; None where there was no answer.
        cause: Why there was none.
        status: ``infra_error`` or ``over_budget`` where there was none.
        facts: What else is said of it.
    """

    place: Place
    says: Evidence
    text: str | None
    status: str | None = None
    cause: str | None = None
    facts: Facts = field(default_factory=Facts)


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """A file that holds answers.

    Attributes:
        path: Where it is.
        about: What of its name or content says which data set it is of; "" where nothing does.
    """

    path: Path
    about: str = ""


def answer(
    place: Place, says: Evidence, text: str | None, facts: Facts | None = None, lacks: str = ""
) -> Answer:
    """An answer, or its failure where the text is a tool's marker of one.

    Args:
        place: Where it stands.
        says: What it answers.
        text: What the file holds; None is no answer.
        facts: What else is said of it.
        lacks: Why there is no text, where there is none.
    """
    facts = facts or Facts()
    if text is None:
        return Answer(place, says, None, INFRA_ERROR, lacks or "the file holds no answer", facts)
    begin = text.lstrip()[:_CAUSE]
    for marker, status in _FAILURES:
        if begin.startswith(marker):
            return Answer(place, says, None, status, f"the file says: {begin}", facts)
    return Answer(place, says, text, facts=facts)
