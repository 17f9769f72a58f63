"""Files as the hub serves them, and VLMEvalKit's tables: `generate`."""

from __future__ import annotations

import base64
import csv
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.testing.abilitylens_data import first, second

Row = dict[str, object]
Maker = Callable[[int, int | None], Iterator[Row]]

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TEXT, _TEXTS, _IMAGES = pa.string(), pa.list_(pa.string()), pa.list_(_IMAGE)
_GROUP = 100


def _texts(*names: str) -> list[tuple[str, Any]]:
    return [(name, _TEXT) for name in names]


@dataclass(frozen=True)
class DataSet:
    """One data set of the hub.

    Attributes:
        folder: Last part of its id.
        files: Path pattern of its shards, ``{}`` for which.
        config: Configuration.
        split: Split.
        schema: Published columns.
        make: Makes the rows.
        small: Rows a category of the small one.
        shards: Files of the full one.
    """

    folder: str
    files: str
    config: str
    split: str
    schema: Any
    make: Maker
    small: int
    shards: int = 1


_MMBENCH = pa.schema([
    ("index", pa.int64()), *_texts("question", "hint", "answer", "A", "B", "C", "D", "category"),
    ("image", _IMAGE), *_texts("source", "L2-category", "comment", "split"),
])  # fmt: skip
_SEED = pa.schema([
    *_texts("answer", "choice_a", "choice_b", "choice_c", "choice_d", "data_id", "data_type",
            "question", "question_id"),
    ("question_type_id", pa.int16()), ("image", _IMAGES), ("segment", pa.list_(pa.float64())),
])  # fmt: skip
_CHARTQA = pa.schema([*_texts("type", "question", "answer"), ("image", _IMAGE)])
_AI2D = pa.schema([("question", _TEXT), ("options", _TEXTS), ("answer", _TEXT), ("image", _IMAGE)])

DATA_SETS: tuple[DataSet, ...] = (
    DataSet("MME", "data/test-{}", "default", "test", pa.schema([
        ("question_id", _TEXT), ("image", _IMAGE), *_texts("question", "answer", "category"),
    ]), first.mme, 2, 2),
    DataSet("SEED-Bench", "data/test-{}", "default", "test", _SEED, first.seed_bench, 5, 3),
    DataSet("MMBench", "en/dev-{}", "en", "dev", _MMBENCH, first.mmbench, 3),
    # The hub serves this one by a file whose name says no split: its card does.
    DataSet("MMStar", "mmstar", "val", "val", pa.schema([
        ("index", pa.int64()), ("question", _TEXT), ("image", pa.binary()),
        *_texts("answer", "category", "l2_category"),
        ("meta_info", pa.struct([("source", _TEXT), ("split", _TEXT), ("image_path", _TEXT)])),
    ]), first.mmstar, 5),
    DataSet("ConBench_D", "data/test-{}", "default", "test", pa.schema([
        ("image_id", _TEXT), ("image", _IMAGE),
        *_texts("question", "field", "answer", "question_id", "question_field"),
    ]), first.conbench, 2),
    DataSet("MUIRBENCH", "data/test-{}", "default", "test", pa.schema([
        *_texts("idx", "task", "image_relation", "image_type", "question"), ("options", _TEXTS),
        ("answer", _TEXT), ("image_list", _IMAGES), ("counterpart_idx", _TEXT),
    ]), second.muirbench, 6, 2),
    DataSet("MIRB-hf", "data/test-{}", "default", "test", pa.schema([
        ("question_id", pa.int64()), *_texts("subset", "questions", "answers"),
        ("image_list", _IMAGES),
    ]), second.mirb, 4),
    DataSet("OCRBench", "data/test-{}", "default", "test", pa.schema([
        *_texts("dataset", "question", "question_type"), ("answer", _TEXTS), ("image", _IMAGE),
    ]), second.ocrbench, 3),
    DataSet("synthdog-en", "data/validation-{}", "default", "validation", pa.schema([
        ("image", _IMAGE), ("ground_truth", _TEXT),
    ]), second.synthdog, 8),
    DataSet("ChartQA", "data/test-{}", "default", "test", _CHARTQA, second.chartqa, 10),
    DataSet("ai2d", "data/test-{}", "default", "test", _AI2D, second.ai2d, 16),
)  # fmt: skip


