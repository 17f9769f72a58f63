"""The entry: help, usage errors, exit codes, closed and full outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lens_ray.cli.main import main
from lens_ray.errors import Incomplete, StoreUnavailable
from tests.cli.conftest import Cli

VERBS = ("run", "plan", "scores", "query", "suite", "doctor", "rescore", "report", "store")
HEAVY = ("torch", "ray", "transformers", "pyarrow", "scipy", "duckdb", "pydantic", "yaml", "rich")


def test_help_names_every_verb(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0
    assert done.err == ""
    assert all(f"\n  {verb} " in done.out for verb in VERBS)
    assert cli().out == done.out
    for verb in VERBS:
        told = cli(verb, "--help")
        assert told.code == 0
        assert "Usage: lens-ray" in told.out


def test_every_verb_has_json(cli: Cli) -> None:
    parts = [[verb] for verb in VERBS if verb not in ("suite", "store")]
    parts += [["suite", verb] for verb in ("list", "show", "build", "check")]
    parts += [["store", verb] for verb in ("check", "compact", "gc")]
    for part in parts:
        assert "--json" in cli(*part, "--help").out


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out.startswith("lens-ray 0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scor"], "lens-ray: No such command 'scor'. Did you mean 'scores'"),
        (["run"], "lens-ray run: Missing argument"),
        (["run", "x.yaml", "--stroe", "s"], "lens-ray run: No such option: --stroe"),
        (["run", "x.yaml", "--limit", "-3"], "lens-ray run: Invalid value for '--limit'"),
        (["run", "x.yaml", "--limit", "few"], "lens-ray run: Invalid value for '--limit'"),
        (["scores"], "lens-ray scores: Missing option '--store'"),
        (["suite"], "lens-ray suite: Missing command"),
        (["query", "SELECT 1", "SELECT 2", "--store", "x"], "lens-ray query: Got unexpected extra"),
        (["store", "gc", "--store", "x", "--grace", "-1"], "lens-ray store gc: Invalid value for"),
    ],
)
def test_wrong_use_is_one_line(cli: Cli, arguments: list[str], says: str) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(says)
    assert done.err.count("\n") == 1
    assert done.err.rstrip().endswith("--help")


@pytest.mark.parametrize(
    ("error", "code"), [(StoreUnavailable("full \x1b[2J\n up"), 5), (Incomplete("some"), 6)]
)
def test_an_error_is_one_line_with_its_code(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    monkeypatch.setattr("lens_ray.store.Store.__init__", _raiser(error))
    done = cli("scores", "--store", "x")
    assert done.code == code
    expected = "full \\x1b[2J up" if code == 5 else "some"
    assert (done.out, done.err) == ("", f"lens-ray: {expected}\n")


def _raiser(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_interrupt_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lens_ray.store.Store.__init__", _raiser(KeyboardInterrupt()))
    done = cli("scores", "--store", "x")
    assert done.code == 130
    assert done.err == "lens-ray: interrupted; the same command goes on where it stopped\n"


@pytest.mark.parametrize("bug", [ValueError("odd"), OSError(2, "odd"), BrokenPipeError(32, "odd")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    monkeypatch.setattr("lens_ray.store.Store.__init__", _raiser(bug))
    with pytest.raises(type(bug), match="odd"):
        main(["scores", "--store", "x"])


def run(*arguments: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lens_ray", *arguments],
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bug_is_exit_code_1(tmp_path: Path) -> None:
    code = (
        "import lens_ray.cli.suite as s, sys; s.print_table = None; "
        "from lens_ray.cli.main import main; sys.exit(main(['suite', 'list']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = run("suite", "list", stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_output_is_said() -> None:
    with open("/dev/full", "wb") as full:
        done = run("suite", "list", stdout=full.fileno())
    assert done.returncode == 5
    assert done.stderr == "lens-ray: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("verb", [[], ["run"], ["suite", "build"], ["store", "gc"]])
def test_help_is_light(verb: list[str]) -> None:
    code = (
        f"import sys; from lens_ray.cli.main import main; main({[*verb, '--help']}); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_an_ascii_terminal_gets_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lens_ray", "suite", "show", "mini:qüick"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 2
    assert "mini:q\\xfcick" in done.stderr
