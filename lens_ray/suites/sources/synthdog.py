"""SynthDoG (English): read a whole synthetic page."""

from __future__ import annotations

import json
from collections.abc import Iterable

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import by_row
from lens_ray.suites.templates import IN_QUESTION, INSTRUCTION

#: The wording of lmms-eval's task file; the data set has no question of its own.
INSTRUCTIONS = (
    "OCR this image section by section, from top to bottom, and left to right. "
    "Do not insert line breaks in the output text. "
    "If a word is split due to a line break in the image, use a space instead."
)


def faithful_upper(gold: str) -> float:
    """The most that a reply can earn under the published rule.

    The reply is lower-cased and the gold is not, so every capital costs one edit of
    ``1 - (1 + edits) / (1 + length)``. Where that leaves nothing (a page of capitals only) the
    publication's 1 stands, and nobody can earn it.
    """
    gold = gold.strip()
    edits = sum(letter.lower() != letter for letter in gold)
    return 1 - (1 + edits) / (1 + len(gold)) if edits < len(gold) else 1.0


def _text(cells: Cells) -> str:
    try:
        truth = json.loads(cells.text("ground_truth"))
    except (ValueError, RecursionError):
        raise cells.fault("ground_truth", "it is not JSON") from None
    parse = truth.get("gt_parse") if isinstance(truth, dict) else None
    found = parse.get("text_sequence") if isinstance(parse, dict) else None
    if not isinstance(found, str) or not found.strip():
        raise cells.fault("ground_truth", "it has no text at gt_parse.text_sequence")
    return found


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one page; the data set has no ids, so its row is its name."""
    gold = _text(Cells("synthdog", row, number))
    sample = Sample(
        sample_id=f"synthdog/{number}",
        ability=ability,
        source="synthdog",
        subtask=options.subtask("synthdog", ability, "page"),
        format="open",
        domain="document",
        images=(),
        question=INSTRUCTIONS,
        choices=(),
        answers=(gold,),
        metric="synthdog" if options.faithful else "nted",
        chance=0.0,
        upper=faithful_upper(gold) if options.faithful else 1.0,
        cluster_id=f"synthdog/{number}",
        max_new_tokens=1024,
        meta={INSTRUCTION: IN_QUESTION},
    )
    yield Draft(sample, number, ("image",))


def prompt(sample: Sample) -> str:
    """The instruction alone; VLMEvalKit has no wording for this source."""
    return sample.question


SOURCE = Source(
    name="synthdog",
    hub=("naver-clova-ix/synthdog-en",),
    config=None,
    split="validation",
    licence="not stated; MIT (authors' repository)",
    columns={"image": "image", "ground_truth": "string"},
    abilities={"ocr": Selection()},
    ask=ask,
    settle=by_row,
    prompts={"abilitylens": prompt, "vlmevalkit": prompt},
)
