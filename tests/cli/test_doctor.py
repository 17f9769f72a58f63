"""``lens-ray doctor``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from lens_ray.testing.provider import ProviderServer, Script
from tests.cli.conftest import Cli

JOB = """\
name: n
suite: mini:quick
store: {store}
models:
  - {{name: open, path: "builtin:minivlm-a/step-0500"}}
  - name: closed
    backend: anthropic
    path: claude-sonnet-4-6
    options: {{base_url: "{url}", api_key_env: DOCTOR_KEY}}
"""
SECRET = "doctor-key-0123456789abcdefXYZ"


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


def test_ray_starts_here_and_its_nodes_have_the_keys(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTOR_KEY", SECRET)
    job = tmp_path / "job.yaml"
    with ProviderServer() as server:
        job.write_text(JOB.format(store=tmp_path / "store", url=server.url))
        done = cli("doctor", "--ray", "--job", job, "--json")
    assert done.code == 0
    assert SECRET not in done.out
    nodes = {finding["what"]: finding for finding in done.json["findings"]}["closed: nodes"]
    assert (nodes["ok"], nodes["found"]) == (True, "the same key on all 1")
    found = {finding["what"]: finding for finding in done.json["findings"]}["local ray"]
    assert found["ok"]
    assert found["found"].startswith("it started and ran a task in ")


def test_the_models_of_a_job_are_asked(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCTOR_KEY", SECRET)
    job = tmp_path / "job.yaml"
    with ProviderServer() as server:
        job.write_text(JOB.format(store=tmp_path / "store", url=server.url))
        done = cli("doctor", "--job", job, "--json")
        assert server.counts.calls == 1
        server.script = Script(keys=frozenset({"another"}))
        refused = cli("doctor", "--job", job)
    assert (done.code, done.err) == (0, "")
    findings = {finding["what"]: finding for finding in done.json["findings"]}
    assert findings["closed: model"]["found"].startswith("claude-sonnet-4-6 answered in ")
    assert findings["closed: key"]["ok"]
    assert not any(what.startswith("open: ") for what in findings)
    assert not (tmp_path / "store").exists()
    assert refused.code == 5
    assert "missing  closed: model key_refused: " in refused.out
    assert "type: export DOCTOR_KEY=KEY" in refused.out
    assert refused.out.endswith("\nmissing: closed: model\n")
    for text in (done.out, refused.out, refused.err):
        assert SECRET not in text


def test_which_keys_are_set(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    done = cli("doctor")
    assert SECRET not in done.out
    assert "OPENAI_API_KEY is set" in done.out
    assert "absent   anthropic     anthropic 2." in done.out
    assert "no key: set ANTHROPIC_API_KEY" in done.out
