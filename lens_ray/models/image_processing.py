"""A checkpoint's processor, for images only: `image_text_processor`."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available


class _NoVideo:
    """Goes before a processor class that insists on a video processor."""

    def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
        if name == "video_processor" and argument is None:
            return type(None)
        return super().check_argument_for_proper_class(name, argument)  # type: ignore[misc]


def image_text_processor(folder: str, *, trust_remote_code: bool = False) -> Any:
    """Load a processor; where torchvision is missing, without its video processor.

    The Qwen-VL, InternVL and LLaVA-OneVision processors hold a video processor, and transformers
    has those for torchvision only, while their image processors also run on Pillow and NumPy.

    Raises:
        Exception: Whatever transformers raises for a folder that it cannot load.
    """
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    if not is_torchvision_available():
        config: Any = AutoConfig.from_pretrained(folder, **given)
        kind: Any = PROCESSOR_MAPPING.get(type(config), None)
        if kind is not None and "video_processor" in kind.get_attributes():
            return _without_video(kind, folder, given)
    return AutoProcessor.from_pretrained(folder, **given)


def _without_video(kind: Any, folder: str, given: dict[str, Any]) -> Any:
    held, _ = kind.get_processor_dict(folder, **given)
    loaders = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}
    parts = [
        loaders[name].from_pretrained(folder, **given) if name in loaders else None
        for name in kind.get_attributes()
    ]
    return type(kind.__name__, (_NoVideo, kind), {}).from_args_and_dict(parts, held)
