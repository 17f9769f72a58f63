"""A model path ``merge:RECIPE`` becomes a folder of this machine's cache: `materialise`.

RECIPE is the path or URL of a recipe file, or the recipe itself as JSON (`path_of`), which any
machine of a cluster can read. The folder's name is made of the recipe and of the parents' digests,
so every machine gives a merge the same name, and one that changed gets another. A merge can be made
again at any time: it lies in memory where that has room for it, and gives way to newer ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from lens_ray.errors import CheckpointError, UserError
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.models.checkpoint import inspect_checkpoint, resolve
from lens_ray.models.made import MERGE
from lens_ray.models.remote import is_remote
from lens_ray.node_cache import CHECKPOINTS, alone, discard, home, keep, memory_home, release

#: Longest recipe that may be the path itself.
_LONGEST = 16_000
_PREFIX = "merge-"
#: Merges on a disk that nobody uses and that stay all the same.
_STAY = 4
#: Share of the memory's file system that merges may take, and as much must stay free.
_SHARE = 0.25
#: Beside the weights: tokenizer, configurations, the record.
_REST = 64 * 2**20
#: Digests of parents, by folder and the state of its files.
_DIGESTS: dict[tuple[object, ...], tuple[str, str]] = {}


def path_of(recipe: Recipe) -> str:
    """The model path of a merge, which carries its recipe and needs no file.

    Raises:
        UserError: The recipe is too long for that.
    """
    told = recipe.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    path = MERGE + json.dumps(told, sort_keys=True, separators=(",", ":"))
    if len(path) > _LONGEST:
        raise UserError(
            f"a recipe of {len(path):,} characters cannot be a model's path, which has "
            f"{_LONGEST:,} at most; write it to a file, and merge:FILE as the path"
        )
    return path


def recipe_of(path: str) -> Recipe:
    """The recipe of a model path ``merge:RECIPE``.

    Raises:
        UserError: It is none.
        StoreUnavailable: Its URL is out of reach.
    """
    told = path.removeprefix(MERGE)
    if not told.startswith("{"):
        from lens_ray.merging.recipe import load_recipe

        return load_recipe(told)
    try:
        return Recipe.model_validate_json(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "recipe"
        raise CheckpointError(
            f"{MERGE}{{...}}: {where}: {first['msg']}; check the recipe"
        ) from error


def materialise(path: str, *, beyond: bool = True) -> Path:
    """The folder of a merge, made where it is not there; see `lens_ray.models.made.Maker`.

    Raises:
        UserError: The recipe or a parent is at fault.
        StoreUnavailable: A parent is out of reach, or there is no room.
    """
    recipe = recipe_of(path)
    folders = [_folder_of(parent) for parent in _inputs(recipe)]
    try:
        name = _PREFIX + _key(recipe, folders)
        need = _bytes_of(folders[0]) + _REST
        top = _place(name, need)
        if top == home():
            _thin(top / CHECKPOINTS, name)

        def fill(folder: Path) -> None:
            _merge(recipe, folder)

        return keep(top / CHECKPOINTS / name, fill, need, beyond=beyond)
    finally:
        for folder in folders:
            release(folder)


def _merge(recipe: Recipe, folder: Path) -> None:
    """Write a merge into a folder that is there and empty."""
    from lens_ray.merging.apply import apply_recipe

    made = folder / "merge"
    apply_recipe(recipe, made, durable=False, check=False)
    for file in made.iterdir():
        file.rename(folder / file.name)
    made.rmdir()


def _inputs(recipe: Recipe) -> tuple[Parent, ...]:
    return (*recipe.parents, *((recipe.base,) if recipe.base is not None else ()))


def _folder_of(parent: Parent) -> Path:
    if parent.path.startswith(MERGE):
        raise CheckpointError(
            f"parent {parent.name}: a merge of merges rounds twice; write one recipe of all their "
            "parents"
        )
    return Path(resolve(parent.path, parent.revision))


def _key(recipe: Recipe, folders: list[Path]) -> str:
    """Of all that decides the bytes of a merge; what parents are called does not."""
    told = recipe.model_dump(mode="json", exclude={"name"})
    digests = [digests_of(str(folder)) for folder in folders]
    adapters = [_adapter_state(parent) for parent in _inputs(recipe)]
    table = Path(recipe.table.file).read_bytes() if recipe.table is not None else b""
    facts = [told, digests, adapters, hashlib.sha256(table).hexdigest()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def digests_of(folder: str) -> tuple[str, str]:
    """Digests of a checkpoint's weights and shell; read once for each state of its files.

    Raises:
        CheckpointError: It is none.
    """
    state: tuple[object, ...] = (folder, *_stamps(Path(folder)))
    if state not in _DIGESTS:
        facts = inspect_checkpoint(folder)
        _DIGESTS[state] = facts.weights_digest, facts.shell_digest
    return _DIGESTS[state]


def _adapter_state(parent: Parent) -> str | None:
    """What changes with an adapter's files."""
    if parent.adapter is None or is_remote(parent.adapter):
        return parent.adapter
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with suppress(OSError):  # who folds it in says what is missing
            digest.update((Path(parent.adapter) / name).read_bytes())
    return digest.hexdigest()


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.is_file():
            known = entry.stat()
            found.append((entry.name, known.st_size, known.st_mtime_ns))
    return found


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _place(name: str, need: int) -> Path:
    """In memory where there is room; else on the disk."""
    memory = memory_home()
    if (home() / CHECKPOINTS / name).is_dir() or memory is None:
        return home()
    if (memory / CHECKPOINTS / name).is_dir():
        return memory
    return memory if _has_room(memory, need) else home()


def _has_room(memory: Path, need: int) -> bool:
    """Whether a merge fits into memory, once those that are used no longer have made way."""
    bound = int(_SHARE * shutil.disk_usage(memory).total)
    if need > bound // 2:  # the one in use, and the next one
        return False
    kind = memory / CHECKPOINTS

    def fits() -> bool:
        held = sum(map(_size, kind.glob(f"{_PREFIX}*")))
        return held + need <= bound and shutil.disk_usage(memory).free >= need + bound

    for old in _oldest(kind):
        if fits():
            break
        _drop(old)
    return fits()


def _thin(kind: Path, name: str) -> None:
    """Of the merges that nobody uses only the latest stay on a disk."""
    for old in _oldest(kind)[:-_STAY]:
        if old.name != name:
            _drop(old)


def clear() -> None:
    """Remove the merges of this machine that nobody uses."""
    memory = memory_home()
    for top in (home(), *((memory,) if memory is not None else ())):
        for old in _oldest(top / CHECKPOINTS):
            _drop(old)


def _drop(entry: Path) -> None:
    with suppress(OSError), alone(entry, "use") as unused:
        if unused:
            discard(entry)


def _oldest(kind: Path) -> list[Path]:
    """Merges by the time of their last use."""
    found = []
    for entry in kind.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # removed meanwhile
            found.append((entry.stat().st_mtime_ns, entry))
    return [entry for _, entry in sorted(found)]


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(os.stat(entry).st_size for entry in folder.iterdir())
    return 0
