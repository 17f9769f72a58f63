from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from lens_ray.suites.controls import GREY, blind
from lens_ray.suites.images import decode_png
from lens_ray.suites.suite import load_suite, write_suite
from tests.suites.makers import pixels, sample


def test_blind_keeps_everything_but_ids_and_images(tmp_path: Path) -> None:
    one, image = sample(1)
    both = dataclasses.replace(one, sample_id="t/2", images=(*one.images, *one.images))
    suite = write_suite("tiny", [one, both], image, tmp_path / "s", licence="x", revision="1")
    grey = blind(suite, home=tmp_path)
    assert grey.name == "tiny-blind"
    assert grey.digest != suite.digest
    for seen, unseen in zip(suite.samples, grey.samples, strict=True):
        assert unseen.sample_id == f"{seen.sample_id}#blind"
        assert (unseen.variant, unseen.meta) == ("blind", {"base": seen.sample_id})
        back = dataclasses.replace(
            unseen, sample_id=seen.sample_id, variant=None, meta={}, images=seen.images
        )
        assert back == seen
        assert len(unseen.images) == len(seen.images)
        for key in unseen.images:
            shown = decode_png(grey.image_bytes(key), key)
            assert shown.shape == pixels(1).shape
            assert np.all(shown == GREY)
    assert blind(suite, home=tmp_path) == grey
    assert load_suite(grey.location).digest == grey.digest
    assert blind(suite, tmp_path / "here").digest == grey.digest
