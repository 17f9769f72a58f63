"""Places for a store: a folder, and a bucket behind scripted faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store.objects import ObjectStore, open_objects
from lens_ray.testing.fault_proxy import FaultProxy
from tests.buckets import MIXED


@pytest.fixture(params=["folder", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made."""
    if request.param == "folder":
        return str(tmp_path / "store")
    place: str = request.getfixturevalue("bucket_url")
    proxy: FaultProxy = request.getfixturevalue("proxy")
    for fault in MIXED:
        proxy.add(fault)
    return place


@pytest.fixture
def objects(url: str) -> ObjectStore:
    return open_objects(url)
