"""Copies that this machine keeps: each made once for all of its processes, whole or not at all.

An entry is a folder ``HOME/KIND/NAME`` whose name says what is in it. Two locks (``flock``, which
the kernel drops with its holder, however that ends) guard it: one is held exclusively by who fills
it, the others wait; one is held shared by every process that uses it, so that it is not removed
meanwhile. Where a file system has no locks, copies are still whole; they may be made twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lens_ray.errors import StoreUnavailable, UserError

#: Folders below `home` that hold nothing but copies, which may be removed.
CHECKPOINTS = "checkpoints"
SUITES = "suite-copies"
_BOUND = "LENS_RAY_CACHE_GB"
_MEMORY = Path("/dev/shm")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Left free on the disk beside the copy.
_MARGIN = 16 * 2**20
_PARTIAL = ".partial"

_GUARD = threading.RLock()
#: Entries in use by this process, each with the descriptor of its lock.
_USED: dict[Path, int | None] = {}
#: Folders that this process is filling.
_FILLING: set[Path] = set()


def home() -> Path:
    """The folder that lens-ray keeps copies in: ``$LENS_RAY_HOME``, else the user's cache."""
    named = os.environ.get("LENS_RAY_HOME")
    return Path(named) if named else Path.home() / ".cache" / "lens-ray"


def memory_home() -> Path | None:
    """A folder of this user's in memory, for copies that can be made again at any time.

    None where the user has named a folder (``$LENS_RAY_HOME``), or there is no such place. Others
    may write beside it, so a folder that is another user's is not taken.
    """
    if os.environ.get("LENS_RAY_HOME") or not _MEMORY.is_dir():
        return None
    folder = _MEMORY / f"lens-ray-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if ours and not found.st_mode & 0o022 else None


def keep(
    entry: Path,
    fill: Callable[[Path], None],
    need: int,
    sound: Callable[[Path], bool] = Path.is_dir,
    *,
    beyond: bool = True,
) -> Path:
    """An entry, filled where it is not there; in use by this process until `release`.

    Args:
        entry: Its folder.
        fill: Writes into an empty folder.
        need: Bytes that it writes.
        sound: Whether what lies at a folder is whole; what is not is made again.
        beyond: Whether it may be larger than ``$LENS_RAY_CACHE_GB`` leaves room for.

    Raises:
        StoreUnavailable: There is no room, or the folder cannot be written.
        UserError: ``$LENS_RAY_CACHE_GB`` is no number.
        Exception: What `fill` raises; nothing is left of it.
    """
    if hold(entry) and sound(entry):
        return entry
    try:
        with filling(entry):
            _use(entry)
            if not sound(entry):
                discard(entry)
                _fill(entry, fill, need, beyond)
    except BaseException as error:  # also when interrupted, it is in use no longer
        release(entry)
        if isinstance(error, OSError):
            raise _unwritable(entry, error, need) from error
        raise
    return entry


def hold(entry: Path) -> bool:
    """Whether an entry is there; then it is in use by this process until `release`."""
    if not entry.is_dir():
        return False
    _use(entry)
    if not entry.is_dir():  # removed before the lock was there
        release(entry)
        return False
    _touch(entry)
    return True


def release(entry: Path) -> None:
    """This process uses an entry no longer."""
    with _GUARD:
        descriptor = _USED.pop(entry, None)
    if descriptor is not None:
        os.close(descriptor)


def release_others(*entries: Path) -> None:
    """This process uses no entry of the same kinds but these."""
    kinds = {entry.parent.name for entry in entries}  # on disk and in memory alike
    with _GUARD:
        others = [entry for entry in _USED if entry.parent.name in kinds and entry not in entries]
    for entry in others:
        release(entry)


