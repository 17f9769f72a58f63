"""What a checkpoint folder is, found out without loading it: `inspect_checkpoint`.

Only headers, configurations and digests are read, never a pickle and never code. What is wrong
with a folder is said in one line before a replica is started for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lens_ray.errors import CheckpointError
from lens_ray.models.kept_digests import FileState, KeptDigest
from lens_ray.models.resolve import resolve
from lens_ray.models.safetensors_header import TensorFacts, read_header

__all__ = [
    "CheckpointFacts",
    "TensorFacts",
    "assert_swappable",
    "inspect_checkpoint",
    "model_key",
    "resolve",
]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
#: Files that decide what the model is asked and how it generates, beside its weights.
_SHELL = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", *_TOKENIZERS, "merges.txt", *_TEMPLATES,
)  # fmt: skip
#: Keys that saving the same model with another version or from another folder changes.
VOLATILE = frozenset({"transformers_version", "_name_or_path", "name_or_path", "_commit_hash"})
_IMPLEMENTATIONS = frozenset({"attn_implementation", "experts_implementation"})
_JSON_LIMIT = 256_000_000
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a checkpoint folder holds.

    Attributes:
        folder: Where it lies.
        weights_digest: SHA-256 over the bytes of its weight files, in order of their names.
        shell_digest: SHA-256 over config, tokenizer, processor and chat template, without what
            differs from one save to the next.
        architecture: Class name in ``config.json``, or its model type.
        dtype: Type of most of its numbers, as safetensors names it.
        tensors: Type and shape of every tensor on disk.
        shell: Digest of each file of the shell.
        remote_code: Whether it asks for Python code of its own.
        heads: Attention heads of its language model; None where ``config.json`` does not say.
        context: Longest sequence of its language model, in tokens; None where it does not say.
        weights: Names of its weight files.
    """

    folder: str
    weights_digest: str
    shell_digest: str
    architecture: str
    dtype: str
    tensors: Mapping[str, TensorFacts]
    shell: Mapping[str, str]
    remote_code: bool = False
    heads: int | None = None
    context: int | None = None
    weights: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers its tensors hold."""
        return sum(tensor.elements for tensor in self.tensors.values())


def inspect_checkpoint(
    folder: str, *, trust_remote_code: bool = False, digest: bool = True
) -> CheckpointFacts:
    """Read what a checkpoint is, and refuse what is none.

    Args:
        folder: A local folder, as `resolve` gives it.
        trust_remote_code: Accept a checkpoint that brings its own Python code.
        digest: Whether the weights are read for their digest, which is empty otherwise; headers
            and sizes are read always.

    Raises:
        CheckpointError: Anything is missing, truncated, malformed or unsafe.
    """
    try:
        return _inspect(Path(folder), trust_remote_code, digest=digest)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"{folder}: cannot be read ({reason}); was it deleted or replaced meanwhile?"
        ) from error


def _inspect(root: Path, trust_remote_code: bool, *, digest: bool) -> CheckpointFacts:
    if not root.is_dir():
        raise CheckpointError(f"no checkpoint folder at {root}; check the path")
    config = _config(root)
    remote_code = _remote_code(root, trust_remote_code)
    shards = _shards(root)
    tensors = _tensors(root, shards)
    _require_shell(root)
    shell = {name: _shell_digest(root / name) for name in _shell_files(root, remote_code)}
    return CheckpointFacts(
        folder=str(root),
        weights_digest=_weights_digest(root, shards) if digest else "",
        shell_digest=_digest(json.dumps(sorted(shell.items())).encode()),
        architecture=_architecture(config),
        dtype=_main_dtype(tensors.values()),
        tensors=tensors,
        shell=shell,
        remote_code=remote_code,
        heads=_of_language(config, "num_attention_heads"),
        context=_of_language(config, "max_position_embeddings"),
        weights=tuple(shards),
    )


def assert_swappable(a: CheckpointFacts, b: CheckpointFacts) -> None:
    """Refuse to put the weights of `b` into a live model of `a` unless only numbers differ.

    Raises:
        CheckpointError: Config, tokenizer, processor, template, or a tensor's name, shape or type
            differ; the message names the first difference.
    """
    what = f"{b.folder} cannot take the place of {a.folder} without a restart"
    for name in sorted({*a.shell, *b.shell}):
        if name not in a.shell or name not in b.shell:
            raise CheckpointError(f"{what}: only one of them has {name}")
        if a.shell[name] != b.shell[name]:
            raise CheckpointError(f"{what}: {name} differs")
    for name in sorted({*a.tensors, *b.tensors}):
        if name not in a.tensors or name not in b.tensors:
            lacking = b.folder if name in a.tensors else a.folder
            raise CheckpointError(f"{what}: tensor {name!r} is missing in {lacking}")
        one, two = a.tensors[name], b.tensors[name]
        if one != two:
            raise CheckpointError(
                f"{what}: tensor {name!r} is {one.dtype} {list(one.shape)} in one and "
                f"{two.dtype} {list(two.shape)} in the other"
            )


def model_key(
    facts: CheckpointFacts,
    backend: str,
    dtype: str,
    extra: Mapping[str, object] | None = None,
) -> str:
    """Hash of everything about a model that decides its answers.

    Args:
        facts: Of its checkpoint.
        backend: Backend name.
        dtype: Effective type of computation.
        extra: Further options that change answers (an image size cap, ...).
    """
    parts = [
        facts.weights_digest,
        facts.shell_digest,
        backend,
        dtype,
        sorted((extra or {}).items()),
    ]
    return _digest(json.dumps(parts, sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise CheckpointError(
                f"{path}: larger than {_JSON_LIMIT} bytes; this is no configuration"
            )
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: no valid JSON ({error}); copy the checkpoint again"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _read_object(path: Path) -> dict[str, Any]:
    value = _read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: a JSON object is expected, {type(value).__name__} was found"
        )
    return value


def _config(root: Path) -> dict[str, Any]:
    path = root / "config.json"
    if not path.is_file():
        if (root / "adapter_config.json").is_file():
            raise CheckpointError(
                f"{root} holds an adapter, not a model; merge it into its base: "
                "model.merge_and_unload().save_pretrained(FOLDER)"
            )
        steps = sorted(p.parent.name for p in root.glob("*/config.json"))
        hint = f"; did you mean {root / steps[-1]}?" if steps else "; save the model there first"
        raise CheckpointError(f"{root} has no config.json{hint}")
    config = _read_object(path)
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise CheckpointError(f"{path}: model_type is missing; this is no transformers checkpoint")
    return config


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else str(config["model_type"])


def _of_language(config: Mapping[str, Any], key: str) -> int | None:
    """A number in the part of the configuration that is the language model's."""
    for name in ("text_config", "llm_config", "language_config"):
        if isinstance(config.get(name), dict):
            config = config[name]
            break
    found = config.get(key)
    return found if isinstance(found, int) and found > 0 else None


