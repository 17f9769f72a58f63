"""Prove a store whole: `problems_of` reads every byte and gives one line a problem."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from lens_ray.errors import StoreError
from lens_ray.store import book, merge_log, watch_log
from lens_ray.store.dense_log import entry_key
from lens_ray.store.fold import Fold
from lens_ray.store.objects import ObjectStore, get_many
from lens_ray.store.paid import NOTES, PAID, START, parse_note, parse_paid, parse_start
from lens_ray.store.reader import run_key
from lens_ray.store.records import (
    STORE_KIND,
    Commit,
    FileRef,
    Manifest,
    RunHeader,
    load,
    load_object,
    parse_commit,
    parse_entry,
    parse_manifest,
)
from lens_ray.store.schema import ROWS, SCORES
from lens_ray.store.tables import conform, from_parquet, sha256
from lens_ray.store.watch_log import WATCH

_RUN_KEY = re.compile(r"runs/(?P<run>[^/]+)/(?P<name>.+)")


@dataclass(slots=True)
class _Survey:
    """What is in the store by its own listing, and what is wrong so far."""

    objects: ObjectStore
    keys: set[str]
    problems: list[str] = field(default_factory=list)

    def add(self, key: str, problem: object) -> None:
        self.problems.append(f"{key}: {' '.join(str(problem).split())}")

    def log(self, prefix: str, start: int = 0) -> Iterator[tuple[str, bytes]]:
        """The entries of a dense log from its start on; those behind a gap are a problem."""
        numbered = re.compile(re.escape(prefix) + r"/\d{8}\.json")
        begin = entry_key(prefix, start)
        there = sorted(key for key in self.keys if numbered.fullmatch(key) and key >= begin)
        dense = [key for n, key in enumerate(there) if key == entry_key(prefix, start + n)]
        for key in there[len(dense) :]:
            missing = entry_key(prefix, start + len(dense))
            self.add(key, f"{missing} is missing, so nobody reads this")
        for key, data in zip(dense, get_many(self.objects, dense), strict=True):
            if data is None:
                self.add(key, "it is listed and cannot be read")
                return
            yield key, data


def problems_of(objects: ObjectStore) -> list[str]:
    """One line a problem, each beginning with the object's key; none where the store is whole."""
    survey = _Survey(objects, {found.key for found in objects.list("")})
    _check_marker(survey)
    headers, suites = _check_catalog(survey)
    for digest in sorted(suites | {header.suite_digest for header in headers.values()}):
        _check_suite(survey, digest)
    named = {match["run"] for key in survey.keys if (match := _RUN_KEY.fullmatch(key))}
    for run_id in sorted(named - headers.keys()):
        survey.add(f"runs/{run_id}", "it is not in the catalogue")
    for run_id in headers:
        _check_account(survey, run_id)
        _check_run(survey, run_id)
    _check_kept(survey, WATCH, watch_log.check_object)
    _check_kept(survey, merge_log.MERGES, merge_log.check_object)
    return survey.problems


def _check_marker(survey: _Survey) -> None:
    data = survey.objects.get("_store.json")
    if data is None:
        survey.add("_store.json", "it is missing")
        return
    try:
        load(data, STORE_KIND)
    except (ValueError, StoreError) as error:
        survey.add("_store.json", error)


def _check_catalog(survey: _Survey) -> tuple[dict[str, RunHeader], set[str]]:
    headers: dict[str, RunHeader] = {}
    suites: set[str] = set()
    for key, data in survey.log("catalog"):
        try:
            entry = parse_entry(data)
        except (ValueError, StoreError) as error:
            survey.add(key, error)
            continue
        if not isinstance(entry, RunHeader):
            suites.add(entry)
        elif entry.run_id in headers:
            survey.add(key, f"run {entry.run_id} is registered twice")
        else:
            headers[entry.run_id] = entry
    return headers, suites


def _check_suite(survey: _Survey, digest: str) -> None:
    key = f"suites/{digest}.json"
    data = survey.objects.get(key) if key in survey.keys else None
    if data is None:
        survey.add(key, "it is missing")
        return
    try:
        found = load_object(data).get("digest")
    except ValueError as error:
        survey.add(key, error)
        return
    if found != digest:
        survey.add(key, f"it holds the suite {found!r}")


def _check_run(survey: _Survey, run_id: str) -> None:
    """The manifests and commits of a run, then the bytes of the files that count."""
    fold = Fold()
    counts: list[dict[str, int]] = [{}]
    manifests: list[Manifest] = []
    for key, data in survey.log(run_key(run_id, "manifests")):
        try:
            manifests.append(parse_manifest(data))
            fold.add(manifests[-1])
        except (ValueError, StoreError) as error:
            survey.add(key, error)
            return
        counts.append(fold.counts())
    for key, data in survey.log(run_key(run_id, "commits")):
        try:
            commit = parse_commit(data)
        except (ValueError, StoreError) as error:
            survey.add(key, error)
            return
        _check_commit(survey, run_id, key, commit, counts)
    _check_paid(survey, run_id)
    _check_rows(survey, run_id, fold, manifests)


