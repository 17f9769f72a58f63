"""A merge in a bucket: made on this machine, then put there with its weights' index last.

A reader needs ``config.json`` and the weights (of several files: their index) to see a model, so
those come when everything else is there, and ``merge.json`` after them. What is half there is
marked by ``merge.partial.json``, which says of which recipe it is: the same command goes on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lens_ray.errors import RunBusy, StoreError, StoreUnavailable, UserError
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.record import FILE, MergeRecord
from lens_ray.models.checkpoint import INDEX, WEIGHTS
from lens_ray.node_cache import alone, home
from lens_ray.store.objects import ObjectStore, open_objects

#: Marks a prefix that is being filled.
MARK = "merge.partial.json"
#: Folder below `home` for merges on their way to a bucket.
_FOLDER = "merges-to-send"
_TRIES = 3
_PAUSE_S = 0.5
#: Of a file, sent at once: 64 MiB in memory.
_PIECES = {"chunksize": 16 * 2**20, "max_concurrency": 4}


def publish(url: str, recipe: Recipe, make: Callable[[Path], MergeRecord]) -> MergeRecord:
    """Make a merge and put it at a URL; where it is there already, nothing is sent.

    Args:
        url: ``s3://BUCKET/PREFIX``.
        recipe: Of the merge.
        make: Makes it in a folder; does nothing where that holds it already.

    Raises:
        UserError: The URL cannot be one, or something else is there.
        RunBusy: Another process of this machine is sending it.
        StoreUnavailable: The bucket is out of reach.
    """
    place = _opened(url)
    local = home() / _FOLDER / _key(url, recipe)
    with alone(local, "send") as ours:
        if not ours and local.is_dir():
            raise RunBusy(f"{url}: another process is sending this merge there; wait for it")
        _require_free(place, recipe)
        record = make(local)
        there = _record_at(place)
        if there is None:
            _send(place, local, record, recipe)
        elif there.files != record.files:
            raise _taken(url, "another merge")
        place.delete(MARK)
        shutil.rmtree(local, ignore_errors=True)
        return there or record


def _opened(url: str) -> ObjectStore:
    if not url.startswith("s3://"):
        raise UserError(f"--out {url}: give a folder or an s3:// URL")
    try:
        return open_objects(url)
    except StoreError as error:
        raise UserError(f"--out {url}: it names no place; give s3://BUCKET/PREFIX") from error


def _key(url: str, recipe: Recipe) -> str:
    return hashlib.sha256(f"{url.rstrip('/')}\n{recipe.model_dump_json()}".encode()).hexdigest()[
        :32
    ]


def _require_free(place: ObjectStore, recipe: Recipe) -> None:
    """Refuse before anything is merged where something else is in the way."""
    record, mark = _record_at(place), place.get(MARK)
    if record is not None:
        if record.recipe != recipe:
            raise _taken(place.url, "another merge")
    elif mark is not None:
        if mark != _mark(recipe):
            raise _taken(place.url, f"part of another merge ({MARK})")
    elif any(True for _ in place.list("")):
        raise _taken(place.url, "something that is no merge")


def _taken(url: str, what: str) -> UserError:
    return UserError(f"{url} holds {what}; take another --out, or remove it")


def _mark(recipe: Recipe) -> bytes:
    told = {"kind": "merge-partial", "recipe": recipe.model_dump(mode="json")}
    return json.dumps(told, sort_keys=True).encode()


def _record_at(place: ObjectStore) -> MergeRecord | None:
    data = place.get(FILE)
    if data is None:
        return None
    try:
        return MergeRecord.model_validate_json(data)
    except ValueError as error:
        raise _taken(place.url, f"a {FILE} that is no record of a merge") from error


def _send(place: ObjectStore, local: Path, record: MergeRecord, recipe: Recipe) -> None:
    if not place.create(MARK, _mark(recipe)):
        raise _taken(place.url, f"part of another merge ({MARK})")
    files, root = _filesystem(place.url)
    for name in _in_order(local):
        _put(files, local / name, f"{root}/{name}", f"{place.url}/{name}")


def _in_order(local: Path) -> Sequence[str]:
    """Every file: first what makes no model yet, then what completes one, the record last."""
    names = [path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()]
    last = {"config.json": 1, WEIGHTS: 2, INDEX: 2, FILE: 3}
    return sorted(names, key=lambda name: (last.get(name, 0), name))


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return files, str(root)


def _put(files: Any, local: Path, remote: str, url: str) -> None:
    """Send one file; an object appears when all of it is there."""
    for left in reversed(range(_TRIES)):
        try:
            files.put_file(str(local), remote, **_PIECES)
            if int(files.info(remote)["size"]) == local.stat().st_size:
                return
            cause = "it arrived with another size"
        except Exception as error:  # every protocol has its own exceptions
            cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if left:
            time.sleep(_PAUSE_S)
    raise StoreUnavailable(
        f"{url} cannot be written ({cause}); the same command goes on where it stopped"
    )
