"""A small pack on disk, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEAD = "name: mine\nsubtasks:\n"


def photo(path: Path, seed: int, size: tuple[int, int] = (9, 7)) -> None:
    """A small picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(values.astype(np.uint8)).save(path)


def make(folder: Path, subtask: str, table: str = "", name: str = "rows.csv") -> Path:
    """A pack of one subtask (its keys in one flow mapping) with photos 0.png to 5.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(6):
        photo(folder / "photos" / f"{seed}.png", seed)
    (folder / "pack.yaml").write_text(f"{HEAD}  - {{{subtask}}}\n", encoding="utf-8")
    if table:
        (folder / name).write_text(table, encoding="utf-8")
    return folder


BASE = "name: s, ability: counting, data: rows.csv, images: photos, question: 'How many?'"
