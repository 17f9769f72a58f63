"""Which published families vLLM answers as transformers does, and what it says of the others.

An engine takes half a minute to start, so only some are started each time, and all of them with
``LENS_RAY_ALL_FAMILIES=1``. All are asked in the transformers backend with torchvision's image
processors, which the main environment does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_torchvision_available

from lens_ray.errors import EnvironmentFailure
from lens_ray.models import Completion
from lens_ray.models.prompts import load_processor
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint
from tests.models.families import IMAGE_TOKENS, PALIGEMMA_TOKENS, SEVERAL, family_requests
from tests.vllm.hosts import Host, texts

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]

#: Their tokens see later ones, which vLLM's attention for CPUs does not compute.
TWO_WAY = ("gemma3", "paligemma")
#: vLLM tiles each of several images as if it were alone.
ONE_IMAGE = ("llava_onevision",)
_RUN = [family for family in FAMILIES if family not in TWO_WAY]
_EACH_TIME = ["llava_onevision", "qwen3_vl", "internvl"]
STARTED = _RUN if os.environ.get("LENS_RAY_ALL_FAMILIES") else _EACH_TIME

Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Make:
    root = tmp_path_factory.mktemp("tiny")

    def make(family: str) -> Path:
        folder = root / family
        if not folder.exists():
            make_tiny_checkpoint(folder, family)
        return folder

    return make


def by_transformers(folder: Path) -> dict[str, Completion]:
    host = Host(str(folder), "transformers")
    try:
        return host.ask(family_requests())
    finally:
        host.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_with_torchvision(tiny: Make, family: str) -> None:
    assert is_torchvision_available(), "install it, and tests/vllm/torchvision_shim beside it"
    processor = load_processor(str(tiny(family)), trust_remote_code=False)
    assert not type(processor.image_processor).__name__.endswith("Pil")
    found = by_transformers(tiny(family))
    if family == "paligemma":
        assert "`images` are expected" in str(found.pop("none").error)
        known, alone = PALIGEMMA_TOKENS, len(family_requests()[0].text)
    else:
        known, alone = IMAGE_TOKENS[family], found["none"].tokens_in or 0
    assert {one.error for one in found.values()} == {None}
    assert [(found[n].tokens_in or 0) - alone for n in ("one", "wide", "two")] == list(known)
    assert found["one"].text != found["other"].text
    assert found["two"].text != found["swapped"].text


@pytest.mark.parametrize("family", STARTED)
def test_vllm_answers_as_transformers(tiny: Make, family: str) -> None:
    expected = by_transformers(tiny(family))
    host = Host(str(tiny(family)), max_num_seqs=8)
    try:
        found = host.ask(family_requests())
    finally:
        host.close()
    for name in SEVERAL if family in ONE_IMAGE else ():
        assert "another prompt of several images" in str(found.pop(name).error)
        expected.pop(name)
    assert texts(found) == texts(expected)
    assert {n: one.tokens_in for n, one in found.items()} == {
        n: one.tokens_in for n, one in expected.items()
    }
    for name, one in found.items():
        assert one.confidence == pytest.approx(expected[name].confidence, rel=1e-3)


@pytest.mark.parametrize("family", TWO_WAY)
def test_two_way_attention_is_refused_on_a_cpu(tiny: Make, family: str) -> None:
    with pytest.raises(
        EnvironmentFailure, match=r"both ways.*write backend: transformers"
    ) as error:
        Host(str(tiny(family)))
    assert "\n" not in str(error.value)
