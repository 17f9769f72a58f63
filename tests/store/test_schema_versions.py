"""Stores of every older schema version are read, cast up with nulls."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lens_ray.errors import StoreError
from lens_ray.store import Store, reader, run_log, tables
from lens_ray.store.schema import ROWS, SCHEMA_VERSION, SCORES
from tests.store.make_fixture import FIXTURES
from tests.store.makers import SUITE, header, rows, scores, statuses_of


@pytest.fixture(params=range(1, SCHEMA_VERSION + 1))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A copy of the fixture of a version."""
    place = tmp_path / "store"
    shutil.copytree(FIXTURES / f"store-v{request.param}", place)
    return Store(str(place))


def test_an_older_store_is_read(old: Store) -> None:
    assert old.check() == []
    assert old.runs() == [header(), header("r2", model="n", step=None)]
    table = old.rows()
    assert table.schema == ROWS
    assert statuses_of(old.rows(["r1"])) == dict.fromkeys("abc", "ok") | dict.fromkeys(
        "de", "refused"
    )
    first = old.rows(["r1"]).sort_by("sample_id").to_pylist()[0]
    assert first["created_at"] == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert (first["confidence"], first["text"]) == (0.75, "answer to a")
    assert old.scores().to_pylist() == scores().to_pylist()
    assert old.scores().schema == SCORES
    assert old.suites()[0]["digest"] == SUITE.digest
    state = old.run("r1").refresh()
    assert state.complete
    assert state.commit is not None
    assert state.commit.facts == {"flip_rate": 0.0}


def test_an_older_run_goes_on(old: Store) -> None:
    log = old.run("r2")
    log.refresh()
    assert log.append(rows("ab", run_id="r2")) == 1
    log.commit(scores(run_id="r2"), expected=2)
    assert [done.run_id for done in old.compact()] == ["r1", "r2"]
    assert old.check() == []
    assert old.rows().num_rows == 7


def test_a_column_of_tomorrow(old: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wider = ROWS.append(pa.field("judge", pa.string()))
    for module in (tables, reader):
        monkeypatch.setattr(module, "ROWS", wider)
    marks = SCORES.append(pa.field("mde", pa.float64()))
    for module in (reader, run_log):
        monkeypatch.setattr(module, "SCORES", marks)
    assert old.rows()["judge"].to_pylist() == [None] * 6
    assert old.rows(columns=["judge", "sample_id"]).column_names == ["judge", "sample_id"]
    assert old.scores()["mde"].to_pylist() == [None]
    log = old.run("r2")
    log.refresh()
    log.append(rows("b", run_id="r2", judge="j"))
    assert old.rows(["r2"])["judge"].to_pylist() == [None, "j"]
    assert old.query("SELECT count(judge) AS n FROM rows").to_pylist() == [{"n": 1}]


def test_a_store_of_tomorrow(old: Store) -> None:
    manifest = Path(old.url, "runs/r1/manifests/00000003.json")
    text = manifest.with_name("00000000.json").read_text()
    newer = re.sub(r'"schema_version":[0-9]+', '"schema_version":99', text)
    manifest.write_text(newer)
    with pytest.raises(StoreError, match="install the newer lens-ray"):
        old.rows()


def test_a_type_never_changes() -> None:
    """The schema of a fixture's files is a part of the schema as it is now."""
    for version in range(1, SCHEMA_VERSION + 1):
        for path in (FIXTURES / f"store-v{version}").rglob("*.parquet"):
            stored = pa.parquet.read_schema(path)
            now = ROWS if path.parent.name == "rows" else SCORES
            assert [now.field(field.name) for field in stored] == list(stored)
            if version == SCHEMA_VERSION:
                assert stored.names == now.names
