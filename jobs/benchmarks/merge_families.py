"""Which families survive a merge: `survivors`, for both sides of bench_merge_mergekit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobs.benchmarks.merge_calls import Side, Task, call, run
from jobs.benchmarks.merge_reference import distance, linear
from lens_ray.testing.resaved import resave
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint, quiet

SIDES: tuple[Side, ...] = ("lens-ray", "mergekit")
#: As `save_pretrained` of a model that was trained names its tensors, and as the hub has them.
FORMS = ("saved", "published")
_HALVES = (0.5, 0.5)
#: Without these a model does not see or speak as its parents do.
_SHELL = (
    "config.json", "generation_config.json", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja",
)  # fmt: skip


def survivors(scratch: Path, mergekit_python: str) -> list[dict[str, Any]]:
    """Half of one tiny checkpoint and half of another, in every family and form.

    Returns:
        A row a family and form: ``tensors`` of a parent, and for each side ``error``, or how many
        tensors it ``wrote``, how many of them transformers draws at random on loading
        (``missing``), the greatest distance from the float64 reference in ``ulp`` of those that
        kept their names, and which ``files`` are not there.
    """
    rows: list[dict[str, Any]] = []
    for family in FAMILIES:
        for form, pair in _pairs(scratch, family).items():
            rows.append({"family": family, "form": form, "pair": pair})
    for side in SIDES:
        outs = [scratch / f"{row['family']}-{row['form']}-{side}" for row in rows]
        calls = [
            call(side, Task("linear", row["pair"], _HALVES), out)
            for row, out in zip(rows, outs, strict=True)
        ]
        done = run(side, calls, scratch / f"families-{side}.log", mergekit_python)
        for row, out, one in zip(rows, outs, done, strict=True):
            row[side] = {"error": one["error"]}
            if one["error"] is None:
                row[side] |= _judged(row, out)
    for row in rows:
        del row["pair"]
    return rows


def whole(row: dict[str, Any], side: Side) -> bool:
    """Whether nothing was lost."""
    found = row[side]
    return found["error"] is None and (
        found["wrote"] == row["tensors"] and not found["missing"] and not found["files"]
    )


def said(row: dict[str, Any], side: Side) -> str:
    """A cell of the table."""
    found = row[side]
    if found["error"] is not None:
        error = str(found["error"]).split(" in model ")[0]
        return f"refuses: {error[:90].replace('|', '/')}"
    words = [f"{found['wrote']} of {row['tensors']}"]
    if found["missing"]:
        words.append(f"{found['missing']} random on loading")
    if found["files"]:
        words.append(f"no {', '.join(found['files'])}")
    return "; ".join(words)


def _pairs(scratch: Path, family: str) -> dict[str, tuple[Path, ...]]:
    import torch

    made = [scratch / f"{family}-published-{seed}" for seed in range(2)]
    saved = []
    for seed, folder in enumerate(made):
        make_tiny_checkpoint(folder, family, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if family == "qwen3_vl":
                _three_mergers(folder)
            saved.append(Path(resave(folder, scratch / f"{family}-saved-{seed}")))
    if family == "qwen3_vl":  # its published names are those that transformers saves
        return {"saved": tuple(saved)}
    return {"saved": tuple(saved), "published": tuple(made)}


def _three_mergers(folder: Path) -> None:
    """As every published Qwen3-VL has them; the tiny one has one, which mergekit's list lacks."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["vision_config"] |= {"depth": 4, "deepstack_visual_indexes": [0, 1, 2]}
    file.write_text(json.dumps(config, indent=2))


def _judged(row: dict[str, Any], out: Path) -> dict[str, Any]:
    parents: tuple[Path, ...] = row["pair"]
    found = distance(out, parents, linear(_HALVES))
    row["tensors"] = int(found["parents"])
    files = [name for name in _SHELL if (parents[0] / name).exists() and not (out / name).exists()]
    return {
        "wrote": int(found["tensors"]),
        "ulp": int(found["ulp"]),
        "missing": _missing(out),
        "files": files,
    }


def _missing(folder: Path) -> int | str:
    """How many tensors transformers has to make up, or why it loads nothing."""
    from transformers import AutoModelForImageTextToText

    try:
        with quiet():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder, dtype="auto", output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
    return len(loaded[1]["missing_keys"])
