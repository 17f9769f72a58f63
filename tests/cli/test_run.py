"""``lens-ray run``: a real run with the fake backend, and how other ends are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.evaluate import ModelReport, RunReport
from lens_ray.stats import AbilityScore
from lens_ray.store import Store
from lens_ray.suites import Suite
from tests.cli.conftest import Cli
from tests.cli.stores import listing

JOB = """\
name: pretended
suite: SUITE
store: not-this-one
models:
  - {name: talker, backend: fake}
  - {name: other, backend: fake, options: {seed: 1}}
"""


def test_run_then_run_again(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job, url = tmp_path / "job.yaml", tmp_path / "a store"
    job.write_text(JOB.replace("SUITE", tiny_suite.location))
    done = cli("run", job, "--store", url)
    assert done.code == 0, done.err
    assert not (tmp_path / "not-this-one").exists()
    for text in ("talker", "other", "counting", "ocr", "overall", "16 answers in "):
        assert text in done.out
    assert f"lens-ray report --store '{url}' --out lens-report.html\n" in done.out
    assert "] talker: done 8/8\n" in done.err
    assert "] other: done 8/8\n" in done.err
    assert Store(str(url)).rows().num_rows == 16

    import ray

    monkeypatch.setattr(ray, "init", None)  # nothing is left to ask, so no Ray is needed
    before = listing(url)
    again = cli("run", job, "--store", url, "--json")
    assert (again.code, again.err) == (0, "")
    report = again.json
    assert (report["exit_code"], report["store"], report["suite"]) == (0, str(url), "tiny")
    assert [(m["model"], m["status"], m["resumed"], m["answered"]) for m in report["models"]] == [
        ("talker", "complete", 8, 0),
        ("other", "complete", 8, 0),
    ]
    assert [score["ability"] for score in report["models"][0]["scores"]] == [
        "counting",
        "ocr",
        "overall",
    ]
    assert listing(url) == before


SCORE = AbilityScore("overall", 8, 1.0, 0.5, 0.25, 0.1, 0.4, 0.01, 0.5, "mini@1", None)
DONE = ModelReport("a", "run0", "complete", None, 8, 0, 8, (SCORE,), 0.25, 8)
FAILED = ModelReport("b", None, "failed", "no checkpoint\x1b[2J at x", 8, 0, 0, exit_code=2)
PARTLY = ModelReport("c", "run2", "incomplete", "1 of 8 has no answer", 8, 0, 7, (SCORE,))


@pytest.mark.parametrize(
    ("models", "code", "says"),
    [
        ([DONE], 0, ""),
        ([DONE, FAILED], 6, "model b failed: no checkpoint\\x1b[2J at x"),
        ([PARTLY, FAILED], 6, "model c incomplete: 1 of 8 has no answer (and 1 more models)"),
        ([FAILED], 2, "model b failed: no checkpoint\\x1b[2J at x"),
        ([FAILED, FAILED], 2, "model b failed: no checkpoint\\x1b[2J at x (and 1 more models)"),
        ([replace(FAILED, exit_code=5)], 5, "model b failed: no checkpoint\\x1b[2J at x"),
    ],
)
def test_every_end_has_its_code(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    models: Sequence[ModelReport],
    code: int,
    says: str,
) -> None:
    report = RunReport("j", "tiny", "d" * 64, "store", tuple(models), 1.5)
    monkeypatch.setattr("lens_ray.evaluate.evaluate", lambda *_, **__: report)
    job = tmp_path / "job.yaml"
    job.write_text(JOB.replace("SUITE", "mini:quick"))
    done = cli("run", job)
    assert done.code == code
    assert done.err == (f"lens-ray: {says}\n" if says else "")
    assert bool(done.out) == (len(models) > 1 or DONE in models)
    if DONE in models:
        assert "2 of 8 answers differ when they are asked again at batch 1\n" in done.out
        assert "stability (lower is steadier)  dvs    res    pool\n" in done.out
    if FAILED in models and len(models) > 1:
        assert "b: failed: no checkpoint\\x1b[2J at x\n" in done.out
    machine = cli("run", job, "--json")
    assert (machine.code, machine.json["exit_code"]) == (code, code)


@pytest.mark.slow
def test_a_budget_ends_a_job_with_what_to_type(
    cli: Cli, tiny_suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real Ray and SDK, a scripted provider; a raised budget pays for what is left only."""
    from lens_ray.models.api.options import Price
    from lens_ray.testing.provider import ProviderServer, Says, Script

    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    file = tmp_path / "job.yaml"
    price = Price(input=0.0, output=1000.0)
    with ProviderServer(Script(truth=Says("three dots"), prices={"*": price})) as server:
        text = (
            f"name: limited\nsuite: {tiny_suite.location}\nstore: {tmp_path / 'store'}\n"
            "budget: {usd: USD}\nmodels:\n  - name: closed\n    backend: openai\n    path: gpt-x\n"
            "    access: closed\n    generation: {max_new_tokens: 16}\n"
            f"    options: {{base_url: '{server.openai_url}', concurrency: 2,\n"
            "      price: {input: 0, output: 1000}}\n"
        )
        # 16 tokens are reserved for an answer, and each takes two: three times there are enough.
        file.write_text(text.replace("USD", "0.0201"))
        first = cli("run", file)
        assert first.code == 6
        assert "5 of 8 samples have no answer: the budget of the job is reached" in first.err
        assert "raise budget: {usd: ...} and run the job again" in first.err
        assert "3 answers in " in first.out
        assert server.counts.usd == pytest.approx(0.006)
        file.write_text(text.replace("USD", "1"))
        second = cli("run", file, "--json")
        assert second.code == 0
        assert second.json["models"][0]["spent_usd"] == pytest.approx(0.016)
        assert server.counts.usd == pytest.approx(0.016)
        assert server.counts.paid_again == 0
        unpriced = text.replace("      price: {input: 0, output: 1000}}", "      }")
        file.write_text(unpriced.replace("USD", "1"))
        refused = cli("run", file, "--store", tmp_path / "other")
        assert refused.code == 2
        assert "model closed has no price for its budget" in refused.err
        assert not (tmp_path / "other").exists()
