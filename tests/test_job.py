"""Job files: what they may say, and where every mistake is found."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lens_ray.errors import JobError
from lens_ray.job import JobSpec, load_job
from lens_ray.job_secrets import is_secret_name, refuse_secret, secret_in
from lens_ray.models.spec import ModelSpec

GOOD = """\
name: nightly
suite: mini:quick
store: ./store
models:
  - name: a
    path: builtin:minivlm-a/step-0500
    options: {batch_size: 4}
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "job.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistake(folder: Path, text: str | bytes, *, store: str | None = None) -> str:
    """The one line, without the file's name."""
    path = write(folder, text)
    with pytest.raises(JobError) as caught:
        load_job(path, store=store)
    line = str(caught.value)
    assert line.startswith(f"{path}:")
    assert "\n" not in line
    return line.removeprefix(f"{path}:")


def test_a_whole_file(tmp_path: Path) -> None:
    spec = load_job(
        write(
            tmp_path,
            GOOD + "    step: 500\n    generation: {temperature: 1e-3, stop: ['\\n']}\n"
            "    access: closed\n    replicas: auto\nabilities: [counting, ocr]\nlimit: 60\n"
            "splits: [anchor, search]\nuntil: {halfwidth: 0.02, per: ability, level: 0.9}\n"
            "budget: {usd: 5, accelerator: H100}\n",
        )
    )
    assert (spec.name, spec.suite, spec.store, spec.limit) == (
        "nightly", "mini:quick", "./store", 60
    )  # fmt: skip
    assert spec.abilities == ("counting", "ocr")
    assert spec.budget is not None
    assert (spec.budget.usd, spec.budget.accelerator) == (5.0, "H100")
    assert spec.splits == ("anchor", "search")
    assert spec.until is not None
    assert (spec.until.halfwidth, spec.until.level, spec.until.min_samples) == (0.02, 0.9, 60)
    (model,) = spec.models
    assert (model.step, model.options, model.access) == (500, {"batch_size": 4}, "closed")
    assert model.generation["temperature"] == 0.001


def test_the_shipped_job_is_valid() -> None:
    spec = load_job(Path(__file__).parent.parent / "jobs" / "quickstart.yaml")
    assert (spec.suite, spec.store, len(spec.models)) == ("mini:quick", "lens-store", 12)
    assert all(f"step-{model.step:04d}" in model.path for model in spec.models)


