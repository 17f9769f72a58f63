"""Gemma 3 and PaliGemma, tiny.

In both, the tokens of an image see each other in both directions; in PaliGemma the whole prompt
does. PaliGemma has no chat: its template is the image followed by the text.
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

#: Gemma's vocabulary has one token for each run of line ends, and vLLM counts on it.
_LINES = ["\n", "\n\n", "\n\n\n", "\n\n\n\n"]
_ROLES = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + message['role'].replace('assistant', 'model') + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<start_of_image>' }}{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_PALIGEMMA_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def gemma3(width: int) -> Parts:
    """Gemma 3: a SigLIP tower whose patches are averaged, one local and one global layer."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    special = [
        "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
        "<end_of_image>", "<image_soft_token>",
    ]  # fmt: skip
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = byte_tokenizer(
        special, _TEMPLATE, plain=_LINES, named=named, starts_with="<bos>", **_ROLES
    )
    tokens = (IMAGE_SIZE // PATCH) ** 2 // 4
    config = Gemma3Config(
        vision_config=vision_config(vision_use_head=False),
        text_config=text_config(
            "gemma3_text",
            width,
            tokenizer,
            head_dim=width // 2,
            query_pre_attn_scalar=width // 2,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=tokens,
        boi_token_index=special.index("<start_of_image>"),
        eoi_token_index=special.index("<end_of_image>"),
        image_token_index=special.index("<image_soft_token>"),
        tie_word_embeddings=True,
    )
    return Parts(
        tokenizer,
        image_config("Gemma3ImageProcessor", size=square(), image_seq_length=tokens),
        {"processor_class": "Gemma3Processor", "image_seq_length": tokens},
        Gemma3ForConditionalGeneration(config),
        ends=("<end_of_turn>", "<eos>"),
        embedding_scale=width**-0.5,
        tower_on_disk=NESTED_TOWER,
    )


def paligemma(width: int) -> Parts:
    """PaliGemma: a SigLIP tower, a projector, Gemma with the prompt as prefix."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    special = ["<pad>", "<eos>", "<bos>", "<image>"]
    places = [f"<loc{number:04d}>" for number in range(1024)]
    segments = [f"<seg{number:03d}>" for number in range(128)]
    tokenizer = byte_tokenizer(
        special,
        _PALIGEMMA_TEMPLATE,
        plain=[*_LINES, *places, *segments],
        named={"image_token": "<image>"},
        starts_with="<bos>",
        **_ROLES,
    )
    patches = (IMAGE_SIZE // PATCH) ** 2
    config = PaliGemmaConfig(
        vision_config=vision_config(model_type="siglip_vision_model", vision_use_head=False),
        text_config=text_config("gemma", width, tokenizer, head_dim=width // 2),
        image_token_index=special.index("<image>"),
        projection_dim=width,
        hidden_size=width,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
    )
    return Parts(
        tokenizer,
        image_config("SiglipImageProcessor", size=square(), image_seq_length=patches),
        {"processor_class": "PaliGemmaProcessor"},
        PaliGemmaForConditionalGeneration(config),
        ends=("<eos>",),
        embedding_scale=width**-0.5,
        tower_on_disk=NESTED_TOWER,
    )
