"""Simulated models for the tests of advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats
from lens_ray.store import RunHeader
from lens_ray.store.schema import ROWS


def simulated(
    skill: Mapping[str, Sequence[float]],
    *,
    abilities: Sequence[str] = ("counting", "ocr"),
    size: int = 400,
    seed: int = 1,
) -> Marks:
    """Marks of models whose share of right answers is given, ability by ability.

    The same samples are hard for all models; each ability has two subtasks, each sample is its own
    cluster, and splits come as 2 of anchor, 3 of search and 5 of sealed.
    """
    rng = np.random.default_rng(seed)
    hard = rng.random((len(abilities), size))
    rows = []
    for shares in skill.values():
        mixed = np.where(rng.random(hard.shape) < 0.6, hard, rng.random(hard.shape))
        rows.append((mixed < np.array(shares)[:, None]).astype(float).ravel())
    total = len(abilities) * size
    code = np.repeat(np.arange(len(abilities)), size)
    split = np.tile(np.array([0, 0, 2, 2, 2, 1, 1, 1, 1, 1]), total // 10 + 1)[:total]
    return marks_from(
        dict(zip(skill, rows, strict=True)), abilities, code, split=split,
        subtask=np.arange(total) % 2,
    )  # fmt: skip


def marks_from(
    scores: Mapping[str, Floats],
    abilities: Sequence[str],
    code: np.ndarray[tuple[int], np.dtype[np.int64]],
    *,
    subtask: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
    split: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
) -> Marks:
    """Marks of open questions, each its own cluster."""
    total = len(code)
    part = np.zeros(total, dtype=np.int64) if subtask is None else subtask
    pairs = sorted({(int(a), int(s)) for a, s in zip(code, part, strict=True)})
    order = sorted(pairs, key=lambda pair: (abilities[pair[0]], pair[1]))
    number = {pair: place for place, pair in enumerate(order)}
    facets = {
        "ability": Facet(tuple(abilities), code),
        "split": Facet(
            ("anchor", "sealed", "search"), np.ones(total, dtype=np.int64) if split is None
            else split,
        ),
    }  # fmt: skip
    return Marks(
        models=tuple(scores),
        runs=tuple(run(name) for name in scores),
        suite="simulated",
        suite_digest="d",
        ids=tuple(f"s{place:05d}" for place in range(total)),
        strata=tuple((abilities[a], f"t{s}") for a, s in order),
        stratum=np.array([number[int(a), int(s)] for a, s in zip(code, part, strict=True)]),
        cluster=np.arange(total),
        clusters=total,
        chance=np.zeros(total),
        upper=np.ones(total),
        score=np.stack([np.asarray(row, dtype=float) for row in scores.values()]),
        weights={},
        facets=facets,
    )


def run(model: str, *, backend: str = "transformers", access: str = "open") -> RunHeader:
    return RunHeader(
        run_id=f"run-{model}",
        model=model,
        model_key=model,
        weights_digest="w",
        suite="simulated",
        suite_digest="d",
        template="default",
        backend=backend,
        backend_path="",
        access=access,
        step=None,
        generation={},
        created_at="2026-11-27T00:00:00+00:00",
        job="tests",
    )


def rows_of(marks: Marks, confidence: Mapping[str, Floats]) -> Mapping[str, pa.Table]:
    """The rows that marks of single samples were made from."""
    ability, split = marks.facets["ability"], marks.facets["split"]
    return {
        model: pa.Table.from_pylist(
            [
                {
                    "run_id": model,
                    "sample_id": marks.ids[place],
                    "ability": ability.labels[ability.code[place]],
                    "subtask": marks.strata[marks.stratum[place]][1],
                    "split": split.labels[split.code[place]],
                    "score": float(marks.score[row, place]),
                    "chance": 0.0,
                    "upper": 1.0,
                    "cluster_id": f"c{place}",
                    "metric": "exact",
                    "status": "ok",
                    "confidence": float(confidence[model][place]) if model in confidence else None,
                }
                for place in range(len(marks.ids))
            ],
            schema=ROWS,
        )
        for row, model in enumerate(marks.models)
    }
