"""Buckets for tests: moto behind a proxy that makes scripted faults."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest

from lens_ray.store import bucket
from lens_ray.testing.fault_proxy import Fault, FaultProxy

#: Mixed faults, spread over the requests of one test.
MIXED = [
    fault
    for start in range(0, 400, 20)
    for fault in (
        Fault("status", after=start + 3, status=503, code="SlowDown"),
        Fault("lost_answer", after=start // 2 + 2, method="PUT"),
        Fault("status", after=start // 2 + 4, method="PUT", status=409,
              code="ConditionalRequestConflict"),
        Fault("status", after=start // 2 + 5, method="PUT", status=500, code="InternalError",
              landed=True),
        Fault("lost_answer", after=start + 11, method="GET"),
        Fault("drip", after=start + 13, method="GET", pause_s=0.001),
        Fault("status", after=start // 2 + 7, method="PUT", status=412,
              code="PreconditionFailed"),
    )
]  # fmt: skip
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def session_proxy(moto: str) -> Iterator[FaultProxy]:
    with FaultProxy(moto) as proxy:
        yield proxy


@pytest.fixture
def proxy(session_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The proxy before moto, without a fault so far, as this process's endpoint."""
    session_proxy.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", session_proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(bucket, "PATIENCE", bucket.Patience(first_s=0.01))
    return session_proxy


@pytest.fixture
def bucket_url(proxy: FaultProxy, moto: str) -> str:
    """A bucket of this test's own, and a prefix in it."""
    import boto3

    name = f"bucket-{next(_NUMBERS)}"
    boto3.client("s3", endpoint_url=moto).create_bucket(Bucket=name)
    return f"s3://{name}/some/prefix"
