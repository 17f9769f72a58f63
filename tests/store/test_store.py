"""One store, three places: what users of it rely on."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterable

import pyarrow as pa
import pytest

from lens_ray.errors import RunBusy, StoreError, StoreUnavailable
from lens_ray.store import RunLog, Store
from lens_ray.store.objects import ObjectStore
from lens_ray.store.schema import ROWS, SCORES
from tests.store.makers import SUITE, header, ids_of, rows, scores, statuses_of


def opened(url: str, run_id: str = "r1") -> RunLog:
    return Store(url, create=True).open_run(header(run_id))


def stale(url: str, run_id: str = "r1") -> RunLog:
    """Another driver's view of the run, as of now."""
    log = Store(url).run(run_id)
    log.refresh()
    return log


def test_a_store_is_made_at_the_first_write(url: str, objects: ObjectStore) -> None:
    with pytest.raises(StoreError, match="no store at"):
        Store(url)
    store = Store(url, create=True)
    assert store.runs() == []
    assert store.rows().schema == ROWS
    assert store.scores().schema == SCORES
    assert list(objects.list("")) == []
    store.open_run(header())
    assert Store(url).runs() == [header()]


def test_a_run_is_registered_once(url: str) -> None:
    first, second = Store(url, create=True), Store(url, create=True)
    assert first.open_run(header()).header == header()
    # The second driver has not seen that yet, and brings another header of the same run.
    assert second.open_run(header(model="other name")).header == header()
    second.open_run(header("r2"))
    first.open_run(header("r3"))
    for store in (first, second, Store(url)):
        assert [run.run_id for run in store.runs()] == ["r1", "r2", "r3"]


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a" * 101])
def test_a_run_id_is_part_of_a_key(tmp_path: object, run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        Store(f"{tmp_path}/store", create=True).open_run(header(run_id))


def test_an_unknown_run_names_the_nearest(url: str) -> None:
    opened(url, "abcdef0123456789")
    with pytest.raises(StoreError, match="did you mean abcdef0123456789"):
        Store(url).run("abcdef012345678")
    with pytest.raises(StoreError, match="there is no run 'zzz'"):
        Store(url).rows(["zzz"])


def test_rows_come_back_as_they_were(url: str) -> None:
    log = opened(url)
    assert log.append(rows("cab")) == 3
    assert log.append([]) == 0
    stored = Store(url).rows()
    assert stored.schema == ROWS
    assert ids_of(stored) == ["a", "b", "c"]
    assert stored.filter(pa.compute.field("sample_id") == "b").to_pylist()[0] == (
        dict.fromkeys(ROWS.names) | rows("b")[0]
    )
    assert log.rows(["text"]).column_names == ["text"]
    with pytest.raises(ValueError, match="no column 'txet'"):
        log.rows(["txet"])


def test_a_table_is_as_good_as_dictionaries(url: str) -> None:
    log = opened(url)
    assert log.append(pa.Table.from_pylist(rows("ab"))) == 2
    assert log.append(log.rows()) == 0


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (rows("a", run_id="r2"), "run_id must be 'r1'"),
        (rows("a", status="fine"), "status 'fine'"),
        (rows("a", sample_id=None), "needs a sample_id"),
        (rows("a", colour="red"), "no column 'colour'"),
        (rows("a", score="high"), "do not fit"),
    ],
)
def test_what_is_no_row_of_the_run_is_refused(
    tmp_path: object, bad: list[dict[str, object]], match: str
) -> None:
    log = opened(f"{tmp_path}/store")
    with pytest.raises(ValueError, match=match):
        log.append(bad)
    assert log.refresh().rows == 0


def test_one_row_a_sample(url: str) -> None:
    log = opened(url)
    assert log.append(rows("ab") + rows("b", text="again")) == 2
    assert log.append(rows("bc")) == 1
    assert log.append(rows("abc")) == 0
    assert ids_of(log.rows()) == ["a", "b", "c"]
    assert "again" not in log.rows()["text"].to_pylist()
    assert log.state.done == {"a", "b", "c"}


