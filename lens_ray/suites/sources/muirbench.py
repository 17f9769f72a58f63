"""MuirBench: several images, a varying number of options, half of them without an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.settle import unique
from lens_ray.suites.sources.wording import letter_prompt

#: Stands in questions and options for the next image of the list.
_MARK = "<image>"
#: What it is in `Sample.question` and `Sample.choices`: a mark may be a model's own image token.
_NUMBERED = re.compile(r"\[image [1-9][0-9]*\]")
#: Meta key: the texts had marks.
_MARKED = "marked"


def _numbered() -> Callable[[str], str]:
    """What numbers the marks of one text after another."""
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"[image {count}]"

    return lambda text: re.sub(re.escape(_MARK), replace, text)


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question."""
    cells = Cells("muirbench", row, number)
    task, native = cells.text("task"), cells.name("idx")
    twin = cells.maybe_name("counterpart_idx") or native
    published = cells.options("options", cells.texts("options"))
    question = cells.text("question")
    answer = cells.letter("answer", len(published))
    number_marks = _numbered()
    meta = {"task": task}
    if _MARK in question or any(_MARK in text for text in published):
        meta[_MARKED] = "yes"
    kind = cells.maybe("image_type")
    sample = Sample(
        sample_id=f"muirbench/{native}",
        ability=ability,
        source="muirbench",
        subtask=options.subtask("muirbench", ability, slug(task)),
        format="multiple_choice",
        domain=slug(kind or "") or "mixed",
        images=(),
        question=number_marks(question),
        choices=tuple(number_marks(text) for text in published),
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
    text = letter_prompt(sample)
    return _NUMBERED.sub(_MARK, text) if _in_order(sample) else text


def _in_order(sample: Sample) -> bool:
    """Whether bare marks still stand for the images in their order."""
    text = "\n".join((sample.question, *sample.choices))
    found = _NUMBERED.findall(text)
    return _MARKED in sample.meta and found == [f"[image {n + 1}]" for n in range(len(found))]


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
