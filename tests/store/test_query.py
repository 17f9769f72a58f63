"""SQL sees four tables and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lens_ray.errors import QueryError
from lens_ray.store import Store
from tests.store.makers import SUITE, header, rows, scores


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "store"), create=True)
    made.put_suite(SUITE)
    log = made.open_run(header())
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    log.append(rows("ab", created_at=when) + rows("c", "infra_error", score=None))
    log.append(rows("c", "refused", score=0.0))
    log.commit(scores(), expected=3, facts={"flip_rate": 0.0})
    made.open_run(header("r2", model="n", step=None))
    return made


def answered(store: Store, sql: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = store.query(sql).to_pylist()
    return rows


def test_the_four_tables(store: Store) -> None:
    columns = "run_id, model, step, samples, failed, expected, complete"
    assert answered(store, f"SELECT {columns} FROM runs") == [
        {"run_id": "r1", "model": "m", "step": 500, "samples": 3, "failed": 0, "expected": 3,
         "complete": True},
        {"run_id": "r2", "model": "n", "step": None, "samples": 0, "failed": 0, "expected": None,
         "complete": False},
    ]  # fmt: skip
    assert answered(store, "select status, count(*) as n from rows group by 1 order by 1") == [
        {"status": "ok", "n": 2},
        {"status": "refused", "n": 1},
    ]
    assert answered(store, "FROM scores SELECT ability, accuracy, dvs") == [
        {"ability": "overall", "accuracy": 0.5, "dvs": None}
    ]
    assert answered(store, "SELECT name, samples FROM suites") == [{"name": "tiny", "samples": 5}]
    assert answered(store, "SELECT facts ->> '$.flip_rate' AS f FROM runs LIMIT 1") == [
        {"f": "0.0"}
    ]


def test_what_analysts_write(store: Store) -> None:
    sql = """
        -- who was refused?
        WITH bad AS (SELECT * FROM rows WHERE status = 'refused')
        SELECT runs.model, bad.sample_id, bad.text FROM bad JOIN runs USING (run_id)
        QUALIFY row_number() OVER (ORDER BY sample_id) = 1;
        """
    assert answered(store, sql) == [{"model": "m", "sample_id": "c", "text": "answer to c"}]
    hours = store.query("SELECT max(created_at) AS t, hour(max(created_at)) AS h FROM rows")
    assert hours.to_pylist() == [{"t": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "h": 3}]
    names = store.query("SHOW TABLES")["name"].to_pylist()
    assert names == ["rows", "runs", "scores", "suites"]
    assert store.query("DESCRIBE rows").num_rows == 40
    assert store.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    assert store.query("SELECT * FROM query('SELECT count(*) AS n FROM rows')").to_pylist() == [
        {"n": 3}
    ]


def test_an_empty_store(tmp_path: Path) -> None:
    empty = Store(str(tmp_path / "store"), create=True)
    for table in ("runs", "rows", "scores", "suites"):
        assert empty.query(f"SELECT * FROM {table}").num_rows == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO rows SELECT * FROM rows",
        "DELETE FROM rows",
        "UPDATE rows SET score = 1",
        "DROP VIEW rows",
        "DROP TABLE rows",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "CREATE SECRET s (TYPE s3)",
        "ALTER TABLE rows ADD COLUMN x INTEGER",
        "COPY rows TO '{out}'",
        "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
        "EXPORT DATABASE '{out}'",
        "IMPORT DATABASE '{out}'",
        "ATTACH '{out}'",
        "USE memory",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA version",
        "PRAGMA database_list",
        "CALL duckdb_settings()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT 1; DROP VIEW rows",
        "SELECT 1; SELECT 2",
        "",
        ";",
        "-- nothing",
    ],
)
def test_only_one_select(store: Store, tmp_path: Path, sql: str) -> None:
    with pytest.raises(QueryError, match="give exactly one SELECT, the store is read-only"):
        store.query(sql.format(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert store.rows().num_rows == 3


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_json('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM parquet_metadata('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT getenv('HOME')",
        "SELECT * FROM enable_logging()",
        "SELECT * FROM query('DROP VIEW rows')",
        "SELECT * FROM query('COPY rows TO ''{folder}/out''')",
        "SELECT * FROM hidden",
        "WITH x AS (INSERT INTO rows VALUES (1) RETURNING *) SELECT * FROM x",
    ],
)
def test_nothing_else_is_seen(store: Store, tmp_path: Path, sql: str) -> None:
    import pyarrow as pa

    hidden = pa.table({"secret": [1]})
    file = tmp_path / "x.csv"
    file.write_text("secret\n1\n")
    with pytest.raises(QueryError, match=r"^query: ") as caught:
        store.query(sql.format(file=file, folder=tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert hidden.num_rows == 1


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", r'^query: Parser Error: syntax error at or near "SELEC"$'),
        ("SELECT colour FROM rows", 'Referenced column "colour" not found'),
        ("SELECT * FROM row", "Table with name row does not exist"),
        ("SELECT 1/", "syntax error"),
        ("SELECT 'a\0b' AS", "syntax error"),
        ("SELECT '\ud800'", "^query: "),
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
    ],
)
def test_what_is_wrong_is_one_line(store: Store, sql: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        store.query(sql)
    assert "\n" not in str(caught.value)


def test_rows_are_read_only_where_they_are_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr(Store, "rows", refuses)
    assert store.query("SELECT count(*) AS n FROM runs").to_pylist() == [{"n": 2}]
    with pytest.raises(AssertionError):
        store.query("SELECT count(*) FROM Rows")
