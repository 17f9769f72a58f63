"""VLMEvalKit's tables of the public benchmarks, seen with the published columns: `as_published`.

VLMEvalKit renames columns and moves options out of the question; here they are put back. MIRB,
SynthDoG and ConBench have no such table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.shelves import Shelf
from lens_ray.suites.readers.table import Table, as_kind, check_columns
from lens_ray.suites.readers.tsv import TsvTable
from lens_ray.suites.sources.base import Kind, Row

#: A row as VLMEvalKit has it to the row as it was published.
Renamed = Callable[[Row], dict[str, object]]

#: SEED-Bench's image types, by VLMEvalKit's names without plurals and spaces.
_SEED_TYPES: Mapping[str, int] = {
    "sceneunderstanding": 1, "instanceidentity": 2, "instanceattribute": 3, "instancelocation": 4,
    "instancecounting": 5, "spatialrelation": 6, "instanceinteraction": 7, "visualreasoning": 8,
    "textunderstanding": 9,
}  # fmt: skip
_OPTIONS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _options(row: Row) -> list[str]:
    """The options that a row has; they end at the first empty one."""
    found: list[str] = []
    for letter in _OPTIONS:
        text = row.get(letter)
        if text is None:
            break
        found.append(str(text))
    return found


def _mme(row: Row) -> dict[str, object]:
    # The two questions of an image share its path; the published question_id is that path.
    return {"question_id": row["image_path"], **_same(row, "question", "answer", "category")}


def _seed(row: Row) -> dict[str, object]:
    said = str(row["category"] or "")
    key = re.sub(r"[^a-z]", "", said.lower()).replace("instances", "instance")
    key = {"instanceattributes": "instanceattribute", "spatialrelations": "spatialrelation"}.get(
        key, key
    )
    if key not in _SEED_TYPES:
        near = get_close_matches(key, _SEED_TYPES, 1, 0.0)[0]
        raise ValueError(f"category {said[:40]!r} is not known; the nearest is {near!r}")
    choices = {f"choice_{letter.lower()}": row.get(letter) for letter in "ABCD"}
    return {
        "question_id": row["index"],
        "data_id": row["index"],
        "data_type": "image",
        "question_type_id": _SEED_TYPES[key],
        **_same(row, "question", "answer"),
        **choices,
    }


def _mmstar(row: Row) -> dict[str, object]:
    listed = ", ".join(
        f"{letter}: {text}" for letter, text in zip(_OPTIONS, _options(row), strict=False)
    )
    question = f"{row['question']}\nOptions: {listed}" if listed else row["question"]
    return {
        "index": row["index"],
        "question": question,
        "l2_category": row.get("l2-category"),
        **_same(row, "answer", "category"),
    }


def _muirbench(row: Row) -> dict[str, object]:
    return {
        "idx": row["index"],
        "task": row["category"],
        "options": _options(row),
        **_same(row, "question", "answer"),
    }


def _ocrbench(row: Row) -> dict[str, object]:
    # Only the handwritten formulas are marked by a rule of their own, and all are of one data set.
    kind = str(row["category"] or "")
    formulas = kind == "Handwritten Mathematical Expression Recognition"
    return {
        "dataset": "HME100k" if formulas else "not stated",
        "question_type": kind,
        **_same(row, "question", "answer"),
    }


def _mmbench(row: Row) -> dict[str, object]:
    same = _same(
        row, "index", "question", "hint", "answer", "A", "B", "C", "D", "E", "category", "source",
        "comment", "split",
    )  # fmt: skip
    return {**same, "L2-category": row.get("l2-category")}


def _chartqa(row: Row) -> dict[str, object]:
    split = str(row.get("split") or "")
    kind = {"human": "human_test", "augmented": "augmented_test"}.get(
        split.removeprefix("test_").removesuffix("_test"), split
    )
    return {"type": kind, **_same(row, "question", "answer")}


def _ai2d(row: Row) -> dict[str, object]:
    letter = str(row["answer"] or "").strip()
    if len(letter) != 1 or letter not in _OPTIONS:
        raise ValueError(f"answer {letter[:40]!r} is no option's letter")
    return {
        "question": row["question"],
        "options": _options(row),
        "answer": str(_OPTIONS.index(letter)),
    }


def _same(row: Row, *names: str) -> dict[str, object]:
    return {name: row.get(name) for name in names}


RENAMED: Mapping[str, Renamed] = {
    "mme": _mme, "seed_bench": _seed, "mmstar": _mmstar, "muirbench": _muirbench,
    "ocrbench": _ocrbench, "mmbench": _mmbench, "chartqa": _chartqa, "ai2d": _ai2d,
}  # fmt: skip
#: Columns of a table without which its source cannot be made.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "mme": ("image_path", "answer", "category"), "seed_bench": ("A", "B", "answer", "category"),
    "mmstar": ("answer", "l2-category"), "muirbench": ("A", "answer", "category"),
    "ocrbench": ("answer", "category"), "mmbench": ("A", "B", "answer", "category"),
    "chartqa": ("answer",), "ai2d": ("A", "B", "answer"),
}  # fmt: skip
#: What the published files of VLMEvalKit are called, without ``.tsv``.
_FILES: Mapping[str, tuple[str, ...]] = {
    "mme": ("MME",), "seed_bench": ("SEEDBench_IMG",), "mmstar": ("MMStar",),
    "muirbench": ("MUIRBench",), "ocrbench": ("OCRBench",),
    "mmbench": ("MMBench_DEV_EN", "MMBench_DEV_EN_V11"), "chartqa": ("ChartQA_TEST",),
    "ai2d": ("AI2D_TEST",),
}  # fmt: skip


def source_of_file(file: Path) -> str | None:
    """The source whose table a file's name says it is."""
    stem = file.stem.lower()
    for source, names in _FILES.items():
        if stem == source or any(stem == name.lower() for name in names):
            return source
    return None


