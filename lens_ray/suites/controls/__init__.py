"""Control suites: the same questions with one thing changed, each sample linked to its base.

A variant's id is that of its base with ``#`` and the control's label; ``meta["base"]`` names the
base, ``variant`` ends with the label. Cluster and split stay, groups stay whole, so that a run on
the control is compared in pairs with one on the base (`lens_ray.stats.versions`).

* `blind`, `shuffle`                       nothing, or something else, to see
* `rotate`, `rephrase`                     the same question, put otherwise
* `resize`, `jpeg`                         the same picture, worse

``frame`` says what a control is; each has a file of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lens_ray.errors import SuiteError
from lens_ray.suites.controls.blind import BLIND, GREY
from lens_ray.suites.controls.frame import Control, Pictures, whole_groups
from lens_ray.suites.controls.jpeg import JPEG
from lens_ray.suites.controls.rephrase import REPHRASE
from lens_ray.suites.controls.resize import RESIZE
from lens_ray.suites.controls.rotate import ROTATE
from lens_ray.suites.controls.shuffle import SHUFFLE
from lens_ray.suites.files import make_info
from lens_ray.suites.load import folder_name, suites_home
from lens_ray.suites.sample import BASE, Sample
from lens_ray.suites.suite import Suite, read_suite, write_suite

__all__ = [
    "BASE", "CONTROLS", "GREY", "Control", "blind", "control_samples", "find_control",
    "make_control",
]  # fmt: skip

CONTROLS: Mapping[str, Control] = MappingProxyType(
    {one.name: one for one in (BLIND, SHUFFLE, ROTATE, REPHRASE, RESIZE, JPEG)}
)


def find_control(name: str) -> Control:
    """The control of that name.

    Raises:
        SuiteError: There is none.
    """
    if name not in CONTROLS:
        near = get_close_matches(name, CONTROLS, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(CONTROLS)}"
        raise SuiteError(f"control {name!r} is not known; {hint}")
    return CONTROLS[name]


def control_samples(
    suite: Suite, name: str, **options: object
) -> tuple[str, tuple[Sample, ...], Pictures]:
    """What a control makes of a suite.

    Args:
        suite: The base.
        name: Of the control.
        options: Its settings; those left out have their defaults.

    Returns:
        Its label, the variants (of samples that can have one) and their images.

    Raises:
        SuiteError: There is no such control or option, or no sample can have a variant.
    """
    control = find_control(name)
    settings: dict[str, Any] = control.settings(options)
    label = control.label(settings)
    made = whole_groups(control.variants(suite, settings, label), suite)
    if not made:
        raise SuiteError(
            f"control {name}: no sample of suite {suite.name} can have a variant; "
            f"it does this: {control.about}"
        )
    samples = [variant.sample() for variant in made]
    used = [image for sample in samples for image in sample.images]
    if control.picture is None:
        return label, tuple(samples), Pictures.kept(used, suite)
    pictures = Pictures.changed(used, control.picture(suite, settings))
    seen = pictures.renamed
    changed = [
        dataclasses.replace(sample, images=tuple(seen[image] for image in sample.images))
        for sample in samples
    ]
    return label, tuple(changed), pictures


def make_control(
    suite: Suite,
    name: str,
    directory: str | Path | None = None,
    *,
    home: str | Path | None = None,
    **options: object,
) -> Suite:
    """Write a suite like this one with one thing changed; its location can stand in a job file.

    Args:
        suite: The base.
        name: Of the control, as in `CONTROLS`.
        directory: Where to write it; left out, beside the other suites of this user.
        home: As in `lens_ray.suites.suite.load_suite`.
        options: Settings of the control.

    Returns:
        The suite ``NAME-LABEL``; samples that cannot have a variant are not in it.

    Raises:
        SuiteError: As `control_samples`, or the folder holds something else.
    """
    label, samples, images = control_samples(suite, name, **options)
    title = f"{suite.name}-{label}"
    licence, revision = suite.info.licence, suite.info.revision
    if directory is None:
        digest = make_info(title, samples, images, licence, revision).digest
        directory = suites_home(home) / folder_name(title, digest)
        if (Path(directory) / "suite.json").exists():
            return read_suite(str(directory))
    return write_suite(title, samples, images, directory, licence=licence, revision=revision)


def blind(
    suite: Suite, directory: str | Path | None = None, *, home: str | Path | None = None
) -> Suite:
    """`make_control` of ``blind``: every image is grey."""
    return make_control(suite, "blind", directory, home=home)
