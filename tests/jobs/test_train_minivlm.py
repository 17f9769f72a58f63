"""The training job: schedules by hand, batches from seed and step alone, interruption and all."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from jobs.minivlm_models import BUILDERS
from jobs.minivlm_online import Watched, shipped, weights_of
from jobs.minivlm_recipe import Phase, Recipe, load_recipe
from jobs.train_minivlm import IGNORED, ONLINE, _asked_otherwise, make_batch, train
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.online.marker import MARKER, read_marker
from lens_ray.online.stop_file import ask_to_stop
from lens_ray.scoring import extract
from lens_ray.suites.images import image_hash
from lens_ray.suites.mini import SIZES, build_mini, train_stream
from lens_ray.suites.mini.raster import COLOURS
from lens_ray.suites.sample import ABILITIES

MIX = dict.fromkeys(ABILITIES, 1.0)
RECIPE = Recipe(
    name="tiny",
    model="a",
    seed=5,
    batch=6,
    phases=(
        Phase(3, (1e-3, 1e-4), MIX, warmup=2, aloud=True, verdicts=3),
        Phase(1, (1e-4, 1e-5), {"ocr": 1.0}),
    ),
    save=(2, 4),
    sight=2,
)


def test_rates_of_a_recipe() -> None:
    rates = [RECIPE.at(step)[1] for step in range(4)]
    # Half a cosine over three steps: 1e-3, the mean of both ends, 1e-4; the first one halved by
    # the warm-up of two steps; the second phase starts at its own first rate.
    assert rates == pytest.approx([0.5e-3, 5.5e-4, 1e-4, 1e-4])
    assert RECIPE.at(3)[0].mix == {"ocr": 1.0}
    with pytest.raises(IndexError):
        RECIPE.at(4)


@pytest.mark.parametrize("name", ["a", "b"])
def test_shipped_recipes_are_whole(name: str) -> None:
    recipe = load_recipe(f"jobs/minivlm-{name}.yaml")
    assert recipe.model == name
    assert max(recipe.save) == recipe.steps
    assert all(math.isfinite(recipe.at(step)[1]) for step in range(0, recipe.steps, 500))


def test_training_images_are_in_no_suite() -> None:
    suite = {image for size in SIZES for image in build_mini(size)[1]}
    stream = train_stream(11 * 10_000_000, MIX)
    trained = {image_hash(image) for _ in range(3000) for image in next(stream)[1]}
    assert len(trained) > 2900
    assert not trained & suite


def test_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    train(RECIPE, tmp_path / "whole")
    train(RECIPE, tmp_path / "parts", stop=3)
    # As after a kill between two states: the last kept one is older than the log.
    train(RECIPE, tmp_path / "parts")
    one, two = (
        torch.load(tmp_path / run / "state.pt", weights_only=True)["model"]
        for run in ("whole", "parts")
    )
    assert one.keys() == two.keys()
    apart = torch.cat([(one[name] - two[name]).abs().flatten() for name in one])
    # A step moves a weight by 1e-5 to 1e-3. Where memory is aligned otherwise, BLAS sums in another
    # order, and the optimisers make much of that: Muon orthogonalises in bfloat16, and Adam divides
    # by what is 0 but for rounding (the bias of a key). So few weights may differ by a whole step.
    assert float(apart.mean()) < 1e-6
    assert float((apart > 1e-5).float().mean()) < 0.005
    lines = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").open()]
    assert [line["step"] for line in lines] == [3, 4]
    assert inspect_checkpoint(str(tmp_path / "whole" / "step-0004")).dtype == "BF16"
    assert yaml.safe_load((tmp_path / "whole" / "run.yaml").read_text())["phases"][1]["mix"] == {
        "ocr": 1.0
    }

    shell = str(tmp_path / "whole" / "processor")
    first, again = (make_batch(shell, 5, 7, 6, RECIPE.phases[0]) for _ in range(2))
    for left, right in zip(first, again, strict=True):
        for name, array in left["inputs"].items():
            np.testing.assert_array_equal(array, right["inputs"][name])
        assert ((left["labels"] != IGNORED).sum(axis=1) >= 2).all()
    assert len(first) == 4  # three of talks alike in length, one of verdicts
    # What is seen is given there: only the verdict and the end of the answer are learned.
    assert ((first[3]["labels"] != IGNORED).sum(axis=1) == 2).all()
    other = make_batch(shell, 5, 8, 6, RECIPE.phases[0])
    assert any(
        a["inputs"]["pixel_values"].shape != b["inputs"]["pixel_values"].shape
        or not np.array_equal(a["inputs"]["pixel_values"], b["inputs"]["pixel_values"])
        for a, b in zip(first, other, strict=True)
    )


def test_multiple_choice_can_be_asked_without_its_options(tmp_path: Path) -> None:
    processor, _ = BUILDERS["a"]()
    processor.save_pretrained(str(tmp_path))
    phase = Phase(1, (1e-3, 1e-3), {"attribute_shapes": 1.0}, opened=0.5)
    tasks, told = [], []
    for part in make_batch(str(tmp_path), 5, 0, 60, phase):
        tasks += part["tasks"]
        told += processor.batch_decode(part["inputs"]["input_ids"], skip_special_tokens=True)
    assert 15 < tasks.count("attribute_shapes+") < 45
    for task, text in zip(tasks, told, strict=True):
        answer = text.rpartition("Assistant:")[2].strip()
        if task == "attribute_shapes+":
            assert "A. " not in text
            assert answer in (*COLOURS, "plain", "striped", "dotted", "small", "large")
        else:
            assert "Answer with the letter." in text
            assert answer in ("A", "B", "C", "D")


@pytest.mark.parametrize("phase", [
    Phase(1, (1e-3, 1e-3), MIX, aloud=True),
    Phase(1, (1e-3, 1e-3), MIX, unasked=0.7),
])  # fmt: skip
def test_what_is_learned_is_marked_right(phase: Phase) -> None:
    """Every answer that is trained on earns the full mark of its sample, as models are marked."""
    forms: Counter[str] = Counter()
    for sample, _ in islice(train_stream(6, MIX), 1500):
        said = _asked_otherwise(sample, phase, random.Random(sample.sample_id))
        if said is None:
            assert (sample.format, sample.answers) == ("true_false", ("no",))
            continue
        (answer,) = said.answers
        numeric = said.metric == "relaxed_numeric"
        found = extract(answer, said.format, said.choices, "stop", numeric=numeric)
        wanted = sample.answers[0] if said.format == sample.format else answer
        assert found.answer is not None
        assert found.answer.lower() == wanted.lower()
        assert answer.endswith(wanted)
        seen = answer.removesuffix(wanted).strip()
        assert bool(seen) == (phase.aloud and said.format != "open")
        forms[said.format] += 1
    assert min(forms[name] for name in ("open", "true_false", "multiple_choice")) > 100


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    body = dataclasses.asdict(RECIPE) | {"learning": 1}
    (tmp_path / "r.yaml").write_text(json.dumps(body))
    with pytest.raises(TypeError, match="learning"):
        load_recipe(tmp_path / "r.yaml")


def test_the_watched_recipe_goes_on_from_the_shipped_series() -> None:
    recipe, series = load_recipe(ONLINE), load_recipe("jobs/minivlm-a.yaml")
    assert (recipe.first, recipe.steps) == (8700, 9600)
    assert [recipe.at(step)[0] for step in (0, 5000, 8699)] == [
        series.at(step)[0] for step in (0, 5000, 8699)
    ]
    # The old mix goes on for 200 steps; then entity is dropped.
    assert recipe.at(8899)[0].mix == series.at(8699)[0].mix
    assert "entity" not in recipe.at(8900)[0].mix
    assert max(recipe.save) == recipe.steps
    assert not set(recipe.save) - set(range(8800, 9601, 100))


@pytest.mark.slow
def test_a_watched_run_announces_and_heeds_the_stop_file(tmp_path: Path) -> None:
    last = load_recipe("jobs/minivlm-a.yaml").phases[:-1]
    recipe = dataclasses.replace(
        RECIPE, phases=(*last, Phase(3, (1e-4, 1e-4), MIX, aloud=True)), batch=3,
        save=(8701, 8702), sight=0, starts_from="minivlm-a/step-8700",
    )  # fmt: skip
    watched = Watched(tmp_path, recipe.starts_from)
    steps = sorted(path.name for path in tmp_path.glob("step-*"))
    assert steps == [f"step-{n:04d}" for n in (500, 3000, 4500, 6000, 6900, 8700)]
    train(recipe, tmp_path, stop=8701, watched=watched)
    folder = tmp_path / "step-8701"
    found = read_marker((folder / MARKER).read_bytes(), "-")
    assert found.step == 8701
    assert found.metrics.keys() == {"loss", "lr", "seconds_per_step"}
    before, after = (
        weights_of("minivlm-a/step-8700"),
        torch.load(tmp_path / "state.pt", weights_only=True)["model"],
    )
    moved = max(float((after[name] - before[name]).abs().max()) for name in before)
    assert 0 < moved < 0.01
    # But for its weights it is the shipped one: a warm replica takes it by a hot swap.
    origin = shipped("minivlm-a/step-8700")
    assert inspect_checkpoint(str(folder)).dtype == "BF16"
    names = {path.name for path in origin.iterdir()} - {"model.safetensors"}
    assert {n: (folder / n).read_bytes() for n in names} == {
        n: (origin / n).read_bytes() for n in names
    }

    # Told to stop, it ends where it is; its history is not copied again.
    ask_to_stop(tmp_path, "enough")
    train(recipe, tmp_path, watched=Watched(tmp_path, recipe.starts_from))
    assert not (tmp_path / "step-8702").exists()
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 8701
