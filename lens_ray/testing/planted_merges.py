"""Merges with a fault that is known: `weight_faults` in a folder, `answer_faults` in rows.

For whoever measures what a verification catches. Faults in a folder are those of merges that went
wrong (layers swapped, tensors lost or made anew, another tokenizer); faults in rows are those of
models that load and compute as they should and behave worse (an ability lost, refusals, answers
that nobody can read, answers given without a look at the image).
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class FolderFault:
    """A fault of a merge's folder.

    Attributes:
        kind: What sort it is.
        name: Which one.
        plant: Puts it into a folder, which is changed.
    """

    kind: str
    name: str
    plant: Callable[[Path], None]

    def planted(self, sound: Path, out: Path) -> Path:
        """A copy of a sound folder with the fault in it."""
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(sound, out)
        self.plant(out)
        return out


@dataclass(frozen=True, slots=True)
class RowFault:
    """A fault of a merge's answers.

    Attributes:
        kind: What sort it is.
        name: Which one.
        plant: From the rows of a sound merge to those of the bad one.
    """

    kind: str
    name: str
    plant: Callable[[pa.Table], pa.Table]


def swapped_layers(first: str, second: str) -> Callable[[Path], None]:
    """Two layers change places, by the beginnings of their tensors' names."""

    def change(state: State) -> State:
        def renamed(name: str) -> str:
            if name.startswith(first):
                return second + name.removeprefix(first)
            return first + name.removeprefix(second) if name.startswith(second) else name

        return {renamed(name): tensor for name, tensor in state.items()}

    return _changing(change)


