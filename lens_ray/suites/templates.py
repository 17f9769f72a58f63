"""How a sample becomes the user's turn: named, versioned prompt templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import Sample
from lens_ray.yaml_problems import nearest

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Keys of `Sample.meta` that say how a question was published.
#: The text that the question was made of.
PUBLISHED = "published"
#: ``in_question`` where the options stand in the question; `Sample.choices` are bare letters then.
OPTIONS = "options"
#: ``in_question`` where the question says by itself how to answer.
INSTRUCTION = "instruction"
#: A closing line of the sample's own, for templates that close questions with one.
CLOSING = "closing"
IN_QUESTION = "in_question"


def options_are_in_question(sample: Sample) -> bool:
    """Whether the options stand in the question's text, so that they cannot be listed or turned."""
    return sample.meta.get(OPTIONS) == IN_QUESTION


@dataclass(frozen=True, slots=True)
class Template:
    """One way to put a question.

    Attributes:
        name: As in the job file.
        version: Goes up with every change of wording.
        instructions: Sample format to the closing line; formats not named get none.
        sources: What renders the samples of a source (`Sample.source`) whose wording is its own.
        rest: What renders the samples of other sources; None for the layout of this class.
    """

    name: str
    version: int
    instructions: Mapping[str, str]
    sources: Mapping[str, Callable[[Sample], str]] = field(default_factory=dict)
    rest: Callable[[Sample], str] | None = None

    def render(self, sample: Sample) -> str:
        """The user's turn for a sample, without image placeholders."""
        if sample.source in self.sources:
            return self.sources[sample.source](sample)
        if self.rest is not None:
            return self.rest(sample)
        lines = [sample.question]
        if len(sample.choices) > len(LETTERS):
            raise SuiteError(
                f"sample {sample.sample_id}: {len(sample.choices)} choices; "
                f"at most {len(LETTERS)} have a letter"
            )
        if not options_are_in_question(sample):
            lines += [
                f"{letter}. {choice}"
                for letter, choice in zip(LETTERS, sample.choices, strict=False)
            ]
        instruction = self.instructions.get(sample.format)
        if self.instructions:  # a pack's own closing line stands in the place of the template's
            instruction = sample.meta.get(CLOSING, instruction)
        if instruction and sample.meta.get(INSTRUCTION) != IN_QUESTION:
            lines.append(instruction)
        return "\n".join(lines)


class _Wordings(Mapping[str, Callable[[Sample], str]]):
    """The renderers that the sources have for a template, looked up when one is asked for."""

    def __init__(self, template: str) -> None:
        self._template = template

    def __getitem__(self, source: str) -> Callable[[Sample], str]:
        from lens_ray.suites.sources.registry import SOURCES

        return SOURCES[source].prompts[self._template]

    def __iter__(self) -> Iterator[str]:
        from lens_ray.suites.sources.registry import SOURCES

        return (name for name, source in SOURCES.items() if self._template in source.prompts)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _kit(sample: Sample) -> str:
    from lens_ray.suites.sources.wording import kit_prompt

    return kit_prompt(sample)


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
        # What lmms-eval's task code, which AbilityLens uses, makes of the same row.
        Template(
            "abilitylens",
            1,
            {
                "true_false": "Answer the question using a single word or phrase.",
                "multiple_choice": (
                    "Answer with the option's letter from the given choices directly."
                ),
                "open": "Answer the question using a single word or phrase.",
            },
            _Wordings("abilitylens"),
        ),
        # VLMEvalKit's default wording.
        Template("vlmevalkit", 1, {}, _Wordings("vlmevalkit"), _kit),
    )
}


def unknown_template(name: str) -> PydanticCustomError | None:
    """What to say of a name in a user's file that no template has; None where one has it."""
    if name in TEMPLATES:
        return None
    return PydanticCustomError(
        "unknown_template",
        "no template is called {found}; {hint}",
        {"found": repr(name), "hint": nearest(name, TEMPLATES)},
    )


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
