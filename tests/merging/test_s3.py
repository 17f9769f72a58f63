"""Merges from and to buckets, over a real S3 API with faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.merging import publish
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.publish import MARK
from lens_ray.models import checkpoint
from lens_ray.models.resolve import resolve
from lens_ray.testing.fault_proxy import Fault, FaultProxy
from tests.buckets import MIXED
from tests.merging.folders import linear, same_bits, two, weights_of


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(publish, "_PAUSE_S", 0.0)


class Bucket:
    """What is at a URL, without the code under test."""

    def __init__(self, moto: str, url: str) -> None:
        self._client = boto3.client("s3", endpoint_url=moto)
        self._bucket, _, self._prefix = url.removeprefix("s3://").partition("/")

    def put(self, folder: str, name: str) -> None:
        for path in Path(folder).iterdir():
            self._client.upload_file(str(path), self._bucket, f"{self._prefix}/{name}/{path.name}")

    def write(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{key}", Body=data)

    def names(self, name: str) -> set[str]:
        start = f"{self._prefix}/{name}/"
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=start)
        return {str(one["Key"]).removeprefix(start) for one in page.get("Contents", ())}


@pytest.fixture
def bucket(moto: str, bucket_url: str) -> Bucket:
    return Bucket(moto, bucket_url)


def test_from_a_bucket_to_a_bucket(tmp_path: Path, bucket: Bucket, bucket_url: str) -> None:
    paths = two(tmp_path, shards=2)
    for path, name in zip(paths, ("a", "b"), strict=True):
        bucket.put(path, name)
    here = apply_recipe(linear(paths, [0.25, 0.75], shard_gb=8e-7), tmp_path / "here")
    urls = [f"{bucket_url}/a", f"{bucket_url}/b"]
    recipe = linear(urls, [0.25, 0.75], shard_gb=8e-7)
    there = apply_recipe(recipe, f"{bucket_url}/out")
    assert there.files == here.files
    assert bucket.names("out") == {path.name for path in (tmp_path / "here").iterdir()}
    found, wanted = weights_of(resolve(f"{bucket_url}/out")), weights_of(tmp_path / "here")
    assert all(same_bits(found[name], wanted[name]) for name in wanted)
    assert apply_recipe(recipe, f"{bucket_url}/out/") == there  # nothing is done
    assert not any((tmp_path / "home" / "merges-to-send").iterdir())


@pytest.mark.parametrize("sharded", [False, True])
def test_a_reader_never_sees_half_a_model(
    tmp_path: Path, bucket: Bucket, bucket_url: str, monkeypatch: pytest.MonkeyPatch, sharded: bool
) -> None:
    """Before each file that is sent, what is there is no checkpoint; afterwards it is one."""
    more = {"shard_gb": 8e-7} if sharded else {}
    recipe = linear(two(tmp_path), [0.25, 0.75], **more)
    states: list[set[str]] = []
    real = publish._put

    def put(*arguments: Any) -> None:
        names = bucket.names("out")
        states.append(names)
        weights = checkpoint.INDEX if sharded else checkpoint.WEIGHTS
        assert MARK in names
        assert weights not in names or arguments[1].name == "merge.json"
        real(*arguments)

    monkeypatch.setattr(publish, "_put", put)
    apply_recipe(recipe, f"{bucket_url}/out")
    assert len(states) == len(bucket.names("out"))
    assert "merge.json" not in states[-1]


def test_sending_that_broke_goes_on(
    tmp_path: Path, bucket: Bucket, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = linear(two(tmp_path), [0.25, 0.75])
    real = publish._put

    def put(*arguments: Any) -> None:
        if arguments[1].name == "model.safetensors":
            raise StoreUnavailable("away")
        real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_put", put)
        with pytest.raises(StoreUnavailable, match="away"):
            apply_recipe(recipe, f"{bucket_url}/out")
    assert "model.safetensors" not in bucket.names("out")
    with pytest.raises(UserError, match=r"part of another merge \(merge\.partial\.json\)"):
        apply_recipe(linear(two(tmp_path / "x"), [0.5, 0.5]), f"{bucket_url}/out")
    record = apply_recipe(recipe, f"{bucket_url}/out")
    assert bucket.names("out") == {*record.files, "README.md", "merge.json"}


def test_what_is_there_is_not_overwritten(tmp_path: Path, bucket: Bucket, bucket_url: str) -> None:
    paths = two(tmp_path)
    bucket.write("notes/todo.txt", b"mine")
    with pytest.raises(UserError, match="something that is no merge"):
        apply_recipe(linear(paths, [0.5, 0.5]), f"{bucket_url}/notes")
    apply_recipe(linear(paths, [0.5, 0.5]), f"{bucket_url}/out")
    with pytest.raises(UserError, match="holds another merge"):
        apply_recipe(linear(paths, [0.4, 0.6]), f"{bucket_url}/out")
    bucket.write("odd/merge.json", json.dumps({"version": 1}).encode())
    with pytest.raises(UserError, match="no record of a merge"):
        apply_recipe(linear(paths, [0.4, 0.6]), f"{bucket_url}/odd")


def test_faults_of_the_bucket_are_waited_out(
    tmp_path: Path, bucket: Bucket, bucket_url: str, proxy: FaultProxy
) -> None:
    paths = two(tmp_path)
    wanted = apply_recipe(linear(paths, [0.25, 0.75]), tmp_path / "here")
    for fault in MIXED:
        proxy.add(fault)
    record = apply_recipe(linear(paths, [0.25, 0.75]), f"{bucket_url}/out")
    proxy.clear()
    assert record.files == wanted.files
    assert bucket.names("out") == {*record.files, "README.md", "merge.json"}


def test_a_bucket_out_of_reach(tmp_path: Path, bucket_url: str, proxy: FaultProxy) -> None:
    proxy.add(Fault("status", times=10_000))
    with pytest.raises(StoreUnavailable):
        apply_recipe(linear(two(tmp_path), [0.5, 0.5]), f"{bucket_url}/out")


@pytest.mark.parametrize("out", ["gs://bucket/x", "s3://", "s3://bucket/../x"])
def test_urls_that_are_none(tmp_path: Path, out: str) -> None:
    with pytest.raises(UserError, match="--out"):
        apply_recipe(linear(two(tmp_path), [0.5, 0.5]), out)
