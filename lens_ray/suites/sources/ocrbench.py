"""OCRBench: text in scenes, documents and formulas; any accepted answer inside the reply counts."""

from __future__ import annotations

from collections.abc import Iterable

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import by_row

#: The publisher's five groups of its ten question types, and the kind of picture.
_TYPES = {
    "Regular Text Recognition": ("text_recognition", "scene_text"),
    "Irregular Text Recognition": ("text_recognition", "scene_text"),
    "Artistic Text Recognition": ("text_recognition", "scene_text"),
    "Handwriting Recognition": ("text_recognition", "handwriting"),
    "Digit String Recognition": ("text_recognition", "handwriting"),
    "Non-Semantic Text Recognition": ("text_recognition", "scene_text"),
    "Scene Text-centric VQA": ("scene_vqa", "scene_text"),
    "Doc-oriented VQA": ("document_vqa", "document"),
    "Key Information Extraction": ("key_information", "document"),
    "Handwritten Mathematical Expression Recognition": ("formulas", "handwriting"),
}


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question; the data set has no ids, so its row is its name."""
    cells = Cells("ocrbench", row, number)
    kind = cells.text("question_type")
    if kind not in _TYPES:
        raise cells.fault("question_type", f"{kind!r} is none of the {len(_TYPES)} published types")
    group, domain = _TYPES[kind]
    answers = cells.texts("answer")
    if not all(answer.strip() for answer in answers):
        # An empty answer is inside every reply.
        raise cells.fault("answer", "one of its answers is empty")
    sample = Sample(
        sample_id=f"ocrbench/{number}",
        ability=ability,
        source="ocrbench",
        subtask=options.subtask("ocrbench", ability, group),
        format="open",
        domain=domain,
        images=(),
        question=cells.text("question").strip(),
        choices=(),
        answers=answers,
        metric="ocrbench" if options.faithful else "contains",
        chance=0.0,
        upper=1.0,
        cluster_id=f"ocrbench/{number}",
        max_new_tokens=128,
        # The rule of HME100k differs from the others'.
        meta={"dataset": cells.maybe("dataset") or "", "question_type": kind},
    )
    yield Draft(sample, number, ("image",))


def prompt(sample: Sample) -> str:
    """The bare question, in lmms-eval and in VLMEvalKit."""
    return sample.question


SOURCE = Source(
    name="ocrbench",
    hub=("echo840/OCRBench",),
    config=None,
    split="test",
    licence="not stated; MIT (authors' repository)",
    columns={
        "dataset": "string",
        "question": "string",
        "question_type": "string",
        "answer": "strings",
        "image": "image",
    },
    abilities={"ocr": Selection()},
    ask=ask,
    settle=by_row,
    prompts={"abilitylens": prompt, "vlmevalkit": prompt},
)
