"""Suites at URLs are read from one copy on the machine, made once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lens_ray import fetching
from lens_ray.errors import EnvironmentFailure, StoreUnavailable, SuiteError
from lens_ray.suites.copies import local_copy, place_of
from lens_ray.suites.suite import Suite, load_suite, write_suite
from lens_ray.testing.fault_proxy import Fault, FaultProxy
from tests.suites.makers import suite_of

ROOT = Path(__file__).resolve().parents[2]
READER = """
import sys
from lens_ray.suites.copies import local_copy
suite = local_copy(*sys.argv[1:])
print(sum(len(suite.image_bytes(image)) for image in suite.image_hashes()))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "home"
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.0)
    return top


def put(url: str, count: int = 5) -> Suite:
    samples, images = suite_of(count)
    return write_suite("a:t", samples, images, url, licence="x", revision="1")


def whole_reads(proxy: FaultProxy, file: str) -> int:
    return sum(seen.method == "GET" and file in seen.path for seen in proxy.seen)


def test_processes_that_start_at_once_read_the_bucket_once(
    bucket_url: str, proxy: FaultProxy
) -> None:
    made = put(bucket_url)
    size = sum(len(made.image_bytes(image)) for image in made.image_hashes())
    proxy.clear()
    command = [sys.executable, "-c", READER, bucket_url, made.name, made.digest]
    readers = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [reader.communicate()[0].strip() for reader in readers] == [str(size)] * 3
    for file in ("images.parquet", "samples.parquet", "suite.json"):
        assert whole_reads(proxy, file) == 1
    proxy.clear()
    copy = local_copy(bucket_url, made.name, made.digest)
    assert copy.samples == made.samples
    assert copy.location == str(place_of(made.name, made.digest))
    assert proxy.seen == ()  # not even asked whether it is there


def test_faults_of_the_bucket_are_overcome(bucket_url: str, proxy: FaultProxy) -> None:
    made = put(bucket_url)
    proxy.clear()
    proxy.add(Fault("status", method="GET", path="images", status=503, code="SlowDown"))
    proxy.add(Fault("lost_answer", method="GET", path="samples"))
    assert local_copy(bucket_url, made.name, made.digest).digest == made.digest
    assert sum(seen.fault is not None for seen in proxy.seen) == 2


def test_a_copy_that_the_disk_damaged_is_made_again(home: Path) -> None:
    made = put("memory://suites/damaged")
    copy = local_copy("memory://suites/damaged", made.name, made.digest)
    for file in ("samples.parquet", "images.parquet", "suite.json"):
        (Path(copy.location) / file).write_bytes(b"")
        again = local_copy("memory://suites/damaged", made.name, made.digest)
        assert again.image_bytes(again.image_hashes()[0])
    assert len(list((home / "suite-copies").iterdir())) == 1


def test_another_suite_in_its_place_is_refused_and_not_kept(home: Path) -> None:
    made = put("memory://suites/changed", 3)
    put("memory://suites/changed", 4)
    with pytest.raises(SuiteError, match=f"not {made.digest[:12]}; start again"):
        local_copy("memory://suites/changed", made.name, made.digest)
    assert list((home / "suite-copies").iterdir()) == []


def test_what_is_not_there_is_one_line(home: Path) -> None:
    made = put("memory://suites/part")
    with pytest.raises(SuiteError, match=r"suite memory://suites/none: .* is missing"):
        local_copy("memory://suites/none", made.name, made.digest)


def test_a_bucket_out_of_reach_is_one_line(
    bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(EnvironmentFailure) as caught:
        local_copy(bucket_url, "t", "0" * 64)
    s3fs.S3FileSystem.clear_instance_cache()
    assert "\n" not in str(caught.value)


def test_no_room_is_said_as_such(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    made = put("memory://suites/large")
    monkeypatch.setattr("lens_ray.node_cache._free", lambda folder: 1000)
    with pytest.raises(StoreUnavailable, match=r"no room for a copy of .* kB, 1\.0 kB free"):
        local_copy("memory://suites/large", made.name, made.digest)
    assert load_suite("memory://suites/large").digest == made.digest
