"""The marks of several models on the same units: `Marks`, the ground of every comparison.

A unit is what is marked: a sample, or a complete group of samples that count together
(`lens_ray.stats.units`). Every model has one column of the same matrix, so that comparisons are
paired by unit and resampled by whole clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.stats.choose import choose_runs, labels_of
from lens_ray.stats.scores import COVERAGE_THRESHOLD
from lens_ray.stats.units import COLUMNS as UNIT_COLUMNS
from lens_ray.stats.units import FINAL, Bools, Floats, Ints, marked_units

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store
    from lens_ray.store.fold import RunState

#: Columns of the rows that are facets of a unit.
FACETS: tuple[str, ...] = (
    "ability", "source", "subtask", "format", "domain", "metric", "split",
)  # fmt: skip
#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = tuple(dict.fromkeys((*UNIT_COLUMNS, *FACETS, "sample_digest")))


class NotComparable(UserError):
    """The runs cannot be compared, and why."""


@dataclass(frozen=True)
class Facet:
    """What each unit is, in one respect.

    Attributes:
        labels: The values, sorted.
        code: Number of each unit's value.
    """

    labels: tuple[str, ...]
    code: Ints


@dataclass(frozen=True)
class Marks:
    """Models x units.

    Attributes:
        models: A different label for each model.
        runs: Their runs; empty where the marks come from no store.
        suite: Name of the suite.
        suite_digest: Its digest; of the first model where several are compared knowingly.
        ids: The sample id of each unit (of a group, that of its first member).
        strata: (ability, subtask) by stratum number, sorted.
        stratum: Stratum of each unit.
        cluster: Cluster number of each unit, below `clusters`.
        clusters: How many clusters there are.
        chance: Chance level of each unit.
        upper: Upper bound of each unit.
        score: Models x units; NaN where a model has no final answer.
        weights: Weight of each subtask within its ability, as the suite fixed it; sums of 1.
        facets: By name (`FACETS`).
        notes: What a reader of the figures should know, one line each.
    """

    models: tuple[str, ...]
    runs: tuple[RunHeader, ...]
    suite: str
    suite_digest: str
    ids: tuple[str, ...]
    strata: tuple[tuple[str, str], ...]
    stratum: Ints
    cluster: Ints
    clusters: int
    chance: Floats
    upper: Floats
    score: Floats
    weights: Mapping[str, Mapping[str, float]]
    facets: Mapping[str, Facet]
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> Bools:
        """Models x units: where a model has a final answer."""
        found: Bools = ~np.isnan(self.score)
        return found

    def place(self, model: str) -> int:
        """The row of a model.

        Raises:
            UserError: There is none of this name.
        """
        if model not in self.models:
            raise UserError(f"no model {model!r}; there are: {', '.join(self.models)}")
        return self.models.index(model)

    def only(self, models: Sequence[str]) -> Marks:
        """Some of the models, in the order given."""
        places = [self.place(model) for model in models]
        runs = tuple(self.runs[place] for place in places) if self.runs else ()
        return replace(self, models=tuple(models), runs=runs, score=self.score[places])

    def where(self, units: Bools) -> Marks:
        """Some of the units, strata and clusters numbered anew; facets keep their labels."""
        kept = np.flatnonzero(units)
        present, stratum = np.unique(self.stratum[kept], return_inverse=True)
        clusters, cluster = np.unique(self.cluster[kept], return_inverse=True)
        return replace(
            self,
            ids=tuple(self.ids[place] for place in kept.tolist()),
            strata=tuple(self.strata[place] for place in present.tolist()),
            stratum=stratum.reshape(-1).astype(np.int64),
            cluster=cluster.reshape(-1).astype(np.int64),
            clusters=len(clusters),
            chance=self.chance[kept],
            upper=self.upper[kept],
            score=self.score[:, kept],
            facets={name: Facet(f.labels, f.code[kept]) for name, f in self.facets.items()},
        )

    def common(self) -> Marks:
        """The units that every model answered."""
        everywhere: Bools = np.logical_and.reduce(self.answered, axis=0)
        return self if everywhere.all() else self.where(everywhere)

    def of(self, facet: str, values: Iterable[str]) -> Marks:
        """The units whose facet is one of some values."""
        found = self.facets[facet]
        codes = [found.labels.index(value) for value in values if value in found.labels]
        return self.where(np.isin(found.code, codes))


def marks_of(
    tables: Mapping[str, pa.Table],
    *,
    weights: Mapping[str, Mapping[str, float]],
    group_sizes: Mapping[str, int] | None = None,
    suite: str = "",
    suite_digest: str = "",
    runs: Sequence[RunHeader] = (),
    notes: Sequence[str] = (),
) -> Marks:
    """Align the marks of several models.

    Args:
        tables: Rows (`COLUMNS`) of one run each, by the model's label.
        weights: Weight of each subtask within its ability.
        group_sizes: As `lens_ray.stats.units.marked_units`.
        suite: Name of the suite.
        suite_digest: Its digest.
        runs: The runs, in the order of the tables.
        notes: Kept with the marks.

    Raises:
        ValueError: Rows that are not of one run, or a sample that differs between models.
    """
    if not tables:
        raise ValueError("no model is given")
    columns = [_Column(table, group_sizes) for table in tables.values()]
    union = pa.concat_arrays([pa.array([], pa.string()), *(column.ids for column in columns)])
    ids = pc.unique(union)
    shape = (len(columns), len(ids))
    score = np.full(shape, np.nan)
    merged = _Merged(len(ids))
    for place, column in enumerate(columns):
        where = pc.index_in(column.ids, value_set=ids).to_numpy(zero_copy_only=False)
        where = where.astype(np.int64)
        score[place, where] = column.score
        merged.take(where, column)
    strata, stratum = merged.strata()
    clusters, cluster = _codes(merged.text["cluster_id"])
    facets = {}
    for name in FACETS:
        labels, code = _codes(merged.text[name])
        facets[name] = Facet(tuple(labels), code)
    return Marks(
        models=tuple(tables),
        runs=tuple(runs),
        suite=suite,
        suite_digest=suite_digest,
        ids=tuple(ids.to_pylist()),
        strata=strata,
        stratum=stratum,
        cluster=cluster,
        clusters=len(clusters),
        chance=merged.chance,
        upper=merged.upper,
        score=score,
        weights=weights,
        facets=facets,
        notes=tuple(notes),
    )


def load_marks(
    store: Store,
    models: Sequence[str] | None = None,
    *,
    suite: str | None = None,
    abilities: Sequence[str] | None = None,
    on: str = "all",
) -> Marks:
    """The marks of some models of a store.

    Args:
        store: Where their rows are.
        models: See `lens_ray.stats.choose.choose_runs`.
        suite: See there.
        abilities: Only these; None takes all.
        on: ``all`` refuses runs that were not asked the same; ``common`` takes the samples that
            all of them answered, and says so in the notes.

    Raises:
        NotComparable: The runs differ in suite, template or coverage, and ``on`` is ``all``; or
            they have no sample in common.
        UserError: See `lens_ray.stats.choose.choose_runs`, or an ability that no run has.
        StoreUnavailable: The store is out of reach or damaged.
    """
    return read_marks(store, choose_runs(store, models, suite=suite), abilities=abilities, on=on)


def read_marks(
    store: Store,
    runs: Sequence[RunHeader],
    *,
    abilities: Sequence[str] | None = None,
    on: str = "all",
) -> Marks:
    """As `load_marks`, of runs that are chosen already."""
    if on not in ("all", "common"):
        raise UserError(f"on {on!r}: use all or common")
    differences = _differences(store, runs)
    if differences and on == "all":
        raise NotComparable(
            f"{differences[0]}; run them again on the same suite, or add --on common to compare "
            "what all of them answered"
        )
    read = store.rows([run.run_id for run in runs], columns=("run_id", *COLUMNS))
    if abilities is not None:
        read = _of_abilities(read, abilities)
    labels = labels_of(runs)
    tables = dict(zip(labels, by_run(read, [run.run_id for run in runs]), strict=True))
    if differences:
        tables = _same_samples(tables)
    facts = {str(each["digest"]): each for each in store.suites()}
    mine: Any = facts.get(runs[0].suite_digest, {})
    marks = marks_of(
        tables,
        weights=mine.get("weights") or {},
        suite=runs[0].suite,
        suite_digest=runs[0].suite_digest,
        runs=runs,
        notes=[f"on the samples in common, knowingly: {line}" for line in differences],
    )
    if differences:
        marks = marks.common()
    if not marks.ids:
        raise NotComparable(f"{' and '.join(labels[:2])} have no answered sample in common")
    return marks


def by_run(rows: pa.Table, run_ids: Sequence[str]) -> list[pa.Table]:
    """The rows of each run, without a search for each."""
    ids = pa.array(run_ids, pa.string())
    code = pc.index_in(rows["run_id"], value_set=ids).to_numpy().astype(np.int64)
    if (code[1:] < code[:-1]).any():
        order = np.argsort(code, kind="stable")
        rows, code = rows.take(pa.array(order)), code[order]
    ends = np.searchsorted(code, np.arange(len(run_ids) + 1)).tolist()
    return [rows.slice(start, end - start) for start, end in pairwise(ends)]


def comparable(
    store: Store, run: RunHeader, others: Sequence[RunHeader]
) -> tuple[list[RunHeader], list[str]]:
    """Which of some runs were asked the same as a run, and why the rest were not, one line each.

    Raises:
        NotComparable: The run itself is not finished or lacks answers.
    """
    if own := _differences(store, [run]):
        raise NotComparable(f"{own[0]}; run its job again")
    kept, left_out = [], []
    for other in others:
        lines = _differences(store, [run, other])
        left_out += lines[:1]
        if not lines:
            kept.append(other)
    return kept, left_out


def _differences(store: Store, runs: Sequence[RunHeader]) -> list[str]:
    """Why some runs cannot be compared as they are."""
    states = {header.run_id: state for header, state in store.states()}
    troubles = [(run, unfit(states[run.run_id])) for run in runs]
    found = [f"{run.model} ({run.run_id[:8]}) {why}" for run, why in troubles if why]
    first = runs[0]
    for run in runs[1:]:
        pair = f"{first.model} and {run.model}"
        one, two = (states[each.run_id].commit for each in (first, run))
        if run.suite_digest != first.suite_digest:
            found.append(
                f"{pair} answered different suites: {first.suite} "
                f"({first.suite_digest[:12]}) and {run.suite} ({run.suite_digest[:12]})"
            )
        elif run.template != first.template:
            found.append(f"{pair} were asked by templates {first.template} and {run.template}")
        elif one and two and set(one.left_out) != set(two.left_out):
            asked = f"{one.expected:,} and {two.expected:,}"
            found.append(f"{pair} were not asked the same samples ({asked} of them)")
    return found


def unfit(state: RunState) -> str | None:
    """Why a run cannot be compared with any other, or None."""
    if state.commit is None:
        return f"is not finished: {state.rows:,} rows so far"
    expected = state.commit.expected
    done = len(state.done) / expected if expected else 0.0
    if done < COVERAGE_THRESHOLD:
        return f"answered {done:.1%} of its {expected:,} samples, below {COVERAGE_THRESHOLD:.0%}"
    return None


def _of_abilities(rows: pa.Table, abilities: Sequence[str]) -> pa.Table:
    known = pc.unique(rows["ability"]).to_pylist()
    for name in abilities:
        if name not in known:
            raise UserError(f"no row of the ability {name!r}; there are: {', '.join(known)}")
    return rows.filter(pc.is_in(rows["ability"], value_set=pa.array(abilities)))


def _same_samples(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The rows of the samples that all models were asked in the same words."""
    shared: pa.Array | None = None
    for table in tables.values():
        final = table.filter(pc.is_in(table["status"], value_set=pa.array(FINAL)))
        keys = _content(final)
        shared = keys if shared is None else shared.filter(pc.is_in(shared, value_set=keys))
    return {
        label: table.filter(pc.is_in(_content(table), value_set=shared))
        for label, table in tables.items()
    }


