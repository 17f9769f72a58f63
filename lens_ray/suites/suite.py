"""A suite: an immutable, content-addressed set of samples with their images.

On disk it is a folder (or a URL) of three files: ``suite.json`` says what it is,
``samples.parquet`` holds the questions, ``images.parquet`` the images by pixel hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import Sample

if TYPE_CHECKING:
    from lens_ray.suites.files import ImageShelf
    from lens_ray.suites.images import Pixels


@dataclass(frozen=True)
class SuiteInfo:
    """What ``suite.json`` says.

    Attributes:
        name: Name of the suite, as in ``mini:quick``.
        digest: See `lens_ray.suites.digest.suite_digest`.
        licence: SPDX id or a short text.
        revision: Revision of the source that it was built from.
        counts: Rows of each subtask of each ability.
        weights: Weight of each subtask within its ability; each ability's sum is 1.
        images: How many different images there are.
        schema_version: Version of the files' layout.
        weighting: How subtasks are weighted: ``samples`` (by their counts) or ``uniform``.
        sources: What each source of a built suite was made of: ``digest`` (see
            `lens_ray.suites.digest.source_digest`), ``licence``, ``revision``, ``data_set``,
            ``rows`` (read) and ``samples``.
        recipe: What a built suite was asked to be: preset, options, abilities.
    """

    name: str
    digest: str
    licence: str
    revision: str
    counts: Mapping[str, Mapping[str, int]]
    weights: Mapping[str, Mapping[str, float]]
    images: int
    schema_version: int = 1
    weighting: str = "samples"
    sources: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    recipe: Mapping[str, object] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return sum(sum(subtasks.values()) for subtasks in self.counts.values())


@dataclass(frozen=True)
class Suite:
    """A suite that was read and whose digest was found right.

    Attributes:
        name: Name of the suite.
        digest: Its content digest.
        samples: Every sample, in the order of the file.
        info: The facts of ``suite.json``.
        location: Folder or URL it was read from.
    """

    name: str
    digest: str
    samples: tuple[Sample, ...]
    info: SuiteInfo
    location: str

    @cached_property
    def by_id(self) -> Mapping[str, Sample]:
        """Every sample by its id."""
        return {sample.sample_id: sample for sample in self.samples}

    @property
    def weights(self) -> Mapping[str, Mapping[str, float]]:
        """Weight of each subtask within its ability."""
        return self.info.weights

    @cached_property
    def _shelf(self) -> ImageShelf:
        from lens_ray.suites.files import ImageShelf

        return ImageShelf(self.location, self.digest)

    def image_bytes(self, image: str) -> bytes:
        """The PNG bytes of an image, read on demand and checked.

        The first process of this machine that reads it compares its pixels with its hash; from
        then on its bytes are compared with those that had the right pixels.

        Raises:
            SuiteError: The suite has no such image, or it is damaged.
        """
        return self._shelf.read(image)

    def image_hashes(self) -> tuple[str, ...]:
        """The hashes of the images that the suite holds."""
        return tuple(self._shelf.sizes())

    def image_sizes(self) -> Mapping[str, tuple[int, int]]:
        """Width and height of each image."""
        return self._shelf.sizes()

    def look_ahead(self, samples: Sequence[Sample], pixels: int = 100_000_000) -> None:
        """Read images before anything is started or written, so that a damaged one is said at once.

        Args:
            samples: Whose images.
            pixels: Where to stop; what comes after it in a large suite is found by who asks.

        Raises:
            SuiteError: One is missing, damaged or too large.
        """
        wanted = {image for sample in samples for image in sample.images}
        sizes = self.image_sizes()
        for image in sorted(wanted - sizes.keys()):
            self.image_bytes(image)
        for image, (width, height) in sizes.items():
            if image in wanted:
                self.image_bytes(image)
                pixels -= width * height
                if pixels < 0:
                    return

    def select(
        self,
        abilities: Sequence[str] | None = None,
        limit: int | None = None,
        splits: Sequence[str] | None = None,
    ) -> tuple[Sample, ...]:
        """The samples of some abilities and splits, at most ``limit`` of them.

        A limit takes from every subtask in turn and leaves no group in pieces.

        Raises:
            SuiteError: The suite has no sample of one of the abilities, or nothing is left.
        """
        known = self.info.counts
        for ability in abilities or ():
            if ability not in known:
                near = get_close_matches(ability, known, 1, 0.0)[0]
                raise SuiteError(
                    f"abilities: suite {self.name} has no sample of {ability!r}; "
                    f"the nearest is {near!r}"
                )
        if abilities is not None and not abilities:
            raise SuiteError("abilities: the list is empty; leave the key out to take all of them")
        if limit is not None and limit < 1:
            raise SuiteError(f"limit: {limit} leaves no sample; give 1 or more")
        chosen = [
            s
            for s in self.samples
            if (abilities is None or s.ability in abilities)
            and (splits is None or s.split in splits)
        ]
        if splits is not None and not chosen:
            raise SuiteError(
                f"splits: suite {self.name} has none of these samples in {', '.join(splits)}"
            )
        if limit is None or limit >= len(chosen):
            return tuple(chosen)
        kept = _round_robin(chosen, limit)
        return tuple(sample for sample in chosen if sample.sample_id in kept)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the open image file and the index, which are made again on demand."""
        dropped = ("_shelf", "by_id")
        return {key: value for key, value in self.__dict__.items() if key not in dropped}


