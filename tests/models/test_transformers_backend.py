from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.models import Backend, Generation, create_backend
from lens_ray.models.transformers_backend import TransformersBackend
from lens_ray.testing.tiny_checkpoint import FAMILIES
from tests.models.helpers import answers, ask, bare_loop, png, request, spec

Make = Callable[..., Path]
#: Of PaliGemma's processor in transformers 5.19, at every call.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_a_bare_loop_at_any_batch_size(tiny: Make, family: str) -> None:
    folder = tiny(family)
    requests = [request(number) for number in range(24)]
    expected = bare_loop(folder, requests)
    assert len({text for text, *_ in expected.values()}) > 6  # the images matter
    for batch_size in (1, 5, 64):
        found = answers(folder, requests, batch_size=batch_size)
        assert found.keys() == expected.keys()
        for name, (text, probability, tokens_in, tokens_out) in expected.items():
            completion = found[name]
            assert completion.text == text
            assert completion.confidence == pytest.approx(probability, rel=1e-3)
            assert (completion.tokens_in, completion.tokens_out) == (tokens_in, tokens_out)
            assert completion.error is None
            assert completion.latency_s > 0


def test_finish_reason_says_who_ended_the_answer(tiny: Make) -> None:
    requests = [request(number, generation=Generation(max_new_tokens=12)) for number in range(40)]
    found = answers(tiny(), requests)
    reasons = {completion.finish_reason for completion in found.values()}
    assert reasons == {"stop", "length"}
    for completion in found.values():
        if completion.finish_reason == "length":
            assert completion.tokens_out == 12


def test_each_request_keeps_its_own_limit_within_a_batch(tiny: Make) -> None:
    limits = [1, 9, 2, 5]
    requests = [
        request(n, images=(png(n),), generation=Generation(max_new_tokens=limit))
        for n, limit in enumerate(limits)
    ]
    found = answers(tiny(), requests, batch_size=4)
    long = answers(
        tiny(),
        [request(n, images=(png(n),), generation=Generation(max_new_tokens=9)) for n in range(4)],
    )
    for one, limit in zip(requests, limits, strict=True):
        tokens_out = found[one.request_id].tokens_out
        assert tokens_out is not None
        assert tokens_out <= limit
        assert long[one.request_id].text.startswith(found[one.request_id].text.rstrip("�"))


def test_order_of_images_matters_and_both_are_seen(tiny: Make) -> None:
    a, b, c = png(1), png(2), png(3)
    pairs = {"ab": (a, b), "ba": (b, a), "ac": (a, c), "a": (a,)}
    requests = [
        request(0, request_id=name, images=images, generation=Generation(max_new_tokens=8))
        for name, images in pairs.items()
    ]
    found = answers(tiny(), requests)
    assert len({completion.text for completion in found.values()}) == len(pairs)
    assert found["ab"].tokens_in == found["ba"].tokens_in
    assert (found["ab"].tokens_in or 0) > (found["a"].tokens_in or 0)


def test_requests_without_image_are_answered_beside_others(tiny: Make) -> None:
    requests = [request(0), request(1, images=()), request(2)]
    found = answers(tiny(), requests)
    alone = answers(tiny(), [requests[1]])
    assert found["r001"].text == alone["r001"].text
    assert found["r001"].error is None


