"""Rendered prompts against the peers' own task code, byte for byte, on generated rows."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.registry import ELEVEN
from lens_ray.suites.templates import options_are_in_question, render
from tests.peers.peer import CURRENT, REFERENCE, ask
from tests.suites.sources import rows
from tests.suites.sources.rows import only

pytestmark = pytest.mark.peers

Row = dict[str, Any]
COUNT = 2500
_BITS = (
    "what", "is", ": ", "\n", " ", "  ", "?", "A. ", "(B) ", "A: ", ", B: ", ", C: ", "Options: ",
    "Choices:\n", " Please answer yes or no.", "<image>", "[image 1]", "nan", "é", "猫", "\t", "D",
    "1,000", "%", "\u00a0", "Question: ", "There are several options:", "{}", "\\n", "'", '"',
)  # fmt: skip
#: Columns of text that may hold anything.
_FREE = {
    "mme": ("question",),
    "seed_bench": ("question", "choice_a", "choice_b", "choice_c", "choice_d"),
    "mirb": ("questions",),
    "mmstar": ("question",),
    "muirbench": ("question",),
    "ocrbench": ("question",),
    "synthdog": (),
    "mmbench": ("question", "hint", "A", "B", "C", "D"),
    "chartqa": ("question",),
    "ai2d": ("question",),
    "conbench": ("question",),
}
_MAKE: dict[str, Callable[..., Row]] = {
    "mme": rows.mme, "seed_bench": rows.seed, "mirb": rows.mirb, "mmstar": rows.mmstar,
    "muirbench": rows.muir, "ocrbench": rows.ocr, "synthdog": rows.dog, "mmbench": rows.bench,
    "chartqa": rows.chart, "ai2d": rows.ai2d, "conbench": rows.con,
}  # fmt: skip


def _text(rng: random.Random, most: int = 8) -> str:
    return "".join(rng.choice(_BITS) for _ in range(rng.randint(0, most)))


def _row(source: str, rng: random.Random) -> Row:
    if source == "conbench":
        row = rows.con(rng.choice(["N/Y", "Choices", "Q/A"]))
        row["answer"] = row["answer"] if row["question_field"] == "N/Y" else "A"
    else:
        row = _MAKE[source]()
    row |= {column: _text(rng) for column in _FREE[source] if rng.random() < 0.8}
    if source in ("muirbench", "ai2d"):
        row["options"] = [_text(rng, 4) for _ in range(rng.randint(2, 6))]
        row["answer"] = "A" if source == "muirbench" else "0"
    if source == "mmstar":
        row["answer"] = "A"
        if rng.random() < 0.5:
            listed = ", ".join(f"{letter}: {_text(rng, 3)}" for letter in "ABCD")
            row["question"] = f"{_text(rng)} q\nOptions: {listed}"
        elif rng.random() < 0.6:
            listed = ", ".join(f"{letter}: {rng.random()} m" for letter in "ABCD")
            row["question"] = f"how far {rng.random()}?\nOptions: {listed}"
    if source == "mmbench":
        row["hint"] = rng.choice([None, "", "nan", " ", row["hint"]])
        for letter in rng.choice(["", "D", "CD"]):
            row[letter] = rng.choice([None, "", "nan"])
    return row


def asked(source: str) -> list[tuple[Row, Sample]]:
    """Rows that are sound, and their samples."""
    rng = random.Random(f"prompts-{source}")
    made: list[tuple[Row, Sample]] = []
    while len(made) < COUNT:
        row = _row(source, rng)
        try:
            made.append((row, only(source, row)))
        except SuiteError:  # an empty question or option
            continue
    return made


@pytest.mark.parametrize("peer", [REFERENCE, CURRENT])
@pytest.mark.parametrize("source", ELEVEN)
def test_the_reference_wording(source: str, peer: str) -> None:
    made = asked(source)
    theirs = ask(peer, source, [row for row, _ in made], "prompt_oracle.py")
    ours = [render(sample, "abilitylens") for _, sample in made]
    differing = [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]]
    print(f"{source} ({peer}): {len(ours)} prompts compared, {len(differing)} differ")
    assert not differing, differing[:3]


def _as_kit(source: str, row: Row, sample: Sample) -> Row:
    """The row as VLMEvalKit's table has it: an empty cell is a NaN, options are columns."""
    table: Row = {"question": row["question"], "answer": row["answer"]}
    if source == "mmstar":
        table["question"] = sample.question
    if source == "mmbench":
        table["hint"] = row["hint"] if row["hint"] not in (None, "", "nan") else float("nan")
    choices = row["options"] if source == "muirbench" else sample.choices
    return table | dict(zip("ABCDEFGH", choices, strict=False))


@pytest.mark.parametrize(
    "source",
    ["mme", "seed_bench", "mmstar", "muirbench", "ocrbench", "mmbench", "chartqa", "ai2d"],
)
def test_the_wording_of_vlmevalkit(source: str) -> None:
    # Where the options could not be taken out of MMStar's text, its table has none to compare with;
    # the table has no blanks around OCRBench's questions.
    made = [
        (row, sample)
        for row, sample in asked(source)
        if not options_are_in_question(sample)
        and (source != "ocrbench" or row["question"] == row["question"].strip())
    ]
    theirs = ask(
        CURRENT,
        f"kit_{source}",
        [_as_kit(source, row, sample) for row, sample in made],
        "prompt_oracle.py",
    )
    ours = [render(sample, "vlmevalkit") for _, sample in made]
    differing = [pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]]
    print(f"kit {source}: {len(ours)} prompts compared, {len(differing)} differ")
    assert not differing, differing[:3]
    assert len(ours) >= 500
