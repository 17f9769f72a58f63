from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lens_ray.merging.answers import Example, examples_of
from lens_ray.suites.images import image_hash
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, write_suite


def asked(number: int, image: str, **given: object) -> Sample:
    fields: dict[str, object] = {
        "sample_id": f"made/{number}", "ability": "counting", "source": "made",
        "subtask": "made", "format": "open", "domain": "shapes", "images": (image,),
        "question": f"how many dots has picture {number}?", "choices": (),
        "answers": (str(number),),
        "metric": "exact", "chance": 0.0, "upper": 1.0, "cluster_id": f"made/{number}",
        "split": "search" if number % 2 else "sealed",
    }  # fmt: skip
    return Sample(**{**fields, **given})  # type: ignore[arg-type]


def made_suite(name: str, seed: int, folder: Path) -> Suite:
    """Twelve questions, each on a picture of its own."""
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(12)]
    images = {image_hash(picture): picture for picture in pictures}
    samples = [asked(number, image, source=name) for number, image in enumerate(images)]
    samples = [replace(one, sample_id=one.sample_id.replace("made", name)) for one in samples]
    return write_suite(name, samples, images, folder / name, licence="none", revision="1")


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return made_suite("made", 3, tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="session")
def examples(suite: Suite) -> list[Example]:
    return examples_of(suite, suite.samples)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Tiny checkpoints, made once a session each; never write into one."""
    from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

    root = tmp_path_factory.mktemp("tiny")

    def make(family: str = "idefics3", seed: int = 0) -> Path:
        folder = root / f"{family}-{seed}"
        if not folder.is_dir():
            make_tiny_checkpoint(folder, family, seed)
        return folder

    return make
