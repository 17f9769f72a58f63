"""What is wrong with a store is found, one line a problem, over a folder and a bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from lens_ray.errors import StoreUnavailable
from lens_ray.store import Store
from lens_ray.store.objects import ObjectStore, open_objects
from lens_ray.store.tables import sha256, to_parquet, to_table
from tests.store.makers import SUITE, header, rows, scores


def build(url: str) -> ObjectStore:
    """A sound store with everything in it."""
    store = Store(url, create=True)
    store.put_suite(SUITE)
    log = store.open_run(header())
    log.append(rows("ab") + rows("c", "infra_error"))
    log.append(rows("c"))
    log.commit(scores(), expected=3)
    store.open_run(header("r2")).acquire("host:1:x")
    return open_objects(url)


def overwrite(objects: ObjectStore, key: str, data: bytes) -> None:
    objects.delete(key)
    assert objects.create(key, data)


def edit(objects: ObjectStore, key: str, change: Callable[[dict[str, object]], object]) -> None:
    data = objects.get(key)
    assert data is not None
    record = json.loads(data)
    change(record)
    overwrite(objects, key, json.dumps(record).encode())


def only_key(objects: ObjectStore, prefix: str, number: int = 0) -> str:
    return [found.key for found in objects.list(prefix)][number]


def test_a_sound_store(url: str) -> None:
    build(url)
    assert Store(url).check() == []


def flip_a_byte(objects: ObjectStore, key: str) -> None:
    data = objects.get(key)
    assert data is not None
    middle = len(data) // 2
    overwrite(objects, key, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def cut_off(objects: ObjectStore, key: str) -> None:
    data = objects.get(key)
    assert data is not None
    overwrite(objects, key, data[:-1])


def other_rows(objects: ObjectStore, key: str, ids: str, run_id: str = "r1") -> None:
    """A data file of other samples, with a manifest that fits it by size and hash."""
    data = to_parquet(to_table(rows(ids, run_id=run_id)))
    overwrite(objects, key, data)

    def refit(record: dict[str, object]) -> None:
        record["files"] = [
            {"path": key.removeprefix("runs/r1/"), "size": len(data), "sha256": sha256(data),
             "rows": len(ids)}
        ]  # fmt: skip

    edit(objects, "runs/r1/manifests/00000001.json", refit)


ROWS_0, ROWS_1 = ("runs/r1/rows", 0), ("runs/r1/rows", 1)
DAMAGE: list[tuple[str, Callable[[ObjectStore], object], str]] = [
    ("no marker", lambda o: o.delete("_store.json"), r"_store\.json: it is missing"),
    ("marker", lambda o: overwrite(o, "_store.json", b"{}"), r"_store\.json: kind None"),
    ("catalogue", lambda o: overwrite(o, "catalog/00000001.json", b"{"), "catalog/00000001"),
    ("gap", lambda o: o.delete("catalog/00000000.json"), "catalog/00000000.json is missing"),
    ("no suite", lambda o: o.delete(f"suites/{SUITE.digest}.json"), r"suites/d+\.json: it is"),
    (
        "suite", lambda o: overwrite(o, f"suites/{SUITE.digest}.json", b'{"digest":"x"}'),
        "it holds the suite 'x'",
    ),
    ("stray run", lambda o: o.create("runs/r9/lease.json", b"{}"), "runs/r9: it is not in"),
    ("no rows", lambda o: o.delete(only_key(o, *ROWS_0)), r"runs/r1/rows/.*: it is missing"),
    ("bit", lambda o: flip_a_byte(o, only_key(o, *ROWS_1)), r"rows/.*: its sha256 is \w{12} where"),
    ("cut", lambda o: cut_off(o, only_key(o, *ROWS_0)), r"rows/.*: \d+ bytes where \d+ were"),
    ("others", lambda o: other_rows(o, only_key(o, *ROWS_1), "d"), "other samples or statuses"),
    ("more", lambda o: other_rows(o, only_key(o, *ROWS_1), "cd"), "manifests/.*: not one"),
    ("other run", lambda o: other_rows(o, only_key(o, *ROWS_1), "c", "r2"), "rows of another run"),
    ("no manifest", lambda o: o.delete("runs/r1/manifests/00000001.json"), "it adds up 2"),
    ("gap in manifests", lambda o: o.delete("runs/r1/manifests/00000000.json"), "nobody reads"),
    (
        "traversal",
        lambda o: edit(
            o, "runs/r1/manifests/00000000.json",
            lambda r: r["files"][0].update(path="../../../etc/passwd"),  # type: ignore[index]
        ),
        r"manifests/00000000\.json: path '\.\./",
    ),
    (
        "twice",
        lambda o: edit(
            o, "runs/r1/manifests/00000000.json",
            lambda r: r["samples"].update(ok=["a", "a"]),  # type: ignore[attr-defined]
        ),
        "not one sample a row",
    ),
    (
        "counts",
        lambda o: edit(o, "runs/r1/commits/00000000.json", lambda r: r.update(counts={"ok": 4})),
        r"commits/00000000\.json: it counts \{'ok': 4\} where the manifests have \{'ok': 3\}",
    ),
    ("commit", lambda o: overwrite(o, "runs/r1/commits/00000000.json", b"[]"), "no JSON object"),
    ("no scores", lambda o: o.delete(only_key(o, "runs/r1/scores")), "scores/.*: it is missing"),
    ("scores", lambda o: flip_a_byte(o, only_key(o, "runs/r1/scores")), "scores/.*: its sha256"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "said"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_damage_is_found(
    tmp_path: object, harm: Callable[[ObjectStore], object], said: str
) -> None:
    objects = build(f"{tmp_path}/store")
    opened = Store(f"{tmp_path}/store")
    harm(objects)
    problems = opened.check()
    assert len(problems) >= 1
    assert all("\n" not in problem for problem in problems)
    assert any(re.search(said, problem) for problem in problems), problems


@pytest.mark.parametrize("key", ["catalog/00000001.json", "runs/r1/manifests/00000000.json",
                                 "runs/r1/commits/00000000.json"])  # fmt: skip
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"kind":"run"}'])
def test_a_reader_says_what_is_damaged(tmp_path: object, key: str, data: bytes) -> None:
    overwrite(build(f"{tmp_path}/store"), key, data)
    with pytest.raises(StoreUnavailable, match=f"{key} is damaged") as caught:
        Store(f"{tmp_path}/store").rows()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("log", ["manifests", "commits"])
def test_nothing_behind_a_gap_is_collected(tmp_path: object, log: str) -> None:
    objects = build(f"{tmp_path}/store")
    data = objects.get(f"runs/r1/{log}/00000000.json")
    assert data is not None
    assert objects.create(f"runs/r1/{log}/00000005.json", data)
    before = [found.key for found in objects.list("")]
    with pytest.raises(StoreUnavailable, match=f"{log}/0000000[12].json is damaged .*missing"):
        Store(f"{tmp_path}/store").gc(grace_s=-60)
    assert [found.key for found in objects.list("")] == before


def test_a_cut_off_file_is_an_error(tmp_path: object) -> None:
    objects = build(f"{tmp_path}/store")
    cut_off(objects, only_key(objects, *ROWS_0))
    with pytest.raises(StoreUnavailable, match=r"\d+ bytes where \d+ were written"):
        Store(f"{tmp_path}/store").rows()
