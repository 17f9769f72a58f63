"""Whether checkpoints differ in numbers only: `require_same`. Which files a merge takes along.

What a merge is asked with and how it generates must not depend on which parent came first, so
config, tokenizer, processor, chat template and generation config are equal in all of them, but
for what saving again changes (`transformers_version`, the folder's name).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lens_ray.errors import CheckpointError
from lens_ray.merging.verify.provenance import ABOUT
from lens_ray.models.checkpoint import VOLATILE, CheckpointFacts, TensorFacts
from lens_ray.online.marker import MARKER

#: Of a model folder, beside its weights. Pickles, Python code, optimizer states and whatever else
#: a trainer leaves there are not taken along.
_MODEL_FILES = (".json", ".jinja", ".model", ".txt", ".tiktoken")
_NOTES = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY", "COPYRIGHT")
#: What trainers and we write beside a model, which is different in every checkpoint.
_LEFTOVERS = (
    "trainer_state.json", "training_args.json", "all_results.json", "train_results.json",
    "eval_results.json", "requirements.txt", "repair.json", MARKER, *ABOUT,
)  # fmt: skip
_QUANTISED = frozenset({"U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
                        "F4", "F6_E2M3", "F6_E3M2"})  # fmt: skip
_SMALL = 256_000_000


def require_same(all_facts: Sequence[CheckpointFacts], names: Sequence[str]) -> None:
    """Refuse checkpoints that are not of one model.

    Args:
        all_facts: Of each.
        names: Of each, for messages.

    Raises:
        CheckpointError: One is quantised, or differs from the first in a file, or in a tensor's
            name, shape or type; the line names the first difference.
    """
    for facts, name in zip(all_facts, names, strict=True):
        _require_plain(facts, name)
    first, *others = zip(all_facts, names, strict=True)
    for other in others:
        _require_same_shell(first, other)
        _require_same_tensors(first, other)


def model_files(folder: Path) -> list[str]:
    """Files of a checkpoint that belong to the model, beside its weights, by name.

    Configurations, tokenizer, processor and chat templates (those in ``additional_chat_templates``
    too), vocabularies and licence texts.

    Raises:
        CheckpointError: One is a link to a file elsewhere, which would be published with the merge.
    """
    found = sorted([*folder.iterdir(), *folder.glob("additional_chat_templates/*.jinja")])
    taken = [
        path
        for path in found
        if path.is_file() and (_is_compared(path) or path.name.startswith(_NOTES))
    ]
    for path in taken:
        _require_own(path, folder)
    return [path.relative_to(folder).as_posix() for path in taken]


def _require_own(path: Path, folder: Path) -> None:
    """The hub's cache has links of its own: ``models--X/snapshots/COMMIT/FILE`` to its blobs."""
    own = folder.resolve()
    if own.parent.name == "snapshots" and own.parent.parent.name.startswith("models--"):
        own = own.parent.parent
    target = path.resolve()
    if not target.is_relative_to(own):
        raise CheckpointError(
            f"{path} is a link to {target}, out of the checkpoint; put the file itself there, or "
            "remove the link"
        )


def _is_compared(path: Path) -> bool:
    return (
        path.suffix in _MODEL_FILES
        and path.name not in _LEFTOVERS
        and not path.name.endswith(".index.json")
        and not path.name.startswith((".", *_NOTES))
    )


def _require_plain(facts: CheckpointFacts, name: str) -> None:
    config = json.loads(Path(facts.folder, "config.json").read_bytes())
    odd = sorted(tensor for tensor, held in facts.tensors.items() if held.dtype in _QUANTISED)
    if config.get("quantization_config") is None and not odd:
        return
    why = f"tensor {odd[0]!r} is {facts.tensors[odd[0]].dtype}" if odd else "quantization_config"
    raise CheckpointError(
        f"parent {name}: {facts.folder} is quantised ({why}), and packed numbers cannot be "
        "averaged; merge the checkpoints before they are quantised"
    )


Named = tuple[CheckpointFacts, str]


