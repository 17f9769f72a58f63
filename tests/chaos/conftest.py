"""What the tests of this folder share: an undisturbed run, a tiny checkpoint, a cluster.

The run and the cluster are begun with the first test, and are made while those run that do without.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster import network
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.chaos.harness import calm_run
from tests.chaos.machines import Machines, keys, machines
from tests.selection import is_wanted


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny"))


@pytest.fixture(scope="session")
def calm_begun(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Future[str]]:
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(calm_run, tmp_path_factory.mktemp("calm"), tiny)


@pytest.fixture(scope="session")
def calm(calm_begun: Future[str]) -> str:
    """A store with every model of these tests, never disturbed."""
    return calm_begun.result()


@pytest.fixture(scope="session")
def machines_begun(
    tmp_path_factory: pytest.TempPathFactory, moto: str
) -> Iterator[Future[Machines]]:
    if not network.available():
        pytest.skip("no namespaces here: root and ip are needed")
    made = machines(tmp_path_factory.mktemp("machines"), moto, 2)
    with ExitStack() as stack, ThreadPoolExecutor(1) as thread:
        yield thread.submit(stack.enter_context, made)


@pytest.fixture(scope="session")
def session_machines(machines_begun: Future[Machines]) -> Machines:
    return machines_begun.result()


@pytest.fixture(scope="session", autouse=True)
def begin(request: pytest.FixtureRequest) -> None:
    if is_wanted(request, "calm"):
        request.getfixturevalue("calm_begun")
    if is_wanted(request, "place") and network.available():
        request.getfixturevalue("machines_begun")


@pytest.fixture
def place(session_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The cluster, its bucket without a fault so far and within reach of this process."""
    session_machines.proxy.clear()
    for name, value in keys(session_machines.proxy).items():
        monkeypatch.setenv(name, value.replace("{host}", "127.0.0.1"))
    return session_machines
