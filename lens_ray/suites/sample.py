"""One question and what is needed to ask and to mark it: `Sample`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ABILITIES: tuple[str, ...] = (
    "counting",
    "ocr",
    "attribute",
    "entity",
    "grounding",
    "structured_data",
)
FORMATS: tuple[str, ...] = ("true_false", "multiple_choice", "open")
SPLITS: tuple[str, ...] = ("anchor", "search", "sealed")
#: Key of `Sample.meta`: the sample that a control's sample is a variant of.
BASE = "base"


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a suite.

    Attributes:
        sample_id: Stable id, ``source/native-id[#variant]``.
        ability: One of `ABILITIES`, or one that a pack registered.
        source: Benchmark the sample comes from.
        subtask: Sub-benchmark; the unit over which stability is computed.
        format: One of `FORMATS`.
        domain: Kind of picture (``shapes``, ``shelf``, ``panel``, ``table``, ...).
        images: SHA-256 (hex) of the decoded pixels of each image, in order.
        question: The question without options and without instructions.
        choices: Option texts in the order shown; empty unless multiple choice.
        answers: Accepted answers. Multiple choice: the letter. True/false: ``yes`` or ``no``.
        metric: Name in `lens_ray.scoring.metrics`.
        chance: Expected score of the best answer that does not look at the image, 0 to 1.
        upper: Highest score that can be reached, 0 to 1.
        cluster_id: Samples that share an image or a base question share it.
        group_id: Samples marked together (all rotations right), or None.
        split: ``anchor``, ``search`` or ``sealed``.
        variant: Which rotation or wording this is, or None.
        max_new_tokens: Generation limit of the source.
        meta: Further facts, as strings.
    """

    sample_id: str
    ability: str
    source: str
    subtask: str
    format: str
    domain: str
    images: tuple[str, ...]
    question: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    metric: str
    chance: float
    upper: float
    cluster_id: str
    group_id: str | None = None
    split: str = "sealed"
    variant: str | None = None
    max_new_tokens: int = 16
    meta: Mapping[str, str] = field(default_factory=dict)

    def content_digest(self) -> str:
        """Hash of everything that decides a model's answer and its mark."""
        facts: list[Any] = [
            self.format, list(self.images), self.question, list(self.choices),
            list(self.answers), self.metric, self.max_new_tokens,
        ]  # fmt: skip
        if self.format not in FORMATS or "closing" in self.meta:
            facts.append(sorted(self.meta.items()))  # its wording and its tolerance stand there
        return hashlib.sha256(json.dumps(facts, ensure_ascii=True).encode()).hexdigest()
