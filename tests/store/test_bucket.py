"""Conditional writes to a bucket whose answers are lost, late, refused or wrong."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.errors import StoreError, StoreUnavailable
from lens_ray.store import Store
from lens_ray.store.bucket import BucketObjects, Patience
from lens_ray.testing.fault_proxy import Fault, FaultProxy
from tests.buckets import MIXED
from tests.store.makers import header, rows

QUICK = Patience(tries=4, first_s=0.01, connect_s=1.0, read_s=0.3, request_s=1.0)


@pytest.fixture
def objects(bucket_url: str) -> BucketObjects:
    return BucketObjects(bucket_url, QUICK)


def strikes(proxy: FaultProxy) -> int:
    return sum(seen.fault is not None for seen in proxy.seen)


def test_create_and_swap(objects: BucketObjects) -> None:
    assert objects.get("a/b") is None
    assert objects.create("a/b", b"one")
    assert objects.create("a/b", b"one")
    assert not objects.create("a/b", b"two")
    found = objects.get_versioned("a/b")
    assert found is not None
    assert found.data == b"one"
    version = objects.swap("a/b", b"three", found.version)
    assert version is not None
    assert objects.swap("a/b", b"four", found.version) is None
    assert objects.swap("a/c", b"four", found.version) is None
    assert objects.get("a/b") == b"three"
    assert [(f.key, f.size) for f in objects.list("a")] == [("a/b", 5)]
    assert list(objects.list("nothing")) == []
    objects.delete("a/b")
    objects.delete("a/b")
    assert list(objects.list("")) == []


def test_one_of_many_creators_wins(objects: BucketObjects) -> None:
    won = []

    def race(number: int) -> None:
        if objects.create("x", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.get("x") == b"%d" % won[0]


def test_a_listing_of_several_pages(
    objects: BucketObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        objects.create(f"p/{number}", b"x")
    objects.create("pp", b"x")
    ask = objects._ask

    def small_pages(method: str, key: str | None, **arguments: object) -> dict[str, object]:
        if method == "list_objects_v2":
            arguments["MaxKeys"] = 2
        return ask(method, key, **arguments)

    monkeypatch.setattr(objects, "_ask", small_pages)
    assert [found.key for found in objects.list("p")] == [f"p/{number}" for number in range(5)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", times=3, status=503, code="SlowDown"),
        Fault("status", times=3, status=409, code="ConditionalRequestConflict"),
        Fault("status", times=3, status=500, code="InternalError", landed=True),
        Fault("status", times=2, status=412, code="PreconditionFailed", method="PUT"),
        Fault("lost_answer", times=3),
        Fault("lost_answer", times=1, method="PUT"),
        Fault("silence", times=1),
        Fault("drip", times=4, piece=100, pause_s=0.001),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.method}",
)
@pytest.mark.parametrize("verb", ["create", "swap", "get"])
def test_a_passing_fault_is_not_seen(
    objects: BucketObjects, proxy: FaultProxy, fault: Fault, verb: str
) -> None:
    if verb == "create":
        proxy.add(fault)
        assert objects.create("key", b"mine")
        assert objects.get("key") == b"mine"
        return
    assert objects.create("key", b"first" * 50)
    found = objects.get_versioned("key")
    assert found is not None
    proxy.add(fault)
    if verb == "get":
        assert objects.get("key") == b"first" * 50
        return
    version = objects.swap("key", b"mine", found.version)
    assert version is not None
    assert objects.swap("key", b"next", version) is not None
    assert objects.get("key") == b"next"


@pytest.mark.parametrize("kind", ["lost_answer", "status"])
def test_a_lost_race_whose_answer_is_lost_too(
    objects: BucketObjects, proxy: FaultProxy, kind: str
) -> None:
    objects.create("key", b"theirs")
    found = objects.get_versioned("key")
    assert found is not None
    objects.swap("key", b"changed", found.version)
    for _ in range(2):
        proxy.add(
            Fault("lost_answer", method="PUT")
            if kind == "lost_answer"
            else Fault("status", method="PUT", status=500, landed=True)
        )
    assert not objects.create("key", b"mine")
    assert objects.swap("key", b"mine", found.version) is None
    assert objects.get("key") == b"changed"
    assert strikes(proxy) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", times=99, status=503, code="SlowDown"), "503 SlowDown, 4 times"),
        (Fault("silence", times=99), "ReadTimeoutError, 4 times"),
        (Fault("lost_answer", times=99), "ConnectionClosedError, 4 times"),
        (Fault("status", times=99, status=403, code="AccessDenied"), r"access denied .*ListBucket"),
        (Fault("status", times=99, status=400, code="InvalidRequest"), "400 InvalidRequest"),
        (Fault("status", times=99, status=412, code="PreconditionFailed", method="PUT"), "refused"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_lasting_fault_is_one_line(
    objects: BucketObjects, proxy: FaultProxy, fault: Fault, said: str
) -> None:
    proxy.add(fault)
    with pytest.raises(StoreUnavailable, match=said) as caught:
        objects.create("key", b"mine")
    assert "\n" not in str(caught.value)
    assert objects.url in str(caught.value)
    assert "test-secret" not in str(caught.value)
    assert "test-key" not in str(caught.value)


def test_a_body_that_drips_for_ever(bucket_url: str, proxy: FaultProxy) -> None:
    objects = BucketObjects(bucket_url, replace(QUICK, request_s=0.25))
    objects.create("key", b"x" * 100)
    proxy.add(Fault("drip", times=99, piece=1, pause_s=0.1))
    with pytest.raises(StoreUnavailable, match="TimeoutError, 4 times"):
        objects.get("key")


def test_an_append_that_failed_can_be_repeated(
    bucket_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.store.bucket.PATIENCE", QUICK)
    log = Store(bucket_url, create=True).open_run(header())
    # Every answer to the manifest is lost, but it lands.
    proxy.add(Fault("lost_answer", times=99, method="PUT", path="/manifests/"))
    with pytest.raises(StoreUnavailable):
        log.append(rows("ab"))
    proxy.clear()
    assert log.append(rows("abc")) == 1
    assert sorted(Store(bucket_url).rows()["sample_id"].to_pylist()) == ["a", "b", "c"]
    assert log.append(rows("abc")) == 0


def test_a_renewal_whose_answer_is_lost(
    bucket_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.store.bucket.PATIENCE", QUICK)
    lease = Store(bucket_url, create=True).open_run(header()).acquire("host:1:x")
    proxy.add(Fault("lost_answer", times=99, method="PUT", path="lease"))
    with pytest.raises(StoreUnavailable):
        lease.renew()
    proxy.clear()
    lease.renew()
    lease.release()


def test_a_run_under_mixed_faults(bucket_url: str, proxy: FaultProxy) -> None:
    for fault in MIXED:
        proxy.add(fault)
    log = Store(bucket_url, create=True).open_run(header())
    for number in range(20):
        assert log.append(rows([number])) == 1
    assert Store(bucket_url).rows().num_rows == 20
    struck = {(seen.fault.kind, seen.fault.status) for seen in proxy.seen if seen.fault}
    assert struck >= {("status", 503), ("status", 409), ("status", 412), ("status", 500),
                      ("lost_answer", 503), ("drip", 503)}  # fmt: skip


def test_wrong_buckets(
    proxy: FaultProxy, bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="no store at s3://no-such-bucket/x"):
        Store("s3://no-such-bucket/x")
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        Store("s3://no-such-bucket/x", create=True).open_run(header())
    for url in ("s3://", "s3:///x", "s3://b/../c", "s3://b/x?versionId=1"):
        with pytest.raises(StoreError, match="names no bucket"):
            Store(url)
    with pytest.raises(StoreError, match="no valid name"):
        Store("s3://not a bucket/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable, match="EndpointConnectionError, 6 times"):
        Store(bucket_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(StoreUnavailable, match="ValueError; check the AWS_"):
        Store(bucket_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="NoCredentialsError; check the AWS_"):
        Store(bucket_url)
