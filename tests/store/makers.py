"""Headers, rows and scores for the tests of this folder, and a place in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from lens_ray.store import RunHeader
from lens_ray.store.objects import Listed, Versioned
from lens_ray.store.schema import SCORES
from lens_ray.suites.suite import SuiteInfo

SUITE = SuiteInfo(
    name="tiny",
    digest="d" * 64,
    licence="CC0-1.0",
    revision="1",
    counts={"counting": {"dots": 3}, "ocr": {"signs": 2}},
    weights={"counting": {"dots": 1.0}, "ocr": {"signs": 1.0}},
    images=5,
)

HEADER = RunHeader(
    run_id="r1",
    model="m",
    model_key="k",
    weights_digest="w",
    suite="tiny",
    suite_digest="d" * 64,
    template="default@1",
    backend="fake",
    backend_path="models/m",
    access="open",
    step=500,
    generation={"max_new_tokens": 8},
    created_at="2026-01-01T00:00:00+00:00",
    job="quickstart",
)


def header(run_id: str = "r1", **changes: Any) -> RunHeader:
    """A header; ``changes`` replace fields of `HEADER`."""
    return replace(HEADER, run_id=run_id, **changes)


def rows(
    ids: Iterable[object], status: str = "ok", run_id: str = "r1", **changes: object
) -> list[dict[str, object]]:
    """One row an id."""
    return [
        {
            "run_id": run_id,
            "sample_id": str(sample_id),
            "status": status,
            "ability": "counting",
            "model": "m",
            "text": f"answer to {sample_id}",
            "score": 1.0,
        }
        | changes
        for sample_id in ids
    ]


def scores(accuracy: float = 0.5, run_id: str = "r1") -> pa.Table:
    """One row of scores."""
    row = dict.fromkeys(SCORES.names) | {
        "run_id": run_id, "model": "m", "suite": "tiny", "ability": "overall", "n": 3,
        "accuracy": accuracy,
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=SCORES)


def ids_of(table: pa.Table) -> list[str]:
    """The table's samples, sorted; a sample that is there twice is twice in it."""
    return sorted(table["sample_id"].to_pylist())


def statuses_of(table: pa.Table) -> dict[str, str]:
    """Sample to status."""
    names: Sequence[str] = table["sample_id"].to_pylist()
    return dict(zip(names, table["status"].to_pylist(), strict=True))


class MemoryObjects:
    """An `ObjectStore` in a dictionary; ``before`` is called before every operation."""

    url = "memory"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def before(self, verb: str, key: str) -> None:
        """Replace it to schedule or to fail."""

    def get(self, key: str) -> bytes | None:
        self.before("get", key)
        return self.held.get(key)

    def get_versioned(self, key: str) -> Versioned | None:
        data = self.get(key)
        return None if data is None else Versioned(data, hashlib.sha256(data).hexdigest())

    def create(self, key: str, data: bytes) -> bool:
        self.before("create", key)
        return self.held.setdefault(key, data) == data

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        self.before("swap", key)
        found = self.held.get(key)
        if (None if found is None else hashlib.sha256(found).hexdigest()) != version:
            return None
        self.held[key] = data
        return hashlib.sha256(data).hexdigest()

    def list(self, prefix: str) -> Iterator[Listed]:
        for key in sorted(self.held):
            if key.startswith(prefix):
                yield Listed(key, len(self.held[key]), 0.0)

    def delete(self, key: str) -> None:
        self.held.pop(key, None)
