"""``lens-ray doctor``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_this_machine_is_ready(cli: Cli, filled: Path) -> None:
    done = cli("doctor", "--store", filled, "--json")
    assert (done.code, done.err) == (0, "")
    findings = {finding["what"]: finding for finding in done.json["findings"]}
    assert done.json["ok"] is True
    for what in ("python", "ray", "torch", "typer", "cpu", "torch device", "cache", "mini:quick"):
        assert findings[what]["ok"], what
    assert findings["store"]["found"] == f"{filled}: 2 runs"
    assert findings["vllm"]["ok"] or findings["vllm"]["type_this"] == "pip install 'lens-ray[vllm]'"


def test_lines_for_people(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", "--store", tmp_path / "new")
    assert done.code == 0
    assert "not there yet; lens-ray run makes it" in done.out
    assert done.out.endswith("\nready: lens-ray run JOB.yaml\n")
    assert not (tmp_path / "new").exists()


def test_a_store_that_cannot_be(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    done = cli("doctor", "--store", file)
    assert done.code == 5
    assert "missing  store " in done.out
    assert done.out.endswith("\nmissing: store\n")


def test_a_package_that_is_missing_or_old(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata as packages

    real = packages.version

    def version(name: str) -> str:
        if name == "duckdb":
            raise PackageNotFoundError(name)
        return "0.1" if name == "rich" else real(name)

    monkeypatch.setattr(packages, "version", version)
    done = cli("doctor")
    assert done.code == 5
    assert (
        "missing  duckdb        not installed, >=1.4 is needed; type: pip install 'duckdb>=1.4'"
        in (done.out)
    )
    assert "missing  rich          0.1, >=14 is needed; type: pip install 'rich>=14'" in done.out
    assert done.out.endswith("\nmissing: duckdb, rich\n")


def test_a_cache_that_cannot_be_written(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "file" / "home"))
    done = cli("doctor")
    assert done.code == 5
    assert "type: export LENS_RAY_HOME=FOLDER" in done.out


def test_ray_starts_here(cli: Cli) -> None:
    done = cli("doctor", "--ray", "--json")
    assert done.code == 0
    found = {finding["what"]: finding for finding in done.json["findings"]}["local ray"]
    assert found["ok"]
    assert found["found"].startswith("it started and ran a task in ")