def _remote_code(root: Path, trusted: bool) -> bool:
    names = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
    asking = [
        (name, key)
        for name in (*names, "processor_config.json", "video_preprocessor_config.json")
        if (root / name).is_file()
        for key in _code_keys(_read_object(root / name))
    ]
    if asking and not trusted:
        name, key = asking[0]
        raise CheckpointError(
            f"{root / name}: {key} asks to run code that comes with the checkpoint or from a hub; "
            "read that code, then write options: {trust_remote_code: true}"
        )
    return bool(asking)


def _code_keys(value: Any) -> list[str]:
    """Keys, at any depth, that make transformers run code which it does not ship."""
    if isinstance(value, list):
        return [key for item in value for key in _code_keys(item)]
    if not isinstance(value, dict):
        return []
    found = [key for item in value.values() for key in _code_keys(item)]
    for key, item in value.items():
        # An implementation with a slash is a repository of kernels.
        if key == "auto_map" or (key.strip("_") in _IMPLEMENTATIONS and "/" in json.dumps(item)):
            found.append(key)
    return found


def _shards(root: Path) -> dict[str, set[str] | None]:
    """The weight files, each with the tensors that the index says it holds (None: no index)."""
    if (root / WEIGHTS).is_file():
        return {WEIGHTS: None}
    if (root / INDEX).is_file():
        return _indexed(root)
    loose = sorted(root.glob("*.safetensors"))
    if loose:
        raise CheckpointError(
            f"{root} has {loose[0].name} but neither {WEIGHTS} nor {INDEX}; "
            "half a checkpoint: copy all of it"
        )
    pickles = sorted(p.name for pattern in _PICKLES for p in root.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{root} has only pickled weights ({pickles[0]}), which could run code; convert them "
            "where you trust them: AutoModelForImageTextToText.from_pretrained(FOLDER)"
            ".save_pretrained(OTHER)"
        )
    raise CheckpointError(f"{root} has no weights: no {WEIGHTS}, no {INDEX}")


