"""``lens-ray watch``: the shipped series replayed, and its verdicts; a folder watched once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.compute as pc
import pytest

from lens_ray.cli.main import main
from lens_ray.engine.plan import generation_of
from lens_ray.models import ModelSpec, Request, create_backend
from lens_ray.models.resolve import resolve
from lens_ray.scoring.mark import mark
from lens_ray.store import Store
from lens_ray.suites import Sample, Suite
from lens_ray.suites.suite import load_suite
from lens_ray.suites.templates import render
from tests.cli.conftest import Cli, Outcome

WATCH = "jobs/watch_minivlm.yaml"
KINDS = ("curves", "convergence", "declines", "conflicts", "alarms", "advice")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own for the shipped series; read it only."""
    return tmp_path_factory.mktemp("replayed") / "store"


@pytest.fixture(scope="module")
def replay(replayed: Path) -> Outcome:
    """The replay into that folder."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["watch", WATCH, "--replay", "--store", str(replayed), "--json"])
    return Outcome(code, out.getvalue(), err.getvalue())


def test_the_verdicts_over_the_shipped_series(replay: Outcome) -> None:
    assert replay.code == 0
    found = replay.json
    assert set(KINDS) <= set(found)
    for kind in KINDS:
        for entry in found[kind]:
            assert entry["run"] == "minivlm-online"
            assert "ability" in entry
    assert "NaN" not in replay.out
    clash = next(
        each for each in found["conflicts"] if (each["rises"], each["falls"]) == ("ocr", "entity")
    )
    assert (clash["early"][0], clash["late"][1]) == (8700, 9600)
    assert clash["rise_interval"][0] > 0
    assert clash["interval"][1] < 0
    assert clash["effect"] == pytest.approx(-0.12, abs=0.06)
    assert clash["p_adjusted"] < 0.05
    assert "8700" in clash["beside"]
    assert "entity" in {each["ability"] for each in found["declines"]}
    assert len(found["convergence"]) == 6
    overall = next(each for each in found["curves"] if each["ability"] == "overall")
    assert [point["step"] for point in overall["points"]][-4:] == [8700, 9000, 9300, 9600]
    assert any(each["about"] == "run" for each in found["advice"])


def test_a_bucket_gives_the_same_object(cli: Cli, replay: Outcome, bucket_url: str) -> None:
    done = cli("watch", WATCH, "--replay", "--store", bucket_url, "--json")
    assert (done.code, done.out) == (0, replay.out)


def test_words_and_the_page(cli: Cli, replay: Outcome, replayed: Path, tmp_path: Path) -> None:
    page = tmp_path / "curves.html"
    calm = ("--fail-on", "one_answer")
    done = cli("watch", WATCH, "--replay", "--store", replayed, "--report", page, *calm)
    assert done.code == 0
    assert "run minivlm-online, step 9,600" in done.out
    for said in ("steps 500 to 9,600, 9 asked", "conflicts:", "what to do:"):
        assert said in done.out
    assert all(character.isprintable() for line in done.out.splitlines() for character in line)
    assert "Plotly" in page.read_text(encoding="utf-8")[-40_000:]


def test_exit_codes_only_where_asked(cli: Cli, replay: Outcome, replayed: Path) -> None:
    """Which subject fails is tried without a replay in ``tests/online/test_ends.py``."""
    fear = "decline,conflict"
    done = cli("watch", WATCH, "--replay", "--store", replayed, "--fail-on", fear, "--json")
    assert (done.code, done.out) == (3, replay.out)
    assert "lens-ray: watch minivlm: minivlm-online: " in done.err


def test_one_checkpoint_asked_anew_gives_its_stored_rows(replay: Outcome, replayed: Path) -> None:
    """What is replayed is what these weights answer."""
    assert replay.code == 0
    suite = load_suite("mini:full")
    samples = suite.select(None, limit=64)
    anew = asyncio.run(answers(suite, samples, resolve("builtin:minivlm-a/step-9600")))
    columns = ["sample_id", "text", "score", "step"]
    table = Store(replayed).rows(columns=columns)
    rows = table.filter(pc.equal(table["step"], 9600)).to_pylist()
    stored = {row["sample_id"]: (row["text"], row["score"]) for row in rows}
    same = [stored[one.sample_id] == anew[one.sample_id] for one in samples]
    assert len(same) == 64
    assert sum(same) >= 63  # one near tie may fall the other way on another CPU


async def answers(
    suite: Suite, samples: Sequence[Sample], path: str
) -> dict[str, tuple[str, float]]:
    """Text and score by sample, from the backend itself: a Ray for it would take 10 s."""
    spec = ModelSpec(name="anew", path=path)
    backend = create_backend(spec, path)
    await backend.start()
    found = {}
    requests = [
        Request(
            one.sample_id, render(one), tuple(suite.image_bytes(image) for image in one.images),
            generation_of(spec, one),
        )
        for one in samples
    ]  # fmt: skip
    async for each in backend.generate(requests):
        marked = mark(suite.by_id[each.request_id], each.text, each.finish_reason)
        found[each.request_id] = each.text, marked.score
    await backend.close()
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--replay", "--once"], "--replay asks nothing; take out --once, --prune and --address"),
        (["--replay", "--fail-on", ""], "--fail-on '': known: "),
        (["--replay", "--fail-on", "declin"], "--fail-on 'declin': did you mean 'decline'?"),
        (["--replay", "--report", "/nowhere/x.html"], "/nowhere is not a folder"),
        (["--once", "--prune", "keep=bets"], "keep 'bets'"),
    ],
)
def test_wrong_arguments(cli: Cli, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = cli("watch", WATCH, "--store", tmp_path / "store", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_a_wrong_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "watch.yaml"
    path.write_text(Path(WATCH).read_text().replace("poll_s", "pol_s"))
    done = cli("watch", path, "--replay", "--store", tmp_path / "store")
    assert (done.code, done.out) == (2, "")
    assert "pol_s: unknown key; did you mean 'poll_s'?" in done.err


def test_a_replay_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "watch.yaml"
    path.write_text(Path(WATCH).read_text().replace("builtin:minivlm-a", "builtin:minivlm-z"))
    done = cli("watch", path, "--replay", "--store", tmp_path / "store", "--json")
    assert (done.code, done.out) == (2, "")
    assert "the built-in series are: minivlm-a, minivlm-b" in done.err
