"""People's own questions become a suite: `import_suite`.

Columns have fixed names, or are given them by `Import.columns`; what else a table holds is kept in
`Sample.meta`. VLMEvalKit's tables are known by their header, and their rotations are one group.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from lens_ray import node_cache
from lens_ray.errors import LensError, SuiteError
from lens_ray.node_cache import is_full, no_room
from lens_ray.suites.build import SPLIT_SEED
from lens_ray.suites.clusters import join_clusters
from lens_ray.suites.files import make_info, place, write_info, write_samples
from lens_ray.suites.image_writer import ImageWriter
from lens_ray.suites.load import folder_name, suites_home
from lens_ray.suites.picturing import add_pictures
from lens_ray.suites.readers.columnar import ColumnarTable
from lens_ray.suites.readers.delimited import TextTable
from lens_ray.suites.readers.shelves import FolderShelf, Shelf, open_shelf
from lens_ray.suites.readers.table import Table
from lens_ray.suites.readers.tsv import Records, TsvTable, is_vlmevalkit
from lens_ray.suites.sample import FORMATS, Sample
from lens_ray.suites.sources.base import Draft, Kind, Row
from lens_ray.suites.splits import assign_splits
from lens_ray.suites.suite import Suite, read_suite
from lens_ray.suites.templates import LETTERS

#: Names by which a column is known, the first one ours.
KNOWN: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sample_id", "index", "question_id"),
    "question": ("question", "questions", "prompt"),
    "answer": ("answer", "answers"),
    "choices": ("choices", "options"),
    "image": ("image", "images", "image_list", "image_path"),
    "ability": ("ability",), "subtask": ("subtask", "category"), "domain": ("domain",),
    "format": ("format",), "metric": ("metric",), "hint": ("hint",),
    "group": ("group", "group_id"), "cluster": ("cluster", "cluster_id"),
    "max_new_tokens": ("max_new_tokens",),
}  # fmt: skip
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow")
_ABILITY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*\s?%?")
#: Rotation k of VLMEvalKit's question i has the index i + k * 10**6.
_TURN = 10**6
_YES_NO = frozenset({"yes", "no"})

Say = Callable[[str], None]


@dataclass(frozen=True)
class Import:
    """How a table is to be read.

    Attributes:
        name: Of the suite, and of its source.
        ability: Of rows that do not say theirs.
        licence: SPDX id or a short text.
        columns: Our name of a column (`KNOWN`) to the table's.
    """

    name: str
    ability: str | None = None
    licence: str = "not stated"
    columns: Mapping[str, str] = field(default_factory=dict)


def import_suite(
    file: Path,
    how: Import,
    *,
    images: Path | None = None,
    out: str | None = None,
    home: str | Path | None = None,
    metric: Callable[[str], object] = lambda name: None,
    say: Say = lambda line: None,
) -> Suite:
    """Make a suite of a table.

    Args:
        file: One of `ENDINGS`.
        how: What its columns mean.
        images: Folder, ``.zip`` or ``.tar`` of the images that it names; None is its own folder.
        out: Folder or URL to write to; None installs it.
        home: Instead of ``$LENS_RAY_HOME``.
        metric: Is asked for each metric that a row names; raises where there is none.
        say: Takes lines on the progress.

    Raises:
        SuiteError: Something in it is not valid; file, row and column are named.
        StoreUnavailable: The disk is full.
    """
    table = open_table(file, images)
    drafts = _drafts(table, file, how)
    first = {draft.sample.metric: draft.row for draft in reversed(drafts)}
    for name, row in first.items():
        try:
            metric(name)
        except LensError as error:
            raise SuiteError(f"{table.place(row, 'metric')}: {error}") from error
    top = Path(home or node_cache.home())
    parent = top / "suite-work"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".import.") as scratch:
            folder = Path(scratch, "suite")
            folder.mkdir()
            with ImageWriter(folder / "images.parquet") as writer:
                made = add_pictures(table, drafts, writer, how.name, say)
            samples = assign_splits(join_clusters(made), SPLIT_SEED)
            info = make_info(how.name, samples, writer.hashes, how.licence, table.revision())
            write_samples(samples, folder / "samples.parquet")
            write_info(info, folder / "suite.json")
            target = out or str(suites_home(top) / folder_name(info.name, info.digest))
            place(folder, target, info.digest, move=True)
    except OSError as error:
        if is_full(error):
            raise no_room(parent, file.stat().st_size) from error
        raise
    return read_suite(target)


def open_table(file: Path, images: Path | None) -> Table:
    """A table by its ending and its header.

    Raises:
        SuiteError: There is no such file, it is damaged, or of another kind.
    """
    if not file.is_file():
        raise SuiteError(f"{file}: there is no such file")
    if file.suffix not in ENDINGS:
        raise SuiteError(f"{file}: give one of {', '.join(ENDINGS)}")
    shelf: Shelf = FolderShelf(file.parent) if images is None else open_shelf(images)
    if file.suffix in (".parquet", ".arrow"):
        return ColumnarTable([file], shelf=shelf)
    if file.suffix == ".tsv" and is_vlmevalkit(Records(file, "\t").header):
        return TsvTable(file, shelf=shelf)
    return TextTable(file, shelf=shelf)


def _columns(table: Table, file: Path, how: Import) -> dict[str, str]:
    """Our name to the table's, of those that it has."""
    found: dict[str, str] = {}
    for ours, theirs in how.columns.items():
        if ours not in KNOWN:
            near = get_close_matches(ours, KNOWN, 1, 0.0)[0]
            raise SuiteError(f"column {ours!r} is not known; the nearest is {near!r}")
        if theirs not in table.columns:
            near = get_close_matches(theirs, table.columns, 1, 0.0)[0]
            raise SuiteError(f"{file}: has no column {theirs!r}; the nearest is {near!r}")
        found[ours] = theirs
    lowered = {name.lower(): name for name in reversed(table.columns)}
    for ours, names in KNOWN.items():
        for name in names:
            if ours not in found and name in lowered:
                found[ours] = lowered[name]
    for needed in ("question", "answer", "image"):
        if needed not in found:
            raise SuiteError(
                f"{file}: column {needed!r} is missing (it has {', '.join(table.columns)[:200]}); "
                f"say which it is with --column {needed}=NAME"
            )
    return found


