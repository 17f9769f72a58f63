"""The backend ``vllm`` with a real engine on CPU and the shipped checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from lens_ray.errors import CheckpointError
from lens_ray.models import Generation
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.resolve import resolve
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.testing.processes import descendants
from tests.models.helpers import png
from tests.vllm.hosts import Host, requests_of, texts

# vLLM and what it imports warn of their own deprecations.
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

A = [
    f"builtin:minivlm-a/step-{step:04d}"
    for step in (500, 3000, 4500, 6000, 6900, 8700, 9000, 9300, 9600)
]
B = [f"builtin:minivlm-b/step-{step:04d}" for step in (3000, 5000, 6950)]
#: Samples that swaps are compared on: all abilities, formats, and numbers of images.
PART = 120


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


@pytest.fixture(scope="module")
def a() -> Iterator[Host]:
    host = Host(A[-1])
    yield host
    host.close()


def version(path: str) -> str:
    return inspect_checkpoint(resolve(path)).weights_digest


@pytest.fixture
def last_of_a(a: Host) -> Host:
    """The engine with the weights that it was started with."""
    if a.backend._facts.weights_digest != version(A[-1]):
        a.load(A[-1], version(A[-1]))
    return a


def test_what_it_says_of_itself(a: Host) -> None:
    assert a.info.batch == 1
    assert 1.1 * 32 <= a.info.parallel <= 1.5 * 32
    assert a.info.can_load_weights
    facts = a.info.facts
    assert facts["dtype"] == "float32"
    assert facts["determinism"] == "off"
    assert facts["max_num_seqs"] == "32"
    assert len(facts["engine_arguments"]) == 16
    assert facts["weights_digest"] == version(A[-1])
    assert not [pid for pid in descendants(os.getpid()) if b"VLLM::Worker" in title(pid)]


def test_the_same_answers_as_transformers(last_of_a: Host, suite: Suite) -> None:
    requests = requests_of(suite, last_of_a.spec)
    other = Host(A[-1], "transformers")
    try:
        expected = other.ask(requests)
    finally:
        other.close()
    found = last_of_a.ask(requests)
    assert all(one.weight_version == version(A[-1]) for one in found.values())
    same = sum(texts(found)[name] == text for name, text in texts(expected).items())
    assert same / len(expected) >= 0.99
    assert all(found[name].tokens_in == one.tokens_in for name, one in expected.items())
    assert (
        max(
            abs((found[name].confidence or 0) - (one.confidence or 0))
            for name, one in expected.items()
            if texts(found)[name] == texts(expected)[name]
        )
        < 1e-3
    )


def test_the_same_tokens_and_pixels_as_transformers(last_of_a: Host, suite: Suite) -> None:
    import torch

    from lens_ray.models.hosted_model import HostedModel
    from lens_ray.models.spec import TransformersOptions

    facts = inspect_checkpoint(resolve(A[-1]))
    hosted = HostedModel(facts, TransformersOptions())
    chosen = [one for one in requests_of(suite, last_of_a.spec) if len(one.images) != 1][:4]
    chosen += [one for one in requests_of(suite, last_of_a.spec) if len(one.images) == 1][:4]
    engine = last_of_a.backend._engine
    for request in chosen:
        (batch,) = hosted.prepare([request]).batches
        prompt, bare = last_of_a.backend._prompt(request)
        kwargs = {"add_special_tokens": False} if bare else {}
        # Or the cache of images would say that the engine has these pixels already.
        last_of_a.run(engine.reset_mm_cache())
        (made,) = engine.renderer.render_cmpl([prompt], _tokenizing(engine, kwargs))
        assert list(made["prompt_token_ids"]) == batch.inputs["input_ids"][0].tolist()
        if request.images:
            items = made["mm_kwargs"]["image"]
            pixels = torch.cat([item["pixel_values"].data for item in items])
            assert torch.equal(pixels, batch.inputs["pixel_values"][0])
    last_of_a.run(engine.reset_mm_cache())


def _tokenizing(engine: Any, kwargs: dict[str, Any]) -> Any:
    return engine.renderer.default_cmpl_tok_params.with_kwargs(**kwargs)


def test_how_answers_end(last_of_a: Host, suite: Suite) -> None:
    (request,) = requests_of(suite, last_of_a.spec, 1)
    whole = last_of_a.ask([request])[request.request_id]
    assert whole.finish_reason == "stop"
    assert (whole.tokens_out or 0) >= 2
    cut = replace(request, generation=Generation(max_new_tokens=1))
    assert last_of_a.ask([cut])[request.request_id].finish_reason == "length"
    assert last_of_a.ask([cut])[request.request_id].tokens_out == 1
    end = whole.text.strip()[-1]
    stopped = replace(request, generation=Generation(max_new_tokens=8, stop=(end,)))
    answer = last_of_a.ask([stopped])[request.request_id]
    assert (answer.text, answer.finish_reason) == (whole.text[: whole.text.index(end)], "stop")


def test_sampling_is_repeated_by_its_seed(last_of_a: Host, suite: Suite) -> None:
    hot = Generation(max_new_tokens=8, temperature=1.5, top_p=0.9, seed=3)
    requests = [replace(one, generation=hot) for one in requests_of(suite, last_of_a.spec, 24)]
    first, again = last_of_a.ask(requests), last_of_a.ask(requests[::-1])
    assert texts(first) == texts(again)
    other = [replace(one, generation=replace(hot, seed=4)) for one in requests]
    assert texts(last_of_a.ask(other)) != texts(first)


def test_a_request_at_fault_fails_alone(last_of_a: Host, suite: Suite) -> None:
    good, broken, long, many = requests_of(suite, last_of_a.spec, 4)
    broken = replace(broken, images=(b"no image",))
    long = replace(long, text="word " * 2000)
    many = replace(many, images=tuple(png(n) for n in range(5)))
    found = last_of_a.ask([broken, good, long, many])
    assert found[good.request_id].error is None
    assert "image" in str(found[broken.request_id].error)
    assert "512" in str(found[long.request_id].error)
    assert "4" in str(found[many.request_id].error)
    assert {found[one.request_id].finish_reason for one in (broken, long, many)} == {"error"}


def test_there_and_back_over_all_of_a_family(last_of_a: Host, suite: Suite) -> None:
    requests = requests_of(suite, last_of_a.spec, PART)
    forth = {A[-1]: texts(last_of_a.ask(requests))}
    for path in A[-2::-1]:
        last_of_a.load(path, version(path))
        answers = last_of_a.ask(requests)
        assert {one.weight_version for one in answers.values()} == {version(path)}
        forth[path] = texts(answers)
    cold = Host(A[0])
    try:
        assert texts(cold.ask(requests)) == forth[A[0]]
    finally:
        cold.close()
    for path in A[1:]:
        last_of_a.load(path, version(path))
        assert texts(last_of_a.ask(requests)) == forth[path], path
    assert len({json.dumps(sorted(answers.items())) for answers in forth.values()}) == len(A)


def test_what_is_no_swap_is_refused_and_changes_nothing(
    last_of_a: Host, suite: Suite, tmp_path: Path
) -> None:
    requests = requests_of(suite, last_of_a.spec, 12)
    before = texts(last_of_a.ask(requests))
    for name in ("chat_template.jinja", "tokenizer.json", "missing"):
        folder = tmp_path / name
        shutil.copytree(resolve(A[0]), folder)
        if name == "missing":
            _drop_a_tensor(folder)
        else:
            _change(folder / name)
        with pytest.raises(CheckpointError, match=r"without a restart: .*(differs|is missing)"):
            last_of_a.load(str(folder), "other")
        assert texts(last_of_a.ask(requests)) == before
    with pytest.raises(CheckpointError, match="without a restart"):
        last_of_a.load(B[0], version(B[0]))


def _change(path: Path) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "other": 1}))
    else:
        path.write_text(path.read_text() + "{# other #}")


def _drop_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in list(file.keys())[1:]}
    save_file(tensors, path, metadata={"format": "pt"})


def test_the_other_family_and_its_engines_death(suite: Suite) -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    host = Host(B[-1])
    try:
        requests = requests_of(suite, host.spec, PART)
        last = texts(host.ask(requests))
        for path in B[-2::-1]:
            host.load(path, version(path))
        swapped = texts(host.ask(requests))
        other = Host(B[0], "transformers")
        expected = texts(other.ask(requests))
        other.close()
        same = sum(swapped[name] == text for name, text in expected.items())
        assert same / len(expected) >= 0.99
        host.load(B[-1], version(B[-1]))
        assert texts(host.ask(requests)) == last
        cores = [pid for pid in descendants(os.getpid()) if b"EngineCore" in title(pid)]
        os.kill(max(cores), signal.SIGKILL)
        with pytest.raises(EngineDeadError):
            host.ask(requests)
    finally:
        host.close()


def title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
