"""A small suite, and the files that lmms-eval and VLMEvalKit write of answers to it.

The writers follow ``save_results_samples`` of lmms-eval (``loggers/evaluation_tracker.py``) and
``dump`` of VLMEvalKit (``smp/file.py``) line by line; they share no code with the readers.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lens_ray.suites import Sample, Suite, write_suite
from lens_ray.suites.images import Pixels
from tests.suites.makers import sample

#: Texts that a format may break on; the marks differ.
TEXTS = (
    "yes", "No.", "B", "The answer is (A).", "", "line one\nline two: no", 'a "quoted"\tB',
    "ответ: C", "I cannot answer that.", "<think>A? no</think>B", "  D  ", "7", "=1+1",
    "tail\\", "C because A is wrong", "0.5", "\x1b[31mB", "true", "NaN", "12%",
)  # fmt: skip
FAILED = {
    "[LMMS_EVAL_REQUEST_FAILED after 5 retries] 429": "infra_error",
    "[LMMS_EVAL_BUDGET_EXCEEDED]": "over_budget",
    "Failed to obtain answer via API.": "infra_error",
}


def make_suite(folder: Path, *, rows: bool = True) -> Suite:
    """MME pairs, MMBench rotations and ChartQA, shaped as their sources shape them.

    Args:
        folder: Where to.
        rows: Whether samples say their position in the split.
    """
    samples: list[Sample] = []
    images: dict[str, Pixels] = {}

    def add(number: int, row: int, **facts: Any) -> None:
        facts["meta"] = {"row": str(row)} if rows else {}
        made, image = sample(number, **facts)
        samples.append(made)
        images.update(image)

    for number in range(8):
        image, question = divmod(number, 2)
        add(
            # Every image is asked the same two questions: only the image's name tells them apart.
            image, 3 * number, sample_id=f"mme/count/{image:04}.png/{question + 1}",
            source="mme", subtask="mme_count", format="true_false",
            question=f"Is there {('a dog', 'a cat')[question]} in this image?",
            answers=(("yes", "no")[(image + question) % 2],), chance=0.5,
            cluster_id=f"mme/count/{image:04}.png", group_id=f"mme/count/{image:04}.png",
        )  # fmt: skip
    for base in (241, 7):
        for turn in range(3):
            texts = ("red", "green", "blue")
            add(
                100 + base, base + 500 * turn, source="mmbench", subtask="mmbench_attribute",
                ability="attribute", format="multiple_choice", question=f"hint {base}\nwhich one?",
                sample_id=f"mmbench/{base}" + (f"#rotation-{turn}" if turn else ""),
                variant=f"rotation-{turn}" if turn else None, choices=texts[turn:] + texts[:turn],
                answers=("ACB"[turn],), metric="all_right", chance=1 / 3,
                cluster_id=f"mmbench/{base}", group_id=f"mmbench/{base}",
            )  # fmt: skip
    for number in range(8):
        add(
            400 + number, number, source="chartqa", subtask="chartqa_human",
            ability="structured_data", sample_id=f"chartqa/{number}", chance=0.0,
            question="What is the value of the tallest bar?", metric="relaxed_numeric",
            answers=("7" if number % 2 else "0.5",), cluster_id=f"chartqa/{number}",
        )  # fmt: skip
    return write_suite("three", samples, images, folder, licence="x", revision="1")


def native(asked: Sample) -> str:
    """The publisher's id."""
    if asked.source == "mme":
        return "/".join(asked.sample_id.split("/")[1:3])
    base, _, turn = asked.sample_id.removeprefix(f"{asked.source}/").partition("#rotation-")
    return str(int(base) + 1_000_000 * int(turn or 0))


def of(suite: Suite, source: str) -> list[Sample]:
    return [one for one in suite.samples if one.source == source]


# lmms-eval


