"""Watch files: what they may say, and where every mistake is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import JobError
from lens_ray.models.spec import ModelSpec
from lens_ray.online.spec import WatchSpec, load_watch

GOOD = """\
name: watched
suite: mini:quick
store: ./store
runs:
  - name: a
    path: ./runs/a
"""


def load(folder: Path, text: str, *, store: str | None = None) -> WatchSpec:
    path = folder / "watch.yaml"
    path.write_text(text)
    return load_watch(path, store=store)


def mistake(folder: Path, text: str) -> str:
    """The one line, without the file's name."""
    with pytest.raises(JobError) as caught:
        load(folder, text)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'watch.yaml'}:")
    assert "\n" not in line
    return line.removeprefix(f"{folder / 'watch.yaml'}:")


def test_a_whole_file(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        GOOD + "    replay: builtin:minivlm-a\n    gpus: 8\n    planned_steps: 900\n"
        "  - {name: b, path: s3://bucket/runs/b}\n"
        "model: {backend: transformers, replicas: 2, options: {batch_size: 8}, "
        "generation: {temperature: 0}}\n"
        "policy: every\nevery: 30m\nask: full\nbehind: 3\n"
        "rules: {margin: 0.03, windows: [{early: [1, 2], late: [3, 4]}]}\n"
        "needs: {min_score: {ocr: 0.5}}\n"
        "alerts: {webhook_env: HOOK, timeout_s: 2}\n"
        "stop: {when: [needs_met]}\n",
    )
    assert [run.name for run in spec.runs] == ["a", "b"]
    assert (spec.policy, spec.every, spec.ask, spec.behind) == ("every", "30m", "full", 3)
    assert spec.rules.windows[0].late == (3, 4)
    assert spec.needs is not None
    assert spec.needs.min_score == {"ocr": 0.5}
    assert spec.model.model_spec("a@5", "/x", 5) == ModelSpec(
        name="a@5", path="/x", step=5, replicas=2, options={"batch_size": 8},
        generation={"temperature": 0},
    )  # fmt: skip


def test_variables_stand_where_places_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_WHERE", "/data")
    text = GOOD.replace("./runs/a", "${LENS_WHERE}/a").replace("./store", "${LENS_WHERE}/s")
    spec = load(tmp_path, text + "    replay: ${LENS_WHERE}/rows.parquet\n")
    assert (spec.store, spec.runs[0].path) == ("/data/s", "/data/a")
    assert spec.runs[0].replay == "/data/rows.parquet"
    assert mistake(tmp_path, GOOD.replace("name: a", "name: ${LENS_WHERE}")) == (
        "5:11: runs[0].name: ${...} is only expanded in store, suite, pool, and a run's path, "
        "replay and run_yaml; write it out"
    )


