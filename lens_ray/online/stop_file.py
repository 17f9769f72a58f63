"""The stop signal of a training run: a file in its folder, which its trainer heeds.

The watcher writes it (`ask_to_stop`), or a person does (``touch STOP``); a trainer looks
(`stop_asked`, or `StopSignal` in its loop) and ends of itself. Who wants to go on deletes the file.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from lens_ray.errors import StoreUnavailable

log = logging.getLogger(__name__)

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
    path = _folder(place) / file
    partial = path.with_name(f"{file}.partial")
    try:
        if path.exists():
            return False
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: the run cannot be told to stop: {error.strerror}; write the file by hand"
        ) from error
    return True


def _folder(run: str) -> Path:
    return Path(run.removeprefix("file://")).expanduser()


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
        path = _folder(place) / file
        data = path.read_bytes()[:_MAX_REASON] if path.is_file() else None
    if data is None:
        return None
    return data.decode(errors="replace").strip() or f"{file} is there"


class StopSignal:
    """Whether a run was asked to stop, without a wait: a thread looks for the file.

    With several processes of ``torch.distributed`` the first one decides, and all hear it at the
    same call of `asked`: if one left the loop alone, the others would wait for it for ever. So
    each must call `asked` equally often.

    Args:
        run: Folder or ``s3://`` prefix of the run.
        file: Name of the stop file.
        poll_s: Seconds between two looks.
        together_every: Calls between two at which several processes agree, which costs them a
            broadcast.
    """

    def __init__(
        self,
        run: str | os.PathLike[str],
        *,
        file: str = STOP,
        poll_s: float = 5.0,
        together_every: int = 10,
    ) -> None:
        self._run, self._file, self._poll_s = run, file, poll_s
        self._together_every = together_every
        self._calls = 0
        self._reason: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lens-stop-file", daemon=True)
        self._thread.start()

    def asked(self) -> str | None:
        """Why the run should end now, or None."""
        if _processes() < 2:
            return self._reason
        self._calls += 1
        return _from_first(self._reason) if self._calls % self._together_every == 0 else None

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _look(self) -> None:
        told = False
        while not self._closed.is_set():
            try:
                self._reason = stop_asked(self._run, file=self._file)
            except Exception as error:  # a bucket or disk that is away is no reason to end
                if not told:
                    log.warning("%s: the stop file cannot be looked for: %s", self._run, error)
                told = True
            if self._reason is not None:
                return
            self._closed.wait(self._poll_s)


def _processes() -> int:
    torch = sys.modules.get("torch.distributed")
    if torch is None or not torch.is_available() or not torch.is_initialized():
        return 1
    return int(torch.get_world_size())


def _from_first(reason: str | None) -> str | None:
    import torch.distributed as dist

    said: list[str | None] = [reason]
    dist.broadcast_object_list(said, src=0)
    return said[0]
