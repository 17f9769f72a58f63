"""Idefics3, the architecture of SmolVLM, tiny: pixel shuffle joins four patches to one token."""

from __future__ import annotations

from lens_ray.testing.tiny.parts import (
    IMAGE_SIZE,
    PATCH,
    Parts,
    byte_tokenizer,
    image_config,
    text_config,
    vision_config,
)

_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'].capitalize() + ':' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def idefics3(width: int) -> Parts:
    """Idefics3: a SigLIP-like tower, pixel shuffle, Llama."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    special = [
        "<pad>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>",
        "<global-img>",
    ]  # fmt: skip
    tokenizer = byte_tokenizer(
        special, _TEMPLATE, pad_token="<pad>", eos_token="<end_of_utterance>"
    )
    config = Idefics3Config(
        vision_config=vision_config(),
        text_config=text_config("llama", width, tokenizer),
        image_token_id=special.index("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    edge = {"longest_edge": IMAGE_SIZE}
    return Parts(
        tokenizer,
        image_config(
            "Idefics3ImageProcessor", size=edge, max_image_size=edge, do_image_splitting=False
        ),
        {
            "processor_class": "Idefics3Processor",
            "image_seq_len": (IMAGE_SIZE // PATCH) ** 2 // 4,
        },
        Idefics3ForConditionalGeneration(config),
        ends=("<end_of_utterance>",),
    )
