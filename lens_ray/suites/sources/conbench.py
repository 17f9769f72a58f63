"""ConBench: each image asked in three forms; ConScore_D wants all three right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.inline import count_options, split_options
from lens_ray.suites.sources.settle import complete, unique
from lens_ray.suites.sources.wording import PHRASE, YES_OR_NO, as_published, kit_choice
from lens_ray.suites.templates import (
    IN_QUESTION,
    LETTERS,
    OPTIONS,
    PUBLISHED,
    options_are_in_question,
)

#: Published name of a form: our format, its name in ids, and its marking by our own extraction.
_FORMS = {
    "N/Y": ("true_false", "yes_no", "exact"),
    "Choices": ("multiple_choice", "choices", "exact"),
    "Q/A": ("open", "open", "anls"),
}
_CHANCE = {"true_false": 0.5, "open": 0.0}
_DOMAINS = {"ocr": "text", "poster": "poster"}
#: Most questions have four; used where the text does not show its letters.
_OPTIONS = 4


def _clean(question: str) -> str:
    return question.strip().replace(YES_OR_NO, "")


def _parts(published: str) -> tuple[str, tuple[str, ...]] | None:
    found = split_options(published.strip())
    return None if found is None else (found.question, found.choices)


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one form of an image's question."""
    cells = Cells("conbench", row, number)
    field, native, form = cells.text("field"), cells.name("image_id"), cells.text("question_field")
    if form not in _FORMS:
        raise cells.fault("question_field", f"{form!r} is none of {', '.join(_FORMS)}")
    kind, form_name, robust = _FORMS[form]
    triple = options.conbench == "triple"
    if triple and kind != "open":
        robust = "all_right"
    elif triple:
        robust = "triples_right"
    question, choices, answer, more = _facts(cells, kind)
    group = f"conbench/{field}/{native}"
    part = slug(field) if triple else f"{slug(field)}_{form_name}"
    sample = Sample(
        sample_id=f"{group}/{form_name}",
        ability=ability,
        source="conbench",
        subtask=options.subtask("conbench", ability, part),
        format=kind,
        domain=_DOMAINS.get(field, "photo"),
        images=(),
        question=question,
        choices=choices,
        answers=(answer,),
        metric="conbench" if options.faithful else robust,
        # Of one form; a triple's is the product over its forms.
        chance=1 / len(choices) if choices else _CHANCE[kind],
        upper=1.0,
        cluster_id=group,
        group_id=group if triple else None,
        # The reference samples at temperature 0.2 with top_p 0, which is greedy.
        max_new_tokens=1024,
        meta={"field": field, "form": form} | more,
    )
    yield Draft(sample, number, ("image",))


def _facts(cells: Cells, kind: str) -> tuple[str, tuple[str, ...], str, dict[str, str]]:
    """Question, options, accepted answer, and what the meta says of them."""
    published = cells.text("question")
    if kind == "open":
        return published.strip(), (), cells.text("answer").strip(), {}
    if kind == "true_false":
        return _clean(published), (), cells.yes_or_no("answer"), {PUBLISHED: published}
    more, parts = {PUBLISHED: published}, _parts(published)
    if parts is None:
        count = count_options(published)
        parts = published.strip(), tuple(LETTERS[: count if count > 1 else _OPTIONS])
        more[OPTIONS] = IN_QUESTION
    return *parts, cells.letter("answer", len(parts[1])), more


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """Complete triples, or every form by itself."""
    drafts = unique(drafts, "image_id")
    if options.conbench == "triple":
        return complete(drafts, options, "image_id", lambda _: len(_FORMS), "triple")
    return drafts


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording: the bare question as it was published."""
    if sample.format == "true_false":
        return as_published(sample, _clean).strip()
    if sample.format != "multiple_choice" or options_are_in_question(sample):
        return sample.question
    published = sample.meta.get(PUBLISHED, "")
    if _parts(published) == (sample.question, sample.choices):
        return published.strip()
    # Another order or wording than the published one, in a published layout.
    shown = ", ".join(f"{a}: {text}" for a, text in zip(LETTERS, sample.choices, strict=False))
    return f"{sample.question}\nOptions: {shown}"


def kit_prompt(sample: Sample) -> str:
    """VLMEvalKit's wording by form; it has none for this source."""
    if sample.format == "multiple_choice":
        return kit_choice(sample)
    if sample.format == "true_false":
        return reference_prompt(sample)
    return f"{sample.question}\n{PHRASE}"


SOURCE = Source(
    name="conbench",
    hub=("ConBench/ConBench_D",),
    config=None,
    split="test",
    licence="Apache-2.0",
    columns={
        "image_id": "string",
        "image": "image",
        "question": "string",
        "field": "string",
        "answer": "string",
        "question_field": "string",
    },
    abilities={
        "counting": Selection("field", ("count",)),
        "ocr": Selection("field", ("ocr",)),
        "grounding": Selection("field", ("position",)),
        "attribute": Selection("field", ("attribute_reason", "attribute_recognition")),
        "entity": Selection("field", ("landmark", "celebrity")),
        "structured_data": Selection("field", ("poster",)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_prompt},
)