def _check_paid(survey: _Survey, run_id: str) -> None:
    """The journal of paid answers, where it begins now, and the notes."""
    start, key = 0, run_key(run_id, START)
    try:
        if (data := survey.objects.get(key) if key in survey.keys else None) is not None:
            start = parse_start(data)
    except (ValueError, StoreError) as error:
        survey.add(key, error)
        return
    kinds: tuple[tuple[str, int, Callable[[bytes], object]], ...]
    kinds = ((PAID, start, parse_paid), (NOTES, 0, parse_note))
    for name, begin, parse in kinds:
        for key, data in survey.log(run_key(run_id, name), begin):
            try:
                parse(data)
            except (ValueError, StoreError) as error:
                survey.add(key, error)


def _check_account(survey: _Survey, run_id: str) -> None:
    key = run_key(run_id, book.NAME)
    data = survey.objects.get(key) if key in survey.keys else None
    if data is None:
        return
    try:
        book.parse_book(data)
    except (ValueError, StoreError) as error:
        survey.add(key, error)


def _check_kept(survey: _Survey, place: str, check: Callable[[str, bytes], None]) -> None:
    """The small objects of watches and of searches for a merge."""
    for key in sorted(key for key in survey.keys if key.startswith(f"{place}/")):
        if not key.endswith(".json"):
            continue
        data = survey.objects.get(key)
        try:
            if data is not None:
                check(key, data)
        except (ValueError, StoreError) as error:
            survey.add(key, error)


def _check_commit(
    survey: _Survey, run_id: str, key: str, commit: Commit, counts: list[dict[str, int]]
) -> None:
    if key != run_key(run_id, entry_key("commits", commit.number)):
        survey.add(key, f"it says that its number is {commit.number}")
    if not 0 <= commit.upto < len(counts):
        survey.add(key, f"it adds up {commit.upto} manifests of {len(counts) - 1}")
    elif dict(commit.counts) != counts[commit.upto]:
        survey.add(key, f"it counts {commit.counts} where the manifests have {counts[commit.upto]}")
    path = run_key(run_id, commit.scores.path)
    table = _read_file(survey, path, commit.scores, SCORES)
    if table is not None and set(table["run_id"].to_pylist()) - {run_id}:
        survey.add(path, "it has scores of another run")


def _check_rows(survey: _Survey, run_id: str, fold: Fold, manifests: list[Manifest]) -> None:
    """Each manifest's files hold exactly its samples, so that what is read is what was folded."""
    seen: Counter[str] = Counter()
    stored: dict[int, Counter[tuple[str, str]]] = {}
    whole = True
    for live in fold.live_files():
        path = run_key(run_id, live.file.path)
        table = _read_file(survey, path, live.file, ROWS)
        if table is None:
            whole = False
            continue
        ids = table["sample_id"].to_pylist()
        if set(table["run_id"].to_pylist()) != {run_id}:
            survey.add(path, "it has rows of another run")
        stored.setdefault(live.manifest, Counter()).update(
            zip(table["status"].to_pylist(), ids, strict=True)
        )
        seen.update(sample_id for sample_id in ids if sample_id not in live.dead)
    if not whole:
        return
    for number, found in stored.items():
        samples = manifests[number].samples
        named = Counter((status, key) for status, ids in samples.items() for key in ids)
        if found != named:
            key = run_key(run_id, entry_key("manifests", number))
            survey.add(key, "its files hold other samples or statuses than it names")
    for sample_id, count in seen.items():
        if count != 1:
            survey.add(f"runs/{run_id}", f"sample {sample_id!r} has {count} rows")
    missing = fold.statuses().keys() - seen.keys()
    if missing:
        survey.add(f"runs/{run_id}", f"{len(missing)} samples have no row, {min(missing)!r} first")


def _read_file(survey: _Survey, path: str, file: FileRef, schema: pa.Schema) -> pa.Table | None:
    """The table of a data file, or None and a problem."""
    data = survey.objects.get(path) if path in survey.keys else None
    if data is None:
        survey.add(path, "it is missing")
    elif len(data) != file.size:
        survey.add(path, f"{len(data)} bytes where {file.size} were written")
    elif sha256(data) != file.sha256:
        survey.add(path, f"its sha256 is {sha256(data)[:12]} where {file.sha256[:12]} was written")
    else:
        return _checked_table(survey, path, file, data, schema)
    return None


def _checked_table(
    survey: _Survey, path: str, file: FileRef, data: bytes, schema: pa.Schema
) -> pa.Table | None:
    try:
        table = from_parquet(data)
        for name in table.column_names:
            if name in schema.names and table.schema.field(name).type != schema.field(name).type:
                survey.add(path, f"column {name} is {table.schema.field(name).type}")
        table = conform(table, schema)
    except (ValueError, pa.ArrowException) as error:
        survey.add(path, error)
        return None
    if table.num_rows != file.rows:
        survey.add(path, f"{table.num_rows} rows where {file.rows} were written")
    return table
