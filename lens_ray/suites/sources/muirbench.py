"""MuirBench: several images, a varying number of options, half of them without an answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.settle import unique
from lens_ray.suites.sources.wording import LETTER, lettered
from lens_ray.suites.templates import PUBLISHED

#: Stands in questions and options for the next image of the list. A model may have the same text
#: for its own image token, so that samples say which image is meant.
_MARK = "<image>"


def _numbered(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts with their marks numbered from the first text to the last."""
    numbers = itertools.count(1)
    return tuple(
        re.sub(re.escape(_MARK), lambda _: f"[image {next(numbers)}]", text) for text in texts
    )


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question."""
    cells = Cells("muirbench", row, number)
    task, native = cells.text("task"), cells.name("idx")
    twin = cells.maybe_name("counterpart_idx") or native
    published = cells.options("options", cells.texts("options"))
    question = cells.text("question")
    answer = cells.letter("answer", len(published))
    asked = _numbered((question, *published))
    meta = {"task": task}
    if asked != (question, *published):
        meta[PUBLISHED] = json.dumps((question, *published))
    kind = cells.maybe("image_type")
    sample = Sample(
        sample_id=f"muirbench/{native}",
        ability=ability,
        source="muirbench",
        subtask=options.subtask("muirbench", ability, slug(task)),
        format="multiple_choice",
        domain=slug(kind or "") or "mixed",
        images=(),
        question=asked[0],
        choices=asked[1:],
        answers=(answer,),
        metric="muirbench" if options.faithful else "exact",
        chance=1 / len(published),
        upper=1.0,
        # A question and its unanswerable twin.
        cluster_id=f"muirbench/{min(native, twin, key=lambda name: (len(name), name))}",
        max_new_tokens=16,
        meta=meta,
    )
    yield Draft(sample, number, ("image_list",))


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """All of them."""
    return unique(drafts, "idx")


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording, marks included; VLMEvalKit's text is the same."""
    asked = (sample.question, *sample.choices)
    if PUBLISHED in sample.meta:
        published = tuple(json.loads(sample.meta[PUBLISHED]))
        # Turned options keep their numbers: bare marks stand for the images in their order.
        asked = published if _numbered(published) == asked else asked
    return f"{asked[0]}\n{lettered(asked[1:])}\n{LETTER}"


SOURCE = Source(
    name="muirbench",
    hub=("MUIRBENCH/MUIRBENCH",),
    config=None,
    split="test",
    licence="CC-BY-4.0",
    columns={
        "idx": "string",
        "task": "string",
        "image_type": "string",
        "question": "string",
        "options": "strings",
        "answer": "string",
        "image_list": "images",
        "counterpart_idx": "string",
    },
    abilities={
        "counting": Selection("task", ("Counting",)),
        "grounding": Selection("task", ("Visual Grounding",)),
        "attribute": Selection("task", ("Difference Spotting", "Attribute Similarity")),
        "structured_data": Selection("task", ("Diagram Understanding",)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": reference_prompt},
    optional=frozenset({"image_type", "counterpart_idx"}),
)
