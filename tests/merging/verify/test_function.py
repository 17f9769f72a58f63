"""V2: a merge works as its parents do, and a fault names its block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax

from lens_ray.merging.checks import Check, failed
from lens_ray.merging.recipe import Method
from lens_ray.merging.verify.blocks import blocks_of, divergence, variances_of
from lens_ray.merging.verify.function import function
from lens_ray.merging.verify.policy import FunctionLimits
from lens_ray.merging.verify.probes import (
    answers_of,
    choose_probes,
    likelihood_of,
    references_of,
    requests_of,
)
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.hosted_model import HostedModel
from lens_ray.models.protocol import Completion
from lens_ray.models.spec import TransformersOptions
from lens_ray.testing.planted_merges import swapped_layers
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint
from tests.merging.verify.grounds import FIRST, LAST, SERIES, function_ground, halves, quick

LIMITS = FunctionLimits(divergence=1.5)
LAYER = "model.text_model.layers."


@pytest.fixture(scope="module")
def merge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound merge."""
    return halves(tmp_path_factory.mktemp("sound") / "merge")


@pytest.fixture(scope="module")
def sound(merge: Path) -> Mapping[str, Check]:
    """What V2 says of it."""
    return {check.name: check for check in function(function_ground(merge, 12), LIMITS)}


def _load(folder: str | Path) -> HostedModel:
    return HostedModel(inspect_checkpoint(str(folder)), TransformersOptions())


def test_a_sound_merge_passes_and_lies_halfway_between_its_parents(
    sound: Mapping[str, Check],
) -> None:
    """Halves: every block is half as far from one parent as the other parent is."""
    assert {check.verdict for check in sound.values()} == {"pass"}
    ratios = [value for value in sound["block_divergence"].figures.values() if value is not None]
    assert (
        len(ratios) == 12
    )  # patches and 3 layers and a norm; connector; words, 3 layers, norm, head
    weighed = [ratio for ratio in ratios if isinstance(ratio, float)]
    # The last norm differs by a few units in the last place of bfloat16 only.
    assert sorted(weighed)[-2] < 0.55
    assert all(0.45 < ratio < 1 for ratio in weighed)


def test_swapped_layers_pass_the_checks_of_names_and_shapes_and_are_caught_here(
    merge: Path, tmp_path: Path
) -> None:
    """The 38 %-logit-error kind: every name, shape and type is right."""
    bad = halves(tmp_path / "merge")
    swapped_layers(f"{LAYER}1.", f"{LAYER}2.")(bad)
    sound_facts, bad_facts = (inspect_checkpoint(str(folder)) for folder in (merge, bad))
    assert sound_facts.tensors == bad_facts.tensors
    assert sound_facts.shell_digest == bad_facts.shell_digest

    found = failed(function(function_ground(bad, 12), LIMITS))

    assert {check.name for check in found} >= {"likelihood", "block_divergence"}
    named = next(check for check in found if check.name == "block_divergence")
    assert named.subject in (f"{LAYER}1", f"{LAYER}2")
    assert "2 of 12 blocks fail" in named.what


def test_a_tensor_that_no_answer_shows_is_named_by_its_block(tmp_path: Path) -> None:
    """Embeddings before a norm: their scale changes no answer, and the likelihood stays."""
    bad = halves(tmp_path / "merge")
    _scale(bad, "model.text_model.embed_tokens.weight", 2.0)

    checks = {check.name: check for check in function(function_ground(bad, 12), LIMITS)}

    assert checks["likelihood"].verdict == "pass"
    assert checks["activation_variance"].subject == "model.text_model.embed_tokens"
    ratio = checks["activation_variance"].figures["model.text_model.embed_tokens"]
    assert isinstance(ratio, float)
    assert ratio == pytest.approx(4, rel=0.02)  # twice the size, four times the variance
    assert checks["block_divergence"].subject == "model.text_model.embed_tokens"


def test_what_does_not_load_is_one_failure_and_the_rest_is_skipped(tmp_path: Path) -> None:
    bad = halves(tmp_path / "merge")
    _scale(bad, f"{LAYER}0.mlp.up_proj.weight", math.nan)

    first, *rest = function(function_ground(bad, 12), LIMITS)

    assert (first.name, first.verdict) == ("loads", "fail")
    assert "up_proj" in first.what
    assert {check.verdict for check in rest} == {"skipped"}
    assert [check.name for check in rest] == [
        "finite_logits", "likelihood", "activation_variance", "block_divergence",
    ]  # fmt: skip


def test_without_probes_nothing_is_said(merge: Path) -> None:
    ground = replace(function_ground(merge), probes=())
    assert {check.verdict for check in function(ground, LIMITS)} == {"skipped"}


