"""MMBench (English, dev): every question once for each order of its options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Place, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import complete, unique
from lens_ray.suites.sources.wording import LETTER, as_published, kit_choice, lettered
from lens_ray.suites.templates import PUBLISHED

#: Rotation k of question i has the index i + k * 10**6.
_TURN = 10**6
_DOMAINS = {"ocr": "text", "structuralized_imagetext_understanding": "document"}
_SHORT = {"structuralized_imagetext_understanding": "structuralized_imagetext"}
_HINT = "hint"


def _options(cells: Cells) -> tuple[str, ...]:
    found = [cells.maybe(letter) for letter in "ABCDE"]
    # Absent options are null, empty, or the text of a NaN.
    texts = [None if text in (None, "", "nan") else text for text in found]
    count = next((place for place, text in enumerate(texts) if text is None), len(texts))
    for letter, text in list(zip("ABCDE", texts, strict=True))[count:]:
        if text is not None:
            raise cells.fault(letter, f"it has a text, and {'ABCDE'[count]} before it has none")
    return cells.options("B", tuple(text for text in texts[:count] if text is not None))


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one rotation."""
    cells = Cells("mmbench", row, number)
    category, index = cells.text("category"), cells.integer("index")
    base, turn = index % _TURN, index // _TURN
    choices = _options(cells)
    question, hint = cells.text("question"), cells.maybe("hint")
    meta = {"category": category}
    if any(cells.maybe(letter) == "nan" for letter in "ABCD"):
        # The publisher's marking looks for this text of an absent option.
        meta["missing_option"] = "nan"
    if hint is not None and hint != "nan":
        meta |= {_HINT: hint, PUBLISHED: question}
    circular = options.mmbench == "circular"
    robust = "all_right" if circular else "exact"
    sample = Sample(
        sample_id=f"mmbench/{base}" + (f"#rotation-{turn}" if turn else ""),
        ability=ability,
        source="mmbench",
        subtask=options.subtask("mmbench", ability, _SHORT.get(category, category)),
        format="multiple_choice",
        domain=_DOMAINS.get(category, "photo"),
        images=(),
        question=_hinted(hint if _HINT in meta else None, question),
        choices=choices,
        answers=(cells.letter("answer", len(choices)),),
        metric="mmbench" if options.faithful else robust,
        # Of one rotation; the group's is the product over its rotations.
        chance=1 / len(choices),
        upper=1.0,
        cluster_id=f"mmbench/{base}",
        group_id=f"mmbench/{base}" if circular else None,
        variant=f"rotation-{turn}" if turn else None,
        max_new_tokens=1024,
        meta=meta,
    )
    yield Draft(sample, number, ("image",))


def _hinted(hint: str | None, question: str) -> str:
    return f"{hint}\n{question}" if hint else question


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """Complete rotation sets (as many rotations as options), or all of them."""
    drafts = unique(drafts, "index")
    if options.mmbench == "plain" or not options.complete_groups:
        return drafts

    def size(members: Sequence[Draft]) -> int:
        return max(len(member.sample.choices) for member in members)

    return complete(drafts, options, "index", size, "rotation set")


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording; an empty hint leaves its space."""
    hint = sample.meta.get(_HINT)
    question = as_published(sample, lambda raw: _hinted(hint, raw))
    # A rewritten question holds its hint.
    lead = f"{hint} " if hint is not None and question == sample.meta[PUBLISHED] else ""
    options = f"There are several options:\n{lettered(sample.choices)}".rstrip("\n")
    return f"{lead}{question} {options}\n\n{LETTER}"


def kit_prompt(sample: Sample) -> str:
    """VLMEvalKit's wording; an empty hint is none."""
    hint = sample.meta.get(_HINT)
    question = as_published(sample, lambda raw: _hinted(hint, raw))
    lead = hint if hint and question == sample.meta[PUBLISHED] else None
    return kit_choice(sample, question, lead)


SOURCE = Source(
    name="mmbench",
    hub=("lmms-lab-encoder/MMBench", "lmms-lab/MMBench"),
    config="en",
    split="dev",
    licence="not stated; Apache-2.0 (authors' repository)",
    columns={
        "index": "integer",
        "question": "string",
        "hint": "string",
        "A": "string",
        "B": "string",
        "C": "string",
        "D": "string",
        "E": "string",
        "answer": "string",
        "category": "string",
        "image": "image",
    },
    abilities={
        "ocr": Selection("category", ("ocr",)),
        "grounding": Selection("category", ("spatial_relationship", "object_localization")),
        "attribute": Selection("category", ("attribute_recognition", "attribute_comparison")),
        "entity": Selection("category", ("celebrity_recognition", "identity_reasoning")),
        "structured_data": Selection("category", ("structuralized_imagetext_understanding",)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_prompt},
    lite=Place(
        ("lmms-lab-encoder/LMMs-Eval-Lite", "lmms-lab/LMMs-Eval-Lite"), "mmbench_en_dev", "lite"
    ),
    optional=frozenset({"hint", "C", "D", "E"}),
)
