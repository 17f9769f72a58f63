from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import CheckpointError
from lens_ray.models import ModelSpec
from lens_ray.models.identity import identify

Make = Callable[..., Path]


def key(path: Path | str, gpu: bool = False, **options: Any) -> str:
    return identify(ModelSpec(name="m", path=str(path), options=options), gpu=gpu).model_key


def test_speed_options_keep_the_key_and_others_change_it(tiny: Make) -> None:
    base = key(tiny())
    assert base == key(tiny(), batch_size=3, threads=2, device="cpu")
    assert base == key(tiny(), dtype="float32")
    assert base != key(tiny(), dtype="bfloat16")
    assert base != key(tiny(), max_pixels=9999)
    assert base != key(tiny(seed=1))


def test_auto_means_the_checkpoints_type_on_a_gpu(tiny: Make) -> None:
    assert key(tiny(), gpu=True) == key(tiny(), dtype="bfloat16")
    assert key(tiny(), gpu=True, device="cpu") == key(tiny())


def test_the_name_is_not_part_of_the_key(tiny: Make) -> None:
    one = identify(ModelSpec(name="a", path=str(tiny())))
    two = identify(ModelSpec(name="b", path=str(tiny()), template="default", replicas=3))
    assert one == two
    assert one.weights == str(tiny())
    assert one.facts is not None


def test_a_fake_model_needs_no_folder() -> None:
    def fake(path: str = "x", **options: Any) -> Any:
        return identify(ModelSpec(name="m", backend="fake", path=path, options=options))

    assert fake().weights == "x"
    assert fake().facts is None
    assert fake() == fake(latency_s=3.0, crash_ids=["a"])
    assert len({fake().model_key, fake("y").model_key, fake(seed=1).model_key}) == 3
    assert fake(seed=1).weights_digest == fake().weights_digest != fake("y").weights_digest


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(CheckpointError):
        key("/nowhere/at/all")
