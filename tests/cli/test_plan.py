"""``lens-ray plan``: what it counts, what it does not know, and that it starts nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.engine.rates import ACCELERATORS
from lens_ray.suites import Suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.cli.conftest import Cli
from tests.cli.stores import listing

TALKER = "{name: talker, backend: fake, replicas: 1, options: {latency_s: 1.0, start_s: 10.0}}"


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be started."""
    import ray

    monkeypatch.setattr(ray, "init", None)


def job(folder: Path, suite: Suite, *models: str) -> Path:
    file = folder / "job.yaml"
    lines = "".join(f"  - {model}\n" for model in models)
    where = f"suite: {suite.location}\nstore: {folder / 'store'}\n"
    file.write_text(f"name: planned\n{where}models:\n{lines}")
    return file


def test_a_job_by_hand(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    """Ten seconds of start, 8 samples of 1 s, and the same 8 again by the self-check."""
    told = cli("plan", job(tmp_path, tiny_suite, TALKER), "--json")
    assert (told.code, told.err) == (0, "")
    plan = told.json
    assert plan["makespan_s"] == pytest.approx(10 + 8 + 8, abs=0.5)
    (model,) = plan["models"]
    assert (model["todo"], model["resumed"], model["source"]) == (8, 0, "estimated")
    assert model["rate"] == pytest.approx(1.0)
    assert model["begins_s"] == pytest.approx(10.0, abs=0.1)
    assert (plan["gpus"], plan["gpu_hours"], plan["usd"]) == (0, None, None)
    assert "no GPU" in plan["usd_reason"]
    assert not (tmp_path / "store").exists()


def test_what_is_answered_is_not_asked_again(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # this one runs
    file = job(
        tmp_path, tiny_suite, "{name: t, backend: fake}", "{name: u, backend: fake, path: u}"
    )
    assert cli("run", file, "--limit", "5", "--only", "t").code == 0
    before = listing(tmp_path / "store")
    plan = cli("plan", file, "--json").json
    assert listing(tmp_path / "store") == before  # a plan writes nothing
    counts = [(m["model"], m["todo"], m["resumed"]) for m in plan["models"]]
    assert counts == [("t", 3, 5), ("u", 8, 0)]
    assert cli("run", file, "--only", "t,u").code == 0
    done = cli("plan", file, "--json").json
    assert done["makespan_s"] == 0.0
    assert [m["todo"] for m in done["models"]] == [0, 0]


def test_the_estimate_is_the_roofline(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    """A tiny model on a GPU takes a step of a millisecond; its start is paid for too."""
    folder = make_tiny_checkpoint(str(tmp_path / "tiny"))
    told = cli(
        "plan", job(tmp_path, tiny_suite, f"{{name: tiny, path: '{folder}', replicas: 1}}"),
        "--gpus", "8", "--nodes", "1", "--accelerator", "H100", "--json",
    )  # fmt: skip
    plan = told.json
    (model,) = plan["models"]
    assert model["source"] == "estimated"
    assert "parameters on 1 x H100, roofline" in model["basis"]
    assert model["begins_s"] == pytest.approx(90.0, abs=1.0)
    assert plan["gpu_hours"] == pytest.approx(8 * plan["makespan_s"] / 3600)
    assert plan["usd"] == pytest.approx(plan["gpu_hours"] * 6.88)
    assert "AWS" in plan["usd_basis"]


def test_what_is_not_known_is_said_and_is_never_nothing(
    cli: Cli, tiny_suite: Suite, tmp_path: Path
) -> None:
    file = job(tmp_path, tiny_suite, TALKER, "{name: far, path: someone/not-here}")
    told = cli("plan", file, "--gpus", "8", "--accelerator", "H100", "--json")
    plan = told.json
    far = plan["models"][1]
    assert (far["todo"], far["rate"], far["source"]) == (None, None, "unknown")
    assert "not here" in far["basis"] or "no folder here" in far["basis"]
    assert (plan["makespan_s"], plan["gpu_hours"], plan["usd"]) == (None, None, None)
    assert plan["reason"].startswith("model far: ")
    assert plan["known"]["makespan_s"] == pytest.approx(26.0, abs=0.5)
    shown = cli("plan", file, "--gpus", "8", "--accelerator", "H100")
    assert shown.code == 0
    assert "makespan  unknown: model far: " in shown.out
    assert "for the models whose rate is known" in shown.out
    assert cli("plan", file, "--gpus", "8", "--json").json["usd"] is None


def test_a_price_table_of_ones_own(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    prices = tmp_path / "mine.yaml"
    prices.write_text(
        "schema: 1\ncurrency: USD\ndate: 2026-01-01\naccelerators:\n"
        "  L4: {usd_per_hour: 36, provider: us, kind: owned, source: s, date: 2026-01-01}\n"
    )
    file = job(tmp_path, tiny_suite, TALKER)
    plan = cli(
        "plan", file, "--gpus", "1", "--accelerator", "L4", "--prices", prices, "--json"
    ).json
    assert plan["usd"] == pytest.approx(0.01 * plan["makespan_s"])
    unknown = cli(
        "plan", file, "--gpus", "1", "--accelerator", "H100", "--prices", prices, "--json"
    )
    assert unknown.json["usd"] is None
    assert "no price of the accelerator H100" in unknown.json["usd_reason"]


@pytest.mark.parametrize(
    ("model", "arguments", "code", "says"),
    [
        ("{name: w, path: x/y, tensor_parallel: 2}", [], 2, "needs GPUs and none are here"),
        ("{name: w, path: x/y, options: {device: cuda}}", [], 2, "--gpus N --nodes N"),
        ("{name: w, path: x/y}", ["--nodes", "2"], 2, "type that too"),
        ("{name: w, path: x/y}", ["--gpus", "1", "--address", "a:1"], 2, "--address names one"),
        (
            "{name: w, path: x/y, tensor_parallel: 16}",
            ["--gpus", "16", "--nodes", "2"],
            5,
            "16 GPU",
        ),
    ],
)
def test_one_line_says_what_to_type(
    cli: Cli,
    tiny_suite: Suite,
    tmp_path: Path,
    model: str,
    arguments: list[str],
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    told = cli("plan", job(tmp_path, tiny_suite, model), *arguments)
    assert told.code == code
    assert told.err.count("\n") == 1
    assert says in told.err


def test_weights_too_large_for_the_gpus(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU with 10 kB: the tiny checkpoint has more."""
    from lens_ray.engine import rates

    small = rates.Accelerator(1e12, 1e4)
    monkeypatch.setitem(ACCELERATORS, "H100", small)
    folder = make_tiny_checkpoint(str(tmp_path / "tiny"))
    file = job(tmp_path, tiny_suite, f"{{name: tiny, path: '{folder}'}}")
    told = cli("plan", file, "--gpus", "8", "--accelerator", "H100")
    assert told.code == 2
    assert "its weights take" in told.err
    assert "write tensor_parallel: " in told.err


def test_only_some_models_and_the_nearest_name(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    file = job(tmp_path, tiny_suite, TALKER, "{name: other, backend: fake}")
    told = cli("run", file, "--only", "tolker")
    assert told.code == 2
    assert told.err == "lens-ray: job planned has no model 'tolker'; did you mean 'talker'?\n"


CLOSED = (
    "{name: closed, backend: openai, path: gpt-x, access: closed, budget: {usd: 0.00001}, "
    "options: {requests_per_minute: 4, price: {input: 1, output: 10, batch_input: 0.5, "
    "batch_output: 5}}}"
)


def test_tokens_and_dollars_of_a_providers_model(
    cli: Cli, tiny_suite: Suite, tmp_path: Path
) -> None:
    """Nothing is asked, no key is needed; 8 samples at 4 requests a minute are 2 minutes."""
    file = job(tmp_path, tiny_suite, CLOSED)
    file.write_text(file.read_text() + "budget: {usd: 100}\n")
    plan = cli("plan", file, "--json").json
    (model,) = plan["models"]
    api = model["api"]
    assert (api["requests"], api["counted"]) == (8, 8)
    assert (api["minutes"], api["minutes_basis"]) == (2.0, "4 requests a minute")
    assert model["rate"] == pytest.approx(8 / 120)
    tokens_in, tokens_out = api["tokens_in"], api["tokens_out"]
    by_hand = (tokens_in["expected"] * 1 + tokens_out["expected"] * 10) / 1e6
    assert plan["usd"] == model["usd"] == api["usd"]["expected"] == pytest.approx(by_hand)
    assert api["usd_live"] == pytest.approx(by_hand)
    assert api["usd_batch"] == pytest.approx(by_hand / 2)
    assert api["usd"]["low"] < by_hand < api["usd"]["high"] <= api["usd_most"]
    assert (plan["budget"], model["budget"], model["spent_usd"]) == (100.0, 0.00001, 0.0)
    (line,) = plan["notes"]
    assert line.startswith("closed: its budget of $1e-05 will be reached: $")
    told = cli("plan", file)
    assert "8 requests; tokens in " in told.out
    assert f"one by one ${by_hand:.4g}, by batch ${by_hand / 2:.4g}" in told.out
    assert "budget $1e-05, $0 of it spent" in told.out
    assert "budget    100" in told.out
    assert not (tmp_path / "store").exists()


def test_a_model_without_a_price_says_so(cli: Cli, tiny_suite: Suite, tmp_path: Path) -> None:
    line = "{name: closed, backend: anthropic, path: claud-haiku-4-5, access: closed}"
    plan = cli("plan", job(tmp_path, tiny_suite, line), "--json").json
    assert plan["usd"] is None
    assert "did you mean claude-haiku-4-5?" in plan["usd_reason"]
    assert plan["models"][0]["api"]["tokens_in"]["expected"] > 0


BARE = "name: closed, backend: openai, path: gpt-x, access: closed"
PRICED = "options: {price: {input: 1, output: 1}}"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (f"{{{BARE}, budget: {{usd: 1}}}}", "no price for its budget"),
        (
            f"{{{BARE}, budget: {{usd: 1}}, "
            "options: {mode: batch, price: {input: 1, output: 1}}}",
            "batch_input and batch_output too",
        ),
        (
            "{name: closed, backend: openai, path: o3-2025-04-16, access: closed, "
            f"generation: {{temperature: 0.5}}, {PRICED}}}",
            "takes no temperature",
        ),
    ],
)
def test_what_a_run_refuses_of_a_provider_a_plan_refuses_too(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, model: str, said: str
) -> None:
    told = cli("plan", job(tmp_path, tiny_suite, model))
    assert told.code == 2
    assert said in told.err
    assert told.err.count("\n") == 1


def test_a_plan_needs_no_key(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    model = f"{{{BARE}, budget: {{usd: 1}}, {PRICED}}}"
    assert cli("plan", job(tmp_path, tiny_suite, model)).code == 0