@pytest.mark.parametrize(
    ("images", "cause"),
    [
        ((b"no image",), "cannot be decoded"),
        ((png(1)[: len(png(1)) // 2],), "cannot be decoded"),
        ((b"",), "cannot be decoded"),
        ((b"GIF89a" + bytes(64),), "cannot be decoded"),
    ],
)
def test_a_bad_image_fails_alone(tiny: Make, images: tuple[bytes, ...], cause: str) -> None:
    good = [request(0), request(1), request(2)]
    found = answers(tiny(), [*good[:2], request(9, images=images), good[2]])
    assert found["r009"].finish_reason == "error"
    assert cause in (found["r009"].error or "")
    assert "\n" not in (found["r009"].error or "")
    calm = answers(tiny(), good)
    for one in good:
        assert found[one.request_id].text == calm[one.request_id].text
        assert found[one.request_id].weight_version != ""


def test_a_text_that_forges_image_marks_is_only_a_text(tiny: Make) -> None:
    forged = request(1, text="<image> <image> <image> what is this?")
    found = answers(tiny(), [request(0), forged])
    assert {one.error for one in found.values()} == {None}
    assert found["r000"].text == answers(tiny(), [request(0), request(1)])["r000"].text


@pytest.mark.parametrize("text", ["\ud800 lone", "nul \0 here", "<end_of_utterance>", "é" * 300])
def test_odd_texts_end_in_a_completion(tiny: Make, text: str) -> None:
    found = answers(tiny(), [request(0), request(1, text=text)])
    assert found["r000"].error is None
    assert found["r001"].request_id == "r001"
    assert "\n" not in (found["r001"].error or "")


def test_a_processor_that_cannot_batch_is_used_one_by_one(tiny: Make) -> None:
    requests = [request(number) for number in range(6)]
    calm = answers(tiny(), requests)

    async def run() -> None:
        backend = _started(tiny())
        await backend.start()
        assert backend._model is not None
        real = backend._model.processor

        class Single:
            tokenizer, apply_chat_template = real.tokenizer, real.apply_chat_template

            def __call__(self, text: list[str], **given: Any) -> Any:
                if len(text) > 1:
                    raise ValueError("images of different sizes cannot be stacked")
                return real(text=text, **given)

        backend._model.processor = Single()
        found = await ask(backend, requests)
        assert {k: c.text for k, c in found.items()} == {k: c.text for k, c in calm.items()}
        await backend.close()

    asyncio.run(run())


def test_a_prompt_over_the_context_fails_alone(tiny: Make) -> None:
    found = answers(tiny(), [request(0), request(1, text="x" * 3000)])
    assert "context of 2048" in (found["r001"].error or "")
    assert found["r000"].error is None


def _started(folder: Path, **options: Any) -> TransformersBackend:
    backend = create_backend(spec(folder, **options), str(folder))
    assert isinstance(backend, TransformersBackend)
    return backend


def _raising_above(backend: TransformersBackend, size: int, error: Exception) -> list[int]:
    """Make ``generate`` of the live model raise for batches over `size`; returns sizes seen."""
    assert backend._model is not None
    real, seen = backend._model.model.generate, []

    def generate(**inputs: Any) -> Any:
        rows = int(inputs["input_ids"].shape[0])
        seen.append(rows)
        if rows > size:
            raise error
        return real(**inputs)

    backend._model.model.generate = generate
    return seen


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"
        ),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_batch_and_goes_on(tiny: Make, error: Exception) -> None:
    requests = [request(number, images=(png(number),)) for number in range(9)]
    calm = answers(tiny(), requests)

    async def run() -> list[int]:
        backend = _started(tiny())
        await backend.start()
        seen = _raising_above(backend, 2, error)
        found = await ask(backend, requests)
        assert {name: c.text for name, c in found.items()} == {
            name: c.text for name, c in calm.items()
        }
        await backend.close()
        return seen

    seen = asyncio.run(run())
    assert seen[0] == 9
    assert max(seen[1:]) == 5
    assert sum(size for size in seen if size <= 2) == 9


def test_out_of_memory_alone_is_an_error_of_that_request(tiny: Make) -> None:
    async def run() -> None:
        backend = _started(tiny())
        await backend.start()
        _raising_above(backend, 0, torch.OutOfMemoryError("CUDA out of memory"))
        found = await ask(backend, [request(0), request(2)])
        for completion in found.values():
            assert completion.finish_reason == "error"
            assert "alone in its batch" in (completion.error or "")
            assert "out of memory" in (completion.error or "")
            assert completion.confidence is None
        await backend.close()

    asyncio.run(run())


def test_a_broken_device_is_not_blamed_on_requests(tiny: Make) -> None:
    async def run() -> None:
        backend = _started(tiny())
        await backend.start()
        _raising_above(backend, 0, RuntimeError("CUDA error: device-side assert triggered"))
        with pytest.raises(RuntimeError, match="device-side assert"):
            await ask(backend, [request(0), request(2)])
        await backend.close()

    asyncio.run(run())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_swap_equals_a_cold_start_there_and_back(tiny: Make, family: str) -> None:
    requests = [request(number) for number in range(10)]
    one, two = tiny(family, 0), tiny(family, 1)
    cold = {folder: answers(folder, requests) for folder in (one, two)}
    texts = {folder: {k: c.text for k, c in found.items()} for folder, found in cold.items()}
    assert texts[one] != texts[two]

    async def run() -> None:
        backend = _started(one)
        info = await backend.start()
        assert info.can_load_weights
        first = await ask(backend, requests)
        assert {c.weight_version for c in first.values()} == {info.facts["weights_digest"]}
        for folder, version in ((two, "v2"), (one, "v1"), (two, "v2 again")):
            await backend.load_weights(str(folder), version)
            found = await ask(backend, requests)
            assert {k: c.text for k, c in found.items()} == texts[folder]
            assert {k: c.confidence for k, c in found.items()} == {
                k: c.confidence for k, c in cold[folder].items()
            }
            assert {c.weight_version for c in found.values()} == {version}
        await backend.close()

    asyncio.run(run())


def test_a_swap_waits_for_the_batch_in_flight(tiny: Make) -> None:
    """No completion carries a version that its tokens do not come from."""
    requests = [request(number) for number in range(12)]
    expected = {
        version: {k: c.text for k, c in answers(tiny("idefics3", seed), requests).items()}
        for version, seed in (("old", 0), ("new", 1))
    }

    async def run() -> None:
        backend = _started(tiny("idefics3", 0), batch_size=2)
        await backend.start()
        await backend.load_weights(str(tiny("idefics3", 0)), "old")
        asking = asyncio.create_task(ask(backend, requests))
        await asyncio.sleep(0)
        swap = asyncio.create_task(backend.load_weights(str(tiny("idefics3", 1)), "new"))
        found = await asking
        await swap
        assert {c.weight_version for c in found.values()} <= {"old", "new"}
        assert "new" in {c.weight_version for c in found.values()}
        for name, completion in found.items():
            assert completion.text == expected[completion.weight_version][name]
        await backend.close()

    asyncio.run(run())


def test_a_refused_swap_keeps_the_old_weights(tiny: Make, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny("idefics3", 1), other)
    config = json.loads((other / "config.json").read_text())
    config["text_config"]["rope_theta"] = 77.0
    (other / "config.json").write_text(json.dumps(config))
    requests = [request(number) for number in range(4)]

    async def run() -> None:
        backend = _started(tiny())
        info = await backend.start()
        before = await ask(backend, requests)
        with pytest.raises(CheckpointError, match=r"config\.json differs"):
            await backend.load_weights(str(other), "v2")
        with pytest.raises(CheckpointError, match="differs"):
            await backend.load_weights(str(tiny("llava")), "v3")
        after = await ask(backend, requests)
        assert {k: c.text for k, c in after.items()} == {k: c.text for k, c in before.items()}
        versions = {c.weight_version for c in after.values()}
        assert versions == {info.facts["weights_digest"]}
        await backend.close()

    asyncio.run(run())


def _changed(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(source, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def _start_error(folder: Path, kind: type[Exception] = CheckpointError, **options: Any) -> str:
    async def run() -> str:
        backend: Backend = create_backend(spec(folder, **options), str(folder))
        with pytest.raises(kind) as caught:
            await backend.start()
        await backend.close()
        return str(caught.value)

    message = asyncio.run(run())
    assert "\n" not in message
    assert str(folder) in message or kind is EnvironmentFailure
    return message


def test_missing_weights_are_not_made_up(tiny: Make, tmp_path: Path) -> None:
    name = sorted(load_file(tiny() / "model.safetensors"))[0]
    folder = _changed(tiny(), tmp_path / "less", lambda tensors: tensors.pop(name))
    assert "1 weights are missing" in _start_error(folder)


def test_weights_of_another_shape_are_refused(tiny: Make, tmp_path: Path) -> None:
    def cut(tensors: dict[str, Any]) -> None:
        name = next(n for n in sorted(tensors) if tensors[n].ndim == 2)
        tensors[name] = tensors[name][:-1].contiguous()

    _start_error(_changed(tiny(), tmp_path / "cut", cut))


def test_weights_with_nan_are_refused(tiny: Make, tmp_path: Path) -> None:
    def spoil(tensors: dict[str, Any]) -> None:
        tensors[sorted(tensors)[0]].view(-1)[0] = math.nan

    assert "holds NaN" in _start_error(_changed(tiny(), tmp_path / "nan", spoil))


def test_an_unknown_architecture_is_one_line(tiny: Make, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny(), folder)
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "nonesuch"
    (folder / "config.json").write_text(json.dumps(config))
    assert "cannot load it" in _start_error(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0]['content'][-1]['text'] }}",
        "{% for",
        "{{ raise_exception('not for you') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    ],
)
def test_a_template_that_cannot_ask_is_found_at_the_start(
    tiny: Make, tmp_path: Path, template: str
) -> None:
    folder = tmp_path / "template"
    shutil.copytree(tiny(), folder)
    (folder / "chat_template.jinja").write_text(template)
    assert "a first question fails" in _start_error(folder)


def test_a_tokenizer_of_another_model_is_found_at_the_start(tiny: Make, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(tiny(), folder)
    for path in tiny("llava").glob("tokenizer*"):
        shutil.copy(path, folder)
    assert "an image is token 2 to the processor and 3 to config.json" in _start_error(folder)


def test_bfloat16_on_a_cpu_when_asked(tiny: Make) -> None:
    async def run() -> None:
        backend = _started(tiny(), dtype="bfloat16")
        info = await backend.start()
        assert info.facts["dtype"] == "bfloat16"
        found = await ask(backend, [request(0), request(1)])
        assert all(c.error is None for c in found.values())
        await backend.close()
        await backend.close()

    asyncio.run(run())


def test_a_gpu_that_is_not_there_is_the_environments_fault(tiny: Make) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "no GPU" in _start_error(tiny(), EnvironmentFailure, device="cuda")


def test_facts_of_a_started_backend(tiny: Make) -> None:
    async def run() -> None:
        backend = _started(tiny(), batch_size=3)
        info = await backend.start()
        assert isinstance(backend, Backend)
        assert (info.name, info.batch) == ("transformers", 3)
        assert info.facts["dtype"] == "float32"  # on a CPU, whatever the file holds
        assert info.facts["device"] == "cpu"
        assert info.facts["threads"] == "1"
        assert info.facts["architecture"] == "Idefics3ForConditionalGeneration"
        assert torch.get_num_threads() == 1
        await backend.close()
        plain = _started(tiny())
        assert (await plain.start()).batch == 32
        await plain.close()
        with pytest.raises(CheckpointError, match="not loaded"):
            await ask(backend, [request(0)])

    asyncio.run(run())


def test_sampling_is_seeded_and_independent_of_the_batch(tiny: Make) -> None:
    def drawn(seed: int | None, batch_size: int, temperature: float = 1.0) -> dict[str, str]:
        generation = Generation(max_new_tokens=6, temperature=temperature, seed=seed, top_p=0.9)
        requests = [request(n, generation=generation) for n in range(8)]
        found = answers(tiny(), requests, batch_size=batch_size)
        for completion in found.values():
            assert 0 < (completion.confidence or 0) <= 1
        return {name: completion.text for name, completion in found.items()}

    assert drawn(1, 8) == drawn(1, 3)
    assert drawn(1, 8) != drawn(2, 8)
    greedy = [request(n, generation=Generation(max_new_tokens=6)) for n in range(8)]
    cold = {name: c.text for name, c in answers(tiny(), greedy).items()}
    assert drawn(5, 8, temperature=1e-4) == cold


def test_a_stop_text_ends_the_answer_before_itself(tiny: Make) -> None:
    plain = [request(n, generation=Generation(max_new_tokens=12)) for n in range(8)]
    free = {name: c.text for name, c in answers(tiny(), plain).items()}
    stop = next(text[3] for text in free.values() if len(text) > 6 and text[3].isascii())
    ended = [request(n, generation=Generation(max_new_tokens=12, stop=(stop,))) for n in range(8)]
    found = answers(tiny(), ended)
    assert any(stop in text for text in free.values())
    for name, text in free.items():
        if stop in text:
            assert found[name].text == text.split(stop)[0]
            assert found[name].finish_reason == "stop"
        else:
            assert found[name].text == text


def test_a_large_image_is_scaled_down_and_answered(tiny: Make) -> None:
    found = answers(tiny(), [request(0, images=(png(1, 400, 300),))], max_pixels=10_000)
    assert found["r000"].error is None
