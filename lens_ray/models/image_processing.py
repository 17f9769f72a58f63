"""A checkpoint's processor, for images only: `image_text_processor`."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.import_utils import is_torchvision_available

from lens_ray.errors import EnvironmentFailure


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
        EnvironmentFailure: It needs a package that is not installed.
        Exception: Whatever else transformers raises for a folder that it cannot load.
    """
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    have_torchvision = is_torchvision_available()
    try:
        if not have_torchvision:
            config: Any = AutoConfig.from_pretrained(folder, **given)
            kind: Any = PROCESSOR_MAPPING.get(type(config), None)
            if kind is not None and "video_processor" in kind.get_attributes():
                return _without_video(kind, folder, given)
        return AutoProcessor.from_pretrained(folder, **given)
    except (ImportError, ValueError) as error:
        text = " ".join(str(error).split())
        if not have_torchvision and "torchvision" in text:
            raise EnvironmentFailure(
                f"{folder}: its processor needs torchvision, which is not installed here; "
                "pip install torchvision"
            ) from error
        if isinstance(error, ImportError):
            raise EnvironmentFailure(
                f"{folder}: its processor needs a package that is not installed here: {text[:200]}"
            ) from error
        raise


def _without_video(kind: Any, folder: str, given: dict[str, Any]) -> Any:
    held, _ = kind.get_processor_dict(folder, **given)
    loaders: dict[str, Any] = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}
    parts = [
        loaders[name].from_pretrained(folder, **given) if name in loaders else None
        for name in kind.get_attributes()
    ]
    without: Any = type(kind.__name__, (_NoVideo, kind), {})
    return without.from_args_and_dict(parts, held)