def _round_robin(samples: Sequence[Sample], limit: int) -> set[str]:
    groups: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for sample in samples:
        group = sample.sample_id if sample.group_id is None else sample.group_id
        groups[sample.subtask].setdefault(group, []).append(sample.sample_id)
    queues = [list(subtask.values())[::-1] for subtask in groups.values()]
    kept: set[str] = set()
    while any(queues) and len(kept) < limit:
        for queue in queues:
            if queue:
                members = queue.pop()
                if len(kept) + len(members) <= limit:
                    kept.update(members)
    return kept


# What follows needs pyarrow and numpy. It is imported at the call, so that the command line can
# name a suite without waiting for them.


def load_suite(ref: str, *, home: str | Path | None = None) -> Suite:
    """Find a suite, read it and check its digest; a built-in one is built where it is missing.

    Args:
        ref: ``mini:quick``, ``mini:full``, ``mini:confirm``, ``NAME@DIGEST``, a folder, an
            archive (``.zip``, ``.tar``, ``.tar.gz``), or the URL of a built suite.
        home: Where built suites are kept instead of ``$LENS_RAY_HOME`` or ``~/.cache/lens-ray``.

    Raises:
        SuiteError: There is no such suite, or it cannot be trusted.
    """
    from lens_ray.suites import load

    return load.find(ref, home)


def read_suite(location: str) -> Suite:
    """Read a suite from a folder or URL and compare its content with its digest.

    Raises:
        SuiteError: It is missing, damaged, or its content has another digest.
    """
    from lens_ray.suites import files

    return files.read(location)


def write_suite(
    name: str,
    samples: Sequence[Sample],
    images: Mapping[str, Pixels],
    directory: str | Path,
    *,
    licence: str,
    revision: str,
) -> Suite:
    """Write a suite to a folder or URL that does not hold one yet; all of it or nothing.

    Args:
        name: As in a job file's ``NAME@DIGEST``.
        samples: The questions, their splits given.
        images: uint8 pixels of height x width x 3, by `lens_ray.suites.images.image_hash`.
        directory: Where to.
        licence: SPDX id or a short text.
        revision: Revision of the source.

    Raises:
        SuiteError: Something in it is not valid, or the folder holds something else.
    """
    from lens_ray.suites import files

    return files.write(name, samples, images, directory, licence=licence, revision=revision)


def check_suite(suite: Suite) -> list[str]:
    """One line a problem; an empty list means that the suite is sound. Reads every image."""
    from lens_ray.suites import check

    return check.problems_of(suite)