def test_a_spec_in_python() -> None:
    model = ModelSpec(name="a", path="x")
    spec = JobSpec(name="j", suite="mini:quick", store="s", models=(model,))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValidationError, match="is the name of models"):
        JobSpec(name="j", suite="mini:quick", store="s", models=(model, model))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("suite:", "siute:"), "2:1: siute: unknown key; did you mean 'suite'?"),
        (GOOD + "colour: 1\n", "8:1: colour: unknown key; known: abilities, budget, limit, models"),
        (
            GOOD + "until: {halfwidht: 0.02}\n",
            "8:9: until.halfwidht: unknown key; did you mean 'halfwidth'?",
        ),
        (GOOD + "budget: {usd: 0}\n", "8:15: budget.usd: 0 was found; it should be greater than 0"),
        (GOOD + "budget: 5\n", "8:9: budget: 5 was found; write a mapping of keys to values"),
        (GOOD + "budget: {accelerator: H100}\n", "8:9: budget.usd: the key is missing;"),
        (
            GOOD + "budget: {usd: 1, acelerator: H100}\n",
            "8:18: budget.acelerator: unknown key; did you mean 'accelerator'?",
        ),
        (
            GOOD + "    budget: {usd: many}\n",
            "8:19: models[0].budget.usd: 'many' was found; write a number",
        ),
        (
            GOOD + "    budget: {usd: 1, accelerator: H100}\n",
            "8:22: models[0].budget.accelerator: unknown key; known: usd",
        ),
        (GOOD + "until: {per: ability}\n", "8:8: until.halfwidth: the key is missing;"),
        (GOOD + "until: 0.02\n", "8:8: until: 0.02 was found; write a mapping of keys to values"),
        (
            GOOD + "until: {halfwidth: 0}\n",
            "8:20: until.halfwidth: 0 was found; it should be greater than 0",
        ),
        (
            GOOD + "until: {halfwidth: 0.1, level: 0.9999999999999999}\n",
            "8:32: until.level: 0.9999999999999999 was found; it should be less than or equal to",
        ),
        (
            GOOD + "until: {halfwidth: .nan}\n",
            "8:20: until.halfwidth: nan was found; it should be a finite number",
        ),
        (
            GOOD + "until: {halfwidth: 0.02, per: model}\n",
            "8:31: until.per: 'model' was found; write 'ability'",
        ),
        (GOOD + "splits: [ankor]\n", "8:10: splits[0]: 'ankor' was found; write 'anchor', "),
        (GOOD + "splits: []\n", "8:9: splits: the list is empty; leave the key out"),
        (GOOD.replace("path:", "pth:"), "6:5: models[0].pth: unknown key; did you mean 'path'?"),
        (
            GOOD.replace("batch_size", "batchsize"),
            "7:15: models[0].options.batchsize: unknown key; did you mean 'batch_size'?",
        ),
        (
            GOOD + "    generation: {temprature: 1}\n",
            "8:18: models[0].generation.temprature: unknown key; did you mean 'temperature'?",
        ),
        (GOOD + "    <<: {step: 1}\n", "8:5: models[0].<<: unknown key"),
        (GOOD + "limit: many\n", "8:8: limit: 'many' was found; write a whole number"),
        (GOOD + "limit: -1\n", "8:8: limit: -1 was found; it should be greater than"),
        (GOOD + "limit: 1.5\n", "8:8: limit: 1.5 was found; write a whole number"),
        (GOOD + f"limit: {'9' * 5000}\n", "8:8: a number of 5000 digits"),
        (GOOD + "abilities: counting\n", "8:12: abilities: 'counting' was found; write a list"),
        (GOOD + "abilities: []\n", "8:12: abilities: the list is empty; leave the key out"),
        (GOOD.replace("./store", ""), "3:7: store: nothing was found; write a text"),
        (GOOD.replace("./store", "''"), "3:8: store: '' was found; write at least one character"),
        (GOOD.replace("store: ./store\n", ""), "1:1: store: the key is missing; write store: ..."),
        (
            GOOD + "    replicas: many\n",
            "8:15: models[0].replicas: 'many' was found; write a whole number or 'auto'",
        ),
        (GOOD + "    replicas: 0\n", "8:15: models[0].replicas: replicas is 'auto' or a number"),
        (GOOD + "    access: opne\n", "8:13: models[0].access: 'opne' was found; write 'open' or"),
        (GOOD + "    step: -5\n", "8:11: models[0].step: -5 was found; it should be greater"),
        (GOOD.replace("name: a", "name: a b"), "5:11: models[0].name: 'a b' was found; use lett"),
        (
            GOOD + "    backend: transfomers\n",
            "8:14: models[0].backend: no backend is called 'transfomers'; did you mean 'transf",
        ),
        (
            GOOD + "    template: defualt\n",
            "8:15: models[0].template: no template is called 'defualt'; did you mean 'default'?",
        ),
        (
            GOOD + "  - {name: b, path: y}\n  - {name: a, path: z}\n",
            "9:12: models[2].name: 'a' is the name of models[0] too; give each model its own",
        ),
        (GOOD.replace("    path: builtin:minivlm-a/step-0500\n", ""), "5:5: models[0]: model 'a' "),
        ("name: n\nsuite: s\nstore: t\nmodels: []\n", "4:9: models: the list is empty; name at"),
        ("name: n\nsuite: s\nstore: t\nmodels: [x]\n", "4:10: models[0]: 'x' was found; write a"),
        ("name: n\nsuite: s\nstore: t\nmodels: {a: 1}\n", "4:9: models: {'a': 1} was found; wr"),
        (GOOD + "name: again\n", "8:1: key 'name' stands twice, first in line 1; keep one"),
        (
            GOOD + "limit: x\nabilities: []\ncolour: 1\n",
            "8:8: limit: 'x' was found; write a whole number (and 2 more)",
        ),
    ],
)
def test_every_mistake_has_its_place(tmp_path: Path, text: str, line: str) -> None:
    assert mistake(tmp_path, text).startswith(line)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1:1: the file is empty; start with name:"),
        ("- a\n", "1:1: a job file is a mapping"),
        ("name: [a\nsuite: x\n", "2:6: not valid YAML: while parsing a flow sequence"),
        ("name: a\n\tsuite: x\n", "2:1: not valid YAML: "),
        (GOOD + "---\n" + GOOD, "8:1: not valid YAML: expected a single document"),
        (GOOD + "    revision: *nope\n", "8:15: not valid YAML: found undefined alias 'nope'"),
        ("? [a]\n: b\n", "1:3: a key must be a plain word"),
        (GOOD.replace("./store", "!!binary aGk="), "3:8: the tag 'tag:yaml.org,2002:binary' is"),
        (GOOD.replace("./store", "!env STORE"), "3:8: the tag '!env' is not allowed"),
        (GOOD.replace("./store", "!!python/object/apply:os.system [id]"), "3:8: the tag "),
        (GOOD.replace("./store", '"a\\0b"'), "3:8: NUL and surrogate characters are not allowed"),
        (GOOD.replace("./store", '"\\ud800"'), "3:8: NUL and surrogate characters are not allow"),
        (GOOD.replace("./store", "a\0b"), "3:9: a NUL character is not allowed"),
        (GOOD.replace("./store", "a\x1bb"), "3:9: the character 0x1b is not allowed"),
        (GOOD.encode().replace(b"./store", b"\xff\xfe"), "3:8: the byte 0xff is not UTF-8"),
        (GOOD.encode("utf-16"), "1:1: the byte 0xff is not UTF-8"),
        ("# " + "x" * 1_000_000, "1:1: larger than 1000000 bytes; this is no job file"),
        ("[" * 100_000, "1:41: nested deeper than 40 levels"),
        ("a: &a [*a]\n", "1:1: aliases (*name) repeat too much"),
        (BOMB, "3:1: aliases (*name) repeat too much of the file; write it out"),
    ],
)  # fmt: skip
def test_what_is_no_job_file(tmp_path: Path, text: str | bytes, line: str) -> None:
    assert mistake(tmp_path, text).startswith(line)


