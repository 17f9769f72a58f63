"""The same suite in a bucket: moto stands in for S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.suite import load_suite, write_suite
from tests.suites.makers import suite_of


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    boto3.client("s3").create_bucket(Bucket="suites")
    yield "s3://suites"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_suite_in_a_bucket(bucket: str) -> None:
    samples, images = suite_of(4)
    made = write_suite("tiny", samples, images, f"{bucket}/tiny", licence="x", revision="1")
    back = load_suite(f"{bucket}/tiny")
    assert back.samples == made.samples
    assert back.image_bytes(samples[0].images[0])[:4] == b"\x89PNG"
    with pytest.raises(SuiteError, match=r"there is no suite\.json"):
        load_suite(f"{bucket}/nothing")
    with pytest.raises(SuiteError, match="no-such-bucket"):
        load_suite("s3://no-such-bucket/tiny")
