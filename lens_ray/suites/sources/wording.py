"""Sentences and layouts that the published prompts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import LETTERS, PUBLISHED, options_are_in_question

LETTER = "Answer with the option's letter from the given choices directly."
PHRASE = "Answer the question using a single word or phrase."
#: MME's questions end in it; lmms-eval takes it away from them and from MMStar's.
YES_OR_NO = " Please answer yes or no."
#: VLMEvalKit's closing line ends in a blank and a newline.
SELECT = "Please select the correct answer from the options above. \n"


def lettered(choices: Sequence[str]) -> str:
    """One line an option: ``A. text``."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))


def as_published(sample: Sample, clean: Callable[[str], str]) -> str:
    """The question as it was published, unless the sample asks another one by now.

    Args:
        sample: Has the published text in its meta where that differs from its question.
        clean: How the question was made of it; a paraphrase does not match it any more.
    """
    raw = sample.meta.get(PUBLISHED)
    return raw if raw is not None and clean(raw) == sample.question else sample.question


def letter_prompt(sample: Sample) -> str:
    """Question, options and the request for a letter (lmms-eval: SEED-Bench, AI2D)."""
    return f"{sample.question}\n{lettered(sample.choices)}\n{LETTER}"


def kit_choice(sample: Sample, question: str | None = None, hint: str | None = None) -> str:
    """VLMEvalKit's layout of a multiple-choice question."""
    lines = [] if hint is None else [f"Hint: {hint}"]
    lines.append(f"Question: {sample.question if question is None else question}")
    if not options_are_in_question(sample):
        lines += ["Options:", lettered(sample.choices)]
    return "\n".join(lines) + "\n" + SELECT


def kit_open(sample: Sample) -> str:
    """VLMEvalKit's layout of an open question."""
    return f"{sample.question}\n{PHRASE}"


def kit_prompt(sample: Sample) -> str:
    """VLMEvalKit's layout by format, for a sample of no source of its own wording."""
    if sample.format == "multiple_choice":
        return kit_choice(sample)
    return sample.question if sample.format == "true_false" else kit_open(sample)