def test_a_few_aliases_save_typing(tmp_path: Path) -> None:
    text = GOOD.replace("options: {", "options: &small {") + (
        "  - {name: b, path: y, options: *small}\n"
    )
    first, second = load_job(write(tmp_path, text)).models
    assert first.options == second.options == {"batch_size": 4}


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    text = GOOD.replace("nightly", "no").replace("name: a", "name: 2026-11-26")
    spec = load_job(write(tmp_path, "\ufeff" + text))
    assert (spec.name, spec.models[0].name) == ("no", "2026-11-26")


def test_the_environment_is_read_where_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "s3://here")
    monkeypatch.setenv("MODELS", "/models/${BUCKET}")
    monkeypatch.setenv("SUITE", "mini:full")
    text = GOOD.replace("./store", "${BUCKET}/store").replace("mini:quick", "${SUITE}")
    spec = load_job(write(tmp_path, text.replace("builtin:minivlm-a", "${MODELS}")))
    assert (spec.store, spec.suite) == ("s3://here/store", "mini:full")
    assert spec.models[0].path == "/models/${BUCKET}/step-0500"  # expanded once, not again
    monkeypatch.delenv("BUCKET")
    assert mistake(tmp_path, text) == (
        "3:8: store: the environment variable BUCKET is not set; type export BUCKET=..."
    )
    assert load_job(write(tmp_path, text), store="other").store == "other"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("./store", "${a b}"), "3:8: store: '${a b}' is no environment variable"),
        (GOOD.replace("name: a", "name: ${HOME}"), "5:11: models[0].name: ${...} is only expanded"),
        (GOOD + "    revision: ${HOME}\n", "8:15: models[0].revision: ${...} is only expanded"),
        (GOOD.replace("./store", "${AWS_SECRET_ACCESS_KEY}"), "3:8: store: ${AWS_SECRET_ACCESS_KE"),
    ],
)
def test_the_environment_is_read_nowhere_else(tmp_path: Path, text: str, line: str) -> None:
    assert mistake(tmp_path, text).startswith(line)


def test_store_may_come_from_the_command_line(tmp_path: Path) -> None:
    text = GOOD.replace("store: ./store\n", "")
    assert load_job(write(tmp_path, text), store="there").store == "there"
    assert mistake(tmp_path, text + "limit: 0\n", store="there").startswith("7:8: limit: 0 was")


