"""Keep a store small: `compact` merges small files, `collect` removes what nothing names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from lens_ray.errors import RunBusy
from lens_ray.store.dense_log import entry_key, read_new
from lens_ray.store.fold import Fold
from lens_ray.store.objects import TEMPORARY, Listed, ObjectStore
from lens_ray.store.paid import PAID, PaidLog
from lens_ray.store.reader import damaged, parsed, run_key
from lens_ray.store.records import parse_commit, parse_manifest
from lens_ray.store.run_log import RunLog
from lens_ray.store.tables import FILE_BYTES

_DATA = re.compile(r"runs/(?P<run>[^/]+)/(?P<file>(?:rows|scores)/[^/]+\.parquet)")
_PAID = re.compile(rf"runs/(?P<run>[^/]+)/{PAID}/\d{{8}}\.json")


@dataclass(frozen=True, slots=True)
class Compacted:
    """One run whose files were merged.

    Attributes:
        run_id: The run.
        before: How many files its rows were in.
        after: How many they are in now.
    """

    run_id: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed.

    Attributes:
        keys: The objects.
        size: Their bytes.
    """

    keys: tuple[str, ...]
    size: int


def compact(logs: Iterable[RunLog]) -> tuple[Compacted, ...]:
    """Merge the files of each complete run that has more of them than its bytes need.

    A run that another driver changes meanwhile is left as it is.
    """
    done = []
    for log in logs:
        if not log.refresh().complete:
            continue
        files = [live.file for live in log.fold.live_files()]
        if len(files) <= -(-sum(file.size for file in files) // FILE_BYTES):
            continue
        try:
            log.replace(log.rows(), remarked=False)
        except RunBusy:
            continue
        after = sum(1 for _ in log.fold.live_files())
        done.append(Compacted(log.header.run_id, len(files), after))
    return tuple(done)


def collect(objects: ObjectStore, grace_s: float) -> Collected:
    """Remove data files that no manifest or commit names any more, and temporary files.

    Of a journal of paid answers goes what is in rows by now.

    A replaced file's grace begins when its replacement is written, that of any other when it is
    written itself. Listings come first and manifests after them, so that a file which is named in
    between is seen to be named.
    """
    listed = list(objects.list(""))
    young = time.time() - grace_s
    modified = {found.key: found.modified for found in listed}
    runs: dict[str, list[tuple[Listed, str]]] = {}
    doomed = []
    for found in listed:
        match = _DATA.fullmatch(found.key)
        if match:
            runs.setdefault(match["run"], []).append((found, match["file"]))
        elif found.key.rpartition("/")[2].startswith(TEMPORARY) and found.modified < young:
            doomed.append(found)
    for run_id, files in runs.items():
        kept = _named(objects, run_id, modified, young)
        doomed += [f for f, name in files if name not in kept and f.modified < young]
    for run_id in sorted({match["run"] for key in modified if (match := _PAID.fullmatch(key))}):
        begin = entry_key(run_key(run_id, PAID), _start_of(objects, run_id))
        doomed += [
            found
            for found in listed
            if (match := _PAID.fullmatch(found.key))
            and match["run"] == run_id
            and found.key < begin
            and found.modified < young
        ]
    for found in doomed:
        objects.delete(found.key)
    return Collected(tuple(f.key for f in doomed), sum(f.size for f in doomed))


def _start_of(objects: ObjectStore, run_id: str) -> int:
    """Where a journal of paid answers begins, once it begins as late as it can."""
    fold = Fold()
    manifests = run_key(run_id, "manifests")
    for number, data in enumerate(read_new(objects, {manifests: 0})[manifests]):
        fold.add(parsed(objects, entry_key(manifests, number), parse_manifest, data))
    return PaidLog(objects, run_id).advance(fold.state().done.__contains__)


def _named(objects: ObjectStore, run_id: str, modified: dict[str, float], young: float) -> set[str]:
    """The files that a reader may need: of manifests that count, or did within the grace."""
    manifests, commits = run_key(run_id, "manifests"), run_key(run_id, "commits")
    found = read_new(objects, {manifests: 0, commits: 0})
    for prefix, entries in found.items():
        behind = sum(key.startswith(f"{prefix}/") and key.endswith(".json") for key in modified)
        if behind > len(entries):  # what is named behind a gap must not be taken for an orphan
            raise damaged(objects, entry_key(prefix, len(entries)), "it is missing")
    fold = Fold()
    named: set[str] = set()
    for number, data in enumerate(found[manifests]):
        key = entry_key(manifests, number)
        manifest = parsed(objects, key, parse_manifest, data)
        if manifest.replaces and modified.get(key, time.time()) < young:
            named.clear()
        fold.add(manifest)
        named.update(file.path for file in manifest.files)
    for number, data in enumerate(found[commits]):
        key = entry_key(commits, number)
        named.add(parsed(objects, key, parse_commit, data).scores.path)
    return named
