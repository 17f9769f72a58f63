"""Make the fixture store of the schema version as it is; older ones are never made again.

Run it once when `SCHEMA_VERSION` goes up: ``python -m tests.store.make_fixture``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lens_ray.store import Store
from lens_ray.store.schema import SCHEMA_VERSION
from tests.store.makers import SUITE, header, rows, scores

FIXTURES = Path(__file__).parent / "fixtures"


def main() -> None:
    """Two runs: one with superseded rows and a commit, one not ended."""
    folder = FIXTURES / f"store-v{SCHEMA_VERSION}"
    store = Store(str(folder), create=True)
    store.put_suite(SUITE)
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    log = store.open_run(header())
    log.append(rows("abc", created_at=when, step=500, confidence=0.75))
    log.append(rows("de", "infra_error", score=None, text=None, cause="the engine died"))
    log.append(rows("de", "refused", score=0.0, created_at=when))
    log.commit(scores(), expected=5, left_out=["z"], facts={"flip_rate": 0.0})
    store.open_run(header("r2", model="n", step=None)).append(rows("a", run_id="r2"))
    for temporary in folder.rglob(".tmp-*"):
        temporary.unlink()


if __name__ == "__main__":
    main()
