"""The stop signal of a training run: a file in its folder, which its trainer heeds.

The watcher writes it (`ask_to_stop`), or a person does (``touch STOP``); a trainer looks
(`stop_asked`) and ends of itself. Who wants to go on deletes the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from lens_ray.errors import StoreUnavailable

#: Its name, where nobody gives another.
STOP = "STOP"
_REMOTE = "s3://"
_MAX_REASON = 4096


def ask_to_stop(run: str | os.PathLike[str], reason: str, *, file: str = STOP) -> bool:
    """Put the stop file into a run's folder, if none is there.

    Args:
        run: Folder or ``s3://`` prefix of the run.
        reason: One line for whoever looks into it.
        file: Its name.

    Returns:
        Whether it was written now; False where it was there before.

    Raises:
        StoreUnavailable: It cannot be written.
    """
    data = f"{' '.join(reason.split())}\n".encode()[:_MAX_REASON]
    place = os.fspath(run)
    if place.startswith(_REMOTE):
        from lens_ray.store.objects import open_objects

        objects = open_objects(place)
        return objects.get(file) is None and objects.create(file, data)
    path = Path(place.removeprefix("file://")) / file
    if path.exists():
        return False
    partial = path.with_name(f"{file}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: the run cannot be told to stop: {error.strerror}; write the file by hand"
        ) from error
    return True


def stop_asked(run: str | os.PathLike[str], *, file: str = STOP) -> str | None:
    """The reason in a run's stop file, or None where there is none.

    An empty file stops, too. A local file costs some microseconds; a bucket costs a request.

    Args:
        run: Folder or ``s3://`` prefix of the run.
        file: Its name.

    Raises:
        StoreUnavailable: The bucket is out of reach.
        OSError: The folder is.
    """
    place = os.fspath(run)
    if place.startswith(_REMOTE):
        from lens_ray.store.objects import open_objects

        data = open_objects(place).get(file)
    else:
        path = Path(place.removeprefix("file://")) / file
        data = path.read_bytes()[:_MAX_REASON] if path.is_file() else None
    if data is None:
        return None
    return data.decode(errors="replace").strip() or f"{file} is there"