def _drafts(table: Table, file: Path, how: Import) -> list[Draft]:
    named = _columns(table, file, how)
    letters = [name for name in table.columns if len(name) == 1 and name in LETTERS]
    letters = [] if "choices" in named else sorted(letters)
    kinds: dict[str, Kind] = {}
    for ours, theirs in named.items():
        if ours != "image":
            kinds[theirs] = "strings" if ours in ("answer", "choices") else "string"
    kinds |= dict.fromkeys(letters, "string")
    extra = _extra(table, {*kinds, named["image"], "image"})
    kinds |= dict.fromkeys(extra, "string")
    reader = _Reader(how, named, letters, extra)
    drafts: list[Draft] = []
    first: dict[str, int] = {}
    for number, row in enumerate(table.rows(kinds)):
        try:
            draft = reader.draft(number, row)
        except _Fault as fault:
            column = named.get(fault.column, fault.column)
            raise SuiteError(f"{table.place(number, column)}: {fault}") from fault
        name = draft.sample.sample_id
        if name in first:
            raise SuiteError(
                f"{table.place(number, named.get('id'))}: its id {name!r} is that of row "
                f"{first[name] + 1} too"
            )
        first[name] = number
        drafts.append(draft)
    if not drafts:
        raise SuiteError(f"{file}: has no row")
    return _rotations(drafts) if isinstance(table, TsvTable) else drafts


def _extra(table: Table, taken: set[str]) -> list[str]:
    """Other columns that hold texts or numbers."""
    others = [name for name in table.columns if name not in taken]
    if not isinstance(table, ColumnarTable):
        return others
    import pyarrow as pa

    plain = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating)
    return [name for name in others if any(is_(table.schema.field(name).type) for is_ in plain)]


