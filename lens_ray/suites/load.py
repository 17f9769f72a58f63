"""From a reference in a job file to a suite: built in, installed, a folder, an archive, a URL."""

from __future__ import annotations

import hashlib
import re
import tempfile
from difflib import get_close_matches
from pathlib import Path

from lens_ray import node_cache
from lens_ray.errors import SuiteError
from lens_ray.suites.files import is_url, publish, read_info
from lens_ray.suites.packs import build as packs
from lens_ray.suites.suite import Suite, SuiteInfo, read_suite, write_suite

BUILTIN: tuple[str, ...] = ("mini:quick", "mini:full", "mini:confirm")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def suites_home(home: str | Path | None = None) -> Path:
    """The folder of the suites of this user: ``$LENS_RAY_HOME/suites``."""
    return Path(home or node_cache.home()) / "suites"


def folder_name(name: str, digest: str) -> str:
    """What the folder of a suite is called below `suites_home`."""
    return f"{name.replace(':', '-')}-{digest[:12]}"


def find(ref: str, home: str | Path | None) -> Suite:
    """See `lens_ray.suites.suite.load_suite`."""
    if ref in BUILTIN:
        return _builtin(ref, home)
    if is_url(ref):
        return read_suite(ref)
    path = Path(ref)
    if packs.pack_file(ref) is not None and not (path / "suite.json").is_file():
        return packs.build_pack(ref, home=home)
    if ref.endswith(_ARCHIVES) and path.is_file():
        return _from_archive(path, home)
    if path.is_dir():
        return read_suite(ref)
    name, at, digest = ref.rpartition("@")
    if at:
        return _installed(name, digest, home)
    if path.exists():
        raise SuiteError(f"suite {ref}: is a file; give the folder that holds suite.json")
    shipped = [f"{packs.PREFIX}{name}" for name in packs.SHIPPED]
    known = [*BUILTIN, *shipped, *(f"{info.name}@{info.digest[:12]}" for info in installed(home))]
    near = get_close_matches(ref, known, 1, 0.0)[0]
    raise SuiteError(f"suite {ref!r} is not known and no folder; the nearest is {near!r}")


def installed(home: str | Path | None = None) -> list[SuiteInfo]:
    """What is in `suites_home`, by name; folders that are no suite are passed over."""
    found = []
    for file in sorted(suites_home(home).glob("[!.]*/suite.json")):
        try:
            found.append(read_info(str(file.parent)))
        except SuiteError:
            continue
    return found


def _builtin(ref: str, home: str | Path | None) -> Suite:
    from lens_ray.suites.mini import frozen_digests

    frozen = frozen_digests().get(ref)
    if frozen is None:
        raise SuiteError(f"suite {ref}: no digest is frozen for it; run `make digests`")
    target = suites_home(home) / folder_name(ref, frozen)
    if not (target / "suite.json").exists():
        with node_cache.filling(target):  # replicas that start at once build it once
            if not (target / "suite.json").exists():
                _build(ref, frozen, target)
    suite = read_suite(str(target))
    if suite.digest != frozen:
        raise SuiteError(
            f"suite {ref}: {target} holds digest {suite.digest[:12]}, not the frozen "
            f"{frozen[:12]}; delete that folder"
        )
    return suite


def _build(ref: str, frozen: str, target: Path) -> None:
    from lens_ray.suites.mini import build_mini

    samples, images = build_mini(ref.partition(":")[2])
    with tempfile.TemporaryDirectory() as scratch:
        made = write_suite(
            ref, samples, images, Path(scratch, "suite"),
            licence="Apache-2.0", revision="mini-1",
        )  # fmt: skip
        if made.digest != frozen:
            raise SuiteError(
                f"suite {ref}: this machine built digest {made.digest[:12]}, not the frozen "
                f"{frozen[:12]}; after a change of the generator run `make digests`"
            )
        publish(Path(scratch, "suite"), target, frozen)


def _installed(name: str, digest: str, home: str | Path | None) -> Suite:
    if not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise SuiteError(f"suite {name}@{digest}: a digest is 8 to 64 of the characters 0-9 a-f")
    if name in BUILTIN:
        suite = _builtin(name, home)
        if suite.digest.startswith(digest):
            return suite
        raise SuiteError(
            f"suite {name}@{digest}: this version has digest {suite.digest[:12]}; "
            f"type {name}@{suite.digest[:12]} or install the version that had yours"
        )
    for info in installed(home):
        if info.name == name and info.digest.startswith(digest):
            return read_suite(str(suites_home(home) / folder_name(name, info.digest)))
    have = [f"{info.name}@{info.digest[:12]}" for info in installed(home)]
    near = get_close_matches(f"{name}@{digest}", [*have, *BUILTIN], 1, 0.0)[0]
    raise SuiteError(
        f"suite {name}@{digest} is not installed in {suites_home(home)}; the nearest is {near!r}"
    )


def _from_archive(path: Path, home: str | Path | None) -> Suite:
    from lens_ray.suites.archive import unpack

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = suites_home(home) / f"archive-{digest[:12]}"
    if not (target / "suite.json").exists():
        with tempfile.TemporaryDirectory() as scratch:
            unpack(path, Path(scratch))
            publish(Path(scratch), target, read_suite(scratch).digest)
    return read_suite(str(target))
