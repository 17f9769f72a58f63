"""The pure parts of the benchmark against lmms-eval: what it is asked, what is made of times."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from jobs.benchmarks import lmms_functions
from jobs.benchmarks.bench_sweep_lmms import differing, holds, verdict
from jobs.benchmarks.lmms_side import Lmms
from jobs.benchmarks.lmms_task import TASK, token_limit, write_task
from lens_ray import Suite, load_suite
from lens_ray.suites.images import decode_png, image_hash


class Loader(yaml.SafeLoader):
    """Reads ``!function NAME`` as its name."""


Loader.add_constructor("!function", lambda loader, node: node.value)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture(scope="module")
def task(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lmms") / "task"
    write_task(suite, folder)
    return folder


def test_yaml_names_the_data_the_limit_and_functions_that_are_there(
    suite: Suite, task: Path
) -> None:
    config = yaml.load((task / f"{TASK}.yaml").read_text(), Loader)
    assert config["task"] == TASK
    assert Path(config["dataset_kwargs"]["data_files"]["test"]).samefile(task / "samples.parquet")
    (limit,) = {sample.max_new_tokens for sample in suite.select(None, None)}
    assert config["generation_kwargs"]["max_new_tokens"] == limit
    assert config["generation_kwargs"]["temperature"] == 0
    assert (task / "lmms_functions.py").is_file()
    named = [config[key] for key in config if key.startswith(("doc_to_", "process_"))]
    named.append(config["metric_list"][0]["aggregation"])
    assert len(named) == 6
    for name in named:
        module, _, function = name.partition(".")
        assert module == "lmms_functions"
        assert callable(getattr(lmms_functions, function))


def test_each_row_asks_what_lens_ray_asks(suite: Suite, task: Path) -> None:
    samples = suite.select(None, None)
    rows = pq.read_table(task / "samples.parquet").to_pylist()
    assert [row["sample_id"] for row in rows] == [sample.sample_id for sample in samples]
    for row, sample in zip(rows, samples, strict=True):
        # The wording of the template, written out: the question, the options, the instruction.
        lines = row["prompt"].split("\n")
        assert row["prompt"].startswith(sample.question)
        assert [line.partition(". ")[2] for line in lines[-1 - len(sample.choices) : -1]] == list(
            sample.choices
        )
        ending = {"true_false": "Answer yes or no.", "multiple_choice": "Answer with the letter."}
        assert lines[-1] == ending.get(sample.format, "Answer briefly.")
        pictures = lmms_functions.images(row)
        hashes = tuple(image_hash(decode_png(one["bytes"], "a picture")) for one in pictures)
        assert hashes == sample.images


def test_images_are_declared_so_that_datasets_decodes_them(task: Path) -> None:
    schema = pq.read_schema(task / "samples.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert set(features) == set(schema.names)
    pictures = [name for name, feature in features.items() if feature == {"_type": "Image"}]
    assert pictures == ["image_0", "image_1"]


def test_a_turn_is_the_pictures_and_then_the_text() -> None:
    first, second = Image.new("RGB", (2, 2)), Image.new("RGB", (3, 3))
    doc = {"prompt": "Which?", "answers": ["B"], "image_0": first, "image_1": second}
    (turn,) = lmms_functions.messages(doc)
    assert turn["role"] == "user"
    assert [part.get("url") for part in turn["content"][:2]] == [first, second]
    assert turn["content"][2] == {"type": "text", "text": "Which?"}
    assert len(lmms_functions.messages(doc | {"image_1": None})[0]["content"]) == 2
    assert lmms_functions.results(doc, [" B"]) == {"exact": 1.0}
    assert lmms_functions.mean([1.0, 0.0]) == 0.5


def test_several_token_limits_are_refused(suite: Suite) -> None:
    one, two = suite.select(None, 2)
    assert token_limit([one, two]) == one.max_new_tokens
    with pytest.raises(ValueError, match="one token limit"):
        token_limit([one, replace(two, max_new_tokens=one.max_new_tokens + 1)])


def test_the_model_arguments_carry_the_token_limit(tmp_path: Path) -> None:
    lmms = Lmms("python", tmp_path, tmp_path, {"dtype": "float32"}, 4, 8)
    assert lmms.model_args("/m") == "model=/m,dtype=float32,max_new_tokens=8"


def test_a_run_without_its_answers_does_not_count(tmp_path: Path) -> None:
    lmms = Lmms("python", tmp_path, tmp_path, {}, 2, 8)
    (tmp_path / "x.log").write_text("it went wrong")
    with pytest.raises(SystemExit, match="0 of 2 answers:\nit went wrong"):
        lmms._texts(tmp_path / "out", "x")
    file = tmp_path / "out" / "model" / f"1_samples_{TASK}.jsonl"
    file.parent.mkdir(parents=True)
    one, two = (
        {"doc_id": 1, "filtered_resps": "no"},
        {"doc_id": 0, "resps": " yes", "filtered_resps": "yes"},
    )
    file.write_text(f"{json.dumps(one)}\n{json.dumps(two)}\n")
    assert lmms._texts(tmp_path / "out", "x") == [" yes", "no"]


def test_the_figures_by_hand() -> None:
    # Further checkpoints: (48-21)/9 = 3, (50-23)/9 = 3, (70-25)/9 = 5; their ten: 10 x 48.
    found = verdict([21, 23, 25], [48, 50, 70], [46, 48, 50], 10)
    assert found["ours_further_s"] == 3.0
    assert found["lmms_all_s"] == 480.0
    assert found["ratio"] == 9.6
    assert found["further_ratio"] == 0.0625
    assert found["lmms_extrapolated"] is True
    full = verdict([21], [48], [48.0] * 10, 10)
    assert full["lmms_extrapolated"] is False


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True),
        ({"ratio": 6.9}, False),
        ({"further_ratio": 0.09}, False),
        ({"answers_equal": 0.98}, False),
        ({"prompts": {"same": False}}, False),
        ({"engines": 2}, False),
    ],
)
def test_every_limit_counts(change: dict[str, object], kept: bool) -> None:
    good = {"ratio": 7.0, "further_ratio": 0.08, "answers_equal": 0.99, "engines": 1}
    assert holds({**good, "prompts": {"same": True}, **change}) is kept


def test_differing_texts_are_named() -> None:
    assert differing([["a", "b"], ["c"]], [["a", "x"]]) == [
        "checkpoint 0, sample 1: 'b' against 'x'"
    ]
