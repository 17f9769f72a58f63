"""InternVL 3, tiny: an image becomes up to four tiles and a thumbnail of them."""

from __future__ import annotations

from lens_ray.testing.tiny.parts import (
    IMAGE_SIZE,
    PATCH,
    Parts,
    byte_tokenizer,
    image_config,
    square,
    text_config,
    vision_config,
)

_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def internvl(width: int) -> Parts:
    """InternVL 3: InternViT over tiles, pixel shuffle, Qwen2."""
    from transformers import InternVLConfig, InternVLForConditionalGeneration

    special = [
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>",
        "<video>",
    ]  # fmt: skip
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = byte_tokenizer(
        special, _TEMPLATE, named=named, pad_token="<|endoftext|>", eos_token="<|im_end|>"
    )
    tokens = (IMAGE_SIZE // PATCH) ** 2 // 4
    config = InternVLConfig(
        vision_config=vision_config(attention_bias=True),
        text_config=text_config("qwen2", width, tokenizer),
        image_token_id=special.index("<IMG_CONTEXT>"),
        image_seq_length=tokens,
        downsample_ratio=0.5,
        tie_word_embeddings=True,
    )
    return Parts(
        tokenizer,
        image_config(
            "GotOcr2ImageProcessor",
            size=square(),
            crop_to_patches=True,
            min_patches=1,
            max_patches=4,
        ),
        {"processor_class": "InternVLProcessor", "image_seq_length": tokens},
        InternVLForConditionalGeneration(config),
        ends=("<|im_end|>",),
        videos={"video_processor_type": "InternVLVideoProcessor", "size": square()},
    )
