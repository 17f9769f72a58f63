"""MIRB: how many, over several images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Row, Selection, Source
from lens_ray.suites.sources.cells import Cells, slug
from lens_ray.suites.sources.settle import unique
from lens_ray.suites.sources.wording import kit_open

#: The publisher puts the question right behind it, without a space.
_NUMBER = "Answer with a single number."


def ask(row: Row, number: int, ability: str, options: Options) -> Iterable[Draft]:
    """The draft of one question."""
    cells = Cells("mirb", row, number)
    subset, native = cells.text("subset"), cells.name("question_id")
    sample = Sample(
        sample_id=f"mirb/{subset}/{native}",
        ability=ability,
        source="mirb",
        subtask=options.subtask("mirb", ability, slug(subset)),
        format="open",
        domain="photo",
        images=(),
        question=cells.text("questions"),
        choices=(),
        answers=(cells.name("answers"),),
        metric="mirb" if options.faithful else "numeric",
        # Any number may be right, so a guess earns about nothing.
        chance=0.0,
        upper=1.0,
        cluster_id=f"mirb/{subset}/{native}",
        max_new_tokens=64,
        meta={"subset": subset},
    )
    yield Draft(sample, number, ("image_list",))


def settle(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """All of them."""
    return unique(drafts, "question_id")


def reference_prompt(sample: Sample) -> str:
    """lmms-eval's wording of the subset ``count``."""
    return f"{_NUMBER}{sample.question}"


SOURCE = Source(
    name="mirb",
    hub=("VLLMs/MIRB-hf",),
    config=None,
    split="test",
    licence="MIT",
    columns={
        "question_id": "string",
        "subset": "string",
        "questions": "string",
        "answers": "string",
        "image_list": "images",
    },
    abilities={"counting": Selection("subset", ("count",))},
    ask=ask,
    settle=settle,
    prompts={"abilitylens": reference_prompt, "vlmevalkit": kit_open},
    revision="5bd1c0bc20b049779d50930c894729fb8a4ae1f0",
)
