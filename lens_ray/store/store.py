"""A store: every run, row and score of a folder or a bucket."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from lens_ray.errors import StoreError
from lens_ray.store.dense_log import entry_key, read_new
from lens_ray.store.merge_log import MergeLog
from lens_ray.store.objects import get_many, open_objects
from lens_ray.store.reader import damaged, parsed, read_scores, run_key
from lens_ray.store.records import (
    STORE_KIND,
    RunHeader,
    check_run_id,
    dump,
    dump_record,
    load,
    load_object,
    parse_entry,
)
from lens_ray.store.run_log import RunLog, read_fresh, refresh_all
from lens_ray.store.schema import SCHEMA_VERSION
from lens_ray.store.watch_log import WatchLog, index_of
from lens_ray.suites.suite import SuiteInfo

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.store.fold import RunState
    from lens_ray.store.objects import ObjectStore
    from lens_ray.store.upkeep import Collected, Compacted

_MARKER = "_store.json"
_CATALOG = "catalog"


class Store:
    """Rows, scores and suites of many runs; readers and drivers may use it at once.

    It pickles as its URL, and keys to a bucket are taken from the environment where it is used.

    Attributes:
        url: Absolute path of the folder, or URL.
    """

    url: str

    def __init__(self, url: str | os.PathLike[str], *, create: bool = False) -> None:
        """Open a store.

        Args:
            url: A folder or an ``s3://`` URL.
            create: Whether it may be missing; it is then made at the first write.

        Raises:
            StoreError: The URL cannot be a store, or there is none.
            StoreUnavailable: It is out of reach.
        """
        self._objects: ObjectStore = open_objects(os.fspath(url))
        self.url = self._objects.url
        self._create = create
        self._lock = threading.RLock()
        self._entries = 0
        self._headers: dict[str, RunHeader] = {}
        self._suites: dict[str, str] = {}
        self._logs: dict[str, RunLog] = {}
        self._found = self._check_marker()

    def __reduce__(self) -> tuple[Any, tuple[str, bool]]:
        return _reopen, (self.url, self._create)

    def open_run(self, header: RunHeader) -> RunLog:
        """Register a run once; later calls, by whomever, give it with the header it has.

        Raises:
            ValueError: The run id cannot be one.
            StoreUnavailable: The store cannot be written.
        """
        check_run_id(header.run_id)
        with self._lock:
            self._enter(dump_record("run", header), self._headers, header.run_id)
            return RunLog(self._objects, self._headers[header.run_id])

    def runs(self) -> list[RunHeader]:
        """Every run, in the order in which they were opened."""
        with self._lock:
            self._read_catalog()
            return list(self._headers.values())

    def run(self, run_id: str) -> RunLog:
        """One run.

        Raises:
            StoreError: There is no such run.
        """
        with self._lock:
            if run_id not in self._headers:
                self._read_catalog()
            if run_id not in self._headers:
                near = get_close_matches(run_id, self._headers, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else "`lens-ray scores` lists the runs"
                raise StoreError(f"store {self.url}: there is no run {run_id!r}; {hint}")
            return RunLog(self._objects, self._headers[run_id])

    def put_suite(self, info: SuiteInfo) -> None:
        """Keep the facts of a suite, once by its digest.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        digest = check_run_id(info.digest)
        key = f"suites/{digest}.json"
        with self._lock:
            self._read_catalog()
            if digest not in self._suites:
                self._ensure_marker()
                # Where facts are there already, the first ones stay.
                self._objects.create(key, dump(asdict(info)))
                entry = dump({"kind": "suite", "schema_version": SCHEMA_VERSION, "digest": digest})
                self._enter(entry, self._suites, digest)

    def suites(self) -> list[dict[str, object]]:
        """The facts of every suite, as `lens_ray.suites.suite.SuiteInfo` has them."""
        with self._lock:
            self._read_catalog()
            keys = [f"suites/{digest}.json" for digest in self._suites]
        found: list[dict[str, object]] = []
        for key, data in zip(keys, get_many(self._objects, keys), strict=True):
            if data is None:
                raise damaged(self._objects, key, "it is missing")
            found.append(parsed(self._objects, key, load_object, data))
        return found

    def rows(
        self, run_ids: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Exactly one row a sample of each run.

        Args:
            run_ids: Only these runs.
            columns: Only these columns of `lens_ray.store.schema.ROWS`.

        Raises:
            StoreError: There is no such run.
            ValueError: There is no such column.
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            return read_fresh(self._objects, self._known(run_ids), columns)

    def scores(self, run_ids: Sequence[str] | None = None) -> pa.Table:
        """The scores of each run's latest commit.

        Raises:
            StoreError: There is no such run.
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            logs = self._known(run_ids)
            refresh_all(self._objects, logs)
            return read_scores(self._objects, [(log.header.run_id, log.fold) for log in logs])

    def facts(self, run_ids: Sequence[str] | None = None) -> dict[str, Mapping[str, object]]:
        """What each run's latest commit keeps besides its scores, by run id.

        Raises:
            StoreError: There is no such run.
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            logs = self._known(run_ids)
            refresh_all(self._objects, logs)
            commits = [(log.header.run_id, log.fold.commit) for log in logs]
            return {run_id: commit.facts for run_id, commit in commits if commit is not None}

    def query(self, sql: str) -> pa.Table:
        """The answer to one ``SELECT`` over the tables runs, rows, scores and suites.

        Raises:
            QueryError: It is wrong, or it would write or read anything else.
            StoreUnavailable: The store is out of reach or damaged.
        """
        from lens_ray.store.query import answer

        return answer(self, sql)

    def check(self) -> list[str]:
        """Read everything; one line a problem.

        Raises:
            StoreUnavailable: The store is out of reach.
        """
        from lens_ray.store.check import problems_of

        return problems_of(self._objects)

    def compact(self) -> tuple[Compacted, ...]:
        """Merge the small files of complete runs.

        Raises:
            StoreUnavailable: The store cannot be read or written.
        """
        from lens_ray.store.upkeep import compact

        return compact([self.run(header.run_id) for header in self.runs()])

    def gc(self, grace_s: float = 86400) -> Collected:
        """Remove files that nothing names, replaced ones and temporary ones.

        Args:
            grace_s: Younger ones stay: a driver may be about to name them, a reader to read them.

        Raises:
            StoreUnavailable: The store cannot be read or written.
        """
        from lens_ray.store.upkeep import collect

        return collect(self._objects, grace_s)

    def states(self) -> list[tuple[RunHeader, RunState]]:
        """Every run and what is known of it now, in the order in which they were opened.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            logs = self._known(None)
            refresh_all(self._objects, logs)
            return [(log.header, log.state) for log in logs]

    def unchanged(self, known: Mapping[str, int]) -> frozenset[str]:
        """Of some runs those whose rows are in as many manifests as somebody has read.

        Args:
            known: Manifests that were read, by run id.

        Raises:
            StoreUnavailable: The store is out of reach.
        """
        keys = [entry_key(run_key(run_id, "manifests"), count) for run_id, count in known.items()]
        found = get_many(self._objects, keys)
        return frozenset(run_id for run_id, data in zip(known, found, strict=True) if data is None)

    def watch(self, name: str) -> WatchLog:
        """What is kept of a watch, which need not be there yet.

        Raises:
            ValueError: It can be no name of one.
        """
        return WatchLog(self._objects, name)

    def watches(self) -> dict[str, tuple[str, ...]]:
        """Every watch, with the names of its training runs.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        return dict(index_of(self._objects).read())

    def register_watch(self, name: str, runs: Sequence[str], spec: Mapping[str, object]) -> None:
        """Enter a watch and its training runs, so that readers of the store know of them.

        Args:
            name: Of the watch.
            runs: Names of its training runs; those of earlier calls stay.
            spec: The watch file, as JSON values.

        Raises:
            ValueError: A name can be none, or the file has no JSON form.
            StoreUnavailable: The store cannot be written.
        """
        with self._lock:
            self._ensure_marker()
        WatchLog(self._objects, name).register(runs, spec)

    def merge(self, name: str) -> MergeLog:
        """What is kept of a search for a merge, which need not be there yet.

        Raises:
            ValueError: It can be no name of one.
            StoreUnavailable: The store cannot be written, where it is to be made.
        """
        with self._lock:
            if self._create:
                self._ensure_marker()
        return MergeLog(self._objects, name)

    def _known(self, run_ids: Sequence[str] | None) -> list[RunLog]:
        """Runs whose manifests are kept from call to call, apart from those handed out."""
        wanted = [h.run_id for h in self.runs()] if run_ids is None else dict.fromkeys(run_ids)
        for run_id in wanted:
            if run_id not in self._logs:
                self._logs[run_id] = self.run(run_id)
        return [self._logs[run_id] for run_id in wanted]

    def _check_marker(self) -> bool:
        data = self._objects.get(_MARKER)
        if data is not None:
            try:
                load(data, STORE_KIND)
            except ValueError as error:
                raise StoreError(
                    f"store {self.url}: {_MARKER} is not that of a store ({error}); give another"
                ) from error
            return True
        if not self._create:
            raise StoreError(
                f"no store at {self.url} (there is no {_MARKER}); "
                "give the folder or URL that `lens-ray run` wrote to"
            )
        return False

    def _ensure_marker(self) -> None:
        if not self._found:
            record = dump({"kind": STORE_KIND, "schema_version": SCHEMA_VERSION})
            self._found = self._objects.create(_MARKER, record) or self._check_marker()

    def _enter(self, entry: bytes, known: dict[str, Any], name: str) -> None:
        """Append to the catalogue, unless the name is or comes to be in it."""
        self._read_catalog()
        while name not in known:
            self._ensure_marker()
            self._objects.create(entry_key(_CATALOG, self._entries), entry)
            self._read_catalog()

    def _read_catalog(self) -> None:
        for data in read_new(self._objects, {_CATALOG: self._entries})[_CATALOG]:
            key = entry_key(_CATALOG, self._entries)
            entry = parsed(self._objects, key, parse_entry, data)
            if isinstance(entry, RunHeader):
                self._headers.setdefault(entry.run_id, entry)
            else:
                self._suites.setdefault(entry, entry)
            self._entries += 1


def open_store(store: Store | str | os.PathLike[str]) -> Store:
    """A store that is there, or the one at a folder or URL.

    Raises:
        StoreError: There is none.
        StoreUnavailable: It is out of reach.
    """
    return store if isinstance(store, Store) else Store(store)


def _reopen(url: str, create: bool) -> Store:
    return Store(url, create=create)
