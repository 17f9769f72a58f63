"""A suite as a local task of lmms-eval: a Parquet file, a YAML file and its functions.

lmms-eval then asks exactly what lens-ray asks: the prompt is rendered here, the images are the
suite's own PNG bytes, and the token limit is the samples' one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray import Sample, Suite
from lens_ray.suites.templates import render

TASK = "lens_sweep"
_FUNCTIONS = Path(__file__).with_name("lmms_functions.py")
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_YAML = """\
task: {task}
dataset_path: parquet
dataset_kwargs:
  data_files: {{test: {file}}}
test_split: test
output_type: generate_until
doc_to_visual: !function lmms_functions.images
doc_to_text: !function lmms_functions.text
doc_to_target: !function lmms_functions.target
doc_to_messages: !function lmms_functions.messages
generation_kwargs: {{max_new_tokens: {limit}, temperature: 0, do_sample: false}}
process_results: !function lmms_functions.results
metric_list:
  - metric: exact
    aggregation: !function lmms_functions.mean
    higher_is_better: true
metadata:
  - version: 1
"""


def token_limit(samples: list[Sample]) -> int:
    """The one limit of all samples: a task of lmms-eval has no other.

    Raises:
        ValueError: They have several.
    """
    limits = {sample.max_new_tokens for sample in samples}
    if len(limits) != 1:
        raise ValueError(f"a task of lmms-eval has one token limit, the samples have {limits}")
    return limits.pop()


def write_task(suite: Suite, folder: Path) -> int:
    """Write the task `TASK` of all samples of a suite.

    Args:
        suite: What is asked.
        folder: Where to; what ``--include_path`` is given.

    Returns:
        The token limit.

    Raises:
        ValueError: The samples have more than one token limit.
    """
    samples = list(suite.select(None, None))
    limit = token_limit(samples)
    folder.mkdir(parents=True, exist_ok=True)
    data = (folder / "samples.parquet").resolve()
    pq.write_table(task_table(suite, samples), data)
    text = _YAML.format(task=TASK, file=json.dumps(str(data)), limit=limit)
    (folder / f"{TASK}.yaml").write_text(text, encoding="utf-8")
    shutil.copy(_FUNCTIONS, folder)
    return limit


def task_table(suite: Suite, samples: list[Sample]) -> pa.Table:
    """One row a sample, with as many image columns as the richest one has images.

    The images are columns of their own, not a list: only those lmms-eval leaves out where it
    needs no pixels.
    """
    columns: dict[str, pa.Array] = {
        "sample_id": pa.array([sample.sample_id for sample in samples]),
        "prompt": pa.array([render(sample) for sample in samples]),
        "answers": pa.array([list(sample.answers) for sample in samples], pa.list_(pa.string())),
    }
    text = {"dtype": "string", "_type": "Value"}
    features: dict[str, object] = {
        "sample_id": text,
        "prompt": text,
        "answers": {"feature": text, "_type": "Sequence"},
    }
    for place in range(max(len(sample.images) for sample in samples)):
        name = f"image_{place}"
        columns[name] = pa.array([_picture(suite, sample, place) for sample in samples], _PICTURE)
        features[name] = {"_type": "Image"}
    table = pa.table(columns)
    # What the library `datasets` looks for, to hand out decoded images instead of bytes.
    return table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )


def _picture(suite: Suite, sample: Sample, place: int) -> dict[str, object] | None:
    if place >= len(sample.images):
        return None
    return {"bytes": suite.image_bytes(sample.images[place]), "path": None}
