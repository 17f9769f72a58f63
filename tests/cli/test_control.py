"""``lens-ray suite control``."""

from __future__ import annotations

from pathlib import Path

from lens_ray.suites import Suite, load_suite
from tests.cli.conftest import Cli


def test_a_control_is_made_and_can_be_loaded(cli: Cli, tiny_suite: Suite, lens_home: Path) -> None:
    done = cli("suite", "control", tiny_suite.location, "jpeg", "--option", "quality=30")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("tiny-jpeg30@")
    assert "8 samples" in done.out
    made = load_suite(done.out.split(":")[0])
    assert made.samples[0].meta["base"] == tiny_suite.samples[0].sample_id


def test_json_names_those_without_a_variant(cli: Cli, tmp_path: Path) -> None:
    done = cli("suite", "control", "mini:quick", "rotate", "--out", tmp_path / "made", "--json")
    assert done.code == 0
    suite, made = load_suite("mini:quick"), load_suite(str(tmp_path / "made"))
    assert done.json["base"] == f"mini:quick@{suite.digest}"
    bases = {one.meta["base"] for one in made.samples}
    assert set(done.json["without_variant"]) == suite.by_id.keys() - bases


def test_the_controls_are_listed(cli: Cli, tiny_suite: Suite) -> None:
    done = cli("suite", "control", tiny_suite.location)
    assert "jpeg: " in done.out
    assert "--option quality=20" in done.out
    listed = cli("suite", "control", tiny_suite.location, "--json").json
    assert listed[0]["name"] == "blind"


def test_mistakes_end_in_one_line(cli: Cli, tiny_suite: Suite) -> None:
    for arguments, message in (
        (("jpeg", "--option", "quality"), "--option 'quality': type KEY=VALUE"),
        (("jpg",), "did you mean 'jpeg'?"),
        (("jpeg", "--option", "quality=200"), "type a whole number from 1 to 95"),
        (("rotate",), "no sample of suite tiny can have a variant"),
    ):
        done = cli("suite", "control", tiny_suite.location, *arguments)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1
