"""Small disks for tests: a tmpfs, where this process may mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TinyDisk = Callable[[Path, int], Path]


@pytest.fixture
def tiny_disk() -> Iterator[TinyDisk]:
    """Mounts an empty file system of so many MiB at a folder that it makes."""
    mounted: list[Path] = []

    def mount(folder: Path, mebibytes: int) -> Path:
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"") or str(error).encode()
            pytest.skip(f"no tmpfs can be mounted here: {said.decode(errors='replace').strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