def as_published(source: str, file: Path, shelf: Shelf | None = None) -> Table:
    """VLMEvalKit's table of a source, read as the data set that was published.

    Raises:
        SuiteError: The source has no such table, or columns are missing.
    """
    if source not in RENAMED:
        raise SuiteError(
            f"{file}: {source} has no table of VLMEvalKit; known are {', '.join(RENAMED)}"
        )
    return _Published(source, TsvTable(file, shelf=shelf))


class _Published:
    def __init__(self, source: str, table: TsvTable) -> None:
        check_columns(table.columns, _NEEDED[source], table.place(0).partition(", row")[0])
        self._renamed = RENAMED[source]
        self._table = table

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that the renaming gives; images are of every name."""
        empty: dict[str, object] = dict.fromkeys(self._table.columns)
        given = self._renamed({**empty, "category": "Scene Understanding", "answer": "A"})
        return (*given, "image", "images", "image_list")

    def rows(self, kinds: Mapping[str, Kind]) -> Iterator[Row]:
        """See `Table`."""
        names = [name for name in self._table.columns if name not in ("image",)]
        raw: dict[str, Kind] = dict.fromkeys(names, "string")
        for number, row in enumerate(self._table.rows(raw)):
            try:
                renamed = self._renamed(row)
            except ValueError as error:
                raise SuiteError(f"{self.place(number)}: {error}") from error
            yield {
                name: as_kind(renamed.get(name), kind, self._where(number, name))
                for name, kind in kinds.items()
            }

    def _where(self, row: int, column: str) -> Callable[[], str]:
        return lambda: self.place(row, column)

    def pictures(
        self, wanted: Mapping[int, Sequence[str]]
    ) -> Iterator[tuple[int, Mapping[str, list[bytes]]]]:
        """See `Table`."""
        return self._table.pictures(wanted)

    def identity(self) -> str:
        """See `Table`."""
        return self._table.identity()

    def revision(self) -> str:
        """See `Table`."""
        return self._table.revision()

    def place(self, row: int, column: str | None = None) -> str:
        """See `Table`."""
        return self._table.place(row, column)
