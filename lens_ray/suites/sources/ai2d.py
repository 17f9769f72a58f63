"""AI2D: multiple-choice questions on textbook diagrams."""

from __future__ import annotations

from collections.abc import Iterable

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Place, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import by_row
from lens_ray.suites.sources.wording import kit_choice, letter_prompt
from lens_ray.suites.templates import LETTERS


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question; the data set has no ids, so its row is its name."""
    cells = Cells("ai2d", row, number)
    choices = cells.options("options", cells.texts("options"))
    index = cells.integer("answer")
    if index >= len(choices):
        raise cells.fault("answer", f"{index} is the index of none of its {len(choices)} options")
    native = f"lite-{number}" if "ai2d" in options.lite else str(number)
    sample = Sample(
        sample_id=f"ai2d/{native}",
        ability=ability,
        source="ai2d",
        subtask=options.subtask("ai2d", ability, "diagrams"),
        format="multiple_choice",
        domain="diagram",
        images=(),
        question=cells.text("question"),
        choices=choices,
        answers=(LETTERS[index],),
        metric="ai2d" if options.faithful else "exact",
        chance=1 / len(choices),
        upper=1.0,
        cluster_id=f"ai2d/{native}",
        max_new_tokens=16,
    )
    yield Draft(sample, number, ("image",))


SOURCE = Source(
    name="ai2d",
    hub=("lmms-lab-encoder/ai2d", "lmms-lab/ai2d"),
    config=None,
    split="test",
    licence="not stated; CC-BY-SA-4.0 (authors' page)",
    columns={"question": "string", "options": "strings", "answer": "string", "image": "image"},
    abilities={"structured_data": Selection()},
    ask=ask,
    settle=by_row,
    prompts={"abilitylens": letter_prompt, "vlmevalkit": kit_choice},
    lite=Place(("lmms-lab-encoder/LMMs-Eval-Lite", "lmms-lab/LMMs-Eval-Lite"), "ai2d", "lite"),
)
