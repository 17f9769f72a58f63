"""What a LoRA adapter says of itself: `AdapterConfig`, read from ``adapter_config.json``.

What would make its function another than W + s B A is refused: DoRA, quantised starts and all that
is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

from lens_ray.errors import CheckpointError

#: Keys that decide nothing about the finished adapter, or whose effect is in its tensors' names.
_HARMLESS = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "eva_config",
        "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform",
        "lora_dropout", "megatron_core", "modules_to_save", "peft_type", "peft_version",
        "qalora_group_size", "r", "rank_pattern", "revision", "runtime_config", "target_modules",
        "task_type",
    }
)  # fmt: skip
_HEEDED = frozenset(
    {"alpha_pattern", "fan_in_fan_out", "init_lora_weights", "lora_alpha", "use_rslora"}
)
#: Starts that leave the base as it is; others (PiSSA, OLoRA, CorDA, LoftQ) take a part out of it.
_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_LITERAL = re.compile(r"\^?(?:[A-Za-z0-9_-]|\\?\.)+\$?")


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Of one adapter.

    Attributes:
        alpha: ``lora_alpha``.
        alphas: ``alpha_pattern``: other alphas, by the end of modules' names; the first counts.
        root: ``use_rslora``: the scale is alpha / √r, not alpha / r.
        transposed: ``fan_in_fan_out``: weights are stored input first.
    """

    alpha: float
    alphas: tuple[tuple[str, float], ...]
    root: bool
    transposed: bool

    def scale(self, module: str, rank: int) -> float:
        """On B A of a module (Hu et al. 2021, arXiv 2106.09685; rsLoRA: 2312.03732)."""
        alpha = next((a for name, a in self.alphas if _ends_with(module, name)), self.alpha)
        return alpha / (sqrt(rank) if self.root else rank)


def read_adapter_config(values: Mapping[str, Any], where: str) -> AdapterConfig:
    """Check what stands in the file.

    Args:
        values: Of ``adapter_config.json``.
        where: Its path, for messages.

    Raises:
        CheckpointError: It is no LoRA adapter, or one that cannot be folded in.
    """
    kind = values.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{where}: peft_type is {kind!r:.60}; only LORA can be folded in; fold others with "
            "peft: merge_and_unload()"
        )
    start = values.get("init_lora_weights", True)
    if not any(start is one or (isinstance(one, str) and start == one) for one in _STARTS):
        raise CheckpointError(
            f"{where}: init_lora_weights is {start!r:.60}, which changes the base too; convert it "
            "with peft: save_pretrained(..., path_initial_model_for_weight_conversion=...)"
        )
    for key, value in values.items():
        if value and key not in _HARMLESS | _HEEDED:
            raise CheckpointError(
                f"{where}: {key} is {value!r:.60}, which cannot be folded in; fold it with peft: "
                "merge_and_unload()"
            )
    patterns = values.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise CheckpointError(f"{where}: alpha_pattern is {patterns!r:.60}; a mapping is expected")
    return AdapterConfig(
        alpha=_number(values.get("lora_alpha", 8), "lora_alpha", where),
        alphas=tuple(
            (_literal(name, where), _number(alpha, f"alpha_pattern.{name}", where))
            for name, alpha in patterns.items()
        ),
        root=values.get("use_rslora") is True,
        transposed=values.get("fan_in_fan_out") is True,
    )


def _number(value: object, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise CheckpointError(f"{where}: {key:.80} is {value!r:.60}; a number is expected")
    return float(value)


def _literal(name: str, where: str) -> str:
    r"""The text of a pattern; ``\.`` is a dot, and ``^`` stays: the whole name."""
    if not _LITERAL.fullmatch(name):
        raise CheckpointError(
            f"{where}: alpha_pattern {name!r:.80} is a regular expression, which a checkpoint may "
            "not bring; write out the modules' names"
        )
    return name.replace("\\.", ".").removesuffix("$")


def _ends_with(module: str, name: str) -> bool:
    if name.startswith("^"):
        return module == name[1:]
    return module == name or module.endswith(f".{name}")
