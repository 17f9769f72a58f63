"""Marks of the peers' own functions; runs in the peers' environment, without lens_ray.

``python oracle.py FOLDER NAME < pairs.json > marks.json``: FOLDER holds the package ``lmms_eval``
(or ``vlmeval``), NAME is one of `TASKS`. Pairs are ``[row, text]``; a mark is a number, ``judge``
where the peer would ask one, or the name of the exception with which the peer ends.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Mark = float | str
#: Imported at the head of peers' modules, and not used by what is compared.
_HEAVY = (
    "PIL", "datasets", "evaluate", "requests", "sacrebleu", "torch", "torch.utils",
    "torch.utils.data", "tqdm", "transformers", "transformers.modeling_utils",
)  # fmt: skip


class _Stub(types.ModuleType):
    """A module that has every name, as an empty class."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Judge(Exception):
    """The peer would ask a judge."""


def prepare(folder: Path) -> None:
    """Make the peer's modules importable without running what its packages import."""
    for name in _HEAVY:
        sys.modules[name] = _Stub(name)
    for package in ("lmms_eval", "vlmeval"):
        for part in ("", "api", "filters", "tasks", "dataset", "dataset.utils"):
            path = folder / package / part.replace(".", "/")
            if path.is_dir():
                module = types.ModuleType(f"{package}.{part}".rstrip("."))
                module.__path__ = [str(path)]
                sys.modules[module.__name__] = module
    for name in ("lmms_eval.api.model", "vlmeval.smp"):  # these import what is heavy
        sys.modules[name] = _Stub(name)


def _task(name: str) -> Any:
    return importlib.import_module(f"lmms_eval.tasks.{name}")


def _mme(row: Row, text: str) -> Mark:
    (result,) = _task("mme.utils").mme_process_results(row, [text]).values()
    return float(result["score"])


def _seed_bench(row: Row, text: str) -> Mark:
    task = _task("seedbench.utils")
    return float(task.seed_aggregation_result([task.seed_process_result(row, [text])["seed_all"]]))


def _mirb(row: Row, text: str) -> Mark:
    task = _task("mirb.utils")
    found = task.mirb_process_results(row, [text])["mirb_score"]
    # As `mirb_aggregation` does, which needs rows of all its subsets.
    rule = task.eval_multi_choice if found["answers"] in list("ABCDE") else task.eval_open
    return float(rule(found["answers"], found["pred_answer"]))


def _mmstar(row: Row, text: str) -> Mark:
    return float(_task("mmstar.utils").mmstar_process_results(row, [text])["average"]["score"])


def _filtered(task: Any, row: Row, text: str) -> str:
    # With the arguments of the task's YAML.
    (answer,) = task.MultiChoiceRegexFilter(
        group_select=0, ignore_case=True, ignore_punctuation=True, regex_pattern="([A-Z])\\."
    ).apply([[text]], [row])
    return str(answer)


def _muirbench(row: Row, text: str) -> Mark:
    task = _task("muirbench.utils")
    result = task.muir_process_results(row, [_filtered(task, row, text)])
    return float(task.muir_aggregation([result["muirbench_score_overall"]]))


def _ocrbench(row: Row, text: str) -> Mark:
    result = _task("ocrbench.utils").ocrbench_process_results(row, [text])
    return float(result["ocrbench_accuracy"]["score"])


def _synthdog(row: Row, text: str) -> Mark:
    result = _task("synthdog.utils").synthdog_process_results(row, [text])
    return float(result["tree_edit_distance"]["score"])


def _mmbench(row: Row, text: str) -> Mark:
    task = _task("mmbench.en_utils")
    item = task.mmbench_process_results(row, [text])["gpt_eval_score"]
    letter = task.mmbench_evaluator.prefetch_answer(item)
    return float(letter == row["answer"]) if letter else "judge"


def _chartqa(row: Row, text: str) -> Mark:
    return float(_task("chartqa.utils").chartqa_process_results(row, [text])["relaxed_overall"])


