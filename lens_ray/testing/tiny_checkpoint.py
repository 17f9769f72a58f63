"""A real vision-language checkpoint of some 50 KB with random weights: `make_tiny_checkpoint`.

Stock transformers architecture, processor, byte-level tokenizer and chat template, all made in
code. Its answers mean nothing; they are the same on every machine for the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin

FAMILIES: tuple[str, ...] = ("idefics3", "llava")
IMAGE_SIZE = 64
_PATCH = 16

_IDEFICS3_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'].capitalize() + ':' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def make_tiny_checkpoint(
    folder: str | Path,
    family: str = "idefics3",
    seed: int = 0,
    *,
    dtype: str = "bfloat16",
    width: int = 32,
) -> str:
    """Write a tiny checkpoint with random weights.

    Args:
        folder: Made where missing.
        family: One of `FAMILIES`.
        seed: Of the weights; nothing else depends on it.
        dtype: Type of the weights on disk.
        width: Hidden size of the language model, a multiple of 16.

    Returns:
        The folder.
    """
    import torch

    if family not in FAMILIES:
        raise ValueError(f"family is one of {', '.join(FAMILIES)}, not {family!r}")
    with _quiet():
        processor, model = (_idefics3 if family == "idefics3" else _llava)(width)
        eos = processor.tokenizer.eos_token_id
        _randomise(model, seed, eos)
        model.generation_config.eos_token_id = eos
        model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
        model.to(getattr(torch, dtype)).save_pretrained(str(folder))
        processor.save_pretrained(str(folder))
    return str(folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings about its own defaults, and the bar for one file."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def save_sharded(folder: str | Path, shards: int = 2) -> None:
    """Split the weights of a tiny checkpoint over several files with an index."""
    from safetensors.torch import load_file, save_file

    root = Path(folder)
    tensors = load_file(root / "model.safetensors")
    names = sorted(tensors)
    where: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        held = names[shard::shards]
        save_file({name: tensors[name] for name in held}, root / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(held, file))
    index = {"metadata": {}, "weight_map": where}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    (root / "model.safetensors").unlink()


def _tokenizer(special: list[str], template: str, **named: str) -> PreTrainedTokenizerFast:
    """One token a byte: every text has tokens, and every answer can be any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        **named,
    )
    tokenizer.chat_template = template
    return tokenizer


def _text_config(width: int, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
    }


def _vision_config() -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": IMAGE_SIZE,
        "patch_size": _PATCH,
    }


def _idefics3(width: int) -> tuple[ProcessorMixin, PreTrainedModel]:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    special = [
        "<pad>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>",
        "<global-img>",
    ]  # fmt: skip
    tokenizer = _tokenizer(
        special, _IDEFICS3_TEMPLATE, pad_token="<pad>", eos_token="<end_of_utterance>"
    )
    half = [0.5, 0.5, 0.5]
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": IMAGE_SIZE},
        max_image_size={"longest_edge": IMAGE_SIZE},
        do_image_splitting=False,
        image_mean=half,
        image_std=half,
    )
    tokens = (IMAGE_SIZE // _PATCH) ** 2 // 4
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=tokens, chat_template=_IDEFICS3_TEMPLATE
    )
    config = Idefics3Config(
        vision_config=_vision_config(),
        text_config=_text_config(width, tokenizer),
        image_token_id=special.index("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    return processor, Idefics3ForConditionalGeneration(config)


def _llava(width: int) -> tuple[ProcessorMixin, PreTrainedModel]:
    from transformers import (
        CLIPImageProcessorPil,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    special = ["<pad>", "</s>", "<image>"]
    tokenizer = _tokenizer(special, _LLAVA_TEMPLATE, pad_token="<pad>", eos_token="</s>")
    square = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = CLIPImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE}, crop_size=square, do_center_crop=True
    )
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_LLAVA_TEMPLATE,
    )
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **_vision_config()},
        text_config=_text_config(width, tokenizer),
        image_token_index=special.index("<image>"),
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    return processor, LlavaForConditionalGeneration(config)


def _randomise(model: PreTrainedModel, seed: int, eos: int) -> None:
    """Larger weights than a fresh model has: answers differ from image to image, and some end."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            scale = 1.5 / (parameter[0].numel() ** 0.5)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        ends: Any = model.get_input_embeddings().weight
        ends[eos] *= 1.4
