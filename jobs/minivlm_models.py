"""The two architectures of `minivlm`: stock transformers classes, about a million parameters each.

A word-piece vocabulary of some 600 tokens is learned from the prompts of the training stream;
capitals and digits stay single, so that codes and numbers are spelled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from jobs.minivlm_practice import practice
from lens_ray.suites.mini import SUBTASKS, train_stream
from lens_ray.suites.templates import render

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast, ProcessorMixin

SIDE = 64
PATCH = 8
#: vLLM on CPU has attention kernels for heads of 32, 64, 80, 96, ... only.
HEAD = 32
#: Standard deviation of fresh weights; the usual 0.02 is for layers ten times as wide.
SPREAD = 0.05
VOCABULARY = 640
_PROMPTS = 250

_IDEFICS3_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'].capitalize() + ':' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{{ '<end_of_utterance>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_AYA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() + ': ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>' }}{% else %}{{ ' ' + part['text'] }}{% endif %}"
    "{% endfor %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def _corpus() -> Iterator[str]:
    """Prompts and answers of every subtask, from a stream that trains nothing else."""
    for spec in SUBTASKS:
        for sample, _ in islice(train_stream(0, {spec.key: 1.0}), _PROMPTS):
            yield f"User: {render(sample)}\n"
            yield f"Assistant: {sample.answers[0]}"
    rng = random.Random(0)
    for number in range(8 * _PROMPTS):
        for question, answer in practice(("tiles", "things", "writing")[number % 3], rng)[1]:
            yield f"User: {question}\n"
            yield f"Assistant: {answer}"


def make_tokenizer(special: list[str], template: str, **named: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer whose capitals and digits are tokens of their own."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[A-Z](?![a-z])|[0-9]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        **named,
    )
    tokenizer.chat_template = template
    return tokenizer


def text_config(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int, inner: int
) -> dict[str, Any]:
    """The language model's part of a config: a Llama."""
    return {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": width // HEAD,
        "num_key_value_heads": width // HEAD,
        "head_dim": HEAD,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        # Tied, vLLM on CPU keeps the old output layer over a hot swap: every answer is wrong.
        "tie_word_embeddings": False,
        "initializer_range": SPREAD,
    }


def build_a() -> tuple[ProcessorMixin, PreTrainedConfig]:
    """Idefics3: 64 patches of 8 by 8 pixels, shuffled into 16 tokens, a Llama behind them."""
    from transformers import Idefics3Config, Idefics3ImageProcessorPil, Idefics3Processor

    special = [
        "<pad>", "<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>",
        "<global-img>",
    ]  # fmt: skip
    tokenizer = make_tokenizer(
        special, _IDEFICS3_TEMPLATE, pad_token="<pad>", eos_token="<end_of_utterance>"
    )
    half = [0.5, 0.5, 0.5]
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": SIDE},
        max_image_size={"longest_edge": SIDE},
        do_image_splitting=False,
        image_mean=half,
        image_std=half,
    )
    tokens = (SIDE // PATCH) ** 2 // 4
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=tokens, chat_template=_IDEFICS3_TEMPLATE
    )
    config_class: Any = Idefics3Config  # its own keyword arguments are annotated in part only
    config = config_class(
        vision_config={
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 128 // HEAD,
            "image_size": SIDE,
            "patch_size": PATCH,
            "initializer_range": SPREAD,
        },
        text_config=text_config(tokenizer, 128, 3, 384),
        image_token_id=special.index("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
        initializer_range=SPREAD,
    )
    return processor, config


def build_b() -> tuple[ProcessorMixin, PreTrainedConfig]:
    """Aya Vision: a SigLIP tower, pixel shuffle and a gated projector before a Llama."""
    from transformers import AyaVisionConfig, AyaVisionProcessor, GotOcr2ImageProcessorPil

    special = [
        "<pad>", "</s>", "<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>",
        "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL",
    ]  # fmt: skip
    tokenizer = make_tokenizer(special, _AYA_TEMPLATE, pad_token="<pad>", eos_token="</s>")
    half = [0.5, 0.5, 0.5]
    images = GotOcr2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        crop_to_patches=False,
        min_patches=1,
        max_patches=1,
        image_mean=half,
        image_std=half,
    )
    processor = AyaVisionProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        img_size=SIDE,
        downsample_factor=2,
        chat_template=_AYA_TEMPLATE,
    )
    config_class: Any = AyaVisionConfig
    config = config_class(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 128 // HEAD,
            "image_size": SIDE,
            "patch_size": PATCH,
            "vision_use_head": False,
            "initializer_range": SPREAD,
        },
        text_config=text_config(tokenizer, 128, 3, 384),
        image_token_index=special.index("<|IMG_PATCH|>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        downsample_factor=2,
        alignment_intermediate_size=256,
        tie_word_embeddings=False,
        initializer_range=SPREAD,
    )
    return processor, config


Builder = Callable[[], "tuple[ProcessorMixin, PreTrainedConfig]"]
BUILDERS: dict[str, Builder] = {"a": build_a, "b": build_b}
