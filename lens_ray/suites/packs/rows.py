"""Rows of a table become samples: `samples_of`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from lens_ray.errors import SuiteError
from lens_ray.suites.packs.answers import answers_of, cell_list, cell_text
from lens_ray.suites.packs.formats import FORMATS, JsonParameters, Parameters
from lens_ray.suites.packs.photos import Photos
from lens_ray.suites.packs.schema import Pack, Subtask
from lens_ray.suites.packs.tables import TableRow
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import CLOSING, LETTERS


def samples_of(
    pack: Pack, subtask: Subtask, rows: Iterable[TableRow], folder: Path, photos: Photos
) -> list[Sample]:
    """The samples of a subtask; their photos go into ``photos``, their splits are not given.

    Args:
        pack: The whole pack.
        subtask: Which of its subtasks.
        rows: Its table.
        folder: Where its photos are.
        photos: Takes the photos in.

    Raises:
        SuiteError: A cell is not as it should be; the line names file, row and column.
    """
    seen: dict[str, str] = {}
    samples = []
    for row in rows:
        sample = _Reader(pack, subtask, row, folder, photos).sample()
        if sample.sample_id in seen:
            raise SuiteError(
                f"{row.place}: {subtask.columns.id} {sample.sample_id.split('-')[-1]!r} stands "
                f"in {seen[sample.sample_id]} too; each row needs its own"
            )
        seen[sample.sample_id] = row.place
        samples.append(sample)
    if not samples:
        raise SuiteError(f"subtask {subtask.name}: {subtask.data} has no row")
    return _with_majority(subtask, samples) if subtask.chance == "majority" else samples


def _with_majority(subtask: Subtask, samples: list[Sample]) -> list[Sample]:
    """Chance is what the commonest answer earns, given to every question."""
    share = max(Counter(sample.answers for sample in samples).values()) / len(samples)
    if share >= subtask.upper:
        raise SuiteError(
            f"subtask {subtask.name}: chance: majority is {share:g}, which leaves no room; "
            "give other rows or a number"
        )
    return [dataclasses.replace(sample, chance=share) for sample in samples]


@dataclasses.dataclass(frozen=True)
class _Reader:
    """One row of a subtask."""

    pack: Pack
    subtask: Subtask
    row: TableRow
    folder: Path
    photos: Photos

    def sample(self) -> Sample:
        """The sample of the row."""
        pack, subtask, columns = self.pack, self.subtask, self.subtask.columns
        images = tuple(self._images())
        settings = self._settings()
        choices = self._choices()
        name = self._text(columns.id, "id") if columns.id else f"{self.row.number:05d}"
        cluster = self._text(columns.cluster, "cluster") if columns.cluster else images[0][:16]
        kind = FORMATS[subtask.format]
        answers = self._answers(settings, choices)
        return Sample(
            sample_id=f"{pack.name}/{subtask.name}-{name}",
            ability=subtask.ability,
            source=pack.name,
            subtask=subtask.name,
            format=subtask.format,
            domain=self._text(columns.domain, "domain") if columns.domain else self._domain,
            images=images,
            question=self._question(),
            choices=choices,
            answers=answers,
            metric=subtask.metric or kind.metrics[0],
            chance=self._chance(choices),
            upper=subtask.upper,
            cluster_id=f"{pack.name}/{cluster}",
            group_id=self._group(),
            max_new_tokens=subtask.max_new_tokens or kind.max_new_tokens,
            meta=self._meta(settings, name),
        )

    @property
    def _domain(self) -> str:
        return self.subtask.domain or self.pack.domain

    def _cell(self, column: str, key: str) -> object:
        """A cell of the row.

        Raises:
            SuiteError: There is no such column.
        """
        if column not in self.row.cells:
            near = get_close_matches(column, map(str, self.row.cells), 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.row.cells)}"
            raise SuiteError(
                f"{self.row.place}: there is no column {column!r} (columns.{key}); {hint}"
            )
        return self.row.cells[column]

    def _text(self, column: str, key: str) -> str:
        text = cell_text(self._cell(column, key))
        if not text:
            raise SuiteError(f"{self.row.place}, column {column!r}: is empty")
        return text

    def _images(self) -> Iterator[str]:
        for column in self.subtask.columns.images:
            place = f"{self.row.place}, column {column!r}"
            cell = self._cell(column, "image")
            for each in cell if isinstance(cell, list | tuple) else [cell]:
                yield self.photos.add(each, self.folder, self.subtask.max_side, place)

    def _question(self) -> str:
        subtask = self.subtask
        question = subtask.question or self._text(subtask.columns.question, "question")
        if not subtask.image_names:
            return question
        names = [f"Image {at} is the {name}." for at, name in enumerate(subtask.image_names, 1)]
        return f"{' '.join(names)}\n{question}"

    def _choices(self) -> tuple[str, ...]:
        subtask = self.subtask
        if subtask.format != "multiple_choice":
            return ()
        column = subtask.columns.choices
        if column is None:
            choices = list(subtask.choices or ())
        elif isinstance(column, str):
            choices = cell_list(self._cell(column, "choices"))
        else:
            texts = [cell_text(self._cell(each, "choices")) for each in column]
            choices = [text for text in texts if text]
        if not 2 <= len(choices) <= len(LETTERS) or len(set(choices)) < len(choices):
            raise SuiteError(
                f"{self.row.place}: {len(choices)} choices; write 2 to {len(LETTERS)} that differ"
            )
        return tuple(choices)

    def _settings(self) -> Parameters:
        cells = {
            name: cell_text(self._cell(column, name))
            for name, column in self.subtask.columns.parameters.items()
        }
        try:
            return self.subtask.settings({name: text for name, text in cells.items() if text})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "parameters"
            raise SuiteError(f"{self.row.place}: {key}: {first['msg']}") from error

    def _answers(self, settings: Parameters, choices: tuple[str, ...]) -> tuple[str, ...]:
        subtask, column = self.subtask, self.subtask.columns.answer
        place = f"{self.row.place}, column {column!r}"
        cells = self.row.cells
        if subtask.format == "rule" and subtask.metric != "obeys_and_right":
            return (settings.instruction(),)  # any answer in this form is accepted
        if column not in cells and isinstance(settings, JsonParameters):
            cell: object = {name: self._cell(name, "answer") for name in settings.fields}
            place = self.row.place
        else:
            cell = self._cell(column, "answer")
        return answers_of(subtask.format, cell, choices, settings, subtask.answers, place)

    def _chance(self, choices: tuple[str, ...]) -> float:
        subtask, column = self.subtask, self.subtask.columns.chance
        if column is not None:
            text = self._text(column, "chance")
            try:
                chance = float(text)
            except ValueError:
                chance = -1.0
            if not 0 <= chance < subtask.upper:
                raise SuiteError(
                    f"{self.row.place}, column {column!r}: {text!r} is no chance level from 0 to "
                    f"below {subtask.upper:g}"
                )
            return chance
        if isinstance(subtask.chance, float):
            return subtask.chance
        return 1 / len(choices) if choices else 0.5 if subtask.format == "true_false" else 0.0

    def _group(self) -> str | None:
        column = self.subtask.columns.group
        if column is None:
            return None
        return f"{self.pack.name}/{self.subtask.name}-{self._text(column, 'group')}"

    def _meta(self, settings: Parameters, name: str) -> Mapping[str, str]:
        pack, subtask = self.pack, self.subtask
        meta = settings.meta()
        instruction = subtask.instruction
        if instruction is None:
            instruction = settings.instruction()
        if instruction or subtask.instruction is not None:
            meta[CLOSING] = instruction
        if pack.notice is not None:
            meta["notice"] = pack.notice
        if subtask.decision is not None:
            meta["decision_positive"] = subtask.decision.positive
            meta["decision_max_false_alarms"] = f"{subtask.decision.max_false_alarms:.12g}"
        if subtask.twin_of is not None:
            meta["twin"] = f"{pack.name}/{subtask.twin_of}-{name}"
        named = [self.row.cells.get(column) for column in subtask.columns.images]
        if all(isinstance(cell, str) for cell in named):
            meta["photo"] = "\n".join(map(str, named))
        return meta
