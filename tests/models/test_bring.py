"""A checkpoint that is copied in a process of its own, and what is left when that ends early."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from lens_ray.models.remote import copied
from lens_ray.testing.fault_proxy import Fault, FaultProxy

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "home"
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    return top


def bring(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lens_ray.models.bring", url],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its end by itself, its standard input being open."""
    assert process.stdout is not None
    said = process.stdout.read().decode()
    code = process.wait(60)
    process.communicate()
    return code, said


def test_it_copies_and_ends(tiny: Make, home: Path) -> None:
    assert ended(bring(f"local://{tiny()}")) == (0, "")
    (folder,) = (home / "checkpoints").iterdir()
    assert copied(f"local://{tiny()}") == folder
    weights = "model.safetensors"
    assert (folder / weights).read_bytes() == (tiny() / weights).read_bytes()


def test_it_says_in_one_line_what_is_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = ended(bring(f"local://{home}/nothing"))
    assert code == 2
    assert said.startswith("no checkpoint at local://")
    assert said.count("\n") == 1


def test_it_goes_beyond_no_bound(tiny: Make, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_RAY_CACHE_GB", "1e-6")
    code, said = ended(bring(f"local://{tiny()}"))
    assert code == 5
    assert "more than LENS_RAY_CACHE_GB leaves" in said


def test_it_ends_with_the_process_that_wanted_it(
    tiny: Make, home: Path, bucket_url: str, proxy: FaultProxy
) -> None:
    files, root = fsspec.core.url_to_fs(bucket_url)
    for path in tiny().iterdir():
        files.pipe_file(f"{root}/{path.name}", path.read_bytes())
    # The weights come a byte at a time: far from done when the first other file is there.
    proxy.add(Fault("drip", method="GET", path="safetensors", piece=1, pause_s=0.05))
    process = bring(bucket_url)
    half = home / "checkpoints"
    while not list(half.glob("*.partial/config.json")):
        assert process.poll() is None
        os.sched_yield()
    process.communicate(timeout=60)  # closes its standard input
    assert process.returncode == 1
    assert os.listdir(half) == []
