"""The page's example, exactly as it is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import lens_ray.suites.packs
from lens_ray.cli.main import main
from lens_ray.scoring.mark import mark
from lens_ray.suites.packs.formats import FORMATS, LANGUAGES, RULE_WORDS
from lens_ray.suites.packs.units import UNITS
from lens_ray.suites.suite import check_suite, load_suite
from tests.suites.packs.makers import photo

PAGE = (Path(lens_ray.suites.packs.__file__).parent / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my-factory"
    names = re.findall(r"[0-9]{3}\.png", block(""))
    assert len(set(names)) == 4
    for seed, name in enumerate(dict.fromkeys(names)):
        photo(folder / "photos" / name, seed)
    (folder / "parts.csv").write_text(block("csv"))
    (folder / "pack.yaml").write_text(block("yaml"))
    assert len(block("yaml").splitlines()) < 10
    for line in block("bash").splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "lens-ray"
        assert main(words[1:]) == 0
        assert "my-factory@" in capsys.readouterr().out
    suite = load_suite("my-factory")
    assert check_suite(suite) == []
    assert [sample.answers for sample in suite.samples] == [("yes",), ("no",), ("yes",), ("no",)]
    assert [mark(sample, "Yes, it is.", "stop").score for sample in suite.samples] == [1, 0, 1, 0]
    assert load_suite(f"my-factory@{suite.digest[:12]}") == suite
    csv = folder / "parts.csv"
    csv.write_text(csv.read_text().replace("002.png", "002.pgn"))
    assert main(["suite", "build", "my-factory"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    printed = re.search(r"`(parts\.csv:3.*?)`", PAGE, re.DOTALL)
    assert printed is not None
    assert " ".join(printed[1].split()) in said.replace("my-factory/", "")


def test_the_page_names_all_there_is() -> None:
    for name, kind in FORMATS.items():
        assert f"`{name}`" in PAGE
        assert all(f"`{metric}`" in PAGE for metric in kind.metrics)
        assert all(f"`{key}`" in PAGE for key in kind.parameters.model_fields)
    assert all(f"`{rule}`" in PAGE for rule in RULE_WORDS)
    units = re.search(r"Units: (.*?)\. Of several", PAGE, re.DOTALL)
    assert units is not None
    assert set(units[1].replace("·", " ").split()) == set(UNITS)
    spoken = re.search(r"LANGUAGE \((.*?)\)", PAGE, re.DOTALL)
    assert spoken is not None
    assert set(spoken[1].split()) == set(LANGUAGES)
