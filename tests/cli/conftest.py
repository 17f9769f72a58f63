"""A small suite, a store with hostile answers to it, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lens_ray.cli.main import main
from lens_ray.suites import Suite
from tests.cli.stores import HOSTILE, fill, make_suite


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command line in this process."""

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session", autouse=True)
def lens_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Suites are built and kept where no test of a person's own machine sees them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LENS_RAY_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_suite(tmp_path_factory: pytest.TempPathFactory, lens_home: Path) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "tiny")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_suite: Suite) -> Path:
    """A store of two runs; read it only."""
    url = tmp_path_factory.mktemp("stores") / "filled"
    good = ("3",) * len(HOSTILE)
    fill(url, tiny_suite, {"hostile": HOSTILE, "good": good})
    return url