def _lite(make: Maker, rows: int, keep: Callable[[int, Row], bool]) -> Maker:
    """Rows drawn from a full data set, as the 500-row subsets are; small ones take a part."""

    def made(seed: int, small: int | None) -> Iterator[Row]:
        kept = (row for n, row in enumerate(make(seed + 1, small and 4)) if keep(n, row))
        return itertools.islice(kept, rows if small is None else 60)

    return made


#: Configurations of LMMs-Eval-Lite. Some rotations of MMBench are missing, as in the original.
LITE: tuple[DataSet, ...] = (
    DataSet("LMMs-Eval-Lite", "seedbench/lite-{}", "seedbench", "lite", _SEED,
            _lite(first.seed_bench, 500, lambda n, row: row["data_type"] == "image"
                  and (n % 3 == 0 or row["question_type_id"] == 9)), 4),
    DataSet("LMMs-Eval-Lite", "mmbench_en_dev/lite-{}", "mmbench_en_dev", "lite", _MMBENCH,
            _lite(first.mmbench, 500, lambda n, row: n % 4 != 1), 4),
    DataSet("LMMs-Eval-Lite", "chartqa/lite-{}", "chartqa", "lite", _CHARTQA,
            _lite(second.chartqa, 500, lambda n, row: n % 2 == 0), 4),
    DataSet("LMMs-Eval-Lite", "ai2d/lite-{}", "ai2d", "lite", _AI2D,
            _lite(second.ai2d, 500, lambda n, row: True), 4),
)  # fmt: skip


def generate(out: Path, *, full: bool = False, seed: int = 0) -> dict[str, int]:
    """Write every data set below a folder.

    Args:
        out: The folder; made where it is missing.
        full: As many rows as are published, and not a few of each category.
        seed: Decides everything.

    Returns:
        Rows by data set.
    """
    counts: dict[str, int] = {}
    for one in (*DATA_SETS, *LITE):
        small = None if full else one.small
        name = one.folder if one in DATA_SETS else f"{one.folder}/{one.config}"
        counts[name] = _write(one, out / one.folder, seed, small, one.shards if full else 1)
    for folder in dict.fromkeys(one.folder for one in (*DATA_SETS, *LITE)):
        members = [one for one in (*DATA_SETS, *LITE) if one.folder == folder]
        (out / folder / "README.md").write_text(_card(members), encoding="utf-8")
    for file, columns, rows in _tables(seed):
        counts[f"vlmevalkit/{file}"] = _write_table(
            out / "vlmevalkit" / f"{file}.tsv", columns, rows
        )
    return counts


