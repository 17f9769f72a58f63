from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from lens_ray.errors import EnvironmentFailure
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import load_processor
from lens_ray.models.vllm_agreement import require_two_way_attention, tokens_of, trial


def test_only_a_cpu_and_a_two_way_family_are_refused_together() -> None:
    two_way, causal = (SimpleNamespace(is_mm_prefix_lm=value) for value in (True, False))
    require_two_way_attention(causal, "/m", on_cpu=True)
    require_two_way_attention(two_way, "/m", on_cpu=False)
    with pytest.raises(EnvironmentFailure, match=r"^/m: .*backend: transformers"):
        require_two_way_attention(two_way, "/m", on_cpu=True)


def test_the_trial_is_of_images_that_are_cut_into_tiles(tiny: Callable[..., Path]) -> None:
    shapes = [decode_image(data, 10**9).size for data in trial(2).images]
    assert len({width > height for width, height in shapes}) == 2
    processor = load_processor(str(tiny("internvl")), trust_remote_code=False)
    one, two = (tokens_of(processor, trial(images), 10**9) for images in (1, 2))
    # 64x128 is two tiles and a thumbnail, of 4 tokens each, between two marks, then a line end.
    assert len(two) - len(one) == 3 * 4 + 3
