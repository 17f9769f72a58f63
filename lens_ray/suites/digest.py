"""What a suite is called by: a digest over questions and pixels, the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from lens_ray.suites.sample import Sample


def suite_digest(
    samples: Iterable[Sample], image_hashes: Iterable[str], weighting: str = "samples"
) -> str:
    """SHA-256 (hex) over every field of every sample, in order of id, and the image hashes.

    A weighting other than by samples counts too, since scores depend on it. How images are encoded
    and how the files are compressed does not count.
    """
    digest = hashlib.sha256()
    for sample in sorted(samples, key=lambda sample: sample.sample_id):
        facts = [
            sample.sample_id, sample.content_digest(), sample.ability, sample.source,
            sample.subtask, sample.domain, sample.chance, sample.upper, sample.cluster_id,
            sample.group_id, sample.split, sample.variant, sorted(sample.meta.items()),
        ]  # fmt: skip
        digest.update(json.dumps(facts, ensure_ascii=True).encode() + b"\n")
    for image in sorted(image_hashes):
        digest.update(image.encode() + b"\n")
    if weighting != "samples":
        digest.update(f"weighting {weighting}\n".encode())
    return digest.hexdigest()


def source_digest(samples: Iterable[Sample]) -> str:
    """SHA-256 (hex) over the ids and contents of a source's samples.

    What a suite adds, splits and clusters joined over sources, does not count.
    """
    digest = hashlib.sha256()
    for sample in sorted(samples, key=lambda sample: sample.sample_id):
        digest.update(f"{sample.content_digest()} {json.dumps(sample.sample_id)}\n".encode())
    return digest.hexdigest()