@pytest.mark.slow
def test_a_single_parent_has_no_distance_to_hold_against(merge: Path) -> None:
    ground = function_ground(merge, probes=8)
    alone = replace(ground, parents=ground.parents[1:])
    checks = {check.name: check.verdict for check in function(alone, LIMITS)}
    assert checks["block_divergence"] == "skipped"


@pytest.mark.slow
def test_task_vectors_may_leave_the_span_of_the_parents(tmp_path: Path) -> None:
    """Their distance is told, and only likelihood and variance decide."""
    bad = halves(tmp_path / "merge")
    _scale(bad, f"{LAYER}1.mlp.down_proj.weight", 2.0)
    cases: tuple[tuple[Method, str], ...] = (("linear", "fail"), ("task_arithmetic", "pass"))
    for method, verdict in cases:
        checks = function(function_ground(bad, 8, method), LIMITS)
        assert checks[-1].name == "block_divergence"
        assert checks[-1].verdict == verdict


def test_the_forced_likelihood_is_that_of_one_forward_pass() -> None:
    """Against log-softmax over prompt and answer together, teacher forced."""
    model = _load(SERIES / LAST)
    probes = choose_probes(quick(), 6, 3)
    requests = requests_of(quick(), probes, "default")
    texts = [answer.text for answer in answers_of(model, requests)]
    found = likelihood_of(model, probes, requests, texts)
    for place, (request, text) in enumerate(zip(requests, texts, strict=True)):
        tokens = model.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens += model.end_tokens
        inputs = dict(model.prepare([request]).batches[0].inputs)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([tokens])], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = model.model(**inputs).logits[0, -len(tokens) - 1 : -1].double()
        told = log_softmax(logits, dim=1)[torch.arange(len(tokens)), tokens]
        assert found.nll[place] == pytest.approx(-float(told.mean()), abs=1e-4)
        assert found.tokens[place] == len(tokens)


def test_references_are_a_parents_words_where_one_is_right() -> None:
    probes = choose_probes(quick(), 3, 0)

    def told(*texts: str) -> list[Completion]:
        return [
            Completion(probe.sample_id, text, "stop")
            for probe, text in zip(probes, texts, strict=True)
        ]

    right = [f" I see it {probe.answers[0]}" for probe in probes]
    first, second = told(right[0], "?", "?"), told("?", right[1], "?")
    assert references_of(probes, [first, second]) == (right[0], right[1], None)
    cut = [replace(answer, finish_reason="length") for answer in first]
    assert references_of(probes, [cut]) == (None, None, None)


def test_probes_are_of_the_anchor_split_of_every_subtask_and_of_different_images() -> None:
    probes = choose_probes(quick(), 18, 1)
    assert {probe.split for probe in probes} == {"anchor"}
    assert len({(probe.ability, probe.subtask) for probe in probes}) == 18
    assert len({probe.cluster_id for probe in probes}) == 18
    assert probes == choose_probes(quick(), 18, 1)
    assert probes != choose_probes(quick(), 18, 2)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "family", [FAMILIES[0], *(pytest.param(one, marks=pytest.mark.slow) for one in FAMILIES[1:])]
)
def test_blocks_hold_every_weight_and_are_compared_on_equal_inputs(
    family: str, tmp_path: Path
) -> None:
    """One block of a random model is changed: its own distance is all there is."""
    one, other = (_load(make_tiny_checkpoint(tmp_path / name, family)) for name in ("a", "b"))
    blocks = blocks_of(one.model)
    held = [id(weight) for block in blocks.values() for weight in set(block.parameters())]
    loose = {name for name, weight in one.model.named_parameters() if id(weight) not in set(held)}
    assert loose <= {"model.image_newline"}
    probes = choose_probes(quick(), 4, 0)
    requests = requests_of(quick(), probes, "default")
    assert set(divergence(one, other, requests).values()) == {0.0}
    name = [name for name in blocks if "layers." in name or "layer." in name or "blocks." in name][
        1
    ]
    with torch.no_grad():
        for weight in blocks_of(other.model)[name].parameters():
            weight.mul_(1.5)
    apart = divergence(one, other, requests)
    assert [block for block, distance in apart.items() if distance > 0] == [name]
    assert all(math.isfinite(value) for value in variances_of(one, requests).by_block.values())


def _scale(folder: Path, name: str, times: float) -> None:
    state = load_file(folder / "model.safetensors")
    save_file(
        {**state, name: state[name] * times},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


@pytest.mark.slow
def test_the_end_of_the_series_is_its_own_parent() -> None:
    """A merge of weight 1: nothing differs at all."""
    checks = {check.name: check for check in function(function_ground(SERIES / LAST, 8), LIMITS)}
    assert {check.verdict for check in checks.values()} == {"pass"}
    mine = checks["likelihood"].figures["merge"]
    assert mine == checks["likelihood"].figures["parent last"]
    assert FIRST != LAST