def _write(one: DataSet, folder: Path, seed: int, small: int | None, shards: int) -> int:
    rows = one.make(seed, small)
    if shards > 1:  # which takes knowing how many there are
        total = sum(1 for _ in one.make(seed, small))
        sizes = [total // shards + (n < total % shards) for n in range(shards)]
    else:
        sizes = [10**9]
    count = 0
    for number, size in enumerate(sizes):
        file = folder / f"{one.files.format(f'{number:05d}-of-{shards:05d}')}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(file, one.schema) as writer:
            part = itertools.islice(rows, size)
            while batch := list(itertools.islice(part, _GROUP)):
                writer.write_table(pa.Table.from_pylist(batch, schema=one.schema))
                count += len(batch)
    return count


def _card(members: Iterable[DataSet]) -> str:
    lines = ["---", "license: apache-2.0", "configs:"]
    for one in members:
        lines += [
            f"- config_name: {one.config}", "  data_files:", f"  - split: {one.split}",
            f"    path: {one.files.format('*')}{'' if '{}' in one.files else '.parquet'}",
        ]  # fmt: skip
    lines += ["---", "", "Made by lens-ray's generator in the schema of the data set of this name;",
              "nothing in it is copied from there."]  # fmt: skip
    return "\n".join(lines) + "\n"


_SEED_NAMES = {
    1: "Scene Understanding", 2: "Instance Identity", 3: "Instance Attributes",
    4: "Instance Location", 5: "Instances Counting", 6: "Spatial Relation",
    7: "Instance Interaction", 8: "Visual Reasoning", 9: "Text Understanding",
}  # fmt: skip


def _tables(seed: int) -> Iterator[tuple[str, tuple[str, ...], Iterator[Row]]]:
    """VLMEvalKit's tables of the small data sets: name, columns, rows."""
    small = {one.folder: one.make(seed, one.small) for one in DATA_SETS}
    options = ("A", "B", "C", "D")
    yield ("MME", ("index", "image", "image_path", "question", "answer", "category"),
           _kit_mme(small["MME"]))  # fmt: skip
    yield ("SEEDBench_IMG", ("index", "image", "question", *options, "answer", "category"),
           _kit_seed(small["SEED-Bench"]))  # fmt: skip
    yield ("MMBench_DEV_EN", ("index", "question", "hint", *options, "answer", "category",
           "image", "source", "l2-category", "comment", "split"),
           _kit_mmbench(small["MMBench"]))  # fmt: skip
    yield ("MMStar", ("index", "question", *options, "answer", "category", "l2_category", "image"),
           _kit_mmstar(seed))  # fmt: skip
    yield ("MUIRBench", ("index", "image", "question", *options, "answer", "category"),
           _kit_muirbench(small["MUIRBENCH"]))  # fmt: skip
    yield ("OCRBench", ("index", "image", "question", "answer", "category"),
           _kit_ocrbench(small["OCRBench"]))  # fmt: skip
    yield ("ChartQA_TEST", ("index", "question", "answer", "image", "split"),
           _kit_chartqa(small["ChartQA"]))  # fmt: skip
    yield ("AI2D_TEST", ("index", "question", *options, "answer", "category", "image"),
           _kit_ai2d(small["ai2d"]))  # fmt: skip


def _base64(image: Any) -> str:
    return base64.b64encode(image["bytes"] if isinstance(image, dict) else image).decode()


def _lettered(options: Iterable[object]) -> Row:
    return dict(zip("ABCDE", options, strict=False))


def _kit_mme(rows: Iterator[Row]) -> Iterator[Row]:
    for index, row in enumerate(rows):
        yield {**row, "index": index, "image": _base64(row["image"]),
               "image_path": row["question_id"]}  # fmt: skip


def _kit_seed(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        if row["data_type"] == "image":
            kind: Any = row["question_type_id"]
            images: Any = row["image"]
            yield {**row, **_lettered(row[f"choice_{letter}"] for letter in "abcd"),
                   "index": row["question_id"], "category": _SEED_NAMES[kind],
                   "image": _base64(images[0])}  # fmt: skip


def _kit_mmbench(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        index: Any = row["index"]
        is_base = index < first.TURN
        empty = {key: None if value == "nan" else value for key, value in row.items()}
        yield {**empty, "l2-category": row["L2-category"],
               "image": _base64(row["image"]) if is_base else str(index % first.TURN)}  # fmt: skip


def _kit_mmstar(seed: int) -> Iterator[Row]:
    """Options out of the question, which VLMEvalKit's table has in columns."""
    from lens_ray.suites.sources.inline import split_options

    small = next(one.small for one in DATA_SETS if one.folder == "MMStar")
    for row in first.mmstar(seed, small):
        found = split_options(str(row["question"]))
        if found is not None:
            yield {**row, **_lettered(found.choices), "question": found.question,
                   "image": _base64(row["image"])}  # fmt: skip


def _kit_muirbench(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        images: Any = row["image_list"]
        options: Any = row["options"]
        yield {**row, **_lettered(options), "index": row["idx"], "category": row["task"],
               "image": repr([_base64(one) for one in images])}  # fmt: skip


def _kit_ocrbench(rows: Iterator[Row]) -> Iterator[Row]:
    for index, row in enumerate(rows):
        yield {**row, "index": index, "image": _base64(row["image"]),
               "answer": repr(row["answer"]), "category": row["question_type"]}  # fmt: skip


def _kit_chartqa(rows: Iterator[Row]) -> Iterator[Row]:
    for index, row in enumerate(rows):
        yield {**row, "index": index, "image": _base64(row["image"]),
               "split": str(row["type"]).removesuffix("_test")}  # fmt: skip


def _kit_ai2d(rows: Iterator[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        options: Any = row["options"]
        yield {**row, **_lettered(options), "index": 100 * (number // 4) + number % 4,
               "answer": "ABCD"[int(str(row["answer"]))], "category": "diagrams",
               "image": _base64(row["image"])}  # fmt: skip


def _write_table(file: Path, columns: tuple[str, ...], rows: Iterator[Row]) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(["" if row.get(name) is None else row[name] for name in columns])
            count += 1
    return count
