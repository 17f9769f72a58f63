"""Files that appear whole or not at all, and disks that are full, read-only or shut."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lens_ray.errors import StoreError, StoreUnavailable
from lens_ray.store import Store
from lens_ray.store.folder import FolderObjects
from tests.store.makers import header, rows, scores


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(str(tmp_path / "store"))


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_create_and_swap(objects: FolderObjects, tmp_path: Path) -> None:
    assert objects.get("a/b") is None
    assert objects.create("a/b", b"one")
    assert objects.create("a/b", b"one")
    assert not objects.create("a/b", b"two")
    found = objects.get_versioned("a/b")
    assert found is not None
    version = objects.swap("a/b", b"three", found.version)
    assert version is not None
    assert objects.swap("a/b", b"four", found.version) is None
    assert objects.swap("a/c", b"four", None) is not None
    assert objects.swap("a/c", b"five", None) is None
    assert objects.get("a/b") == b"three"
    assert [(f.key, f.size) for f in objects.list("")] == [("a/b", 5), ("a/c", 4)]
    objects.delete("a/b")
    objects.delete("a/b")
    assert listing(tmp_path) == ["store", "store/a", "store/a/c"]


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_writers_wins(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def no_links(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    created, swapped = [], []
    assert objects.create("lease", b"start")
    start = objects.get_versioned("lease")
    assert start is not None
    ready = threading.Barrier(8)

    def race(number: int) -> None:
        ready.wait()
        if objects.create("x/y", b"%d" % number):
            created.append(number)
        if objects.swap("lease", b"%d" % number, start.version):
            swapped.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(created) == len(swapped) == 1
    assert objects.get("x/y") == b"%d" % created[0]
    assert objects.get("lease") == b"%d" % swapped[0]
    assert listing(tmp_path / "store") == ["lease", "x", "x/y"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "link", "mkdir"])
def test_a_failed_write_leaves_nothing(
    objects: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(StoreUnavailable, match=os.strerror(code)) as caught:
            objects.create("a/b/c", b"x")
        assert str(tmp_path / "store") in str(caught.value)
        assert "\n" not in str(caught.value)
    assert listing(tmp_path) == []
    assert objects.create("a/b/c", b"x")


def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in ("file", "file/store", "dangling"):
        for create in (False, True):
            with pytest.raises(StoreError, match=r"(file|dangling) is a file"):
                Store(str(tmp_path / path), create=create)
    for url in ("gs://bucket/x", "http://host/x", "memory://x"):
        with pytest.raises(StoreError, match="is not supported; give a folder or an s3:// URL"):
            Store(url)
    for url in ("", "  ", "file://", "a\0b"):
        with pytest.raises(StoreError, match="no such place"):
            Store(url)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "_store.json").write_text('{"kind": "shop"}')
    with pytest.raises(StoreError, match=r"_store\.json is not that of a store .*kind 'shop'"):
        Store(str(tmp_path))
    (tmp_path / "_store.json").write_text('{"kind": "lens-ray-store", "schema_version": 99}')
    with pytest.raises(StoreError, match="schema version 99, newer than"):
        Store(str(tmp_path))


def test_the_path_is_absolute_wherever_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here", create=True)
    assert store.url == str(tmp_path / "here")
    assert Store("file://" + str(tmp_path / "here"), create=True).url == store.url
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(store)).url == store.url
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store("~/here", create=True).url == store.url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB; permissions alone do not stop root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this user cannot mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_in_the_middle(small_disk: Path) -> None:
    log = Store(str(small_disk / "store"), create=True).open_run(header())
    log.append(rows("ab"))
    before = listing(small_disk)
    big = rows("c", text=os.urandom(400_000).hex())
    with pytest.raises(StoreUnavailable, match="No space left on device; free some space"):
        log.append(big)
    assert listing(small_disk) == before
    assert log.append(rows("c")) == 1
    assert Store(str(small_disk / "store")).rows().num_rows == 3


def test_a_read_only_disk(small_disk: Path) -> None:
    url = str(small_disk / "store")
    store = Store(url, create=True)
    log = store.open_run(header())
    log.append(rows("ab"))
    log.commit(scores(), expected=2)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = listing(small_disk)
    assert Store(url, create=True).open_run(header()).refresh().complete
    assert Store(url).rows().num_rows == 2
    assert Store(url).query("SELECT count(*) AS n FROM rows").to_pylist() == [{"n": 2}]
    for write in (
        lambda: log.append(rows("c")),
        lambda: log.commit(scores(0.9), expected=2),
        lambda: log.acquire("host:1:x"),
        lambda: Store(url, create=True).open_run(header("r2")),
        lambda: Store(str(small_disk / "new"), create=True).open_run(header()),
    ):
        with pytest.raises(StoreUnavailable, match="Read-only file system; mount it for writing"):
            write()
    assert listing(small_disk) == before
