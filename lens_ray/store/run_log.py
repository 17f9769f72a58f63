"""One run of a store: append rows, read them, add them up, hold its lease."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence

import pyarrow as pa

from lens_ray.errors import RunBusy
from lens_ray.store import book, lease
from lens_ray.store.dense_log import entry_key, read_new
from lens_ray.store.fold import Fold, RunState
from lens_ray.store.objects import ObjectStore
from lens_ray.store.paid import NoteLog, PaidLog
from lens_ray.store.reader import FileGone, damaged, parsed, read_rows, run_key
from lens_ray.store.records import (
    Commit,
    FileRef,
    Manifest,
    RunHeader,
    dump,
    dump_record,
    load_object,
    now,
    parse_commit,
    parse_manifest,
)
from lens_ray.store.schema import SCORES
from lens_ray.store.tables import (
    check_rows,
    conform,
    ids_by_status,
    in_files,
    sha256,
    to_parquet,
    to_table,
)


class RunLog:
    """The rows of one run.

    Any number of drivers may append to a run at once: each manifest takes the next free number,
    and who finds it taken reads what is there and drops the rows that are no longer new. One
    object may be used by several threads.

    Attributes:
        header: What the run is.
    """

    def __init__(self, objects: ObjectStore, header: RunHeader) -> None:
        """Make it by `Store.open_run` or `Store.run`; nothing is read before `refresh`."""
        self.header = header
        self._objects = objects
        self._fold = Fold()
        self._writer = uuid.uuid4().hex
        self._state: RunState | None = None
        self._read_at: int | None = None
        self._counted: tuple[int, dict[str, int]] | None = None
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[RunLog], tuple[ObjectStore, RunHeader]]:
        return RunLog, (self._objects, self.header)

    @property
    def state(self) -> RunState:
        """What is known as of the last `refresh`, `append`, `commit` or `replace`."""
        with self._lock:
            if self._state is None:
                self._state = self._fold.state()
            return self._state

    def refresh(self) -> RunState:
        """Read what was written since, by anybody.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            refresh_all(self._objects, [self])
            return self.state

    def append(self, rows: Sequence[Mapping[str, object]] | pa.Table) -> int:
        """Store rows; they are durable when it returns.

        A row of a sample that is done is dropped; one of a sample whose row is ``infra_error`` or
        ``over_budget`` supersedes that row.

        Args:
            rows: With columns of `lens_ray.store.schema.ROWS`.

        Returns:
            How many rows were new.

        Raises:
            ValueError: They are no rows of this run.
            StoreUnavailable: They could not be stored; append them again.
        """
        table = to_table(rows)
        check_rows(table, self.header.run_id)
        ids, statuses = table["sample_id"].to_pylist(), table["status"].to_pylist()
        with self._lock:
            while True:
                chosen = self._fold.choose(ids, statuses)
                if not chosen:
                    return 0
                new = table if len(chosen) == len(ids) else table.take(pa.array(chosen))
                if self._add_manifest(new):
                    self._counted = None
                    return len(chosen)
                refresh_all(self._objects, [self])

    def replace(self, rows: pa.Table, *, remarked: bool = True) -> None:
        """Store rows in the place of all that the run has, as `rows` last gave them.

        Args:
            rows: One row for each sample that the run has, each as final as it was.
            remarked: Whether their content differs; a commit made before then no longer counts.

        Raises:
            ValueError: They are not of the same samples.
            RunBusy: Another driver changed the run since it was read.
            StoreUnavailable: They could not be stored; nothing was replaced.
        """
        table = to_table(rows)
        check_rows(table, self.header.run_id)
        with self._lock:
            if self._read_at is None:
                self._read_at = self._fold.manifests
            if self._read_at != self._fold.manifests:
                raise self._changed()
            self._fold.check_replacement(ids_by_status(table))
            if not self._add_manifest(table, replaces=True, remarked=remarked):
                raise self._changed()
            self._read_at = self._counted = None

    def commit(
        self,
        scores: pa.Table,
        *,
        expected: int,
        left_out: Sequence[str] = (),
        facts: Mapping[str, object] | None = None,
    ) -> Commit:
        """Add the run up; the same content again is the same commit.

        It adds up the rows as `rows` last gave them, from which the scores were made; where
        another driver appended meanwhile, it is not current.

        Args:
            scores: Of `lens_ray.store.schema.SCORES`.
            expected: How many samples are to have a row, those left out not counted.
            left_out: Samples left out on purpose.
            facts: JSON values to keep with it.

        Returns:
            The commit as it is stored.

        Raises:
            ValueError: A value has no JSON form, or the scores do not fit.
            RunBusy: Another driver added up later rows meanwhile.
            StoreUnavailable: It could not be stored.
        """
        # What JSON makes of the facts, to compare with what is stored.
        known = load_object(dump(facts or {}))
        data = to_parquet(conform(scores, SCORES))
        digest = sha256(data)
        file = FileRef(f"scores/{digest[:12]}.parquet", len(data), digest, scores.num_rows)
        with self._lock:
            refresh_all(self._objects, [self])
            while True:
                fold = self._fold
                upto, counts = self._counted or (fold.manifests, fold.counts())
                commit = Commit(
                    number=fold.commits,
                    upto=upto,
                    expected=expected,
                    counts=counts,
                    left_out=tuple(sorted(left_out)),
                    scores=file,
                    facts=known,
                    created_at=now(),
                )
                stored = self._stored_already(commit)
                if stored is not None:
                    return stored
                self._put(file, data)
                record = dump_record("commit", commit)
                if self._objects.create(self._key(entry_key("commits", commit.number)), record):
                    fold.add_commit(commit)
                    self._state = None
                    return commit
                refresh_all(self._objects, [self])

    def _stored_already(self, commit: Commit) -> Commit | None:
        """The commit that says the same, where there is one.

        Raises:
            RunBusy: Another driver added up later rows.
        """
        fold, stored = self._fold, self._fold.commit
        if stored is None:
            return None
        if fold.adds_up(commit.upto) and stored.same_content(commit):
            return stored
        if stored.upto > commit.upto and fold.changed_since(commit.upto):
            raise RunBusy(
                f"run {self.header.run_id}: another driver added it up meanwhile, with "
                "later rows; start again"
            )
        return None

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Every sample's row, as of now.

        Raises:
            ValueError: A column is unknown.
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            table = read_fresh(self._objects, [self], columns)
            self._read_at = self._fold.manifests
            self._counted = self._fold.manifests, self._fold.counts()
        return table

    def acquire(self, owner: str, *, ttl_s: float = 15.0, wait_s: float = 30.0) -> lease.Lease:
        """Become the driver of the run.

        A free, released or own lease is taken at once. Another owner's is watched: where it is
        renewed, that driver lives; where it is silent for the time it promised, it is taken over.

        Args:
            owner: ``host:pid:uuid``.
            ttl_s: This driver counts as dead when it does not renew for so long.
            wait_s: Longest wait for another owner's lease to run out.

        Raises:
            RunBusy: Another driver lives.
            StoreUnavailable: The store is out of reach, read-only or damaged.
        """
        return lease.acquire(
            self._objects,
            self._key("lease.json"),
            f"run {self.header.run_id}",
            owner,
            ttl_s=ttl_s,
            wait_s=wait_s,
        )

    def book(self, writer: str) -> book.Book:
        """The account of the run's money, as a driver of that name writes it."""
        return book.Book(self._objects, self._key(book.NAME), self.header.run_id, writer)

    def paid(self) -> PaidLog:
        """Its journal of paid answers; nothing is read yet."""
        return PaidLog(self._objects, self.header.run_id)

    def notes(self) -> NoteLog:
        """Its notes; nothing is read yet."""
        return NoteLog(self._objects, self.header.run_id)

    @property
    def fold(self) -> Fold:
        """The manifests added up, for the readers of this package."""
        return self._fold

    def absorb(self, manifests: Sequence[bytes], commits: Sequence[bytes]) -> None:
        """Take in the next entries of the two logs, for the readers of this package.

        Raises:
            StoreUnavailable: One is damaged.
        """
        fold = self._fold
        for data in manifests:
            key = self._key(entry_key("manifests", fold.manifests))
            manifest = parsed(self._objects, key, parse_manifest, data)
            try:
                fold.add(manifest)
            except ValueError as error:
                raise damaged(self._objects, key, error) from error
        for data in commits:
            key = self._key(entry_key("commits", fold.commits))
            fold.add_commit(parsed(self._objects, key, parse_commit, data))
        if manifests or commits:
            self._state = None

    def _key(self, name: str) -> str:
        return run_key(self.header.run_id, name)

    def _changed(self) -> RunBusy:
        return RunBusy(
            f"run {self.header.run_id}: another driver changed it meanwhile; "
            "nothing was replaced, start again"
        )

    def _put(self, file: FileRef, data: bytes) -> None:
        key = self._key(file.path)
        if not self._objects.create(key, data):
            raise damaged(self._objects, key, "it holds other bytes than its name says")

    def _add_manifest(
        self, table: pa.Table, *, replaces: bool = False, remarked: bool = False
    ) -> bool:
        """Write data files and then the next manifest; False where its number was taken."""
        number = self._fold.manifests
        files = []
        for part in in_files(table):
            data = to_parquet(part)
            digest = sha256(data)
            path = f"rows/{number:08d}-{digest[:12]}.parquet"
            files.append(FileRef(path, len(data), digest, part.num_rows))
            self._put(files[-1], data)
        manifest = Manifest(
            writer=self._writer,
            files=tuple(files),
            samples=ids_by_status(table),
            replaces=replaces,
            remarked=remarked,
            created_at=now(),
        )
        record = dump_record("manifest", manifest)
        if not self._objects.create(self._key(entry_key("manifests", number)), record):
            return False
        self._fold.add(manifest)
        self._state = None
        return True


def refresh_all(objects: ObjectStore, logs: Sequence[RunLog]) -> None:
    """Bring several runs up to date, asking for their entries in parallel.

    Raises:
        StoreUnavailable: The store is out of reach or damaged.
    """
    known: dict[str, int] = {}
    for log in logs:
        known[run_key(log.header.run_id, "manifests")] = log.fold.manifests
        known[run_key(log.header.run_id, "commits")] = log.fold.commits
    found = read_new(objects, known)
    for log in logs:
        run_id = log.header.run_id
        log.absorb(found[run_key(run_id, "manifests")], found[run_key(run_id, "commits")])


def read_fresh(
    objects: ObjectStore, logs: Sequence[RunLog], columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of several runs as of now.

    Raises:
        StoreUnavailable: The store is out of reach or damaged.
    """
    for last in (False, True):
        refresh_all(objects, logs)
        try:
            return read_rows(objects, [(log.header.run_id, log.fold) for log in logs], columns)
        except FileGone as error:
            # Between our look at the manifests and at the files it may have been replaced.
            if last:
                raise damaged(objects, str(error), "it is missing") from error
    raise AssertionError("unreachable")