def test_only_open_rows_are_superseded(url: str) -> None:
    log = opened(url)
    log.append(rows("ab", "infra_error", score=None) + rows("c", "over_budget") + rows("de"))
    assert log.state.open == {"a": "infra_error", "b": "infra_error", "c": "over_budget"}
    assert log.append(rows("ac", "unparsed") + rows("d", "infra_error")) == 2
    expected = {"a": "unparsed", "b": "infra_error", "c": "unparsed", "d": "ok", "e": "ok"}
    assert statuses_of(log.rows()) == expected
    assert statuses_of(Store(url).rows()) == expected
    assert Store(url).run("r1").refresh().open == {"b": "infra_error"}
    assert Store(url).rows(columns=["status"])["status"].to_pylist().count("ok") == 2


def test_a_zombie_appends_after_a_takeover(url: str) -> None:
    driver = opened(url)
    driver.append(rows("ab"))
    zombie = stale(url)
    driver.append(rows("cd"))
    driver.append(rows("e", "infra_error"))
    assert zombie.append(rows("cde", text="late")) == 1
    assert zombie.append(rows("f")) == 1
    assert driver.append(rows("ef")) == 0
    table = Store(url).rows()
    assert ids_of(table) == list("abcdef")
    assert table["text"].to_pylist().count("late") == 1
    assert driver.state == zombie.refresh()


def append_in_pieces(log: RunLog, ids: Iterable[str]) -> None:
    for sample_id in ids:
        log.append(rows([sample_id]))


def test_drivers_in_several_processes(tmp_path: object) -> None:
    url = f"{tmp_path}/store"
    log = opened(url)
    names = [f"s{number}" for number in range(30)]
    spawn = multiprocessing.get_context("spawn")
    drivers = [
        spawn.Process(target=append_in_pieces, args=(log, names[start:] + names[:start]))
        for start in (0, 10, 20)
    ]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0, 0]
    assert ids_of(Store(url).rows()) == sorted(names)
    assert log.refresh().done == set(names)