def _require_same_shell(first: Named, other: Named) -> None:
    (one, name), (two, other_name) = first, other
    folders = Path(one.folder), Path(two.folder)
    compared = [
        {file for file in model_files(folder) if _is_compared(folder / file)} for folder in folders
    ]
    if odd := sorted(compared[0] ^ compared[1]):
        has, lacks = (name, other_name) if odd[0] in compared[0] else (other_name, name)
        raise CheckpointError(
            f"{has} has {odd[0]}, {lacks} ({folders[has == name]}) has not; merge checkpoints of "
            "one model, or copy the file where it belongs"
        )
    for file in sorted(compared[0]):
        what = _difference(folders[0] / file, folders[1] / file)
        if what is not None:
            raise CheckpointError(
                f"{file} differs between {name} and {other_name}: {what}; merge checkpoints of one "
                f"model, or make {folders[1] / file} the same where that is right"
            )


def _difference(one: Path, other: Path) -> str | None:
    """What differs between two files, but for what saving again changes; None is nothing."""
    for path in (one, other):
        if path.stat().st_size > _SMALL:
            raise CheckpointError(f"{path}: larger than {_SMALL} bytes; this is no model's file")
    left, right = one.read_bytes(), other.read_bytes()
    if left == right:
        return None
    if one.suffix == ".json":
        try:
            return next(_differing(json.loads(left), json.loads(right), ""), None)
        except (ValueError, RecursionError):
            pass  # compared as text
    lines = zip(left.split(b"\n"), right.split(b"\n"), strict=False)
    for number, (here, there) in enumerate(lines, 1):
        if here != there:
            return f"line {number} is {_short(here.decode(errors='replace'))} in one and " \
                   f"{_short(there.decode(errors='replace'))} in the other"  # fmt: skip
    return f"{len(left)} bytes in one, {len(right)} in the other"


def _differing(one: object, other: object, path: str) -> Iterator[str]:
    """Where two JSON values differ, as a path of keys and both values."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}, key=str):
            if key not in VOLATILE:
                absent = "(not there)"
                yield from _differing(
                    one.get(key, absent), other.get(key, absent), f"{path}.{key}".lstrip(".")
                )
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differing(left, right, f"{path}[{place}]")
    elif one != other or type(one) is not type(other):
        yield f"{path or 'it'} is {_short(one)} in one and {_short(other)} in the other"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _require_same_tensors(first: Named, other: Named) -> None:
    (one, name), (two, other_name) = first, other
    missing = sorted(one.tensors.keys() - two.tensors.keys())
    extra = sorted(two.tensors.keys() - one.tensors.keys())
    if missing or extra:
        raise CheckpointError(
            f"the tensors of {name} and {other_name} have not the same names: "
            f"{_listed(f'only in {name}', missing)}{'; ' if missing and extra else ''}"
            f"{_listed(f'only in {other_name}', extra)}; {_advice([*missing, *extra])}"
        )
    for tensor in one.tensors:
        here, there = one.tensors[tensor], two.tensors[tensor]
        if here != there:
            raise CheckpointError(
                f"tensor {tensor!r} is {_told(here)} in {name} and {_told(there)} in {other_name}; "
                + _how_to_agree(here, there)
            )


def _listed(where: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:5])
    return f"{where}: {shown}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _advice(odd: Sequence[str]) -> str:
    heads = ("lm_head.weight", "embed_tokens.weight")
    if all(name.endswith(heads) for name in odd):
        return (
            "one ties its head to its embeddings and the other saved both; load and save one of "
            "them with the other's tie_word_embeddings"
        )
    return "no tensor is optional: merge checkpoints of one model, saved in the same way"


def _told(facts: TensorFacts) -> str:
    return f"{facts.dtype} {list(facts.shape)}"


def _how_to_agree(here: TensorFacts, there: TensorFacts) -> str:
    if here.shape == there.shape:
        return f"save one of them again in the other's type ({here.dtype} or {there.dtype})"
    return "merge checkpoints of one model"
