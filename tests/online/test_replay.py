"""The shipped rows of a series become runs like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lens_ray.errors import UserError
from lens_ray.models.resolve import builtin_root
from lens_ray.online.load import Asked, series_of
from lens_ray.online.replay import replay
from lens_ray.online.spec import RunSpec
from lens_ray.store import Store
from lens_ray.suites.suite import Suite, load_suite

STEPS = [500, 3000, 4500, 6000, 6900, 8700, 9000, 9300, 9600]


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:full")


@pytest.fixture(scope="module")
def replayed(
    suite: Suite, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, dict[int, str]]:
    store = Store(tmp_path_factory.mktemp("replayed"), create=True)
    return store, replay(store, suite, "builtin:minivlm-a")


def test_one_run_a_step_added_up_and_whole(replayed: tuple[Store, dict[int, str]]) -> None:
    store, runs = replayed
    assert list(runs) == STEPS
    assert all(state.complete and state.rows == 6012 for _, state in store.states())
    assert store.check() == []
    overall = [row for row in store.scores().to_pylist() if row["ability"] == "overall"]
    assert [row["pool"] for row in overall] == ["mini-full@1"] * 9


def test_again_it_adds_nothing(replayed: tuple[Store, dict[int, str]], suite: Suite) -> None:
    store, runs = replayed
    before = sorted(path for path in Path(store.url).rglob("*") if path.is_file())
    assert replay(store, suite, "builtin:minivlm-a") == runs
    assert sorted(path for path in Path(store.url).rglob("*") if path.is_file()) == before


def test_the_series_is_that_of_the_shipped_rows(replayed: tuple[Store, dict[int, str]]) -> None:
    store, runs = replayed
    asked = [Asked(step, run_id, "full") for step, run_id in runs.items()]
    series = series_of(store, RunSpec(name="a", path="/nowhere"), asked)
    assert series.steps.tolist() == STEPS
    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    last = {
        row["sample_id"]: row["score"]
        for row in rows.filter(
            np.array(rows["model"].to_pylist()) == "minivlm-a-step-9600"
        ).select(["sample_id", "score", "group_id"]).to_pylist()
        if row["group_id"] is None
    }  # fmt: skip
    mine = dict(zip(series.marks.ids, series.marks.score[-1].tolist(), strict=True))
    assert last
    assert {unit: mine[unit] for unit in last} == last


def test_a_file_of_rows(tmp_path: Path, suite: Suite) -> None:
    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    model = np.array(rows["model"].to_pylist())
    one = rows.filter(model == "minivlm-b-step-3000")
    pq.write_table(one, tmp_path / "b.parquet")
    store = Store(tmp_path / "store", create=True)
    assert list(replay(store, suite, str(tmp_path / "b.parquet"))) == [3000]
    two = rows.filter((model == "minivlm-b-step-3000") | (model == "minivlm-a-step-3000"))
    pq.write_table(two, tmp_path / "two.parquet")
    with pytest.raises(UserError, match="step 3000 has the rows of several runs"):
        replay(store, suite, str(tmp_path / "two.parquet"))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("run_id", "../x", "run id '../x'"),
        ("run_id", None, "run id None"),
        ("sample_id", "other/1", "mini:full has no sample 'other/1'"),
        ("score", None, "answered rows have no score"),
        ("status", "fine", "status 'fine'"),
    ],
)
def test_rows_that_are_none_are_one_line(
    tmp_path: Path, suite: Suite, column: str, value: object, said: str
) -> None:
    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    one = rows.filter(np.array(rows["model"].to_pylist()) == "minivlm-b-step-3000").slice(0, 9)
    changed = [{**row, column: value} if n < 2 or column == "run_id" else row
               for n, row in enumerate(one.to_pylist())]  # fmt: skip
    pq.write_table(type(one).from_pylist(changed, schema=one.schema), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=said) as caught:
        replay(Store(tmp_path / "store", create=True), suite, str(tmp_path / "x.parquet"))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_replayed_is_one_line(tmp_path: Path, suite: Suite) -> None:
    store = Store(tmp_path / "store", create=True)
    (tmp_path / "x.parquet").write_bytes(b"no rows")
    for source, said in (
        ("builtin:minivlm-c", "the built-in series are: minivlm-a, minivlm-b"),
        (str(tmp_path / "none.parquet"), "no such file"),
        (str(tmp_path / "x.parquet"), "not a file of rows"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            replay(store, suite, source)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="not mini:quick"):
        replay(store, load_suite("mini:quick"), "builtin:minivlm-a")
    assert not (tmp_path / "store").exists()
