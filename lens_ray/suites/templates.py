"""How a sample becomes the user's turn: named, versioned prompt templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import Sample

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Template:
    """One way to put a question.

    Attributes:
        name: As in the job file.
        version: Goes up with every change of wording.
        instructions: Sample format to the closing line; formats not named get none.
        sources: What renders the samples of a source (`Sample.source`) whose wording is its own.
    """

    name: str
    version: int
    instructions: Mapping[str, str]
    sources: Mapping[str, Callable[[Sample], str]] = field(default_factory=dict)

    def render(self, sample: Sample) -> str:
        """The user's turn for a sample, without image placeholders."""
        if sample.source in self.sources:
            return self.sources[sample.source](sample)
        lines = [sample.question]
        if len(sample.choices) > len(LETTERS):
            raise SuiteError(
                f"sample {sample.sample_id}: {len(sample.choices)} choices; "
                f"at most {len(LETTERS)} have a letter"
            )
        lines += [
            f"{letter}. {choice}" for letter, choice in zip(LETTERS, sample.choices, strict=False)
        ]
        instruction = self.instructions.get(sample.format)
        if instruction:
            lines.append(instruction)
        return "\n".join(lines)


TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in (
        Template(
            "default",
            1,
            {
                "true_false": "Answer yes or no.",
                "multiple_choice": "Answer with the letter.",
                "open": "Answer briefly.",
            },
        ),
        Template("bare", 1, {}),
    )
}


def render(sample: Sample, template: str = "default") -> str:
    """The user's turn for a sample.

    Raises:
        SuiteError: No template of this name.
    """
    if template not in TEMPLATES:
        near = get_close_matches(template, TEMPLATES, 1, 0.0)[0]
        raise SuiteError(f"template {template!r} is not known; the nearest is {near!r}")
    return TEMPLATES[template].render(sample)


def prompt_hash(text: str, images: Sequence[str], generation: Mapping[str, object]) -> str:
    """SHA-256 (hex) of all that reaches the model: text, image hashes, generation parameters."""
    return hash_with(text, images, generation_facts(generation))


def generation_facts(generation: Mapping[str, object]) -> str:
    """The parameters as `hash_with` takes them; one string serves a whole run."""
    return json.dumps(sorted((key, generation[key]) for key in generation))


def hash_with(text: str, images: Sequence[str], facts: str) -> str:
    """`prompt_hash`, where the parameters are written down already."""
    hashes = ", ".join(map(json.dumps, images))
    return hashlib.sha256(f"[{json.dumps(text)}, [{hashes}], {facts}]".encode()).hexdigest()
