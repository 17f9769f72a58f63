"""V0: is the merge a checkpoint like its parents? `structure`.

This alone catches what mergekit 0.1.5 does to LLaVA, LLaVA-OneVision and InternVL: exit code 0, a
third of the tensors missing, and the language model made anew at random on load.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.merging.checks import Check, Verdict
from lens_ray.merging.recipe import Recipe
from lens_ray.models.checkpoint import INDEX, CheckpointFacts, TensorFacts, inspect_checkpoint
from lens_ray.online.weight_scan import ScanLimit, broken_weights

Figures = Mapping[str, float | int | str | None]
_ALL = ScanLimit(size=1 << 62)
_FLOATS = ("F64", "F32", "F16", "BF16")
_WRITTEN = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
#: Pickles run code on load; so does Python that no parent has.
_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py", ".so")
_HEADS = ("lm_head.weight", "output_embeddings.weight")
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight")


def structure(
    folder: Path,
    recipe: Recipe,
    parents: Sequence[CheckpointFacts],
    *,
    scan: bool = True,
    load: bool = False,
    trust_remote_code: bool = False,
) -> tuple[Check, ...]:
    """Compare a merge with its parents, by headers, and its numbers with NaN and infinity.

    Args:
        folder: Of the merge; it may still be called ``.partial``.
        recipe: How it was made.
        parents: In the recipe's order, the base last where there is one; digests are not needed.
        scan: Whether all weights are read for NaN and infinity.
        load: Whether transformers is to load it, without room for its numbers, and to say what is
            missing; takes its import, 3 to 7 s.
        trust_remote_code: Of a checkpoint that brings its own code.

    Returns:
        One check a name; the first fault of each is named in it.
    """
    try:
        merge = inspect_checkpoint(str(folder), trust_remote_code=trust_remote_code, digest=False)
    except CheckpointError as error:
        return (_check("readable", [str(error)], ""),)
    checks = [
        _check("readable", [], f"{len(merge.weights)} weight files, {len(merge.tensors)} tensors"),
        _keys(merge, parents),
        _shapes(merge, parents),
        _dtypes(merge, parents, recipe),
        _index(folder, merge),
        _tied(folder, merge, parents),
        _shell(folder, merge, parents, recipe),
        _no_code(folder, parents),
    ]
    if scan:
        checks.append(_finite(folder, merge))
    if load:
        checks.append(_loads(folder, trust_remote_code))
    return tuple(checks)


def _check(name: str, faults: Sequence[str], sound: str, figures: Figures | None = None) -> Check:
    verdict: Verdict = "fail" if faults else "pass"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    what = f"{faults[0]}{more}" if faults else sound
    return Check("V0", name, verdict, " ".join(what.split()), figures or {})


def _keys(merge: CheckpointFacts, parents: Sequence[CheckpointFacts]) -> Check:
    faults = []
    for parent in parents:
        lost = sorted(parent.tensors.keys() - merge.tensors.keys())
        new = sorted(merge.tensors.keys() - parent.tensors.keys())
        if lost:
            faults.append(f"{len(lost)} tensors of {parent.folder} are missing: {_some(lost)}")
        if new:
            faults.append(f"{len(new)} tensors that {parent.folder} has not: {_some(new)}")
    return _check("keys", faults, f"all {len(merge.tensors)} tensors of the parents, and no other")


def _shapes(merge: CheckpointFacts, parents: Sequence[CheckpointFacts]) -> Check:
    faults = [
        f"{name} has shape {list(mine.shape)}, in {parent.folder} {list(theirs.shape)}"
        for parent, name, mine, theirs in _shared(merge, parents)
        if mine.shape != theirs.shape
    ]
    parameters = f"{merge.parameters:,} parameters"
    return _check("shapes", faults, f"every tensor has its parents' shape; {parameters}")


def _dtypes(merge: CheckpointFacts, parents: Sequence[CheckpointFacts], recipe: Recipe) -> Check:
    faults = []
    for parent, name, mine, theirs in _shared(merge, parents):
        expected = theirs.dtype
        if recipe.dtype is not None and expected in _FLOATS:
            expected = _WRITTEN[recipe.dtype]
        if mine.dtype != expected:
            faults.append(f"{name} is {mine.dtype}; {parent.folder} has {theirs.dtype}")
    return _check("dtypes", faults, f"types as in the recipe; most numbers are {merge.dtype}")


def _shared(
    merge: CheckpointFacts, parents: Sequence[CheckpointFacts]
) -> Iterable[tuple[CheckpointFacts, str, TensorFacts, TensorFacts]]:
    for parent in parents:
        for name, theirs in parent.tensors.items():
            if name in merge.tensors:
                yield parent, name, merge.tensors[name], theirs


def _index(folder: Path, merge: CheckpointFacts) -> Check:
    """``inspect_checkpoint`` has compared the map with the shards already."""
    path = folder / INDEX
    if not path.is_file():
        return _check("index", [], "one weight file, no index")
    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        return _check("index", [f"{INDEX} is no JSON ({error})"], "")
    metadata = told.get("metadata") if isinstance(told, dict) else None
    said = metadata.get("total_size") if isinstance(metadata, dict) else None
    size = int(sum(tensor.size for tensor in merge.tensors.values()))
    faults = [] if said == size else [f"{INDEX} says total_size {said}, the tensors have {size}"]
    return _check("index", faults, f"{INDEX} names every tensor and {size:,} bytes")


def _tied(folder: Path, merge: CheckpointFacts, parents: Sequence[CheckpointFacts]) -> Check:
    """A head that is saved beside the embeddings that it is tied to must equal them.

    transformers takes one of the two for both, and not every reader takes the same one.
    """
    from lens_ray.merging.verify.weights import Weights

    pairs = [pair for pair in _pairs(merge) if _is_tied(folder)]
    faults = []
    with Weights(folder) as weights:
        for head, embedding in pairs:
            rows = (0, max(1, (weights.shape(head) or (1,))[0]))
            if not weights.rows(head, *rows).equal(weights.rows(embedding, *rows)):
                faults.append(f"{head} and {embedding} are tied and differ")
    alone = "no tensor is saved beside the one it is tied to"
    return _check("tied", faults, f"{len(pairs)} tied pairs are equal" if pairs else alone)


def _pairs(merge: CheckpointFacts) -> list[tuple[str, str]]:
    heads = [name for name in merge.tensors if name.endswith(_HEADS)]
    inner = [name for name in merge.tensors if name.endswith(_EMBEDDINGS)]
    return [
        (head, embedding)
        for head in heads
        for embedding in inner
        if merge.tensors[head] == merge.tensors[embedding]
    ]


def _is_tied(folder: Path) -> bool:
    """Of the whole, or of its language model, whose own word counts where it has one."""
    config = json.loads((folder / "config.json").read_bytes())
    for name in ("text_config", "llm_config", "language_config"):
        part = config.get(name)
        if isinstance(part, dict) and "tie_word_embeddings" in part:
            return (
                part["tie_word_embeddings"] is True
                and config.get("tie_word_embeddings", True) is not False
            )
    return config.get("tie_word_embeddings") is True


def _shell(
    folder: Path, merge: CheckpointFacts, parents: Sequence[CheckpointFacts], recipe: Recipe
) -> Check:
    faults = []
    for parent in parents:
        for name in sorted({*merge.shell, *parent.shell}):
            if name not in merge.shell:
                faults.append(f"{name} of {parent.folder} is missing")
            elif name not in parent.shell:
                faults.append(f"{name} is there, and {parent.folder} has none")
            elif merge.shell[name] != parent.shell[name] and not (
                name == "config.json"
                and recipe.dtype is not None
                and _told(folder / name) == _told(Path(parent.folder) / name)
            ):
                faults.append(f"{name} differs from that of {parent.folder}")
    what = "config, tokenizer, processor and chat template are the parents'"
    return _check("shell", faults, what, {"files": len(merge.shell)})


def _told(path: Path) -> object:
    """A configuration without what a recipe's ``dtype`` and another save change."""
    return _without(json.loads(path.read_bytes()))


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _without(item)
            for key, item in value.items()
            if key not in ("dtype", "torch_dtype", "transformers_version", "_name_or_path")
        }
    return [_without(item) for item in value] if isinstance(value, list) else value