def _indexed(root: Path) -> dict[str, set[str] | None]:
    index = root / INDEX
    where = _read_object(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise CheckpointError(f"{index}: weight_map is missing or empty")
    shards: dict[str, set[str] | None] = {}
    for tensor, name in where.items():
        if (
            not isinstance(name, str)
            or Path(name).name != name
            or not name.endswith(".safetensors")
        ):
            raise CheckpointError(f"{index}: {name!r} is no name of a file in this folder")
        if not (root / name).is_file():
            raise CheckpointError(f"{root} lacks {name}, which {INDEX} names; copy all of it")
        held = shards.setdefault(name, set())
        assert held is not None
        held.add(tensor)
    return dict(sorted(shards.items()))


def _tensors(root: Path, shards: Mapping[str, set[str] | None]) -> dict[str, TensorFacts]:
    tensors: dict[str, TensorFacts] = {}
    for name, promised in shards.items():
        held = read_header(root / name)
        if promised is not None and promised != held.keys():
            odd = sorted(promised ^ held.keys())[0]
            raise CheckpointError(
                f"{root / name} and {INDEX} disagree about tensor {odd!r}; "
                "shards of two checkpoints are mixed: copy all of one"
            )
        tensors.update(held)
    if not tensors:
        raise CheckpointError(f"{root}: its weight files hold no tensor")
    return dict(sorted(tensors.items()))


def _require_shell(root: Path) -> None:
    if not any((root / name).is_file() for name in _TOKENIZERS):
        raise CheckpointError(f"{root} has no tokenizer ({_TOKENIZERS[0]}); {_save('processor')}")
    processor = root / "processor_config.json"
    whole = processor.is_file() and "image_processor" in _read_object(processor)
    if not whole and not (root / "preprocessor_config.json").is_file():
        raise CheckpointError(
            f"{root} has no image processor (processor_config.json or preprocessor_config.json); "
            f"{_save('processor')}"
        )
    within = [root / "tokenizer_config.json", processor]
    kept = any(p.is_file() and _read_object(p).get("chat_template") for p in within)
    if not kept and not any((root / name).is_file() for name in _TEMPLATES):
        raise CheckpointError(
            f"{root} has no chat template ({_TEMPLATES[0]}); it takes one to ask: "
            "take the one of its base model"
        )


def _save(what: str) -> str:
    return f"save it there: {what}.save_pretrained(FOLDER)"


def _shell_files(root: Path, remote_code: bool) -> list[str]:
    code = sorted(path.name for path in root.glob("*.py")) if remote_code else []
    return [name for name in (*sorted(_SHELL), *code) if (root / name).is_file()]


def _shell_digest(path: Path) -> str:
    if path.suffix != ".json":
        return _digest(path.read_bytes())
    return _digest(json.dumps(_canonical(_read_json(path)), sort_keys=True).encode())


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value


def _weights_digest(root: Path, shards: Iterable[str]) -> str:
    paths = [root / name for name in sorted(shards)]
    before = _states(paths)
    kept = KeptDigest(before)
    if (known := kept.known()) is not None:
        return known
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    if _states(paths) == before:
        kept.keep(total.hexdigest())
    return total.hexdigest()


def _states(paths: Iterable[Path]) -> list[FileState]:
    return [FileState.of(path.stat()) for path in paths]


def _main_dtype(tensors: Iterable[TensorFacts]) -> str:
    numbers: dict[str, int] = {}
    for tensor in tensors:
        numbers[tensor.dtype] = numbers.get(tensor.dtype, 0) + tensor.elements
    return max(sorted(numbers), key=lambda dtype: numbers[dtype])
