"""What every family of tiny checkpoints is made of: `Parts`, a byte-level tokenizer, configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

#: Pixels a side of what a vision tower sees, and of its patches, unless a family differs.
IMAGE_SIZE = 64
PATCH = 16
CONTEXT = 2048
#: For `Parts.tower_on_disk`, of the families with a CLIP or SigLIP tower.
NESTED_TOWER = "vision_tower.vision_model."


@dataclass(frozen=True, slots=True)
class Parts:
    """A checkpoint before it is written.

    Attributes:
        tokenizer: With the family's special tokens and chat template.
        images: The image processor's configuration, its ``image_processor_type`` included.
        processor: The processor's own, its ``processor_class`` included.
        model: With weights that are still to be drawn.
        ends: Tokens that end an answer; the first one ends a turn of the chat template.
        videos: Of the video processor, where the family has one.
        embedding_scale: Of the token embeddings drawn; less than 1 for a model that multiplies
            them, or its answers only repeat the last token of the prompt.
        tower_on_disk: How published checkpoints begin the names of the vision tower's weights,
            where transformers 5 saves ``vision_tower.``. It loads both; vLLM 0.32 only theirs.
    """

    tokenizer: PreTrainedTokenizerFast
    images: Mapping[str, Any]
    processor: Mapping[str, Any]
    model: PreTrainedModel
    ends: tuple[str, ...]
    videos: Mapping[str, Any] = field(default_factory=dict)
    embedding_scale: float = 1.0
    tower_on_disk: str = "vision_tower."


def byte_tokenizer(
    special: Sequence[str],
    template: str,
    *,
    plain: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
    starts_with: str = "",
    **roles: str,
) -> PreTrainedTokenizerFast:
    """One token a byte: every text has tokens, and every answer can be any text.

    Args:
        special: Special tokens; their place is their id.
        template: Chat template.
        plain: Tokens of more than one byte that are no special tokens.
        named: Special tokens that the family's processor asks for by name.
        starts_with: Special token that is put before every text.
        roles: ``pad_token``, ``eos_token``, ``bos_token``, ...
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(special))
    core.add_tokens(list(plain))
    if starts_with:
        core.post_processor = processors.TemplateProcessing(
            single=f"{starts_with} $A",
            pair=f"{starts_with} $A $B",
            special_tokens=[(starts_with, vocabulary[starts_with])],
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
        **({"extra_special_tokens": dict(named)} if named else {}),
        **roles,
    )
    tokenizer.chat_template = template
    return tokenizer


def text_config(
    model_type: str, width: int, tokenizer: PreTrainedTokenizerFast, **more: Any
) -> dict[str, Any]:
    """Two layers, two heads that share one key and value head.

    A head is 32 wide at the default width, the least that vLLM's CPU attention takes.
    """
    return {
        "model_type": model_type,
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": True,
        **more,
    }


def vision_config(layers: int = 1, **more: Any) -> dict[str, Any]:
    """A vision tower 16 wide."""
    return {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        **more,
    }


def image_config(kind: str, **more: Any) -> dict[str, Any]:
    """An image processor's configuration that maps pixels to numbers from -1 to 1."""
    half = [0.5, 0.5, 0.5]
    return {"image_processor_type": kind, "image_mean": half, "image_std": half, **more}


def square(size: int = IMAGE_SIZE) -> dict[str, int]:
    """The size of a square image, as an image processor's configuration says it."""
    return {"height": size, "width": size}
