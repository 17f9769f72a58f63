"""Prompts of the peers' own task code; runs in the peers' environment, without lens_ray.

``python prompt_oracle.py FOLDER NAME < rows.json > prompts.json``: FOLDER as in ``oracle.py``, NAME
is a source, or ``kit_`` and a source for VLMEvalKit's wording.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import logging
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Row = dict[str, Any]
#: Source: task file, module and function of lmms-eval.
LMMS = {
    "mme": ("mme/mme.yaml", "mme.utils", "mme_doc_to_text"),
    "seed_bench": ("seedbench/seedbench.yaml", "seedbench.utils", "seed_doc_to_text"),
    "mirb": ("mirb/mirb.yaml", "mirb.utils", "mirb_doc_to_text"),
    "mmstar": ("mmstar/mmstar.yaml", "mmstar.utils", "mmstar_doc_to_text"),
    "muirbench": ("muirbench/muirbench.yaml", "muirbench.utils", "muir_doc_to_text"),
    "ocrbench": ("ocrbench/ocrbench.yaml", "ocrbench.utils", "ocrbench_doc_to_text"),
    "synthdog": ("synthdog/synthdog_en.yaml", "", ""),
    "mmbench": ("mmbench/mmbench_en_dev.yaml", "mmbench.en_utils", "mmbench_doc_to_text"),
    "chartqa": ("chartqa/chartqa.yaml", "chartqa.utils", "chartqa_doc_to_text"),
    "ai2d": ("ai2d/ai2d.yaml", "ai2d.utils", "ai2d_doc_to_text"),
    "conbench": ("conbench/conbench.yaml", "conbench.utils", "conbench_doc_to_text"),
}
#: Source: module and class of VLMEvalKit.
KIT = {
    "mme": ("image_yorn", "ImageYORNDataset"),
    "seed_bench": ("image_mcq", "ImageMCQDataset"),
    "mmstar": ("image_mcq", "ImageMCQDataset"),
    "muirbench": ("image_mcq", "MUIRDataset"),
    "ocrbench": ("image_vqa", "OCRBench"),
    "mmbench": ("image_mcq", "ImageMCQDataset"),
    "chartqa": ("image_vqa", "ImageVQADataset"),
    "ai2d": ("image_mcq", "ImageMCQDataset"),
}


def _task_file(path: Path) -> dict[str, Any]:
    yaml: Any = importlib.import_module("yaml")

    class Inert(yaml.SafeLoader):  # type: ignore[misc]
        """Reads ``!function`` as nothing."""

    Inert.add_multi_constructor("!function", lambda loader, suffix, node: None)
    found: dict[str, Any] = yaml.load(path.read_text(), Inert)
    if "include" in found:
        return {**_task_file(path.parent / found["include"]), **found}
    return found


def _lmms(folder: Path, source: str) -> Callable[[Row], str]:
    file, module, name = LMMS[source]
    facts = _task_file(folder / "lmms_eval" / "tasks" / file)
    if not module:
        text: str = facts["doc_to_text"]
        return lambda row: text
    rule = getattr(importlib.import_module(f"lmms_eval.tasks.{module}"), name)
    if len(inspect.signature(rule).parameters) == 1:
        return lambda row: str(rule(row))
    words = facts["lmms_eval_specific_kwargs"]["default"]
    return lambda row: str(rule(row, words))


class _Rest:
    """Stubs for what VLMEvalKit's modules import besides each other: nothing of it is used."""

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        """Whatever is no module of `KIT` and cannot be found otherwise."""
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> Any:
        """An object with every name."""
        return importlib.import_module("oracle")._Stub(spec.name)

    def exec_module(self, module: object) -> None:
        """Nothing is to be run."""


def _kit(source: str) -> Callable[[Row], str]:
    pandas: Any = importlib.import_module("pandas")
    # Asked last, so that what is there is taken.
    sys.meta_path.append(_Rest())
    for package in ("vlmeval.utils", "vlmeval.dataset.utils"):
        sys.modules[package] = importlib.import_module("oracle")._Stub(package)
    base: Any = importlib.import_module("vlmeval.dataset.image_base")
    module, name = KIT[source]
    found: Any = importlib.import_module(f"vlmeval.dataset.{module}")
    base.toliststr = found.toliststr = lambda value: [value]
    kind = getattr(found, name)
    if kind.__name__ == "MUIRDataset":
        # It cuts the text at the images' places; the pieces are joined again.
        kind.split_MUIR = staticmethod(lambda pieces: pieces)
    data = kind.__new__(kind)
    data.__dict__.update(SimpleNamespace(meta_only=True, dataset_name=source).__dict__)

    def prompt(row: Row) -> str:
        line = pandas.Series({**row, "image_path": "1.png"})
        return "".join(part["value"] for part in data.build_prompt(line) if part["type"] == "text")

    return prompt


def main(folder: str, name: str) -> None:
    """Put the questions of the rows on standard input."""
    importlib.import_module("oracle").prepare(Path(folder))
    importlib.import_module("loguru").logger.remove()
    logging.disable(logging.CRITICAL)
    rows = json.load(sys.stdin)
    with contextlib.redirect_stdout(None):
        kit = name.startswith("kit_")
        rule = _kit(name.removeprefix("kit_")) if kit else _lmms(Path(folder), name)
        prompts = [rule(row) for row in rows]
    json.dump(prompts, sys.stdout)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(sys.argv[1], sys.argv[2])
