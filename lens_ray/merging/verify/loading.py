"""What transformers says of a folder when it loads it: `loading_info`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

#: Of transformers' loading info, in words.
_KINDS = {
    "missing_keys": "missing tensors",
    "unexpected_keys": "unexpected tensors",
    "mismatched_keys": "tensors of another shape",
    "error_msgs": "errors",
}


def loading_info(folder: Path, *, trust_remote_code: bool = False) -> dict[str, list[str]]:
    """Load a model without room for its numbers and see what does not fit.

    Args:
        folder: Local.
        trust_remote_code: Of a checkpoint that brings its own code.

    Returns:
        By kind (missing, unexpected, of another shape, errors), what it found; empty lists where
        all is well. An exception of transformers is one of the errors: which ones it raises for a
        folder that does not fit is its own affair.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging as told

    level, bar = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(logging.CRITICAL)
    told.disable_progress_bar()
    maker: Any = AutoModelForImageTextToText
    try:
        _, info = maker.from_pretrained(
            str(folder), device_map="meta", dtype="auto", output_loading_info=True,
            local_files_only=True, trust_remote_code=trust_remote_code,
        )  # fmt: skip
    except (ValueError, KeyError, RuntimeError, OSError, TypeError, AttributeError) as error:
        return {"errors": [f"{type(error).__name__}: {error}"]}
    finally:
        told.set_verbosity(level)
        if bar:
            told.enable_progress_bar()
    return {what: sorted(str(one) for one in info.get(key) or ()) for key, what in _KINDS.items()}
