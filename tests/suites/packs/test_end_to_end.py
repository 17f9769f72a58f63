"""Planted models under a real Ray: who sees but cannot reason is told apart by the pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray import JobSpec, ModelSpec, Store, load_suite
from lens_ray.cli.main import main
from lens_ray.evaluate import evaluate
from lens_ray.suites.suite import Suite

#: What a model says that does not look, by subtask.
GUESS = {
    "order_seen": "5", "sum_seen": "55", "limit_seen": "5 bar",
    "order_filled": "yes", "sum_found": "10", "limit_kept": "yes",
}  # fmt: skip


def planted(suite: Suite, name: str, knows: str) -> ModelSpec:
    """A model that is right on the abilities that ``knows`` holds, and guesses the others."""
    texts = {
        sample.sample_id: sample.answers[0] if sample.ability in knows.split()
        else GUESS[sample.subtask]
        for sample in suite.samples
    }  # fmt: skip
    return ModelSpec(name=name, backend="fake", path=name, options={"texts": texts}, replicas=1)


def test_who_sees_but_cannot_reason_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    suite = load_suite("pack:reasoning")
    models = (
        planted(suite, "thinker", "reasoning_perception reasoning"),
        planted(suite, "onlooker", "reasoning_perception"),
        planted(suite, "guesser", ""),
    )
    store = str(tmp_path / "store")
    report = evaluate(JobSpec(name="t", suite="pack:reasoning", store=store, models=models))
    assert report.exit_code == 0
    verdicts = {}
    facts = Store(store).facts()
    for model in report.models:
        table = facts[str(model.run_id)]["twins"]
        assert isinstance(table, list)
        assert [row["subtask"] for row in table] == ["limit_kept", "order_filled", "sum_found"]
        assert all(row["pairs"] == 40 for row in table)
        verdicts[model.model] = {row["verdict"] for row in table}
    assert verdicts == {
        "thinker": {"sees and reasons"},
        "onlooker": {"sees but cannot reason"},
        "guesser": {"does not see"},
    }
    # The pack has none of the six abilities, so all it has make the overall score.
    by_model = {
        model.model: {score.ability: score.corrected for score in model.scores}
        for model in report.models
    }
    assert by_model["thinker"] == {
        "reasoning": 1.0, "reasoning_perception": 1.0, "overall": 1.0,
    }  # fmt: skip
    assert by_model["onlooker"]["reasoning_perception"] == 1.0
    assert abs(by_model["onlooker"]["reasoning"] or 0.0) < 0.05
    assert main(["scores", "--store", store]) == 0
    shown = capsys.readouterr().out
    assert shown.count("sees but cannot reason") == 3
    assert "seeing and reasoning" in shown
    assert main(["rescore", "--store", store, "--json"]) == 0
    assert '"changed": 0' in capsys.readouterr().out
    assert main(["report", "--store", store, "--out", str(tmp_path / "r.html")]) == 0
    assert "sees but cannot reason" in (tmp_path / "r.html").read_text(encoding="utf-8")
