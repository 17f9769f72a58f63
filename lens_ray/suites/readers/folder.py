"""Where in a folder the files of a data set's split lie: `find_split`, `choose_files`.

Known layouts, below a folder of data sets: one folder a data set, named after its hub id's last
part (``MME/data/test-00000-of-00001.parquet``), its whole id (``lmms-lab/MME``, ``lmms-lab--MME``),
or the hub's own cache (``datasets--lmms-lab--MME/snapshots/COMMIT/...``); also the folder of one
data set by itself. Which files are a split's is said by the data set's card (``README.md``) where
it has one, else by their names.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lens_ray.errors import SuiteError

ENDINGS = (".parquet", ".arrow")
_SPLITS = frozenset({"train", "training", "validation", "val", "valid", "dev", "test", "lite"})
_SHARD = re.compile(r"(.*)-(\d{5,})-of-(\d{5,})")
#: A data set lies at most so many folders deep.
_DEPTH = 5
_MAX_CARD = 4 * 2**20


def data_set_folder(root: Path, ids: Sequence[str]) -> Path | None:
    """The folder of a data set below `root`, or `root` itself where it is one; None if neither.

    Args:
        root: What the user gave.
        ids: Hub ids of the data set, ``OWNER/NAME``, and other names that it goes by.
    """
    for name in ids:
        owner, _, last = name.rpartition("/")
        candidates = [root / name, root / last, root / f"{owner}--{last}"]
        candidates += [root / "datasets" / name, root / "datasets" / last]
        for candidate in candidates:
            if candidate.is_dir():
                return candidate
        cached = root / f"datasets--{owner}--{last}"
        if cached.is_dir():
            return _snapshot(cached)
    names = {name.rpartition("/")[2].lower() for name in ids}
    if root.name.lower() in names:
        return root
    return next((one for one in _folders(root) if one.name.lower() in names), None)


def _folders(root: Path) -> list[Path]:
    return sorted(one for one in root.iterdir() if one.is_dir()) if root.is_dir() else []


def _snapshot(cached: Path) -> Path | None:
    """The commit that ``main`` is, of a hub's cache; else the only or the newest one."""
    named = cached / "refs" / "main"
    if named.is_file():
        found = cached / "snapshots" / named.read_text(encoding="utf-8").strip()
        if found.is_dir():
            return found
    snapshots = _folders(cached / "snapshots")
    return max(snapshots, key=lambda one: one.stat().st_mtime_ns, default=None)


def commit_of(folder: Path) -> str | None:
    """The commit of a folder in a hub's cache."""
    is_one = folder.parent.name == "snapshots" and re.fullmatch(r"[0-9a-f]{40}", folder.name)
    return folder.name if is_one else None


def find_split(folder: Path, config: str | None, split: str) -> list[Path]:
    """The files of a split, in order.

    Raises:
        SuiteError: There are none, a shard is missing, or they cannot be told apart.
    """
    below = sorted(
        str(PurePosixPath(*file.relative_to(folder).parts))
        for depth in range(_DEPTH)
        for ending in ENDINGS
        for file in folder.glob("*/" * depth + f"*{ending}")
        if file.is_file()
    )
    card = folder / "README.md"
    text = ""
    if card.is_file() and card.stat().st_size <= _MAX_CARD:
        text = card.read_text(encoding="utf-8", errors="replace")
    return [folder / name for name in choose_files(below, text, config, split, str(folder))]


def choose_files(
    names: Iterable[str], card: str, config: str | None, split: str, where: str
) -> list[str]:
    """Which of a data set's files are a split's.

    Args:
        names: Paths of its files, relative, with ``/``.
        card: Text of its ``README.md``, or nothing.
        config: Configuration, or None.
        split: Split.
        where: The data set, for the error.

    Raises:
        SuiteError: See `find_split`.
    """
    files = sorted(name for name in names if name.endswith(ENDINGS))
    if not files:
        raise SuiteError(f"{where}: holds no .parquet or .arrow file")
    chosen = _by_card(files, card, config, split) or _by_name(files, config, split)
    if not chosen:
        listed = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        of = f"{split} of {config}" if config else split
        raise SuiteError(f"{where}: no file of it is the split {of} (it has {listed})")
    if {PurePosixPath(name).suffix for name in chosen} == set(ENDINGS):
        chosen = [name for name in chosen if name.endswith(".parquet")]
    _check_shards(chosen, where)
    return chosen


def _by_card(files: list[str], card: str, config: str | None, split: str) -> list[str]:
    """By the ``configs`` of the card's YAML header."""
    for entry in _configs(card):
        if config is not None and entry.get("config_name") != config:
            continue
        data_files = entry.get("data_files")
        if isinstance(data_files, str | list) and not _are_splits(data_files):
            continue  # unnamed patterns: they are all `train`
        for one in data_files if isinstance(data_files, list) else ():
            if one.get("split") == split:
                path = one.get("path")
                patterns = [path] if isinstance(path, str) else path
                if isinstance(patterns, list):
                    found = [
                        name
                        for name in files
                        if any(_matches(name, str(pattern)) for pattern in patterns)
                    ]
                    if found:
                        return found
    return []


def _are_splits(data_files: object) -> bool:
    return isinstance(data_files, list) and all(isinstance(one, Mapping) for one in data_files)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern.removeprefix("./").replace("**/", "*"))


def _configs(card: str) -> list[Mapping[str, Any]]:
    import yaml

    lines = card.splitlines()
    if not lines or lines[0].strip() != "---":
        return []
    end = next((n for n, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    try:
        header = yaml.safe_load("\n".join(lines[1:end])) if end else None
    except yaml.YAMLError:
        return []
    configs = header.get("configs") if isinstance(header, dict) else None
    return [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []


def _words(name: str) -> set[str]:
    path = PurePosixPath(name)
    stem = _SHARD.sub(r"\1", path.name.removesuffix(path.suffix))
    return {*path.parts[:-1], *re.split(r"[-._]", stem), stem}


def _by_name(files: list[str], config: str | None, split: str) -> list[str]:
    if config is not None:
        of_config = [name for name in files if config in _words(name)]
        files = of_config or [name for name in files if "/" not in name or name[:5] == "data/"]
    named = [name for name in files if split in _words(name)]
    if named:
        return named
    return [name for name in files if not _words(name) & _SPLITS]


def _check_shards(files: list[str], where: str) -> None:
    have: dict[tuple[str, int], set[int]] = {}
    for name in files:
        match = _SHARD.fullmatch(str(PurePosixPath(name).with_suffix("")))
        if match is not None:
            have.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (stem, count), numbers in have.items():
        missing = sorted(set(range(count)) - numbers)
        if missing:
            raise SuiteError(
                f"{where}: {len(missing)} of {count} files are missing, "
                f"first {stem}-{missing[0]:05d}-of-{count:05d}"
            )
    if len(have) > 1 or (have and len(files) > sum(len(numbers) for numbers in have.values())):
        raise SuiteError(f"{where}: more than one file set fits ({', '.join(files[:4])})")
