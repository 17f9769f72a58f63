"""The public names are exact, and importing the package is light."""

from __future__ import annotations

import subprocess
import sys

import lens_ray


def test_all_is_exact() -> None:
    assert len(lens_ray.__all__) == len(set(lens_ray.__all__))
    assert set(lens_ray.__all__) == set(lens_ray._HOME) | {"LensError"}


def test_every_public_name_resolves() -> None:
    for name in lens_ray.__all__:
        assert getattr(lens_ray, name) is not None


def test_import_pulls_in_no_heavy_package() -> None:
    code = (
        "import sys, lens_ray; "
        "print([m for m in ('torch', 'ray', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