def _ai2d(row: Row, text: str) -> Mark:
    task = _task("ai2d.utils")
    rule = importlib.import_module("lmms_eval.api.metrics").exact_match_fn
    gold = task.ai2d_doc_to_target(row, "mcq")
    given = _filtered(task, row, text)
    found = rule(references=[gold], predictions=[given], ignore_case=True, ignore_punctuation=True)
    return float(found["exact_match"])


def _conbench(row: Row, text: str) -> Mark:
    return float(
        _task("conbench.utils").conbench_process_results(row, [text])["ConScore_D"]["score"]
    )


def _kit_chartqa(row: Row, text: str) -> Mark:
    kit = importlib.import_module("vlmeval.dataset.utils.vqa_eval")
    return float(kit.relaxed_correctness(row["answer"], text))


def _anls(row: Row, text: str) -> Mark:
    return float(importlib.import_module("anls").anls_score(text, [row["answer"]], 0.5))


def _groups_mme(groups: list[list[tuple[Row, str]]]) -> list[Mark]:
    """The mark of each pair of one image, 0 to 200."""
    task = _task("mme.utils")
    marks: list[Mark] = []
    for group in groups:
        results = [
            next(iter(task.mme_process_results(row, [text]).values())) for row, text in group
        ]
        marks.append(float(task.mme_aggregate_results(results)))
    return marks


def _groups_mmbench(groups: list[list[tuple[Row, str]]]) -> list[Mark]:
    """Whether all rotations are right, by the peer's evaluation of each question."""
    task = _task("mmbench.en_utils")
    evaluator = task.mmbench_evaluator

    def judge(item: Any) -> tuple[str, str]:
        raise _Judge

    evaluator.extract_answer_from_item = judge
    marks: list[Mark] = []
    for group in groups:
        items = [task.mmbench_process_results(row, [text])["gpt_eval_score"] for row, text in group]
        try:
            marks.append(float(evaluator.eval_result(items, "openai")[0]))
        except TypeError:  # lmms-eval 0.3 has no method
            marks.append(float(evaluator.eval_result(items)[0]))
        except _Judge:
            marks.append("judge")
    return marks


def _groups_conbench(groups: list[list[tuple[Row, str]]]) -> list[Mark]:
    task = _task("conbench.utils")
    marks: list[Mark] = []
    for group in groups:
        results = [task.conbench_process_results(row, [text])["ConScore_D"] for row, text in group]
        marks.append(float(task.conbench_aggregate_results(results)))
    return marks


TASKS: dict[str, Callable[[Row, str], Mark]] = {
    "mme": _mme, "seed_bench": _seed_bench, "mirb": _mirb, "mmstar": _mmstar,
    "muirbench": _muirbench, "ocrbench": _ocrbench, "synthdog": _synthdog, "mmbench": _mmbench,
    "chartqa": _chartqa, "ai2d": _ai2d, "conbench": _conbench,
    "kit_chartqa": _kit_chartqa, "anls": _anls,
}  # fmt: skip
GROUPS: dict[str, Callable[[list[list[tuple[Row, str]]]], list[Mark]]] = {
    "mme": _groups_mme, "mmbench": _groups_mmbench, "conbench": _groups_conbench,
}  # fmt: skip


def _marked(rule: Callable[[Row, str], Mark], row: Row, text: str) -> Mark:
    try:
        return rule(row, text)
    except Exception as error:  # the peer's end is what is reported
        return type(error).__name__


def main(folder: str, name: str) -> None:
    """Mark what is on standard input."""
    prepare(Path(folder))
    logger = importlib.import_module("loguru").logger
    logger.remove()
    logging.disable(logging.CRITICAL)
    work = json.load(sys.stdin)
    with contextlib.redirect_stdout(None):
        if name.startswith("groups_"):
            marks = GROUPS[name.removeprefix("groups_")](work)
        else:
            marks = [_marked(TASKS[name], row, text) for row, text in work]
    json.dump(marks, sys.stdout)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main(sys.argv[1], sys.argv[2])
