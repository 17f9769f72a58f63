"""The digests that the three sizes of `mini` must have on every machine."""

from __future__ import annotations

import json
from pathlib import Path

from lens_ray.suites.digest import suite_digest
from lens_ray.suites.mini.build import SIZES, build_mini

_FILE = Path(__file__).with_name("digests.json")


def frozen_digests() -> dict[str, str]:
    """Suite name to frozen digest."""
    if not _FILE.exists():
        return {}
    digests: dict[str, str] = json.loads(_FILE.read_text(encoding="utf-8"))
    return digests


def freeze_digests() -> dict[str, str]:
    """Build every size and write its digest down; only after a meant change of the generator."""
    digests = {}
    for size in SIZES:
        samples, images = build_mini(size)
        digests[f"mini:{size}"] = suite_digest(samples, images)
    _FILE.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    return digests