@contextmanager
def filling(entry: Path) -> Iterator[None]:
    """Nobody else fills this entry meanwhile; waits for who does."""
    descriptor = _locked(_lock_file(entry, "fill"), fcntl.LOCK_EX)
    try:
        if descriptor is not None:
            for partial in _partials(entry.parent, entry.name):  # their makers are dead
                shutil.rmtree(partial, ignore_errors=True)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def alone(entry: Path, purpose: str) -> Iterator[bool]:
    """Whether surely no other process has this purpose with an entry; none will meanwhile."""
    descriptor = _locked(_lock_file(entry, purpose), fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def discard(entry: Path) -> None:
    """Take an entry away; who has its files open reads on."""
    gone = _aside(entry)
    with suppress(FileNotFoundError):
        entry.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def abandon() -> None:
    """Remove what this process has half made; for who must end at once."""
    for _ in range(2):  # a thread may have been making one more file
        for partial in tuple(_FILLING):
            shutil.rmtree(partial, ignore_errors=True)


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk, or a quota, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def no_room(folder: Path, need: int) -> StoreUnavailable:
    """The line to say where a copy does not fit."""
    ours = home() == folder or home() in folder.parents
    return StoreUnavailable(
        f"{folder}: no room for a copy of {_size(need)}, {_size(_free(folder))} free; free some"
        f"{', or export LENS_RAY_HOME=FOLDER on a larger disk' if ours else ''}"
    )


def _fill(entry: Path, fill: Callable[[Path], None], need: int, beyond: bool) -> None:
    kind = entry.parent
    kind.mkdir(parents=True, exist_ok=True)
    _sweep(kind)
    _make_room(entry, need, beyond)
    if _free(kind) < need + _MARGIN:
        raise no_room(kind, need)
    partial = _aside(entry)
    _FILLING.add(partial)
    try:
        partial.mkdir()
        fill(partial)
        try:
            partial.rename(entry)
        except OSError:
            if not entry.is_dir():  # else, without locks, another process was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _FILLING.discard(partial)


def _sweep(kind: Path) -> None:
    """Remove what dead processes have left half made."""
    for partial in _partials(kind):
        with suppress(OSError), alone(kind / _name_of(partial), "fill") as dead:
            if dead:
                shutil.rmtree(partial, ignore_errors=True)


def _make_room(entry: Path, need: int, beyond: bool) -> None:
    """Remove the entries that were used least recently, as far as ``$LENS_RAY_CACHE_GB`` says."""
    bound = _bound()
    if bound is None:
        return
    top = entry.parent.parent
    found = []
    for one in (one for kind in (CHECKPOINTS, SUITES) for one in (top / kind).glob("[!.]*")):
        with suppress(OSError):
            found.append((one.stat().st_mtime_ns, one, _bytes_of(one)))
    total = need + sum(size for _, _, size in found)
    for _, one, size in sorted(found):
        if total <= bound:
            return
        with suppress(OSError), alone(one, "use") as unused:
            if unused:
                discard(one)
                total -= size
    if total > bound and not beyond:
        raise StoreUnavailable(
            f"{top}: a copy of {_size(need)} is more than {_BOUND} leaves beside what is in use"
        )


def _bound() -> int | None:
    given = os.environ.get(_BOUND)
    if not given:
        return None
    try:
        bound = float(given)
    except ValueError:
        bound = 0.0
    if not 0 < bound < float("inf"):
        raise UserError(f"{_BOUND} is {given!r}; export {_BOUND}=GIGABYTES, or unset it")
    return int(bound * 10**9)


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _use(entry: Path) -> None:
    with _GUARD:
        if entry not in _USED:
            _USED[entry] = _locked(_lock_file(entry, "use"), fcntl.LOCK_SH)


def _touch(entry: Path) -> None:
    with suppress(OSError):  # a cache that others fill may be read-only
        os.utime(entry)


def _lock_file(entry: Path, purpose: str) -> Path:
    return entry.parent.parent / "locks" / f"{entry.parent.name}.{entry.name}.{purpose}"


def _locked(file: Path, how: int) -> int | None:
    """The descriptor of a lock that is now held.

    None where another has it and `how` says not to wait, or where there can be none: on file
    systems without locks, read-only or full ones.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _aside(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.{uuid.uuid4().hex}{_PARTIAL}")


def _partials(kind: Path, name: str | None = None) -> list[Path]:
    """Half-made entries, of a name or of all."""
    found = kind.glob(f"*{_PARTIAL}")
    return [one for one in found if name is None or _name_of(one) == name]


def _name_of(partial: Path) -> str:
    """Of the entry that was to be; older versions put no dot before it."""
    return partial.name.removesuffix(_PARTIAL).rpartition(".")[0].removeprefix(".")


def _free(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(count: int) -> str:
    unit, name = (
        (10**9, "GB") if count >= 10**9 else (10**6, "MB") if count >= 10**6 else (1000, "kB")
    )
    return f"{count / unit:.1f} {name}"


def _unwritable(entry: Path, error: OSError, need: int) -> StoreUnavailable:
    if is_full(error):
        return no_room(entry.parent, need)
    return StoreUnavailable(
        f"{entry.parent} cannot be written ({error.strerror or error}); "
        "export LENS_RAY_HOME=FOLDER that can"
    )
