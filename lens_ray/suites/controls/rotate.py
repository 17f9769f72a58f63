"""The same options in another order: does the answer follow its text, or its letter?

Rotation k shows option k first and ends with option k - 1. A sample is left out where an option
speaks of others by letter or place ("both A and B", "none of the above"), where the suite asks
that rotation by itself (MMBench), and where a template shows the options as the source wrote them.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from lens_ray.errors import SuiteError
from lens_ray.suites.controls.frame import Control, Option, Variant
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import LETTERS, TEMPLATES, options_are_in_question, render

_REFERS = re.compile(
    r"\b(?:above|below|previous|preceding|following)\b"
    r"|^\W*(?:both|either|neither|only|all of|options?)?\W*\b[A-H]\b"
    r"(?:\W*(?:,|and|or|nor|&)\W*\b[A-H]\b)+",
    re.IGNORECASE,
)


def rotated(sample: Sample, by: int) -> dict[str, Any]:
    """The choices and answers of a multiple-choice sample, rotated.

    Args:
        sample: The sample.
        by: Which option comes first, from 0.

    Raises:
        SuiteError: An answer is none of its letters.
    """
    size = len(sample.choices)
    answers = []
    for answer in sample.answers:
        place = LETTERS.find(answer) if len(answer) == 1 else -1
        if not 0 <= place < size:
            raise SuiteError(f"sample {sample.sample_id}: its answer {answer!r} is no letter of it")
        answers.append(LETTERS[(place - by) % size])
    choices = tuple(sample.choices[(place + by) % size] for place in range(size))
    return {"choices": choices, "answers": tuple(answers)}


def _variants(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterator[Variant]:
    asked = {sample.content_digest() for sample in suite.samples}
    mates: dict[str | None, list[Sample]] = defaultdict(list)
    for sample in suite.samples:
        mates[sample.group_id].append(sample)
    for sample in suite.samples:
        group = [sample] if sample.group_id is None else mates[sample.group_id]
        if not any(_can(member) for member in group):
            continue
        most = max(len(member.choices) for member in group if _can(member))
        turns = range(1, most) if settings["by"] == 0 else [settings["by"]]
        for by in turns:
            if _can(sample) and by % len(sample.choices):
                changes = rotated(sample, by % len(sample.choices))
                if _is_new(sample, changes, asked):
                    yield Variant(sample, f"rotate{by}", changes)
            elif sample.group_id is not None and (not sample.choices or _can(sample)):
                # It has nothing to rotate, and its group is marked as one.
                yield Variant(sample, f"rotate{by}")


def _can(sample: Sample) -> bool:
    if len(sample.choices) < 2 or options_are_in_question(sample):
        return False
    return not any(_REFERS.search(text) for text in sample.choices)


def _is_new(sample: Sample, changes: Mapping[str, Any], asked: set[str]) -> bool:
    other = dataclasses.replace(sample, **changes)
    if other.content_digest() in asked:
        return False
    return all(render(sample, name) != render(other, name) for name in TEMPLATES)


def _label(settings: Mapping[str, Any]) -> str:
    return f"rotate{settings['by'] or ''}"


ROTATE = Control(
    name="rotate",
    about="the options stand in another order and the letter follows: a steady model keeps its "
    "answer's text",
    label=_label,
    variants=_variants,
    options={"by": Option(0, "which option comes first; 0 makes every rotation", high=25)},
)
