"""What the tests of this folder share: an undisturbed run, a tiny checkpoint, a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import network
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.chaos.harness import calm_run
from tests.chaos.machines import Machines, keys, machines


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny"))


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> str:
    """A store with every model of these tests, never disturbed."""
    return calm_run(tmp_path_factory.mktemp("calm"), tiny)


@pytest.fixture(scope="session")
def session_machines(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Iterator[Machines]:
    if not network.available():
        pytest.skip("no namespaces here: root and ip are needed")
    with machines(tmp_path_factory.mktemp("machines"), moto, 2) as made:
        yield made


@pytest.fixture
def place(session_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """The cluster, its bucket without a fault so far and within reach of this process."""
    session_machines.proxy.clear()
    for name, value in keys(session_machines.proxy).items():
        monkeypatch.setenv(name, value.replace("{host}", "127.0.0.1"))
    return session_machines
