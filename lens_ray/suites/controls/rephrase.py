"""The same question in another frame: does the answer hang on how it is put?

Only words around the question change, by fixed frames; the question itself, its options and the
instruction of the prompt template stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from lens_ray.suites.controls.frame import Control, Option, Variant
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import TEMPLATES, render

#: Frame number, from 1: sample format to the frame; "" is that of every other format. A change
#: here is a new frame at the end, so that a number always means the same words.
FRAMES: tuple[Mapping[str, str], ...] = (
    {"": "Look closely at the image and answer this question: {question}"},
    {
        "true_false": "Decide from the picture alone whether the answer is yes or no. {question}",
        "multiple_choice": "Choose the one option that fits what the picture shows. {question}",
        "": "Reply to the point, from what the picture shows. {question}",
    },
    {"": "Question about the picture: {question}"},
    {
        "true_false": "I need a yes or a no from you about what you see here. {question}",
        "multiple_choice": "Out of the options listed below, tell me which is right. {question}",
        "": "Tell me what you see here. {question}",
    },
)


def reframed(sample: Sample, number: int) -> str:
    """The question of a sample in a frame, by its number from 1."""
    frames = FRAMES[number - 1]
    # Not `str.format`: a question may hold braces.
    return frames.get(sample.format, frames[""]).replace("{question}", sample.question)


def _variants(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterator[Variant]:
    numbers = range(1, len(FRAMES) + 1) if settings["frame"] == 0 else [settings["frame"]]
    for sample in suite.samples:
        for number in numbers:
            question = reframed(sample, number)
            other = dataclasses.replace(sample, question=question)
            if all(render(sample, name) != render(other, name) for name in TEMPLATES):
                yield Variant(sample, f"rephrase{number}", {"question": question})


REPHRASE = Control(
    name="rephrase",
    about="the question stands in another frame of words: a steady model keeps its answer",
    label=lambda settings: f"rephrase{settings['frame'] or ''}",
    variants=_variants,
    options={"frame": Option(1, "which frame; 0 makes all of them", high=len(FRAMES))},
)
