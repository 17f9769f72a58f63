"""The disk of the copies is full: nothing is lost, and what must have room says so in one line."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest

from lens_ray.suites.mini import build_mini
from lens_ray.suites.suite import load_suite, write_suite
from tests.chaos.harness import Here, assert_same, fake_job, start
from tests.disks import TinyDisk

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def fill_up(disk: Path) -> None:
    # The kernel may write less than it is given, down to nothing and an error.
    with (disk / "other-things").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 65536):
            pass
    assert shutil.disk_usage(disk).free < 65536


def test_a_full_cache_loses_nothing(
    tmp_path: Path,
    tiny_disk: TinyDisk,
    bucket_url: str,
    calm: str,
    tiny: Path,
) -> None:
    quick = load_suite("mini:quick")
    samples, images = build_mini("quick")
    url = f"{bucket_url}/quick"
    made = write_suite("mini:quick", samples, images, url, licence="Apache-2.0", revision="mini-1")
    assert made.digest == quick.digest
    disk = tiny_disk(tmp_path / "full", 4)
    fill_up(disk)
    place = Here({"LENS_RAY_HOME": str(disk)})
    store = tmp_path / "store"
    done = start({**fake_job(store, speed=100.0), "suite": url}, tmp_path, place=place)
    assert done.code == 0, done.last
    assert_same(fake_job(store), calm)
    assert not list(disk.glob("suite-copies/*"))

    files, root = fsspec.core.url_to_fs(f"{bucket_url}/tiny")
    for path in tiny.iterdir():
        files.pipe_file(f"{root}/{path.name}", path.read_bytes())
    model = {"name": "tiny", "path": f"{bucket_url}/tiny"}
    refused = start({**fake_job(store), "suite": url, "models": [model]}, tmp_path, place=place)
    assert refused.code == 5, refused.last
    said = refused.last["error"]
    assert "no room for a copy of" in said
    assert "export LENS_RAY_HOME=FOLDER" in said
    assert "\n" not in said
    assert not list(disk.glob("checkpoints/*"))
