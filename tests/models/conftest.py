from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Tiny checkpoints, made once a session each; never write into one."""
    from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

    root = tmp_path_factory.mktemp("tiny")
    made: dict[tuple[str, int], Path] = {}

    def make(family: str = "idefics3", seed: int = 0) -> Path:
        if (family, seed) not in made:
            folder = root / f"{family}-{seed}"
            make_tiny_checkpoint(folder, family, seed)
            made[family, seed] = folder
        return made[family, seed]

    return make
