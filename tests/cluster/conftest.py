"""The command line in this process, and a folder of suites, as in ``tests/cli``; a cluster.

The cluster is begun with the first test, and is made while those run that do without.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster import network
from cluster.local import LocalCluster
from tests.cli.conftest import cli, lens_home
from tests.selection import is_wanted

__all__ = ["cli", "lens_home"]


@pytest.fixture(scope="session")
def bucket_port() -> Iterator[int]:
    """A bucket's server that every node reaches."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def bucket_keys(cluster: LocalCluster, port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{cluster.host}:{port}",
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="session")
def nodes_begun(
    tmp_path_factory: pytest.TempPathFactory, lens_home: Path, bucket_port: int
) -> Iterator[tuple[Future[LocalCluster], ExitStack]]:
    """The cluster, and what ends it."""
    if not network.available():
        pytest.skip("no namespaces here: root and ip are needed")
    folder = tmp_path_factory.mktemp("c")
    with ExitStack() as stack, ThreadPoolExecutor(1) as thread:
        yield thread.submit(_up, folder, bucket_port, stack), stack


def _up(folder: Path, port: int, stack: ExitStack) -> LocalCluster:
    cluster = stack.enter_context(LocalCluster.up(folder, nodes=0, dashboard=True))
    for _ in range(2):
        cluster.add(cpus=2, environment=bucket_keys(cluster, port))
    return cluster


@pytest.fixture(scope="session", autouse=True)
def begin(request: pytest.FixtureRequest) -> None:
    if is_wanted(request, "nodes") and network.available():
        request.getfixturevalue("nodes_begun")