def _content(rows: pa.Table) -> pa.Array:
    digest = pc.fill_null(rows["sample_digest"], "")
    joined = pc.binary_join_element_wise(rows["sample_id"], digest, "\x1f")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


class _Column:
    """The units of one model, with what is known of each."""

    def __init__(self, table: pa.Table, group_sizes: Mapping[str, int] | None) -> None:
        rows = table.select([name for name in COLUMNS if name in table.schema.names])
        rows = rows.sort_by("sample_id").combine_chunks()
        units = marked_units(rows, group_sizes)
        self._rows = rows.take(pa.array(units.first)).combine_chunks()
        self.ids: Any = self._rows["sample_id"].combine_chunks()
        self.score, self.chance, self.upper = units.score, units.chance, units.upper

    def text(self, name: str, units: Bools) -> Any:
        """A column of text for some units; strings are made only for those."""
        column = pc.fill_null(self._rows[name].cast(pa.string()), "")
        return np.array(column.filter(pa.array(units)).to_pylist(), dtype=object)


class _Merged:
    """What is known of each unit, from the first model that answered it."""

    def __init__(self, size: int) -> None:
        self.known = np.zeros(size, dtype=bool)
        self.chance, self.upper = np.full(size, np.nan), np.full(size, np.nan)
        self.text = {name: np.full(size, "", dtype=object) for name in ("cluster_id", *FACETS)}

    def take(self, where: Ints, column: _Column) -> None:
        new = ~self.known[where]
        for name in ("chance", "upper"):
            mine, theirs = getattr(self, name), getattr(column, name)
            mine[where[new]] = theirs[new]
            apart = np.abs(mine[where] - theirs) > 1e-9
            if apart.any():
                unit = column.ids[int(np.flatnonzero(apart)[0])].as_py()
                raise ValueError(f"sample {unit!r} has not the same {name} for all models")
        if new.any():
            for name, values in self.text.items():
                values[where[new]] = column.text(name, new)
        self.known[where] = True

    def strata(self) -> tuple[tuple[tuple[str, str], ...], Ints]:
        pairs = list(zip(self.text["ability"], self.text["subtask"], strict=True))
        names = sorted(set(pairs))
        number = {name: place for place, name in enumerate(names)}
        return tuple(names), np.array([number[pair] for pair in pairs], dtype=np.int64)


def _codes(values: Any) -> tuple[list[str], Ints]:
    labels = sorted(set(values.tolist()))
    number = {label: place for place, label in enumerate(labels)}
    return labels, np.array([number[value] for value in values.tolist()], dtype=np.int64)
