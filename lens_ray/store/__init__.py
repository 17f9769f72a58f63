"""Where rows live: a folder or a bucket, one commit protocol for both.

``store`` is the whole of it and ``run_log`` one run of it; read those two first. Below,
``fold`` says what a sequence of manifests means (pure), ``records`` what a manifest, a commit and
a run's header hold, ``dense_log`` how they are numbered, ``lease`` who may drive a run, ``paid``
which answers it paid for, ``book`` what it has cost, ``watch_log`` what is kept of a watched
training run, ``merge_log`` what is kept of a search for a merge, both in objects that ``cell``
changes and ``json_values`` reads by type; ``tables`` turns rows into Parquet and back, ``reader``
reads many runs, ``query`` puts SQL to them; ``check`` and ``upkeep`` prove a store whole and keep
it small. ``objects`` names the few things that a place must do, ``folder`` and ``bucket`` do them.

Every object is written once and never changed, but where it says compare-and-swap::

    _store.json                              what this is
    catalog/00000000.json ...                dense log of runs and suites
    suites/<digest>.json                     facts of a suite
    runs/<run_id>/manifests/00000000.json    dense log: data files and whose rows they hold
    runs/<run_id>/rows/<seq>-<sha12>.parquet
    runs/<run_id>/commits/00000000.json      dense log: counts, scores file, facts
    runs/<run_id>/scores/<sha12>.parquet
    runs/<run_id>/lease.json                 compare-and-swap
    runs/<run_id>/purse.json                 compare-and-swap: what it has cost, and what is granted
    runs/<run_id>/paid/00000000.json         dense log from start.json on: paid answers (`paid`)
    runs/<run_id>/paid/start.json            compare-and-swap: what lies before is in rows
    runs/<run_id>/notes/00000000.json        dense log: batches at a provider, who answers
    watch/...                                see ``watch_log``
    merges/...                               see ``merge_log``
"""

from __future__ import annotations

from lens_ray.store.fold import RunState
from lens_ray.store.lease import Lease
from lens_ray.store.records import Commit, RunHeader
from lens_ray.store.run_log import RunLog
from lens_ray.store.store import Store, open_store
from lens_ray.store.upkeep import Collected, Compacted

__all__ = [
    "Collected", "Commit", "Compacted", "Lease", "RunHeader", "RunLog", "RunState", "Store",
    "open_store",
]  # fmt: skip
