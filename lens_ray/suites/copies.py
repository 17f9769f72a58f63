"""Suites at URLs, copied to this machine's disk: `local_copy`."""

from __future__ import annotations

from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.fetching import Remote, fetch, remote
from lens_ray.node_cache import SUITES, discard, filling, hold, home, keep
from lens_ray.suites.files import FILES, filesystem_of, unreachable
from lens_ray.suites.load import folder_name
from lens_ray.suites.suite import Suite, read_suite

_DIGITS = 32


def local_copy(url: str, name: str, digest: str) -> Suite:
    """The suite at a URL, read from the copy on this machine, which is made where it is missing.

    The copy is in use by this process until `lens_ray.node_cache.release`.

    Args:
        url: Where it lies.
        name: Of the suite.
        digest: Of the suite; another one there is refused.

    Raises:
        SuiteError: What lies there is damaged, or another suite.
        StoreUnavailable: There is no room for a copy, or a file cannot be read.
        EnvironmentFailure: The URL cannot be reached.
    """
    entry = place_of(name, digest)
    _keep(url, entry, digest)
    try:
        return read_suite(str(entry))
    except SuiteError:  # the disk is at fault: what was copied had been read before
        with filling(entry):
            discard(entry)
        _keep(url, entry, digest)
        return read_suite(str(entry))


def place_of(name: str, digest: str) -> Path:
    """Where the copy of a suite lies, or would, on this machine."""
    return home() / SUITES / f"{folder_name(name, digest)[:-12]}{digest[:_DIGITS]}"


def _keep(url: str, entry: Path, digest: str) -> None:
    if hold(entry) and (entry / "suite.json").is_file():
        return
    files, wanted = _listing(url)

    def fill(folder: Path) -> None:
        fetch(files, wanted, folder)
        found = read_suite(str(folder)).digest
        if found != digest:
            raise SuiteError(
                f"suite {url}: it now holds digest {found[:12]}, not {digest[:12]}; start again"
            )

    keep(entry, fill, sum(one.size for one in wanted), lambda at: (at / "suite.json").is_file())


def _listing(url: str) -> tuple[object, list[Remote]]:
    files, root = filesystem_of(url)
    try:
        return files, [remote(files.info(f"{root}/{file}"), file) for file in FILES]
    except FileNotFoundError as error:
        raise SuiteError(
            f"suite {url}: {Path(str(error)).name} is missing; build the suite again"
        ) from error
    except Exception as error:  # clients of buckets raise classes of their own
        raise unreachable(url, error) from error
