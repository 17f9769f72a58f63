"""LLaVA 1.5 and LLaVA-OneVision, tiny.

LLaVA 1.5 crops an image to a square and takes the tower's last layer but one. OneVision cuts a
single image into tiles of the best fitting grid, and takes each of several images as one tile.
"""

from __future__ import annotations

from lens_ray.testing.tiny.parts import (
    IMAGE_SIZE,
    NESTED_TOWER,
    PATCH,
    Parts,
    byte_tokenizer,
    image_config,
    square,
    text_config,
    vision_config,
)

_LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ '\n' + part['text'] }}"
    "{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llava(width: int) -> Parts:
    """LLaVA 1.5: a CLIP tower, a projector, Llama."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    special = ["<pad>", "</s>", "<image>", "<s>"]
    tokenizer = byte_tokenizer(
        special,
        _LLAVA_TEMPLATE,
        starts_with="<s>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
    )
    config = LlavaConfig(
        vision_config=vision_config(2, model_type="clip_vision_model", projection_dim=16),
        text_config=text_config("llama", width, tokenizer),
        image_token_index=special.index("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    return Parts(
        tokenizer,
        image_config(
            "CLIPImageProcessor",
            size={"shortest_edge": IMAGE_SIZE},
            crop_size=square(),
            do_center_crop=True,
        ),
        {
            "processor_class": "LlavaProcessor",
            "patch_size": PATCH,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": "<image>",
        },
        LlavaForConditionalGeneration(config),
        ends=("</s>",),
        tower_on_disk=NESTED_TOWER,
    )


def llava_onevision(width: int) -> Parts:
    """LLaVA-OneVision: a SigLIP tower over tiles, a projector, Qwen2."""
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer = byte_tokenizer(
        special, _ONEVISION_TEMPLATE, pad_token="<|endoftext|>", eos_token="<|im_end|>"
    )
    grids = [[rows * IMAGE_SIZE, columns * IMAGE_SIZE] for rows in (1, 2) for columns in (1, 2)]
    config = LlavaOnevisionConfig(
        vision_config=vision_config(model_type="siglip_vision_model", vision_use_head=False),
        text_config=text_config("qwen2", width, tokenizer),
        image_token_index=special.index("<image>"),
        video_token_index=special.index("<video>"),
        image_grid_pinpoints=grids,
        tie_word_embeddings=True,
    )
    return Parts(
        tokenizer,
        image_config("LlavaOnevisionImageProcessor", size=square(), image_grid_pinpoints=grids),
        {
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": (IMAGE_SIZE // PATCH) ** 2,
            "vision_feature_select_strategy": "full",
            "image_token": "<image>",
            "video_token": "<video>",
        },
        LlavaOnevisionForConditionalGeneration(config),
        ends=("<|im_end|>",),
        videos={"video_processor_type": "LlavaOnevisionVideoProcessor", "size": square()},
        tower_on_disk=NESTED_TOWER,
    )
