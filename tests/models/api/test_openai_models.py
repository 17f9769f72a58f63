"""What is known of OpenAI's models by name, against published examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.models.api.adapter import EncodedImage, Question
from lens_ray.models.api.openai_models import (
    base_name,
    gives_logprobs,
    image_tokens,
    known_absent,
    prompt_tokens,
    text_tokens,
    thinks,
)
from lens_ray.models.api.options import OpenAIOptions
from lens_ray.models.protocol import Generation


def _image(width: int, height: int) -> EncodedImage:
    return EncodedImage(b"", "image/png", width, height)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o-2024-11-20", False),
        ("gpt-4.1-mini", False),
        ("gpt-5-chat-latest", False),
        ("gpt-5-mini-2025-08-07", True),
        ("gpt-5.4", True),
        ("gpt-6-astra", True),
        ("o1", True),
        ("o4-mini-2025-04-16", True),
        ("openai/gpt-5.5", True),
        ("ft:gpt-4o-mini-2024-07-18:org::id", False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", False),
        ("olmo-2", False),
    ],
)
def test_which_models_think(model: str, expected: bool) -> None:
    assert thinks(model) is expected


def test_names_without_what_routers_and_fine_tuning_add() -> None:
    assert base_name("openai/gpt-4o") == "gpt-4o"
    assert base_name("ft:gpt-4.1-2025-04-14:org:name:id") == "gpt-4.1-2025-04-14"
    assert base_name("ft:odd") == "ft:odd"


def test_the_responses_interface_has_no_seed_and_no_stop() -> None:
    assert known_absent("gpt-4o") == {"seed", "stop"}
    assert known_absent("gpt-4o", OpenAIOptions(api="chat")) == frozenset()
    assert known_absent("Qwen2.5-VL", OpenAIOptions(api="chat")) == frozenset()


def test_models_that_think_take_no_temperature() -> None:
    chat = OpenAIOptions(api="chat")
    assert known_absent("o3", chat) == {"temperature", "top_p", "stop"}
    assert known_absent("gpt-5.4") == {"temperature", "top_p", "stop", "seed"}
    idle = OpenAIOptions(api="chat", reasoning_effort="none")
    assert known_absent("gpt-5.1-2025-11-13", idle) == {"stop"}
    assert known_absent("gpt-5-mini", idle) == {"temperature", "top_p", "stop"}
    assert known_absent("gpt-6-sol", idle) == {"temperature", "top_p", "stop"}


def test_logprobs_are_asked_of_models_that_are_known_to_give_them() -> None:
    assert gives_logprobs("gpt-4o-2024-11-20")
    assert gives_logprobs("openai/gpt-4.1-mini")
    assert not gives_logprobs("gpt-5.4")
    assert not gives_logprobs("gpt-4o-audio-preview")
    assert not gives_logprobs("Qwen2.5-VL")


# The guide "Images and vision" computes the first six; the rest is a public table of image tokens
# (huggingface.co/datasets/JOHNISKING/image-token-cost), and two figures that users were billed.
@pytest.mark.parametrize(
    ("model", "detail", "width", "height", "tokens"),
    [
        ("gpt-4o", "high", 1024, 1024, 765),
        ("gpt-4o", "auto", 2048, 4096, 1105),
        ("gpt-4o", "low", 4096, 8192, 85),
        ("gpt-4.1-mini-2025-04-14", "high", 1024, 1024, 1659),  # 1024 patches at 1.62
        ("gpt-4.1-mini-2025-04-14", "high", 1800, 2400, 2353),  # 1452 patches at 1.62
        ("o4-mini", "auto", 1800, 2400, 2498),  # 1452 patches at 1.72
        ("gpt-6-astra", "auto", 256, 256, 77),
        ("gpt-6-astra", "auto", 768, 768, 692),
        ("gpt-6-astra", "auto", 1280, 720, 1104),
        ("gpt-6-astra", "auto", 1920, 1080, 2448),
        ("gpt-6-astra", "high", 2560, 1440, 2931),
        ("gpt-6-astra", "high", 4032, 3024, 2942),
        ("gpt-6-astra", "auto", 4032, 3024, 14_364),
        ("gpt-5.5", "auto", 4032, 3024, 11_868),
        ("gpt-5.5", "auto", 3840, 2160, 9792),
        ("o3-2025-04-16", "high", 128, 64, 225),
        ("gpt-4.1-nano", "auto", 128, 64, 20),  # 8 patches at 2.46
    ],
)
def test_image_tokens(model: str, detail: str, width: int, height: int, tokens: int) -> None:
    assert image_tokens(model, detail, _image(width, height)) == tokens


def test_an_image_in_low_detail_fits_512_pixels() -> None:
    # 512 x 384 are 16 x 12 patches, at 1.2.
    assert image_tokens("gpt-6-astra", "low", _image(640, 480)) == 231


def test_a_model_that_is_not_known_is_not_taken_for_a_cheap_one() -> None:
    assert image_tokens("Qwen/Qwen2.5-VL-7B", "auto", _image(64, 64)) == 576
    assert image_tokens("Qwen/Qwen2.5-VL-7B", "auto", _image(1400, 1400)) == 2500


@given(
    st.sampled_from(["gpt-4o", "gpt-4.1-mini", "gpt-5.2", "gpt-5.5", "gpt-6-astra", "o3", "llava"]),
    st.sampled_from(["auto", "low", "high"]),
    st.integers(1, 20_000),
    st.integers(1, 20_000),
)
def test_every_image_has_some_tokens(model: str, detail: str, width: int, height: int) -> None:
    assert image_tokens(model, detail, _image(width, height)) >= 1


KNOWN = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-5.4",
    "gpt-5.4-nano",
    "gpt-5.5",
    "gpt-5.6-sol",
    "gpt-6-astra",
    "o1",
    "o3-pro",
    "o4-mini",
]


@given(
    st.sampled_from(KNOWN),
    st.sampled_from(["auto", "low", "high"]),
    st.integers(1, 16_000),
    st.integers(1, 16_000),
)
def test_the_scripted_server_reads_the_same_rules(
    model: str, detail: str, width: int, height: int
) -> None:
    pytest.importorskip("aiohttp")
    from lens_ray.testing.provider.openai_images import image_tokens as counted
    from lens_ray.testing.provider.wire import Picture

    picture = Picture("", 1, width, height, detail, b"")
    assert counted(model, picture) == image_tokens(model, detail, _image(width, height))


def test_text_tokens() -> None:
    assert text_tokens("") == 0
    assert text_tokens("cat") == 1
    assert text_tokens("the cat") == 2
    assert text_tokens("12345") == 2
    assert text_tokens("1 2 3") == 5  # a number takes no space along
    assert text_tokens("a\n\nb") == 3
    assert text_tokens("extraordinary") == 4
    assert text_tokens("(A)") == 3


@given(st.text(max_size=60), st.text(max_size=60))
def test_text_tokens_grow_with_the_text(first: str, second: str) -> None:
    both = text_tokens(first + second)
    assert both >= max(text_tokens(first), text_tokens(second)) - 1
    assert both <= 3 * len((first + second).encode("utf-8", "surrogatepass"))


def test_a_question_counts_text_images_and_system_prompt() -> None:
    alone = Question("q", "cat", (), Generation())
    shown = Question("q", "cat", (_image(1024, 1024), _image(1024, 1024)), Generation())
    options = OpenAIOptions()
    assert prompt_tokens("gpt-4o", options, shown) - prompt_tokens("gpt-4o", options, alone) == (
        2 * 765
    )
    told = OpenAIOptions(system_prompt="be short")
    assert prompt_tokens("gpt-4o", told, alone) > prompt_tokens("gpt-4o", options, alone)