def weight_faults(sound: Path, stale: Path, seed: int = 0) -> list[FolderFault]:
    """Faults for a merge of one safetensors file, every kind in several places.

    Args:
        sound: The merge.
        stale: A checkpoint of the same names that has no business in it.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    names = sorted(_read(sound))
    matrices = [name for name in names if _is_matrix(name)]
    layers = _layers(names)
    found = [
        FolderFault("swapped layers", f"{one} and {other}", swapped_layers(one, other))
        for shelf in layers.values()
        for place, one in enumerate(shelf)
        for other in shelf[place + 1 :]
    ]
    kinds: Mapping[str, Callable[[Any, np.random.Generator], Any]] = {
        "lost tensor": lambda tensor, rng: tensor * 0,
        "tensor made anew": lambda tensor, rng: _noise(tensor, rng) * tensor.std(),
        "scaled tensor": lambda tensor, rng: tensor * float(rng.choice([0.25, 0.5, 2.0, 4.0])),
        "sign turned": lambda tensor, rng: -tensor,
        "rows shuffled": lambda tensor, rng: tensor[rng.permutation(len(tensor)).tolist()],
        "noise": lambda tensor, rng: tensor + _noise(tensor, rng) * tensor.std(),
        "not finite": _poisoned,
    }
    for kind, change in kinds.items():
        drawn = rng.choice(matrices, size=8, replace=False).tolist()
        found += [
            FolderFault(kind, name, _tensor(name, change, int(rng.integers(2**31))))
            for name in drawn
        ]
    found += [
        FolderFault("layer of another checkpoint", prefix, _stale(prefix, stale))
        for shelf in layers.values()
        for prefix in shelf
    ]
    for name in names:
        if any(part in name for part in ("connector", "projector", "patch_embedding.weight")):
            change = kinds["lost tensor"]
            found.append(FolderFault("blindness", name, _tensor(name, change, 0)))
    return found + list(_shell_faults())


def sound_shares(steps: Sequence[str], count: int, seed: int) -> list[dict[str, float]]:
    """Shares of means that should lose nothing against the last of four checkpoints.

    Three kinds in turn: means of the last three, two thirds the last one; nudges of the last one by
    0.02 to 0.12 towards one of the others; and the last one with 0.05 to 0.25 of the first, from
    before the switch of the data mix, which mends a part of the conflict. Whether they lose nothing
    is for other samples to say.

    Args:
        steps: Four checkpoints of one run, in their order.
        count: How many.
        seed: Of the shares.
    """
    rng = np.random.default_rng(seed)
    first, last = steps[0], steps[-1]
    found = []
    for turn in range(count):
        if turn % 3 == 0:
            drawn = rng.dirichlet([1.0, 1.0, 4.0]).round(3).tolist()
            shares = dict(zip(steps[1:], drawn, strict=True))
        elif turn % 3 == 1:
            shares = {steps[int(rng.integers(3))]: round(float(rng.uniform(0.02, 0.12)), 3)}
        else:
            shares = {first: round(float(rng.uniform(0.05, 0.25)), 3)}
        shares[last] = round(1 - sum(share for step, share in shares.items() if step != last), 3)
        found.append({step: share for step, share in shares.items() if share > 0})
    return found


def answer_faults(
    abilities: Sequence[str], blind: Mapping[str, Mapping[str, Any]], seed: int = 0
) -> list[RowFault]:
    """Faults in the answers, every kind in several places.

    Args:
        abilities: Of the suite.
        blind: Rows of the same model without the image, by sample id; empty plants no blindness.
        seed: Of what is drawn.
    """
    found = [
        RowFault("ability regressed", f"{name} by {lost:.0%}", _spoilt(name, lost, "ok", seed))
        for name in abilities
        for lost in (0.06, 0.1, 0.2)
    ]
    for kind, status in (("refusals", "refused"), ("not to be read", "unparsed")):
        for ability, share in ((None, 0.03), (None, 0.1), *((name, 0.1) for name in abilities)):
            name = f"{share:.0%} of {ability or 'all'}"
            found.append(RowFault(kind, name, _spoilt(ability, share, status, seed)))
    if blind:
        found += [
            RowFault("blindness", f"{share:.0%}", _unseeing(blind, share, seed))
            for share in (0.25, 0.5, 1.0)
        ]
    return found


def _changing(change: Callable[[State], State]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        from safetensors.torch import save_file

        state = change(_read(folder))
        save_file(
            {name: tensor.contiguous() for name, tensor in state.items()},
            folder / _WEIGHTS,
            metadata={"format": "pt"},
        )

    return plant


def _read(folder: Path) -> State:
    from safetensors.torch import load_file

    return load_file(folder / _WEIGHTS)


def _tensor(
    name: str, change: Callable[[Any, np.random.Generator], Any], seed: int
) -> Callable[[Path], None]:
    def within(state: State) -> State:
        tensor = state[name]
        changed = change(tensor.float(), np.random.default_rng(seed))
        return {**state, name: changed.to(tensor.dtype)}

    return _changing(within)


def _noise(tensor: Any, rng: np.random.Generator) -> Any:
    import torch

    return torch.from_numpy(rng.standard_normal(tuple(tensor.shape), dtype=np.float32))


def _poisoned(tensor: Any, rng: np.random.Generator) -> Any:
    flat = tensor.clone().reshape(-1)
    flat[int(rng.integers(len(flat)))] = float(rng.choice([np.nan, np.inf]))
    return flat.reshape(tensor.shape)


def _stale(prefix: str, other: Path) -> Callable[[Path], None]:
    def within(state: State) -> State:
        theirs = _read(other)
        return {
            name: theirs[name] if name.startswith(prefix) else tensor
            for name, tensor in state.items()
        }

    return _changing(within)


def _is_matrix(name: str) -> bool:
    return name.endswith(".weight") and "norm" not in name


def _layers(names: Sequence[str]) -> dict[str, list[str]]:
    """Beginnings of the names of each layer, by the list that they stand in."""
    found: dict[str, list[str]] = {}
    for name in names:
        before, mark, after = name.partition(".layers.")
        if mark:
            prefix = f"{before}{mark}{after.split('.')[0]}."
            shelf = found.setdefault(before, [])
            if prefix not in shelf:
                shelf.append(prefix)
    return found


def _shell_faults() -> Iterator[FolderFault]:
    for seed in range(3):
        yield FolderFault("wrong tokenizer", f"words shuffled, {seed}", _other_words(seed))
    templates = {
        "the image last": ("<image>", ""),
        "another role": ("Assistant:", "User:"),
        "no end of turn": ("<end_of_utterance>", ""),
    }
    for name, (old, new) in templates.items():
        yield FolderFault("wrong template", name, _replacing("chat_template.jinja", old, new))
    for key, value in (
        ("image_mean", [0.0] * 3),
        ("rescale_factor", 1.0),
        ("image_std", [4.0] * 3),
    ):
        yield FolderFault("wrong processor", key, _other_processor(key, value))


def _other_words(seed: int) -> Callable[[Path], None]:
    """Ids of a tokenizer's words change places; its special tokens keep theirs."""

    def plant(folder: Path) -> None:
        path = folder / "tokenizer.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        words: dict[str, int] = told["model"]["vocab"]
        special = {one["content"] for one in told["added_tokens"]}
        moved = [word for word in words if word not in special]
        order = np.random.default_rng(seed).permutation(len(moved)).tolist()
        ids = [words[moved[place]] for place in order]
        words.update(zip(moved, ids, strict=True))
        path.write_text(json.dumps(told), encoding="utf-8")

    return plant


def _replacing(file: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / file
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    return plant


def _other_processor(key: str, value: object) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / "processor_config.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        told["image_processor"][key] = value
        path.write_text(json.dumps(told), encoding="utf-8")

    return plant


def _spoilt(
    ability: str | None, share: float, status: str, seed: int
) -> Callable[[pa.Table], pa.Table]:
    """A share of the clusters of an ability gets no mark any more, with this status."""

    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        hit = ability in (None, row["ability"]) and _drawn(row["cluster_id"], seed) < share
        if not hit:
            return row
        extracted = row["extracted"] if status == "ok" else None
        return {**row, "status": status, "score": 0.0, "extracted": extracted}

    return lambda rows: _each(rows, spoil)


def _unseeing(
    blind: Mapping[str, Mapping[str, Any]], share: float, seed: int
) -> Callable[[pa.Table], pa.Table]:
    """A share of the clusters is answered as if the image were gone."""

    def look_away(row: dict[str, Any]) -> dict[str, Any]:
        other = blind.get(row["sample_id"])
        if other is None or _drawn(row["cluster_id"], seed) >= share:
            return row
        return {**row, **{name: other[name] for name in ("text", "extracted", "status", "score")}}

    return lambda rows: _each(rows, look_away)


def _each(rows: pa.Table, change: Callable[[dict[str, Any]], dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([change(row) for row in rows.to_pylist()], schema=rows.schema)


def _drawn(cluster: str, seed: int) -> float:
    return zlib.crc32(f"{seed}/{cluster}".encode()) / 2**32