def lmms_row(asked: Sample, text: str, doc_id: int) -> dict[str, Any]:
    """As it is logged, before it is written."""
    lines = [f"{letter}. {choice}" for letter, choice in zip("ABC", asked.choices, strict=False)]
    tail = {
        "mme": "\nAnswer the question using a single word or phrase.",
        "mmbench": " There are several options:\n" + "\n".join(lines) + "\n\nAnswer with the "
        "option's letter from the given choices directly.",
        "chartqa": "\nAnswer the question with a single word.",
    }[asked.source]
    every: dict[str, dict[str, Any]] = {
        "mme": {
            "mme_perception_score": {
                "question_id": native(asked), "category": "count", "score": 0.0,
            }
        },
        "mmbench": {"gpt_eval_score": {"index": native(asked), "answer": asked.answers[0]}},
        "chartqa": {"relaxed_overall": 0.0, "relaxed_human_split": 0.0},
    }  # fmt: skip
    return {
        "doc_id": doc_id,
        "doc": {"question": asked.question, "question_id": native(asked)},
        "target": asked.answers[0].capitalize(),
        "arguments": [asked.question.replace("\n", " ") + tail],
        "resps": [[text]],
        "filtered_resps": [text],
        "token_counts": [{"input_tokens": 11, "output_tokens": 3, "reasoning_tokens": None}],
        "doc_hash": "d" * 64,
        **every[asked.source],
    }


def write_lmms(
    folder: Path, task: str, rows: Iterable[Mapping[str, Any]], *, old: bool = False
) -> Path:
    """One samples file; an old one keeps ``doc``, ``arguments`` and nested answers."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"20260801_120000_samples_{task}.jsonl"
    for given in rows:
        row = dict(given)
        if not old:
            row["input"] = row["arguments"][0]
            for key in ("resps", "filtered_resps"):
                if len(row[key]) == 1:
                    row[key] = row[key][0]
            if row["resps"] == [row["filtered_resps"]]:
                row.pop("resps")
            row.pop("arguments")
            row.pop("doc")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


# VLMEvalKit


def kit_row(asked: Sample, text: str) -> dict[str, str]:
    """The columns of its data set but the image, and the prediction."""
    letters = dict(zip("ABCD", asked.choices, strict=False)) if asked.choices else {}
    if asked.source == "mmbench":
        hint, _, question = asked.question.partition("\n")
        return {
            "index": native(asked), "question": question, "hint": hint,
            **{letter: letters.get(letter, "") for letter in "ABCD"},
            "answer": asked.answers[0], "category": "attribute_recognition",
            "l2-category": "finegrained_perception", "split": "dev", "prediction": text,
        }  # fmt: skip
    if asked.source == "mme":
        place = asked.sample_id.split("/")
        return {
            "index": str(int(place[2][:4]) * 2 + int(place[3])), "category": "count",
            "image_path": native(asked), "question": f"{asked.question} Please answer yes or no.",
            "answer": asked.answers[0].capitalize(), "prediction": text,
        }  # fmt: skip
    return {
        "index": native(asked), "question": asked.question, "answer": asked.answers[0],
        "split": "human", "prediction": text,
    }  # fmt: skip


def write_tsv(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)
    return path


def write_json(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(rows), indent=4, ensure_ascii=False), encoding="utf-8")
    return path


def write_xlsx(path: Path, rows: Sequence[Mapping[str, str]], **parts: str) -> Path:
    """A workbook as XlsxWriter lays it out: shared strings, empty cells left away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strings: list[str] = []
    lines = []
    for number, cells in enumerate([list(rows[0]), *(list(row.values()) for row in rows)], 1):
        made = ""
        for place, text in enumerate(cells):
            if text != "":
                made += f'<c r="{chr(65 + place)}{number}" t="s"><v>{len(strings)}</v></c>'
                strings.append(text)
        lines.append(f'<row r="{number}" spans="1:5">{made}</row>')
    items = "".join(f'<si><t xml:space="preserve">{_xml(text)}</t></si>' for text in strings)
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    files = {
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{space}"><sheetData>'
        f"{''.join(lines)}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{space}">{items}</sst>',
        "xl/workbook.xml": f'<workbook xmlns="{space}" xmlns:r="r"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships><Relationship Id="rId1" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
    } | parts
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _xml(text: str) -> str:
    """XML text; XlsxWriter writes control characters as ``_xHHHH_``."""
    return "".join(
        f"_x{ord(letter):04X}_" if ord(letter) < 32 and letter not in "\t\n" else escape(letter)
        for letter in text
    )
