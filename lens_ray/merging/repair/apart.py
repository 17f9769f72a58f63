"""Calibration and evaluation share no sample: `refuse_overlap`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite


def refuse_overlap(
    calibration: str, samples: Sequence[Sample], evaluated: Iterable[tuple[str, Sequence[Sample]]]
) -> None:
    """Refuse to train on what is asked later.

    Two samples are the same where their content is, where they share the pixels of an image, or
    where their ids or clusters of one source are. Near copies (an image saved at another size) are
    not seen: ``lens-ray suite check`` of both together does not find them either.

    Args:
        calibration: What the samples are of, for the message.
        samples: That are trained on.
        evaluated: Names and samples of what is asked.

    Raises:
        SuiteError: One of the samples is asked too.
    """
    marks = {mark: sample for sample in samples for mark in _marks(sample)}
    for name, asked in evaluated:
        for other in asked:
            shared = next((mark for mark in _marks(other) if mark in marks), None)
            if shared is not None:
                raise SuiteError(
                    f"calibration {calibration}: sample {marks[shared].sample_id} has the same "
                    f"{shared[0]} as {other.sample_id} of {name}, on which the result is judged; "
                    "take a calibration suite, or a split, that is apart from it"
                )


def _marks(sample: Sample) -> list[tuple[str, str]]:
    # The content first: it names the plainest reason. Ids and clusters count within a source.
    return [
        ("content", sample.content_digest()),
        *(("image", image) for image in sample.images),
        ("sample id", sample.sample_id),
        ("cluster", f"{sample.source}/{sample.cluster_id}"),
    ]


def samples_asked(
    suite: Suite, splits: Sequence[str] | None = None
) -> tuple[str, tuple[Sample, ...]]:
    """A suite's name and its samples, or those of some splits, for `refuse_overlap`."""
    told = suite.name if splits is None else f"{suite.name} ({', '.join(splits)})"
    return told, suite.select(splits=splits)
