"""What the backend ``vllm`` decides without vLLM; with an engine it is in tests/vllm."""

from __future__ import annotations

import pytest

from lens_ray.models import ModelSpec
from lens_ray.models.spec import VllmOptions
from lens_ray.models.vllm_backend import separate_worker


@pytest.mark.parametrize(
    ("parts", "options", "said"),
    [(1, {}, "0"), (2, {}, "1"), (1, {"executor": "mp"}, "1"), (1, {"executor": "ray"}, "1")],
)
def test_one_part_on_cpus_computes_in_the_engines_process(
    parts: int, options: dict[str, str], said: str
) -> None:
    spec = ModelSpec(name="m", backend="vllm", path="p", tensor_parallel=parts, options=options)
    given = spec.parsed_options()
    assert isinstance(given, VllmOptions)
    assert separate_worker(spec, given) == said