SECRET = "abcSECRETdef123"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + f"    api_key: {SECRET}\n", "8:5: models[0].api_key: a secret must not stand"),
        (GOOD + f"    options: {{hf_token: {SECRET}}}\n".replace("options", "generation"),
         "8:18: models[0].generation.hf_token: a secret must not stand in a job file; set HF_T"),
        (GOOD + f"password: {SECRET}\n", "8:1: password: a secret must not stand"),
        (GOOD + f"aws_secret_access_key: {SECRET}\n", "8:1: aws_secret_access_key: a secret must "
         "not stand in a job file; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"),
        (GOOD + "    api_key: ${OPENAI_API_KEY}\n    backend: openai\n",
         "8:5: models[0].api_key: a secret must not stand in a job file; set OPENAI_API_KEY in"),
        (GOOD.replace("./store", f"s3://key:{SECRET}@bucket/x"), "3:8: store: the URL carries cr"),
        (GOOD.replace("builtin:minivlm-a/step-0500", f"https://h/x?sig={SECRET}"),
         "6:11: models[0].path: the URL carries credentials; take them out and set AWS_ACCESS"),
        (GOOD.replace("mini:quick", f"sk-{SECRET}{SECRET}"), "2:8: suite: this looks like a secr"),
    ],
)  # fmt: skip
def test_secrets_are_refused_and_not_repeated(tmp_path: Path, text: str, line: str) -> None:
    said = mistake(tmp_path, text)
    assert said.startswith(line)
    assert SECRET not in said


@pytest.mark.parametrize("piece", ["0a", "a://", "?a", "&key", "sk-", "hf_", "a:b@", "-----BEGIN "])
def test_long_texts_take_linear_time(piece: str) -> None:
    began = time.process_time()
    secret_in(piece * 200_000)
    assert time.process_time() - began < 2


def test_a_secret_from_the_environment_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", f"s3://key:{SECRET}@bucket")
    said = mistake(tmp_path, GOOD.replace("./store", "${STORE}"))
    assert said.startswith("3:8: store: the URL carries credentials")
    assert SECRET not in said


def test_what_is_no_secret() -> None:
    names = ("max_new_tokens", "eos_token", "key", "monkey", "stop", "keywords", "tokenizer")
    assert not any(is_secret_name(name) for name in names)
    for url in ("s3://bucket/a@b", "./store", "s3://bucket", "mini:quick@2ab0f10473f4", "a/sk-1"):
        refuse_secret("--store", url)
    with pytest.raises(JobError, match="--store: the URL carries credentials"):
        refuse_secret("--store", "s3://k:s@bucket")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(JobError, match=r"jop\.yaml: there is no such job file; did you mean .*job"):
        load_job(tmp_path / "jop.yaml")
    with pytest.raises(JobError, match="there is no such job file; check the path"):
        load_job(tmp_path / "nowhere" / "x.yaml")
    with pytest.raises(JobError, match="is a folder; give a job file"):
        load_job(tmp_path)
    with pytest.raises(JobError, match=r"'a\\x00b': cannot be read"):
        load_job("a\0b")
    with pytest.raises(JobError, match="cannot be read"):
        load_job(tmp_path / "job.yaml" / "x")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!#'\"\n ,?|>%@`~", max_size=80))
)
def test_no_bytes_crash_it(tmp_path: Path, content: bytes | str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(JobError) as caught:
        load_job(path)
    assert "\n" not in str(caught.value)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, len(GOOD)), st.text(alphabet="ab:-[]{}&*!#'\"\n ,?|>%@`~$09", max_size=3))
def test_no_slip_of_the_keyboard_crashes_it(tmp_path: Path, at: int, typed: str) -> None:
    path = write(tmp_path, GOOD[:at] + typed + GOOD[at:])
    with contextlib.suppress(JobError):
        assert load_job(path).models


def test_a_line_stays_short(tmp_path: Path) -> None:
    long = "x" * 100_000
    for text in (
        f"? {long}\n: 1\n" + GOOD,
        GOOD + f"    backend: {long}\n",
        GOOD + f"    access: {long}\n",
        GOOD.replace("./store", "'" + "${" * 100_000 + "}'"),
    ):
        assert len(mistake(tmp_path, text)) < 700
