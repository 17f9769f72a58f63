"""Says whether a `minivlm` series keeps what later capabilities stand on, with paired intervals.

``python jobs/check_minivlm.py FOLDER --switch 5000 --out FILE.json`` takes a folder of ``step-*``
checkpoints (by default the shipped series) and prints, as JSON: each checkpoint's abilities on
`mini:full`; how much every ability moved from the switch to the end; and, on `mini:confirm`, how
plain averages of two checkpoints stand against the switch, the end and the best single one.
Answers are kept as Parquet in ``--rows``, so that a second call answers nothing again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lens_ray.models.protocol import Generation, Request
from lens_ray.models.spec import ModelSpec
from lens_ray.models.transformers_backend import TransformersBackend
from lens_ray.scoring import RowContext, make_row
from lens_ray.stats.units import marked_units
from lens_ray.store.schema import ROWS
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.suites.templates import render


@dataclass(frozen=True)
class Gain:
    """A paired difference of corrected scores with its two-sided 95 % interval."""

    gain: float
    low: float
    high: float


async def _answers(folder: Path, suite: Suite) -> list[dict[str, object]]:
    spec = ModelSpec(name=folder.name, path=str(folder))
    backend = TransformersBackend(spec, str(folder))
    info = await backend.start()
    requests = [
        Request(
            sample.sample_id,
            render(sample),
            tuple(suite.image_bytes(image) for image in sample.images),
            Generation(max_new_tokens=sample.max_new_tokens),
        )
        for sample in suite.samples
    ]
    context = RowContext(
        "-",
        folder.name,
        "-",
        "-",
        suite.digest,
        "default",
        None,
        info.name,
        info.version,
        "-",
        1,
        "",
    )
    rows = [
        make_row(suite.by_id[completion.request_id], completion, context)
        async for completion in backend.generate(requests)
    ]
    await backend.close()
    return rows


def answered(folder: Path, suite: Suite, kept: Path) -> pa.Table:
    """The rows of a checkpoint on a suite, answered now or before."""
    digest = f"{folder.parent.name}-{folder.name}-{suite.name.replace(':', '-')}"
    file = kept / f"{digest}.parquet"
    if not file.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(asyncio.run(_answers(folder, suite)), schema=ROWS)
        pq.write_table(table, file, compression="zstd")
    return pq.read_table(file)


def average(folders: Sequence[Path], weights: Sequence[float], out: Path) -> Path:
    """Write the weighted mean of checkpoints, added in float32, in the type of the first."""
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    if out.is_dir():
        return out
    parts = [load_file(folder / "model.safetensors") for folder in folders]
    mean = {
        name: sum(
            (weight * part[name].float() for weight, part in zip(weights, parts, strict=True)),
            torch.zeros(parts[0][name].shape),
        ).to(parts[0][name].dtype)
        for name in parts[0]
    }
    partial = out.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folders[-1], partial)
    save_file(mean, partial / "model.safetensors", metadata={"format": "pt"})
    partial.rename(out)
    return out


def abilities(rows: pa.Table, weights: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Corrected score of each ability, and their mean as ``overall``."""
    return {name: gain.gain for name, gain in paired(rows, None, weights).items()}


def paired(
    rows: pa.Table, other: pa.Table | None, weights: Mapping[str, Mapping[str, float]]
) -> dict[str, Gain]:
    """How much higher the corrected scores of ``rows`` are than those of ``other``, by ability.

    The variance of a subtask's mean is that of its clusters' sums; abilities add up their
    subtasks' with the squares of the suite's weights (no cluster is in two subtasks). Without
    ``other`` the differences are those from chance, that is the scores themselves.
    """
    one = marked_units(rows)
    two = marked_units(other) if other is not None else None
    found: dict[str, Gain] = {}
    totals = [0.0, 0.0]
    for ability in weights:
        mean, variance = 0.0, 0.0
        for place, (name, subtask) in enumerate(one.strata):
            if name != ability:
                continue
            mine = one.stratum == place
            chance, upper = float(one.chance[mine].mean()), float(one.upper[mine].mean())
            base: Any = chance if two is None else two.score[mine]
            differences = (one.score[mine] - base) / (upper - chance)
            share = weights[ability][subtask]
            mean += share * float(differences.mean())
            variance += share**2 * _variance(differences, one.cluster[mine])
        found[ability] = _gain(mean, variance)
        totals = [totals[0] + mean, totals[1] + variance]
    count = len(weights)
    found["overall"] = _gain(totals[0] / count, totals[1] / count**2)
    return found


def _variance(values: Any, clusters: Any) -> float:
    _, codes = np.unique(clusters, return_inverse=True)
    sums = np.bincount(codes, weights=values - values.mean())
    count = len(sums)
    return float((sums**2).sum()) * count / (count - 1) / len(values) ** 2


def _gain(mean: float, variance: float) -> Gain:
    half = 1.96 * math.sqrt(variance)
    return Gain(mean, mean - half, mean + half)


def _show(gains: Mapping[str, Gain]) -> dict[str, list[float]]:
    return {
        name: [round(g.gain, 4), round(g.low, 4), round(g.high, 4)] for name, g in gains.items()
    }


def check(folder: Path, switch: int, kept: Path, ends: Sequence[float]) -> dict[str, Any]:
    """Everything that the series promises, measured."""
    steps = sorted(path for path in folder.glob("step-*") if (path / "config.json").is_file())
    full, confirm = load_suite("mini:full"), load_suite("mini:confirm")
    rows = {path.name: answered(path, full, kept) for path in steps}
    curve = {name: abilities(table, full.weights) for name, table in rows.items()}
    start, last = folder / f"step-{switch:04d}", steps[-1]
    best = max(steps, key=lambda path: curve[path.name]["overall"])
    moved = paired(rows[last.name], rows[start.name], full.weights)
    singles = {path.name: answered(path, confirm, kept) for path in {start, last, best}}
    averages = {}
    for share in ends:
        out = kept / f"{folder.name}-average-{share:g}"
        merged = average([start, last], [1 - share, share], out)
        mine = answered(merged, confirm, kept)
        averages[f"{share:g}"] = {
            name: _show({"overall": paired(mine, table, confirm.weights)["overall"]})["overall"]
            for name, table in singles.items()
        }
    return {
        "curve": {n: {a: round(v, 4) for a, v in c.items()} for n, c in curve.items()},
        "best": best.name,
        "from switch to end": _show(moved),
        "averages of switch and end over": averages,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--switch", type=int, required=True)
    parser.add_argument("--rows", type=Path, default=Path("runs/answers"))
    parser.add_argument("--share", type=float, nargs="*", default=[0.5, 0.6, 0.75])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    found = json.dumps(check(chosen.folder, chosen.switch, chosen.rows, chosen.share), indent=1)
    print(found)
    if chosen.out:
        chosen.out.write_text(found + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
