"""The values of one row, read strictly: `Cells`."""

from __future__ import annotations

import re

from lens_ray.errors import SuiteError
from lens_ray.suites.sources.base import Row
from lens_ray.suites.templates import LETTERS


class Cells:
    """One row of a source; whatever is wrong in it becomes one line that names the place."""

    def __init__(self, source: str, row: Row, number: int) -> None:
        self.source = source
        self.number = number
        self._row = row

    def fault(self, column: str, what: str) -> SuiteError:
        """The error of a column of this row."""
        return SuiteError(f"{self.source}: row {self.number}: column {column}: {what}")

    def _value(self, column: str) -> object:
        value = self._row.get(column)
        # A table file has a NaN where it has no text.
        return None if isinstance(value, float) and value != value else value

    def text(self, column: str) -> str:
        """A text that says something, as it was published.

        Raises:
            SuiteError: It is missing, blank, or no text.
        """
        found = self.maybe(column)
        if found is None or not found.strip():
            raise self.fault(column, "it is empty")
        return found

    def maybe(self, column: str) -> str | None:
        """A text that may be missing (None); an empty one stays as it is.

        Raises:
            SuiteError: It is no text.
        """
        value = self._value(column)
        if value is None or isinstance(value, str):
            return value
        raise self.fault(column, f"{_short(value)} is no text")

    def name(self, column: str) -> str:
        """An id: a text or a whole number, as a text without white space around it.

        Raises:
            SuiteError: It is missing or something else.
        """
        value = self._value(column)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(column).strip()

    def maybe_name(self, column: str) -> str | None:
        """An id that may be missing.

        Raises:
            SuiteError: It is neither a text nor a whole number.
        """
        value = self._value(column)
        return None if value is None or value == "" else self.name(column)

    def integer(self, column: str) -> int:
        """A whole number of 0 or more, or its digits as a text.

        Raises:
            SuiteError: It is something else.
        """
        value = self._value(column)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise self.fault(column, f"{_short(value)} is no whole number")

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of one or more texts; a single text is a list of one.

        Raises:
            SuiteError: It is empty, or holds something else.
        """
        value = self._value(column)
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple) or not value:
            raise self.fault(column, f"{_short(value)} is no list of texts")
        for part in value:
            if not isinstance(part, str):
                raise self.fault(column, f"its part {_short(part)} is no text")
        return tuple(value)

    def letter(self, column: str, options: int) -> str:
        """The letter of one of so many options, in upper case.

        Raises:
            SuiteError: It is no letter, or none of theirs.
        """
        found = self.text(column).strip().upper()
        if found not in list(LETTERS[:options]):
            raise self.fault(column, f"{found!r} is none of the letters of its {options} options")
        return found

    def yes_or_no(self, column: str) -> str:
        """``yes`` or ``no``.

        Raises:
            SuiteError: It is neither.
        """
        found = self.text(column)
        plain = found.strip().lower().replace(".", "")
        if plain not in ("yes", "no"):
            raise self.fault(column, f"{found!r} is neither yes nor no")
        return plain

    def options(self, column: str, found: tuple[str, ...]) -> tuple[str, ...]:
        """Option texts that a question can have.

        Raises:
            SuiteError: There are fewer than 2 or more than there are letters.
        """
        if not 2 <= len(found) <= len(LETTERS):
            raise self.fault(column, f"{len(found)} options; 2 to {len(LETTERS)} can be asked")
        return found


def slug(text: str) -> str:
    """A name as part of a subtask: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _short(value: object) -> str:
    if value is None:
        return "nothing"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
