"""How fast models will answer: the formula by hand, and what a store has measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from lens_ray.engine.planner import Need
from lens_ray.engine.rates import rate_of, weight_bytes
from lens_ray.models.checkpoint import CheckpointFacts
from lens_ray.models.identity import Identity
from lens_ray.models.safetensors_header import TensorFacts
from lens_ray.models.spec import ModelSpec
from lens_ray.store.fold import RunState
from lens_ray.store.records import Commit, FileRef, RunHeader
from tests.store.makers import HEADER
from tests.suites.makers import OPEN

GPU = Need(1.0, 1.0)
SPEC = ModelSpec(name="m", path="somewhere")
#: 1,500 tokens: an image of 1,400, 336 characters of question, 16 tokens of answer.
SAMPLE = replace(OPEN, images=("x",), question="q" * 336, max_new_tokens=64)


def identity(folder: Path, billions: float = 7.6, **changes: Any) -> Identity:
    tensors = {"w": TensorFacts("BF16", (int(billions * 1e9),))}
    facts = CheckpointFacts(str(folder), "weights", "shell", "Arch", "BF16", tensors, {})
    return Identity("w", "weights", "key", replace(facts, **changes))


def run(**facts: object) -> tuple[RunHeader, RunState]:
    given = {
        "device": "cuda:0", "weights_digest": "weights", "shell_digest": "shell",
        "architecture": "Arch", "parameters": "7600000000", "answered": 100, "replica_s": 50.0,
    } | facts  # fmt: skip
    file = FileRef("scores/000000000000.parquet", 1, "0" * 64, 1)
    commit = Commit(0, 1, 100, {"ok": 100}, (), file, given)
    state = RunState(frozenset(), MappingProxyType({}), 100, commit, True, True, {}, 1)
    return replace(HEADER, backend="transformers"), state


def test_the_roofline_is_that_of_the_reference_page(tmp_path: Path) -> None:
    """2 x 7.6e9 x 1,500 x 1.12 operations at 0.4 x 989e12 a second are 64.5 ms, and 1 ms."""
    rate = rate_of(SPEC, identity(tmp_path), GPU, [SAMPLE], "H100", [])
    assert (rate.source, rate.behaviour is None) == ("estimated", False)
    assert rate.behaviour is not None
    assert rate.behaviour.seconds_each == pytest.approx(0.0655, abs=0.0001)
    assert 1 / rate.behaviour.seconds_each == pytest.approx(15, rel=0.05)
    # 15.2 GB of weights at 2.5 GB a second after 90 s, and at 10 GB a second after one.
    assert rate.behaviour.start_s == pytest.approx(90 + 6.08)
    assert rate.behaviour.swap_s == pytest.approx(1 + 1.52)
    four = rate_of(SPEC, identity(tmp_path), Need(1.0, 4.0), [SAMPLE], "H100", []).behaviour
    assert four is not None
    assert four.seconds_each == pytest.approx(0.0645 / 4 + 0.001, abs=0.0001)


def test_an_image_counts_what_the_configuration_says(tmp_path: Path) -> None:
    """(336 / 14)^2 patches, four of which are one token: 144 tokens in the place of 1,400."""
    vision = '{"scale_factor": 2, "vision_config": {"image_size": 336, "patch_size": 14}}'
    (tmp_path / "config.json").write_text(vision)
    small = rate_of(SPEC, identity(tmp_path), Need(1.0), [SAMPLE], "", []).behaviour
    assert small is not None
    operations = 2 * 7.6e9 * (144 + 84 + 16) * 1.12
    assert small.seconds_each == pytest.approx(operations / (0.4 * 96e9))


def test_small_models_are_bound_by_what_cores_prepare(tmp_path: Path) -> None:
    """35 ms of one of four cores for an image, and a step: 9.75 ms."""
    rate = rate_of(SPEC, identity(tmp_path, 0.001), GPU, [SAMPLE], "H100", [])
    assert rate.behaviour is not None
    assert rate.behaviour.seconds_each == pytest.approx(0.035 / 4 + 0.001)


def test_what_was_measured_counts_the_closest_first(tmp_path: Path) -> None:
    other = run(weights_digest="others", replica_s=70.0, load_s=33.0, loaded_by="start")
    far = run(weights_digest="o", shell_digest="o", replica_s=90.0)
    mine = run(load_s=3.0, loaded_by="swap")
    who = identity(tmp_path)
    rate = rate_of(SPEC, who, GPU, [SAMPLE], "H100", [mine, far, other])
    assert (rate.source, rate.basis) == ("measured", "the same weights, run r1")
    assert rate.behaviour is not None
    assert rate.behaviour.seconds_each == pytest.approx(0.5)
    assert (rate.behaviour.start_s, rate.behaviour.swap_s) == (33.0, 3.0)
    assert rate_of(SPEC, who, GPU, [SAMPLE], "", [far, other]).basis.startswith("the same family")
    assert "architecture" in rate_of(SPEC, who, GPU, [SAMPLE], "", [far]).basis


@pytest.mark.parametrize(
    "other",
    [
        {"device": "cpu"},
        {"parameters": "1", "weights_digest": "o", "shell_digest": "o"},
        {"answered": 0},
        {"replica_s": None, "answering_s": None},
    ],
)
def test_what_is_of_something_else_does_not_count(tmp_path: Path, other: dict[str, Any]) -> None:
    rate = rate_of(SPEC, identity(tmp_path), GPU, [SAMPLE], "H100", [run(**other)])
    assert rate.source == "estimated"


def test_what_is_not_known_has_a_reason(tmp_path: Path) -> None:
    assert "not here" in rate_of(SPEC, None, GPU, [SAMPLE], "H100", []).basis
    nameless = rate_of(SPEC, identity(tmp_path), GPU, [SAMPLE], "", [])
    assert (nameless.source, nameless.behaviour) == ("unknown", None)
    assert "--accelerator NAME" in nameless.basis
    assert "XPU9 is not known" in rate_of(SPEC, identity(tmp_path), GPU, [], "XPU9", []).basis


def test_the_fake_backend_says_itself_how_fast_it_is() -> None:
    spec = ModelSpec(
        name="f", backend="fake", options={"latency_s": 0.4, "batch": 2, "parallel": 2, "speed": 2}
    )
    rate = rate_of(spec, None, Need(0.2), [SAMPLE], "", [])
    assert rate.behaviour is not None
    assert rate.behaviour.seconds_each == pytest.approx(0.4 / 2 / 4)


def test_bytes_of_weights(tmp_path: Path) -> None:
    assert weight_bytes(identity(tmp_path, 72.0)) == 144e9
    assert weight_bytes(Identity("w", "d", "k", None)) is None
