"""ChartQA: short answers read off charts, numbers within 5 %."""

from __future__ import annotations

from collections.abc import Iterable

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Place, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import by_row
from lens_ray.suites.sources.wording import kit_open

_TYPES = {"human_test": "human", "augmented_test": "augmented"}
_WORD = "Answer the question with a single word."


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question; the data set has no ids, so its row is its name."""
    cells = Cells("chartqa", row, number)
    kind = cells.text("type")
    if kind not in _TYPES:
        raise cells.fault("type", f"{kind!r} is neither human_test nor augmented_test")
    native = f"lite-{number}" if "chartqa" in options.lite else str(number)
    sample = Sample(
        sample_id=f"chartqa/{native}",
        ability=ability,
        source="chartqa",
        subtask=options.subtask("chartqa", ability, _TYPES[kind]),
        format="open",
        domain="chart",
        images=(),
        question=cells.text("question"),
        choices=(),
        answers=(cells.text("answer"),),
        metric="chartqa" if options.faithful else "relaxed_numeric",
        chance=0.0,
        upper=1.0,
        cluster_id=f"chartqa/{native}",
        max_new_tokens=16,
        meta={"type": kind},
    )
    yield Draft(sample, number, ("image",))


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording."""
    return f"{sample.question}\n{_WORD}"


SOURCE = Source(
    name="chartqa",
    hub=("lmms-lab-encoder/ChartQA", "lmms-lab/ChartQA"),
    config=None,
    split="test",
    licence="not stated; GPL-3.0 (authors' repository)",
    columns={"type": "string", "question": "string", "answer": "string", "image": "image"},
    abilities={"structured_data": Selection()},
    ask=ask,
    settle=by_row,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_open},
    lite=Place(("lmms-lab-encoder/LMMs-Eval-Lite", "lmms-lab/LMMs-Eval-Lite"), "chartqa", "lite"),
)