def test_a_driver_dies_between_rows_and_manifest(
    url: str, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(url)
    log.append(rows("a"))

    create = type(objects).create

    def dies(self: ObjectStore, key: str, data: bytes) -> bool:
        if "/manifests/" in key:
            raise KeyboardInterrupt
        return create(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(objects), "create", dies)
        with pytest.raises(KeyboardInterrupt):
            log.append(rows("bc"))
    orphans = [found.key for found in objects.list("runs/r1/rows")]
    assert len(orphans) == 2
    again = Store(url, create=True).open_run(header())
    assert again.refresh().done == {"a"}
    assert again.append(rows("abc", text="again")) == 2
    assert ids_of(Store(url).rows()) == ["a", "b", "c"]
    assert Store(url).gc(grace_s=86400).keys == ()
    collected = Store(url).gc(grace_s=-60)
    assert set(collected.keys) < set(orphans)
    assert len(collected.keys) == 1
    assert collected.size > 0
    assert ids_of(Store(url).rows()) == ["a", "b", "c"]


def test_a_driver_dies_between_manifest_and_commit(url: str) -> None:
    opened(url).append(rows("abc"))
    log = opened(url)
    assert not log.refresh().complete
    assert log.append(rows("abc")) == 0
    log.commit(scores(), expected=3)
    assert log.state.complete
    assert Store(url).run("r1").refresh().complete


def test_a_commit_is_made_once(url: str) -> None:
    log = opened(url)
    log.append(rows("ab") + rows("c", "refused"))
    other = stale(url)
    first = log.commit(scores(), expected=3, left_out=["z", "y"], facts={"flip": [1, None]})
    assert first.counts == {"ok": 2, "refused": 1}
    assert first.left_out == ("y", "z")
    assert (
        other.commit(scores(), expected=3, left_out=["y", "z"], facts={"flip": (1, None)}) == first
    )
    assert Store(url).run("r1").refresh().commit == first
    second = other.commit(scores(0.75), expected=3)
    assert second.number == 1
    assert log.commit(scores(0.75), expected=3) == second
    assert Store(url).scores()["accuracy"].to_pylist() == [0.75]
    with pytest.raises(ValueError, match="JSON"):
        log.commit(scores(), expected=3, facts={"x": object()})
    with pytest.raises(ValueError, match="JSON"):
        log.commit(scores(), expected=3, facts={"x": float("nan")})


def test_what_makes_a_run_complete(url: str) -> None:
    log = opened(url)
    log.append(rows("a") + rows("b", "infra_error"))
    log.commit(scores(), expected=2)
    assert not log.state.complete
    log.append(rows("b"))
    assert not log.state.complete
    log.commit(scores(), expected=3)
    assert not log.state.complete
    log.append(rows("c"))
    log.commit(scores(), expected=3)
    assert log.refresh().complete
    assert log.state.commit is not None
    assert log.state.counts == log.state.commit.counts == {"ok": 3}


def test_a_commit_adds_up_the_rows_that_were_read(url: str) -> None:
    log = opened(url)
    log.append(rows("a") + rows("b", "infra_error"))
    zombie = stale(url)
    log.rows()
    zombie.append(rows("b"))
    early = log.commit(scores(), expected=2)
    assert early.counts == {"ok": 1, "infra_error": 1}
    assert not log.state.current
    assert not zombie.refresh().complete
    assert log.commit(scores(), expected=2) == early
    zombie.commit(scores(0.75), expected=2)
    with pytest.raises(RunBusy, match="added it up meanwhile, with later rows"):
        log.commit(scores(0.25), expected=2)
    log.rows()
    assert log.commit(scores(), expected=2).counts == {"ok": 2}
    assert log.state.complete
    assert Store(url).run("r1").refresh() == log.state


def test_rows_marked_again(url: str) -> None:
    log = opened(url)
    log.append(rows("ab"))
    log.append(rows("cd", "infra_error"))
    log.append(rows("c"))
    log.commit(scores(), expected=4)
    table = log.rows()
    place = table.schema.get_field_index("score")
    marked = table.set_column(place, "score", pa.array([0.25] * 4, pa.float64()))
    log.replace(marked)
    assert Store(url).rows()["score"].to_pylist() == [0.25] * 4
    assert statuses_of(Store(url).rows()) == {"a": "ok", "b": "ok", "c": "ok", "d": "infra_error"}
    assert not log.state.complete
    log.append(rows("d"))
    log.commit(scores(), expected=4)
    assert log.refresh().complete
    with pytest.raises(ValueError, match="other samples"):
        log.replace(log.rows().slice(1))
    assert ids_of(log.rows()) == list("abcd")


def test_rows_changed_by_another_are_not_replaced(url: str) -> None:
    log = opened(url)
    log.append(rows("a"))
    table = log.rows()
    stale(url).append(rows("b"))
    with pytest.raises(RunBusy, match="changed it meanwhile"):
        log.replace(table)
    log.refresh()
    with pytest.raises(RunBusy, match="changed it meanwhile"):
        log.replace(table)
    log.replace(log.rows())
    assert ids_of(Store(url).rows()) == ["a", "b"]


def test_many_runs_at_once(url: str) -> None:
    store = Store(url, create=True)
    for number in range(5):
        log = store.open_run(header(f"r{number}", model=f"m{number}"))
        for part in range(number + 1):
            log.append(rows([f"s{part}"], run_id=f"r{number}"))
        if number % 2:
            log.commit(scores(number / 10, f"r{number}"), expected=number + 1)
    fresh = Store(url)
    assert fresh.rows()["run_id"].to_pylist() == [f"r{n}" for n in range(5) for _ in range(n + 1)]
    assert ids_of(fresh.rows(["r3", "r3", "r0"])) == ["s0", "s0", "s1", "s2", "s3"]
    assert fresh.scores()["run_id"].to_pylist() == ["r1", "r3"]
    assert fresh.scores(["r3", "r2"])["accuracy"].to_pylist() == [0.3]
    assert [state.rows for _, state in fresh.states()] == [1, 2, 3, 4, 5]


def test_suites(url: str) -> None:
    store = Store(url, create=True)
    store.put_suite(SUITE)
    Store(url).put_suite(SUITE)
    store.open_run(header())
    (facts,) = Store(url).suites()
    assert facts["name"] == "tiny"
    assert facts["counts"] == SUITE.counts
    assert len(Store(url).suites()) == 1


def test_compaction(url: str) -> None:
    store = Store(url, create=True)
    store.put_suite(SUITE)
    log = store.open_run(header())
    reader = Store(url)
    for part in ("ab", "c", "d"):
        log.append(rows(part, "infra_error" if part == "d" else "ok"))
    log.append(rows("d"))
    assert store.compact() == ()
    log.commit(scores(), expected=4)
    before = reader.rows()
    (done,) = Store(url).compact()
    assert (done.run_id, done.before, done.after) == ("r1", 3, 1)
    assert log.refresh().complete
    assert Store(url).compact() == ()
    assert log.commit(scores(), expected=4).number == 0
    # The replaced files' grace begins now, whenever they were written.
    assert store.gc().keys == ()
    assert len(store.gc(grace_s=-60).keys) == 4
    for place in (store, reader, Store(url)):
        assert sorted(place.rows().to_pylist(), key=str) == sorted(before.to_pylist(), key=str)
        assert place.check() == []


def test_a_reader_that_knew_only_replaced_files(
    url: str, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(url)
    log.append(rows("a"))
    log.append(rows("b"))
    log.commit(scores(), expected=2)
    reader = Store(url)
    reader.rows()
    get = type(objects).get
    pending = [True]

    def compacts_first(self: ObjectStore, key: str) -> bytes | None:
        if "/rows/" in key and pending:
            pending.clear()
            other = Store(url)
            other.compact()
            other.gc(grace_s=-60)
        return get(self, key)

    monkeypatch.setattr(type(objects), "get", compacts_first)
    assert ids_of(reader.rows()) == ["a", "b"]
    assert not pending


def test_a_missing_file_is_an_error_and_not_fewer_rows(url: str, objects: ObjectStore) -> None:
    log = opened(url)
    log.append(rows("a"))
    (found,) = objects.list("runs/r1/rows")
    objects.delete(found.key)
    with pytest.raises(
        StoreUnavailable, match=r"rows/00000000-\w{12}\.parquet is damaged .*missing"
    ):
        Store(url).rows()


def test_pickled_it_is_its_url(url: str) -> None:
    log = opened(url)
    log.append(rows("a"))
    store = pickle.loads(pickle.dumps(Store(url)))
    assert store.url == Store(url).url
    assert ids_of(store.rows()) == ["a"]
    other = pickle.loads(pickle.dumps(log))
    assert other.refresh().done == {"a"}
    assert b"test-secret" not in pickle.dumps((Store(url), log))


def test_leases(url: str) -> None:
    log = opened(url)
    lease = log.acquire("host:1:x")
    lease.renew()
    again = stale(url).acquire("host:1:x", wait_s=0)
    with pytest.raises(RunBusy, match=r"host:1:x \(host host, pid 1\) took it over"):
        lease.renew()
    lease.release()
    again.renew()
    with pytest.raises(RunBusy, match=r"run r1: host:1:x \(host host, pid 1\) holds it"):
        log.acquire("other:2:y", wait_s=0)
    again.release()
    log.acquire("other:2:y", wait_s=0).renew()


def test_a_dead_drivers_lease_is_taken_over(url: str) -> None:
    log = opened(url)
    dead = log.acquire("host:1:x", ttl_s=0.2)
    log.acquire("other:2:y").renew()
    with pytest.raises(RunBusy, match="other:2:y"):
        dead.renew()


def test_the_files_are_plain_parquet(url: str, objects: ObjectStore) -> None:
    import pyarrow.dataset as ds

    log = opened(url)
    log.append(rows("ab"))
    log.append(rows("c"))
    log.commit(scores(), expected=3)
    filesystem = None
    place = objects.url
    if place.startswith("s3://"):
        import s3fs

        filesystem = s3fs.S3FileSystem(skip_instance_cache=True)
        place = place.removeprefix("s3://")
    table = ds.dataset(f"{place}/runs/r1/rows", filesystem=filesystem).to_table()
    assert table.schema.remove_metadata() == ROWS
    assert ids_of(table) == ["a", "b", "c"]
    marks = ds.dataset(f"{place}/runs/r1/scores", filesystem=filesystem).to_table()
    assert marks.schema.remove_metadata() == SCORES
