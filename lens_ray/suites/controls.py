"""Control suites: what is left of a score when the image is taken away."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from lens_ray.suites.files import make_info
from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.load import folder_name, suites_home
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, read_suite, write_suite

GREY = 128


def blind_samples(suite: Suite) -> tuple[tuple[Sample, ...], dict[str, Pixels]]:
    """The same samples, every image replaced by a grey one of its size."""
    greys: dict[tuple[int, int], str] = {}
    images: dict[str, Pixels] = {}
    for width, height in set(suite.image_sizes().values()):
        grey = np.full((height, width, 3), GREY, dtype=np.uint8)
        greys[width, height] = image_hash(grey)
        images[image_hash(grey)] = grey
    sizes = suite.image_sizes()
    samples = tuple(
        dataclasses.replace(sample, images=tuple(greys[sizes[image]] for image in sample.images))
        for sample in suite.samples
    )
    return samples, images


def blind(
    suite: Suite, directory: str | Path | None = None, *, home: str | Path | None = None
) -> Suite:
    """A suite like this one whose images are grey; its location can stand in a job file.

    Args:
        suite: The suite to blind.
        directory: Where to write it; left out, beside the other suites of this user.
        home: As in `lens_ray.suites.suite.load_suite`.
    """
    samples, images = blind_samples(suite)
    name = f"{suite.name}-blind"
    licence, revision = suite.info.licence, suite.info.revision
    if directory is None:
        digest = make_info(name, samples, images, licence, revision).digest
        directory = suites_home(home) / folder_name(name, digest)
        if (Path(directory) / "suite.json").exists():
            return read_suite(str(directory))
    return write_suite(name, samples, images, directory, licence=licence, revision=revision)
