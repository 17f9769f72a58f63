"""MMStar: questions whose options stand in their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.inline import count_options, split_options
from lens_ray.suites.sources.settle import unique
from lens_ray.suites.sources.wording import YES_OR_NO, kit_choice
from lens_ray.suites.templates import (
    IN_QUESTION,
    LETTERS,
    OPTIONS,
    PUBLISHED,
    options_are_in_question,
)

#: Without the full stop that the other sources have.
_LETTER = "Answer with the option's letter from the given choices directly"
_DOMAINS = {"diagram reasoning": "diagram"}
#: Every published question has four; used where the text does not show its letters.
_OPTIONS = 4


def _parts(published: str) -> tuple[str, tuple[str, ...]] | None:
    found = split_options(published.strip())
    return None if found is None else (found.question, found.choices)


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question."""
    cells = Cells("mmstar", row, number)
    kind, native, published = (
        cells.text("l2_category"),
        cells.name("index"),
        cells.text("question"),
    )
    parts = _parts(published)
    meta = {"l2_category": kind, PUBLISHED: published}
    if parts is None:
        count = count_options(published)
        letters = tuple(LETTERS[: count if count > 1 else _OPTIONS])
        parts = published.strip(), letters
        meta[OPTIONS] = IN_QUESTION
    question, choices = parts
    sample = Sample(
        sample_id=f"mmstar/{native}",
        ability=ability,
        source="mmstar",
        subtask=options.subtask("mmstar", ability, slug(kind)),
        format="multiple_choice",
        domain=_DOMAINS.get(kind, "photo"),
        images=(),
        question=question,
        choices=choices,
        answers=(cells.letter("answer", len(choices)),),
        metric="mmstar" if options.faithful else "exact",
        chance=1 / len(choices),
        upper=1.0,
        cluster_id=f"mmstar/{native}",
        # The task sets no limit; this is what the reference's model wrapper then takes.
        max_new_tokens=1024,
        meta=meta,
    )
    yield Draft(sample, number, ("image",))


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """All of them."""
    return unique(drafts, "index")


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording: the published text, which holds the options."""
    published = sample.meta.get(PUBLISHED, "")
    if options_are_in_question(sample):
        text = sample.question
    elif _parts(published) == (sample.question, sample.choices):
        text = published.strip()
    else:
        # Another order or wording than the published one, in the published layout.
        shown = ", ".join(f"{a}: {text}" for a, text in zip(LETTERS, sample.choices, strict=False))
        text = f"{sample.question}\nOptions: {shown}"
    return f"{text.replace(YES_OR_NO, '')}\n{_LETTER}"


SOURCE = Source(
    name="mmstar",
    hub=("Lin-Chen/MMStar",),
    config=None,
    split="val",
    licence="not stated",
    columns={
        "index": "integer",
        "question": "string",
        "image": "image",
        "answer": "string",
        "l2_category": "string",
    },
    abilities={
        "counting": Selection("l2_category", ("object counting",)),
        "grounding": Selection("l2_category", ("localization",)),
        "attribute": Selection(
            "l2_category", ("cross-instance attribute reasoning", "single-instance reasoning")
        ),
        "structured_data": Selection("l2_category", ("diagram reasoning",)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_choice},
    revision="bc98d668301da7b14f648724866e57302778ab27",
)
