"""MME: two yes/no questions an image, marked together (acc + acc+)."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.settle import complete, unique
from lens_ray.suites.sources.wording import PHRASE, YES_OR_NO
from lens_ray.suites.templates import PUBLISHED

_DOMAINS = {"OCR": "text", "posters": "poster"}


def _clean(question: str) -> str:
    return question.strip().replace(YES_OR_NO, "")


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question; its pair is known when all are there."""
    cells = Cells("mme", row, number)
    category, native = cells.text("category"), cells.name("question_id")
    # Ids say their category in most published versions.
    native = native if native.startswith(f"{category}/") else f"{category}/{native}"
    question = cells.text("question")
    pairs = options.mme == "pairs"
    robust = "yes_no_pairs" if pairs else "exact"
    sample = Sample(
        sample_id=f"mme/{native}",
        ability=ability,
        source="mme",
        subtask=options.subtask("mme", ability, slug(category)),
        format="true_false",
        domain=_DOMAINS.get(category, "photo"),
        images=(),
        question=_clean(question),
        choices=(),
        answers=(cells.yes_or_no("answer"),),
        metric="mme" if options.faithful else robust,
        # Of one question; the pair's is (0.5 + 0.25) / 2, the published 75 of 200.
        chance=0.5,
        upper=1.0,
        cluster_id=f"mme/{native}",
        group_id=f"mme/{native}" if pairs else None,
        max_new_tokens=16,
        meta={"category": category, PUBLISHED: question},
    )
    yield Draft(sample, number, ("image",))


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """Complete pairs; the questions of an image are numbered in the order of the data set."""
    if options.mme == "pairs":
        drafts = complete(drafts, options, "question_id", lambda _: 2, "pair")
    seen: Counter[str] = Counter()
    numbered = []
    for draft in drafts:
        name = draft.sample.sample_id
        seen[name] += 1
        sample = dataclasses.replace(draft.sample, sample_id=f"{name}/{seen[name]}")
        numbered.append(dataclasses.replace(draft, sample=sample))
    return unique(numbered, "question_id")


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording: without MME's own closing words."""
    return f"{sample.question}\n{PHRASE}"


def kit_prompt(sample: Sample) -> str:
    """VLMEvalKit's wording: the question as it was published."""
    raw = sample.meta.get(PUBLISHED)
    if raw is not None and _clean(raw) == sample.question:
        return raw
    # A reworded question gets MME's closing words.
    return f"{sample.question}{YES_OR_NO}"


SOURCE = Source(
    name="mme",
    hub=("lmms-lab-encoder/MME", "lmms-lab/MME"),
    config=None,
    split="test",
    licence="not stated; academic research only, images not to be redistributed (authors' page)",
    columns={
        "question_id": "string",
        "image": "image",
        "question": "string",
        "answer": "string",
        "category": "string",
    },
    abilities={
        "counting": Selection("category", ("count",)),
        "ocr": Selection("category", ("OCR",)),
        "grounding": Selection("category", ("position",)),
        "entity": Selection("category", ("landmark", "celebrity")),
        "structured_data": Selection("category", ("posters",)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_prompt},
)
