"""SEED-Bench: four options, several questions an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Place, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells
from lens_ray.suites.sources.settle import first_half, unique
from lens_ray.suites.sources.wording import kit_choice, letter_prompt

#: Names of the types that an ability takes.
_TYPES = {
    2: "instance_identity",
    3: "instance_attribute",
    4: "instance_location",
    5: "instance_counting",
    6: "spatial_relation",
    9: "text_understanding",
}


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question."""
    cells = Cells("seed_bench", row, number)
    kind = cells.integer("question_type_id")
    native = cells.name("question_id")
    image = cells.maybe_name("data_id") or f"question-{native}"
    choices = tuple(cells.text(f"choice_{letter}") for letter in "abcd")
    sample = Sample(
        sample_id=f"seed_bench/{native}",
        ability=ability,
        source="seed_bench",
        subtask=options.subtask("seed_bench", ability, _TYPES.get(kind, f"type_{kind}")),
        format="multiple_choice",
        domain="text" if kind == 9 else "photo",
        images=(),
        question=cells.text("question"),
        choices=choices,
        answers=(cells.letter("answer", len(choices)),),
        metric="seed_bench" if options.faithful else "exact",
        chance=1 / len(choices),
        upper=1.0,
        cluster_id=f"seed_bench/{image}",
        # The task sets no limit; this is what the reference's model wrapper then takes.
        max_new_tokens=1024,
        meta={"question_type_id": str(kind)},
    )
    yield Draft(sample, number, ("image",))


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """All of them, or each ability's first half, to which the reference cuts the full set."""
    drafts = unique(drafts, "question_id")
    if options.first_half and "seed_bench" not in options.lite:
        return first_half(drafts)
    return drafts


SOURCE = Source(
    name="seed_bench",
    hub=("lmms-lab-encoder/SEED-Bench", "lmms-lab/SEED-Bench"),
    config=None,
    split="test",
    licence="CC-BY-NC-4.0",
    columns={
        "question_id": "string",
        "question_type_id": "integer",
        "question": "string",
        "choice_a": "string",
        "choice_b": "string",
        "choice_c": "string",
        "choice_d": "string",
        "answer": "string",
        "data_id": "string",
        "image": "images",
    },
    abilities={
        "counting": Selection("question_type_id", (5,)),
        "grounding": Selection("question_type_id", (4, 6)),
        "attribute": Selection("question_type_id", (3,)),
        "entity": Selection("question_type_id", (2,)),
        "structured_data": Selection("question_type_id", (9,)),
    },
    ask=ask,
    settle=settle,
    prompts={"abilitylens": letter_prompt, "vlmevalkit": kit_choice},
    lite=Place(("lmms-lab-encoder/LMMs-Eval-Lite", "lmms-lab/LMMs-Eval-Lite"), "seedbench", "lite"),
    optional=frozenset({"data_id"}),
)
