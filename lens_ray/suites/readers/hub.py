"""A data set of the hub, brought to this machine: `bring_split`.

This is done by ``huggingface_hub``, which transformers needs anyway, and not by ``datasets``:
that would copy every file once more as Arrow files, and takes a whole data set where one split is
asked. Files that are there are not fetched again, and a transfer that broke goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lens_ray.errors import EnvironmentFailure, SuiteError
from lens_ray.node_cache import is_full, no_room
from lens_ray.suites.readers.folder import choose_files, commit_of, find_split

#: Where the hub keeps what it made of data sets that are no Parquet files.
_CONVERTED = "refs/convert/parquet"
_FALSE = frozenset({"", "0", "false", "no", "off"})

Say = Callable[[str], None]


def is_offline() -> bool:
    """Whether the environment says to leave the hub alone."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() not in _FALSE for name in names)


def bring_split(
    ids: Sequence[str], config: str | None, split: str, revision: str | None, say: Say
) -> tuple[list[Path], str]:
    """The files of a split, fetched where this machine lacks them.

    Args:
        ids: Ids of the data set, tried in order: owners move.
        config: Configuration, or None.
        split: Split.
        revision: Commit, tag or branch; None takes the newest.
        say: Takes a line on what is fetched.

    Returns:
        The files in order, and the commit.

    Raises:
        SuiteError: No id has such a revision or split; when offline, no copy is here.
        EnvironmentFailure: The hub cannot be reached, or the disk is full.
    """
    if is_offline():
        return _from_cache(ids, config, split, revision)
    from huggingface_hub.errors import (
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    refused: list[str] = []
    for name in ids:
        try:
            return _fetched(name, config, split, revision, say)
        except RepositoryNotFoundError as error:  # gated ones too
            refused.append(f"{name}: {_said(error)}")
        except RevisionNotFoundError as error:
            refused.append(f"{name} has no revision {revision!r}")
            del error
        except (HfHubHTTPError, OSError) as error:
            if is_full(error):
                raise no_room(_cache(), 0) from error
            raise _unreachable(name, error) from error
        except Exception as error:  # the client lets those of its own HTTP library through
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore2"):
                raise
            raise _unreachable(name, error) from error
    raise SuiteError(
        f"hub: {'; '.join(refused)}; accept its terms there and export HF_TOKEN, "
        "or give a folder with --from"
    )


def _said(error: Exception) -> str:
    kind = type(error).__name__.removesuffix("Error")
    return {"RepositoryNotFound": "not found, or private", "GatedRepo": "gated"}.get(kind, kind)


def _unreachable(name: str, error: Exception) -> EnvironmentFailure:
    said = " ".join(str(error).split())[:160] or type(error).__name__
    return EnvironmentFailure(
        f"hub: {name} cannot be fetched ({said}); run the same line again to go on, "
        "or give a folder with --from"
    )


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _fetched(
    name: str, config: str | None, split: str, revision: str | None, say: Say
) -> tuple[list[Path], str]:
    from huggingface_hub import HfApi

    api = HfApi()
    commit, files, card = _listing(api, name, revision)
    try:
        chosen = choose_files(files, card, config, split, f"hub: {name}")
    except SuiteError:
        if revision is not None:
            raise
        commit, files, _ = _listing(api, name, _CONVERTED)
        chosen = choose_files(files, "", config or "default", split, f"hub: {name}")
    paths = []
    for number, file in enumerate(chosen, 1):
        say(f"{name}: file {number} of {len(chosen)}, {file}")
        paths.append(Path(api.hf_hub_download(name, file, repo_type="dataset", revision=commit)))
    return paths, commit


def _listing(api: object, name: str, revision: str | None) -> tuple[str, list[str], str]:
    """Commit, names of the files, text of the card."""
    from huggingface_hub import HfApi

    assert isinstance(api, HfApi)
    info = api.dataset_info(name, revision=revision)
    files = [one.rfilename for one in info.siblings or ()]
    card = ""
    if "README.md" in files and info.sha:
        path = api.hf_hub_download(name, "README.md", repo_type="dataset", revision=info.sha)
        card = Path(path).read_text(encoding="utf-8", errors="replace")
    return str(info.sha), files, card


def _from_cache(
    ids: Sequence[str], config: str | None, split: str, revision: str | None
) -> tuple[list[Path], str]:
    problem = None
    for name in ids:
        cached = _cache() / f"datasets--{name.replace('/', '--')}"
        for commit in _commits(cached, revision):
            snapshot = cached / "snapshots" / commit
            try:
                return find_split(snapshot, config, split), commit_of(snapshot) or commit
            except SuiteError as error:
                problem = str(error)
    at = f" of revision {revision}" if revision else ""
    raise SuiteError(
        f"hub: offline, and {_cache()} has no copy{at} of {' or '.join(ids)}"
        f"{f' that is whole ({problem})' if problem else ''}; unset HF_HUB_OFFLINE to fetch it, "
        "or give a folder with --from"
    )


def _commits(cached: Path, revision: str | None) -> list[str]:
    """Commits that may be meant, the likeliest first."""
    snapshots = cached / "snapshots"
    if not snapshots.is_dir():
        return []
    held = sorted(one.name for one in snapshots.iterdir() if one.is_dir())
    wanted = [revision] if revision else ["main", _CONVERTED]
    found = []
    for name in wanted:
        ref = cached / "refs" / name
        found.append(ref.read_text(encoding="utf-8").strip() if ref.is_file() else name)
    if revision is None:
        found += held
    return [commit for commit in dict.fromkeys(found) if commit in held]