def _no_code(folder: Path, parents: Sequence[CheckpointFacts]) -> Check:
    """A merge is data; its folder is as safe to load as safetensors is."""
    faults = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not _stays_in(path, folder):
            faults.append(f"{name} points out of the folder, or nowhere")
        elif not path.is_file() and not path.is_dir():
            faults.append(f"{name} is no file and no folder")
        elif path.suffix in _CODE and not _parents_own(path, name, parents):
            faults.append(f"{name} may run code when it is loaded, and no parent has it so")
    return _check("no_code", faults, "no pickle, no code and no link out of the folder")


def _stays_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop, or nothing there
        return False


def _parents_own(path: Path, name: str, parents: Sequence[CheckpointFacts]) -> bool:
    """Code that the user has trusted already: of a parent that asks for it, unchanged."""
    return path.suffix == ".py" and any(
        parent.remote_code
        and (Path(parent.folder) / name).is_file()
        and (Path(parent.folder) / name).read_bytes() == path.read_bytes()
        for parent in parents
    )


def _finite(folder: Path, merge: CheckpointFacts) -> Check:
    def read(file: str, start: int, length: int) -> bytes:
        with (folder / file).open("rb") as opened:
            opened.seek(start)
            return opened.read(length)

    sizes = {name: (folder / name).stat().st_size for name in merge.weights}
    broken = broken_weights(read, sizes, _ALL)
    looked = sum(1 for tensor in merge.tensors.values() if tensor.dtype in _FLOATS)
    sound = f"no NaN and no infinity in {looked} tensors, all of them read"
    return _check("finite", [broken] if broken else [], sound)


def _loads(folder: Path, trust_remote_code: bool) -> Check:
    """By transformers, on the device ``meta``: what is missing is said, and no number is kept."""
    from lens_ray.merging.verify.loading import loading_info

    told = loading_info(folder, trust_remote_code=trust_remote_code)
    faults = [
        f"{len(names)} {kind} on load: {_some(names)}" for kind, names in told.items() if names
    ]
    figures = {kind: len(names) for kind, names in told.items()}
    return _check("loads", faults, "transformers loads it: nothing missing, nothing over", figures)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
