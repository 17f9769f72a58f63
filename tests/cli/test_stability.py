"""``lens-ray stability`` and ``lens-ray pool``, and figures against a pool of the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lens_ray
from lens_ray.store import Store
from tests.cli.conftest import Cli
from tests.cli.steady import EACH, Ground, make_ground
from tests.cli.stores import header, row


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, lens_home: Path) -> Ground:
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def pool(cli: Cli, ground: Ground, tmp_path: Path) -> Path:
    done = cli("pool", "make", "mine", "--store", ground.store, "--suite", "ground", "--out",
               tmp_path, "--model", "a", "--model", "b")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    return tmp_path / "mine-v1.json"


def test_pools_are_made_extended_shown_and_listed(cli: Cli, ground: Ground, pool: Path) -> None:
    before = pool.read_bytes()
    done = cli("pool", "extend", pool, "--store", ground.store, "--model", "c", "--json")
    assert done.json["pool"] == "mine@2"
    assert done.json["models"] == ["a", "b", "c"]
    assert pool.read_bytes() == before
    shown = cli("pool", "show", done.json["file"], "--json").json
    assert [line["subtask"] for line in shown["subtasks"]] == ["bars", "dots", "label", "panel"]
    assert shown["digest"] == done.json["digest"]
    text = cli("pool", "show", done.json["file"]).out
    assert "3 models: a, b, c" in text
    listed = cli("pool", "list", pool.parent, "--json").json
    assert [each["pool"] for each in listed][-2:] == ["mine@1", "mine@2"]
    assert "mini-quick@1" in cli("pool", "list").out
    twice = cli("pool", "extend", pool, "--store", ground.store, "--model", "a")
    assert (twice.code, twice.out) == (2, "")
    assert "has the model 'a' already" in twice.err


def test_another_second_version_is_not_overwritten(cli: Cli, ground: Ground, pool: Path) -> None:
    extend = ("pool", "extend", pool, "--store", ground.store, "--model")
    assert cli(*extend, "c").code == 0
    second = pool.with_name("mine-v2.json")
    before = second.read_bytes()
    assert cli(*extend, "c").code == 0  # the same content
    other = cli(*extend, "run-a-seed")
    assert other.code == 2
    assert "has the model 'a' already" in other.err
    alone = pool.with_name("alone-v1.json")
    cli("pool", "make", "alone", "--store", ground.store, "--suite", "ground", "--out", pool.parent,
        "--model", "a")  # fmt: skip
    assert cli("pool", "extend", alone, "--store", ground.store, "--model", "b").code == 0
    taken = cli("pool", "extend", alone, "--store", ground.store, "--model", "c")
    assert taken.code == 2
    assert "alone-v2.json is there already, with other models; extend that one" in taken.err
    assert second.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["make", "Bad Name", "--suite", "ground"], "use a lower-case name"),
        (["make", "mine"], "add --suite with one of"),
        (["make", "mine", "--model", "x"], "the store has no model 'x'"),
        (["show", "nowhere.json"], "no such pool file"),
        (["show", "mini-quik"], "did you mean 'mini-quick"),
        (["list", "nowhere"], "no such folder"),
        (
            ["make", "mine", "--model", "a", "--suite", "ground", "--out", "/dev/null/x"],
            "mine-v1.json: cannot be written (Not a directory)",
        ),
    ],
)
def test_a_wrong_pool_is_one_line(
    cli: Cli, ground: Ground, arguments: list[str], says: str
) -> None:
    store = ["--store", str(ground.store)] if arguments[0] == "make" else []
    done = cli("pool", *arguments, *store)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_scores_against_a_pool_of_ones_own(cli: Cli, ground: Ground, pool: Path) -> None:
    plain = cli("scores", "--store", ground.store, "--suite", "ground", "--json").json
    mine = cli(
        "scores", "--store", ground.store, "--suite", "ground", "--pool", pool, "--json"
    ).json
    for before, after in zip(plain, mine, strict=True):
        assert (before["dvs"], before["pool"]) == (None, None)
        assert before["reason"] == (
            "dvs and res: undefined for counting, ocr" if before["ability"] == "overall"
            else "dvs and res: no pool for this suite"
        )  # fmt: skip
        assert (after["pool"], after["reason"]) == ("mine@1", None)
        assert after["dvs_low"] <= after["dvs"] <= after["dvs_high"]
        assert after["res_low"] <= after["res"] <= after["res_high"]
        for same in ("corrected", "ci_low", "tau", "tau_low", "tau_high", "micro"):
            assert after[same] == pytest.approx(before[same], rel=1e-9, abs=1e-12)
    text = cli("scores", "--store", ground.store, "--suite", "ground", "--pool", pool).out
    assert "stability (lower is steadier)" in text
    assert "mine@1" in text
    other = cli("scores", "--store", ground.store, "--pool", "mini-quick")
    assert other.code == 2
    assert "no run here is on the suite of pool mini-quick@1" in other.err


def test_the_three_kinds_of_one_model(cli: Cli, ground: Ground, pool: Path) -> None:
    done = cli("stability", "run-a-00", "--store", ground.store, "--pool", pool, "--repeats",
               ground.night, "--json")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    found = done.json
    assert (found["model"], found["suite"], found["pool"]) == ("a", "ground", "mine@1")
    names = ["counting", "ocr", "overall"]
    for kind in ("over_subtasks", "over_variants", "over_repeats", "run_to_run"):
        assert [one["ability"] for one in found[kind]] == names
    assert found["reasons"] == {}
    assert found["variants"] == [ground.variant.name]
    assert found["repeats"] == ["run-a-00", "run-a-seed", f"run-a-00@{ground.night}"]
    variants, repeats = found["over_variants"][-1], found["over_repeats"][-1]
    assert (variants["n"], variants["versions"]) == (4 * EACH, 2)
    assert (repeats["n"], repeats["versions"]) == (4 * EACH, 3)
    # One answer in five was changed.
    assert variants["flip_rate_low"] < 0.2 < variants["flip_rate_high"]
    assert variants["worst"] < variants["mean"]
    sd = found["run_to_run"][-1]
    assert sd["lowest"] <= sd["mean"] <= sd["highest"]
    assert sd["sd_low"] < sd["sd"] < sd["sd_high"]
    text = cli("stability", "a", "--store", ground.store, "--repeats", ground.night).out
    for words in ("no pool for dvs and res", f"over variants ({ground.variant.name})",
                  "over 3 runs", "corrected score from run to run"):  # fmt: skip
        assert words in text


def test_a_copy_of_a_run_is_no_repeat(cli: Cli, ground: Ground, tmp_path: Path) -> None:
    copy = shutil.copytree(ground.night, tmp_path / "copy")
    for store, other in ((ground.night, ground.night), (ground.night, copy)):
        found = cli("stability", "a", "--store", store, "--repeats", other, "--json").json
        assert (found["repeats"], found["over_repeats"], found["run_to_run"]) == ([], [], [])
        assert "only one finished run" in found["reasons"]["repeats"]


def test_the_figures_are_those_of_scores(cli: Cli, ground: Ground, pool: Path) -> None:
    stable = cli("stability", "b", "--store", ground.store, "--pool", pool, "--json").json
    scores = cli("scores", "--store", ground.store, "--model", "b", "--pool", pool, "--json").json
    for one, score in zip(stable["over_subtasks"], scores, strict=True):
        for name in ("dvs", "dvs_low", "dvs_high", "res", "res_low", "res_high", "tau", "tau_high"):
            assert one[name] == pytest.approx(score[name], rel=1e-9, abs=1e-12)


def test_what_is_missing_says_how_to_get_it(cli: Cli, ground: Ground) -> None:
    found = cli("stability", "b", "--store", ground.store, "--json").json
    assert (found["over_variants"], found["over_repeats"], found["run_to_run"]) == ([], [], [])
    assert "lens-ray suite control ground rotate" in found["reasons"]["variants"]
    assert "generation: {seed: 2}" in found["reasons"]["repeats"]
    assert found["over_subtasks"][0]["reasons"] == {
        "dvs": "no pool for this suite", "res": "no pool for this suite"
    }  # fmt: skip
    text = cli("stability", "b", "--store", ground.store).out
    assert "only one finished run of b on ground" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["d"], "the store has no model 'd'"),
        (["a", "--suite", "mini:quick"], "no run of the suite mini:quick"),
        (["a", "--variants", "rotate"], "variant 'rotate': no finished run of a on it"),
        (["a", "--pool", "mini-quick"], "is of the suite"),
        (["a", "--repeats", "/nowhere"], "no store at /nowhere"),
    ],
)
def test_a_wrong_name_is_one_line(
    cli: Cli, ground: Ground, arguments: list[str], says: str
) -> None:
    done = cli("stability", *arguments, "--store", ground.store)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_an_unfinished_run_is_refused(cli: Cli, ground: Ground) -> None:
    store = Store(str(ground.store))
    log = store.open_run(header("run-d-00", "d", ground.suite))
    log.append([row(log, ground.suite, 0, "3")])
    stable = cli("stability", "d", "--store", ground.store)
    assert (stable.code, stable.out) == (2, "")
    assert "d (run-d-00) is not finished on ground: start its job again" in stable.err
    pool = cli("pool", "make", "mine", "--store", ground.store, "--model", "d")
    assert pool.code == 2
    assert "d (run-d-00) is not finished: 1 rows so far; a pool is made of finished" in pool.err


def test_the_api_gives_frames(ground: Ground) -> None:
    found = lens_ray.stability(Store(str(ground.store)), "a")
    frame = found.to_frame()
    assert set(frame["kind"]) == {"subtasks", "variants", "repeats", "run_to_run"}
    assert set(frame["model"]) == {"a"}
    assert len(frame) == 12