def test_the_store_of_the_command_line_wins(tmp_path: Path) -> None:
    text = GOOD.replace("store: ./store\n", "")
    assert load(tmp_path, text, store="s3://b/p").store == "s3://b/p"
    assert mistake(tmp_path, text) == "1:1: store: the key is missing; write store: ..."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: the file is empty; start with name:, suite:, store: and runs:"),
        ("[1]", "1:1: a watch file is a mapping; start with name:, suite:, store: and runs:"),
        (GOOD + "polcy: all\n", "7:1: polcy: unknown key; did you mean 'policy'?"),
        (GOOD + "    planned_step: 1\n", "7:5: runs[0].planned_step: unknown key; did you "
         "mean 'planned_steps'?"),
        (GOOD + "rules: {margn: 0.1}\n", "7:9: rules.margn: unknown key; did you mean 'margin'?"),
        (GOOD + "needs: {min_scor: {}}\n", "7:9: needs.min_scor: unknown key; did you mean "
         "'min_score'?"),
        (GOOD + "stop: {wen: [collapse]}\n", "7:8: stop.wen: unknown key; did you mean 'when'?"),
        (GOOD + "model: {options: {batch_sise: 1}}\n",
         "7:19: model.options.batch_sise: unknown key; did you mean 'batch_size'?"),
        (GOOD + "model: {options: {batch_size: 0}}\n",
         "7:31: model.options.batch_size: 0 was found; it should be greater than or equal to 1 or "
         "'auto'"),
        (GOOD + "model: {generation: {temprature: 0}}\n",
         "7:22: model.generation.temprature: unknown key; did you mean 'temperature'?"),
        (GOOD + "model: {backend: trasformers}\n",
         "7:18: model.backend: no backend is called 'trasformers'; did you mean 'transformers'?"),
        (GOOD + "model: {backend: openai}\n",
         "7:8: model: openai asks a provider, which hosts no checkpoint of yours; write "
         "backend: transformers or vllm"),
        (GOOD + "model: {template: defalt}\n",
         "7:8: model: no template is called 'defalt'; did you mean 'default'?"),
        (GOOD + "  - {name: a, path: ./runs/b}\n",
         "7:12: runs[1].name: 'a' is the name of runs[0] too; give each run its own"),
        (GOOD + "  - {name: b, path: ./runs/a/}\n",
         "7:21: runs[1].path: './runs/a' is the path of runs[0] too; give each run its own"),
        (GOOD.replace("  - name: a\n    path: ./runs/a\n", "  []\n"),
         "5:3: runs: the list is empty; name at least one run"),
        (GOOD + "policy: every\n",
         "7:9: policy: policy every needs a key of this name; write every: 30m"),
        (GOOD + "policy: every_n\n",
         "7:9: policy: policy every_n needs a key of this name; write every_n: 5"),
        (GOOD + "policy: all\nevery_n: 2\n",
         "8:10: every_n: no effect with policy: all; take it out, or write policy: every_n"),
        (GOOD + "ask: full\n",
         "7:6: ask: no effect with policy: milestones_full_else_anchor; take it out, or write "
         "policy: all"),
        (GOOD + "policy: all\nmilestones: 3\n",
         "8:13: milestones: no effect with policy: all; take it out, or write policy: "
         "milestones_full_else_anchor"),
        (GOOD + "milestones: 0\n",
         "7:13: milestones: write every how many-th checkpoint (5), or a list of steps "
         "([1000, 2000])"),
        (GOOD + "stop: {when: [needs_met]}\n",
         "7:14: stop.when: needs_met rests on needs; write needs: {min_score: ...} too"),
        (GOOD + "rules: {windows: [{early: [5, 9], late: [9, 12]}]}\n",
         "7:19: rules.windows[0]: early must end before late begins; write early: [100, 300] "
         "and late: [400, 600]"),
        (GOOD + "alerts: {webhook_env: 'https://hooks.example/T0/B0/x'}\n",
         "7:23: alerts.webhook_env: write the name of an environment variable that holds the "
         "URL, never the URL: webhook_env: LENS_WEBHOOK"),
        (GOOD + "api_key: sk-1\n", "7:1: api_key: a secret must not stand in a watch file; set "
         "the provider's variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, HF_TOKEN) "
         "in the environment and take this key out"),
        (GOOD.replace("./runs/a", "s3://me:word@bucket/x"),
         "6:11: runs[0].path: the URL carries credentials; take them out and set "
         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or your store's or provider's own "
         "variables) in the environment"),
        (GOOD.replace("name: a", "name: units"),
         "5:11: runs[0].name: units is a name that the store uses itself; take another"),
        (GOOD.replace("name: watched", "name: index.json"),
         "1:7: name: index.json is a name that the store uses itself; take another"),
        (GOOD.replace("name: a", f"name: {'a' * 113}"),
         "5:11: runs[0].name: 113 characters; a run's name has 112 at most"),
        (GOOD + "policy: every\nevery: 30 minutes\n",
         "8:8: every: '30 minutes' was found; write a number and s, m, h or d: 90s, 30m, 2h"),
        (GOOD + "stop: {file: ../x}\n",
         "7:14: stop.file: '../x' was found; use letters, digits and . _ - only, at most 64"),
        (GOOD + "abilities: []\n", "7:12: abilities: the list is empty; leave the key out to take "
         "all of the suite's"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    assert mistake(tmp_path, text) == says


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    with pytest.raises(JobError, match=r"there is no such watch file; did you mean .*watch\.yaml"):
        load_watch(tmp_path / "wach.yaml")


@pytest.mark.parametrize(
    "more", ["", "policy: every\nevery: 30m\n", "policy: every_n\nevery_n: 3\n"]
)
def test_what_a_store_keeps_of_it_is_the_same_watch(tmp_path: Path, more: str) -> None:
    spec = load(tmp_path, GOOD + more)
    assert WatchSpec.model_validate(spec.model_dump(mode="json")) == spec