class _Fault(Exception):
    """What is wrong with a cell."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(what)
        self.column = column


class _Reader:
    """Rows to drafts."""

    def __init__(
        self, how: Import, named: Mapping[str, str], letters: Sequence[str], extra: Sequence[str]
    ) -> None:
        self._how = how
        self._named = named
        self._letters = letters
        self._extra = extra

    def draft(self, number: int, row: Row) -> Draft:
        """The draft of a row.

        Raises:
            _Fault: A cell of it is not valid.
        """
        choices = self._choices(row)
        answers = self._answers(row, choices)
        kind = self._format(row, choices, answers)
        if kind == "true_false":
            answers = tuple(answer.lower() for answer in answers)
        native = self._text(row, "id") or str(number)
        name = f"{self._how.name}/{native}"
        hint = self._text(row, "hint")
        question = self._needed(row, "question")
        numeric = all(_NUMBER.fullmatch(answer) for answer in answers)
        sample = Sample(
            sample_id=name,
            ability=self._ability(row),
            source=self._how.name,
            subtask=_slug(self._text(row, "subtask") or "all"),
            format=kind,
            domain=self._text(row, "domain") or "not stated",
            images=(),
            question=f"{hint}\n{question}" if hint else question,
            choices=choices,
            answers=answers,
            metric=self._text(row, "metric")
            or ("numeric" if kind == "open" and numeric else "exact"),
            chance={"multiple_choice": 1 / max(len(choices), 1), "true_false": 0.5}.get(kind, 0.0),
            upper=1.0,
            cluster_id=self._text(row, "cluster") or name,
            group_id=self._text(row, "group"),
            max_new_tokens=self._limit(row),
            meta={key: str(row[key]) for key in self._extra if row[key] is not None},
        )
        return Draft(sample, number, (self._named["image"],))

    def _text(self, row: Row, column: str) -> str | None:
        value = row[self._named[column]] if column in self._named else None
        return str(value).strip() or None if value is not None else None

    def _needed(self, row: Row, column: str) -> str:
        found = self._text(row, column)
        if found is None:
            raise _Fault(column, "is empty")
        return found

    def _ability(self, row: Row) -> str:
        found = self._text(row, "ability") or self._how.ability
        if found is None:
            raise _Fault("ability", "is empty; give --ability NAME for the rows that say none")
        if not _ABILITY.fullmatch(found):
            raise _Fault("ability", f"{found[:40]!r} is no name: use a-z, 0-9 and _")
        return found

    def _choices(self, row: Row) -> tuple[str, ...]:
        if "choices" in self._named:
            given = row[self._named["choices"]]
            found = tuple(str(one) for one in given) if isinstance(given, tuple) else ()
            return found
        texts = [row[letter] for letter in self._letters]
        while texts and texts[-1] is None:
            texts.pop()
        for letter, text in zip(self._letters, texts, strict=False):
            if text is None:
                raise _Fault(letter, "is empty, and a later option is not")
        return tuple(str(text) for text in texts)

    def _answers(self, row: Row, choices: tuple[str, ...]) -> tuple[str, ...]:
        given = row[self._named["answer"]]
        answers = tuple(str(one).strip() for one in given) if isinstance(given, tuple) else ()
        if not answers or not all(answers):
            raise _Fault("answer", "is empty")
        if len(choices) == 1:
            raise _Fault("choices", "has one choice only")
        if len(choices) > len(LETTERS):
            raise _Fault("choices", f"has {len(choices)} choices; {len(LETTERS)} can be asked")
        return tuple(self._letter(answer, choices) for answer in answers) if choices else answers

    @staticmethod
    def _letter(answer: str, choices: tuple[str, ...]) -> str:
        """An answer as a letter: it may be one, or the text of one choice."""
        if choices.count(answer) == 1:
            return LETTERS[choices.index(answer)]
        if len(answer) == 1 and answer.upper() in LETTERS[: len(choices)]:
            return answer.upper()
        raise _Fault("answer", f"{answer[:40]!r} is none of its {len(choices)} choices")

    def _format(self, row: Row, choices: tuple[str, ...], answers: tuple[str, ...]) -> str:
        found = self._text(row, "format")
        if found is not None:
            if found not in FORMATS:
                near = get_close_matches(found, FORMATS, 1, 0.0)[0]
                raise _Fault("format", f"{found[:40]!r} is not known; the nearest is {near!r}")
            if (found == "multiple_choice") != bool(choices):
                raise _Fault("format", f"is {found}, and the row has {len(choices)} choices")
            return found
        if choices:
            return "multiple_choice"
        return "true_false" if {answer.lower() for answer in answers} <= _YES_NO else "open"

    def _limit(self, row: Row) -> int:
        found = self._text(row, "max_new_tokens")
        if found is None:
            return 64
        if not found.isdecimal() or not 1 <= int(found) <= 100_000:
            raise _Fault("max_new_tokens", f"{found[:40]!r} is no number of tokens")
        return int(found)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "all"


def _rotations(drafts: Sequence[Draft]) -> list[Draft]:
    """VLMEvalKit's rotations of a question as one group that is right where all are."""
    bases: dict[str, list[int]] = defaultdict(list)
    for place_, draft in enumerate(drafts):
        _, _, native = draft.sample.sample_id.rpartition("/")
        if native.isdecimal():
            bases[str(int(native) % _TURN)].append(place_)
    sizes = Counter(place_ for members in bases.values() if len(members) > 1 for place_ in members)
    made = list(drafts)
    for base, members in bases.items():
        for place_ in members:
            if not sizes[place_]:
                continue
            sample = drafts[place_].sample
            source, _, native = sample.sample_id.rpartition("/")
            turn = int(native) // _TURN
            made[place_] = replace(
                drafts[place_],
                sample=replace(
                    sample,
                    sample_id=f"{source}/{base}" + (f"#rotation-{turn}" if turn else ""),
                    metric="all_right",
                    group_id=f"{source}/{base}",
                    cluster_id=f"{source}/{base}",
                    variant=f"rotation-{turn}" if turn else None,
                ),
            )
    return made
