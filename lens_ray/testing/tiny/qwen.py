"""Qwen2.5-VL and Qwen3-VL, tiny: an image keeps its shape, and four patches become one token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lens_ray.testing.tiny.parts import Parts, byte_tokenizer, image_config, text_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
_TURNS = (
    "{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_QWEN3_TEMPLATE = "{% for message in messages %}" + _TURNS
_QWEN2_5_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}" + _TURNS
)


def qwen2_5_vl(width: int) -> Parts:
    """Qwen2.5-VL: attention in windows in one of its tower's layers, three-part positions."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = _tokenizer(_QWEN2_5_TEMPLATE)
    eighth = width // 32
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": width,
        },
        text_config=text_config(
            "qwen2_5_vl_text",
            width,
            tokenizer,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [2 * eighth, 3 * eighth, 3 * eighth],
            },
        ),
        tie_word_embeddings=True,
        **_token_ids(),
    )
    return _parts(
        tokenizer, Qwen2_5_VLForConditionalGeneration(config), 14, "Qwen2_5_VLProcessor", "Qwen2VL"
    )


def qwen3_vl(width: int) -> Parts:
    """Qwen3-VL: an early layer of the tower is also added to the language model's first layers."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = _tokenizer(_QWEN3_TEMPLATE)
    eighth = width // 32
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_heads": 2,
            "patch_size": 16,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
            "out_hidden_size": width,
        },
        text_config=text_config(
            "qwen3_vl_text",
            width,
            tokenizer,
            head_dim=width // 2,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_interleaved": True,
                "mrope_section": [4 * eighth, 2 * eighth, 2 * eighth],
            },
        ),
        tie_word_embeddings=True,
        **_token_ids(),
    )
    return _parts(
        tokenizer, Qwen3VLForConditionalGeneration(config), 16, "Qwen3VLProcessor", "Qwen3VL"
    )


def _tokenizer(template: str) -> PreTrainedTokenizerFast:
    return byte_tokenizer(_SPECIAL, template, pad_token="<|endoftext|>", eos_token="<|im_end|>")


def _token_ids() -> dict[str, Any]:
    return {
        "image_token_id": _SPECIAL.index("<|image_pad|>"),
        "video_token_id": _SPECIAL.index("<|video_pad|>"),
        "vision_start_token_id": _SPECIAL.index("<|vision_start|>"),
        "vision_end_token_id": _SPECIAL.index("<|vision_end|>"),
    }


def _parts(
    tokenizer: PreTrainedTokenizerFast, model: Any, patch: int, processor: str, video: str
) -> Parts:
    block = 2 * patch
    shape = {
        # Pixels in all, not of an edge: at least four tokens, at most sixteen.
        "size": {"shortest_edge": 4 * block**2, "longest_edge": 16 * block**2},
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    return Parts(
        tokenizer,
        image_config("Qwen2VLImageProcessor", **shape),
        {"processor_class": processor},
        model,
        ends=("<|im_end|>", "<|endoftext|>"),
        videos={"video_processor_type": f"{video}VideoProcessor", **shape},
    )
