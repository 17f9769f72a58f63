"""The frozen pools that stability is measured against: `Pool`, `load_pool`, `pool_for`.

A pool is a versioned JSON file with the chance-corrected score of each of its models on each
subtask of one suite. It is written once and carries its own digest; scoring a model never adds to
it, so a stability figure means the same tomorrow.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any

from lens_ray.errors import EnvironmentFailure, UserError

SCHEMA_VERSION = 1
BUILTIN = Path(__file__).resolve().parent.parent / "builtin" / "pools"

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Pool:
    """Scores of a fixed set of models on a fixed suite.

    Attributes:
        name: Its name.
        version: Its version, from 1; a changed pool is a new version.
        suite_digest: Digest of the suite that was scored.
        scores: Corrected score by model, ability and subtask; read-only.
    """

    name: str
    version: int
    suite_digest: str
    scores: Scores

    @property
    def label(self) -> str:
        """Name and version, as the ``pool`` column of the scores has them."""
        return f"{self.name}@{self.version}"

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models, sorted."""
        return tuple(sorted(self.scores))

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it."""
        return hashlib.sha256(_canonical(self._body()).encode()).hexdigest()

    def corrected(self, ability: str, subtask: str) -> tuple[float, ...] | None:
        """The models' scores on a subtask, in the order of `models`; None if one lacks it."""
        found = [self.scores[model].get(ability, {}).get(subtask) for model in self.models]
        known = tuple(value for value in found if value is not None)
        return known if len(known) == len(found) else None

    def to_json(self) -> str:
        """The file's content."""
        body = {**self._body(), "digest": self.digest}
        return json.dumps(body, indent=1, sort_keys=True) + "\n"

    def _body(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "version": self.version,
            "suite_digest": self.suite_digest,
            "models": {
                model: {ability: dict(subtasks) for ability, subtasks in abilities.items()}
                for model, abilities in self.scores.items()
            },
        }


def make_pool(name: str, version: int, suite_digest: str, scores: Scores) -> Pool:
    """Freeze scores into a pool.

    Args:
        name: Lower-case name.
        version: From 1.
        suite_digest: The suite that was scored.
        scores: Corrected score by model, ability and subtask.

    Returns:
        The pool; it holds copies.

    Raises:
        UserError: A bad name or version, no model, a score that is no finite number, or models
            that were not scored on the same subtasks.
    """
    if not _NAME.fullmatch(name) or version < 1 or not suite_digest:
        raise UserError(
            f"pool {name!r} version {version!r}: use a lower-case name, a version from 1 and the "
            "suite's digest"
        )
    if not scores:
        raise UserError(f"pool {name!r} has no model: give the scores of at least one")
    subtasks = {
        model: {(ability, subtask) for ability in abilities for subtask in abilities[ability]}
        for model, abilities in scores.items()
    }
    first = min(subtasks)
    for model, abilities in scores.items():
        if subtasks[model] != subtasks[first]:
            ability, subtask = min(subtasks[model] ^ subtasks[first])
            raise UserError(
                f"pool {name!r}: only one of the models {first!r} and {model!r} has a score on "
                f"{ability}/{subtask}; give all models the same subtasks"
            )
        for ability, subtask in subtasks[model]:
            if not math.isfinite(abilities[ability][subtask]):
                raise UserError(f"pool {name!r}: {model!r} has no finite score on {subtask!r}")
    return Pool(name, version, suite_digest, _frozen(scores))


def save_pool(pool: Pool, folder: str | Path) -> Path:
    """Write a pool as ``<name>-v<version>.json``; an existing version is never changed.

    Args:
        pool: The pool.
        folder: Where; made if need be.

    Returns:
        The file.

    Raises:
        UserError: That version is there with other content, or the folder cannot be written.
        EnvironmentFailure: The disk is full or broken.
    """
    path = Path(folder) / f"{pool.name}-v{pool.version}.json"
    if path.parent.exists() and not path.parent.is_dir():
        raise UserError(f"{path.parent}: is no folder; name another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file that is cut off by a crash must not have the final name.
        with NamedTemporaryFile(dir=path.parent, prefix=".tmp-") as whole:
            whole.write(pool.to_json().encode())
            whole.flush()
            os.chmod(whole.name, 0o644)
            os.link(whole.name, path)
    except FileExistsError:
        if not path.exists() or load_pool(path).digest != pool.digest:
            raise UserError(
                f"{path}: pool {pool.label} exists with other scores; write version "
                f"{pool.version + 1}"
            ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise EnvironmentFailure(
                f"{path}: {error.strerror}; make room and try again"
            ) from error
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); name another folder"
        ) from error
    return path


def load_pool(reference: str | Path) -> Pool:
    """Read a pool.

    Args:
        reference: A built-in name (the highest version), ``NAME@VERSION``, or a JSON file.

    Returns:
        The pool.

    Raises:
        UserError: No such pool, or a file that is not a whole pool.
    """
    path = Path(reference)
    if path.suffix == ".json":
        return _read(path)
    name, _, version = str(reference).partition("@")
    known = builtin_pools()
    for pool in known:
        if pool.name == name and version in ("", str(pool.version)):
            return pool
    labels = [pool.label for pool in known]
    near = difflib.get_close_matches(str(reference), labels, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(labels) or 'none'}"
    if path.exists():
        hint = "give a built-in name, or a .json file that `lens-ray pool make` wrote"
    raise UserError(f"pool {str(reference)!r} is unknown: {hint}")


def pool_for(suite_name: str, suite_digest: str) -> Pool | None:
    """The built-in pool of a suite, or None.

    Args:
        suite_name: As in the job, such as ``mini:quick``: where several pools hold the suite, the
            one named like it (``mini-quick``) is taken, else the first by name.
        suite_digest: The suite's digest; a pool of any other digest never fits.

    Returns:
        The highest version of the pool.
    """
    fitting = [pool for pool in builtin_pools() if pool.suite_digest == suite_digest]
    named = suite_name.replace(":", "-").partition("@")[0]
    fitting.sort(key=lambda pool: (pool.name != named, pool.name, -pool.version))
    return fitting[0] if fitting else None


def builtin_pools() -> list[Pool]:
    """Every built-in pool by name, the highest version first."""
    pools = [_read(path) for path in sorted(BUILTIN.glob("*.json"))]
    return sorted(pools, key=lambda pool: (pool.name, -pool.version))


def _read(path: Path) -> Pool:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        found, digest, version = body["schema_version"], body["digest"], body["version"]
        if found != SCHEMA_VERSION:
            raise UserError(
                f"{path}: pool schema {found!r}, this version reads {SCHEMA_VERSION}; "
                "make the pool anew: lens-ray pool make"
            )
        if type(version) is not int:
            raise TypeError(f"version {version!r} is no whole number")
        pool = make_pool(body["name"], version, body["suite_digest"], body["models"])
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such pool file; `lens-ray pool list FOLDER` names those of a folder"
        ) from None
    except (
        OSError,
        ArithmeticError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # ArithmeticError: a whole number that no float can be
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: not a pool ({type(error).__name__}: {reason}); "
            "give a file that `lens-ray pool make` wrote"
        ) from None
    if pool.digest != digest:
        raise UserError(f"{path}: the scores are not those that its digest names; restore the file")
    return pool


def _frozen(scores: Scores) -> Scores:
    return MappingProxyType(
        {
            model: MappingProxyType(
                {
                    ability: MappingProxyType({k: float(v) for k, v in subtasks.items()})
                    for ability, subtasks in abilities.items()
                }
            )
            for model, abilities in scores.items()
        }
    )


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
