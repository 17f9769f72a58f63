"""A 5 by 7 bitmap font in code, so that text has the same pixels on every machine."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

#: Five columns a glyph, the lowest bit at the top.
_COLUMNS: dict[str, str] = {
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2141454b31",
    "4": "1814127f10", "5": "2745454539", "6": "3c4a494930", "7": "0171090503",
    "8": "3649494936", "9": "064949291e", "A": "7e1111117e", "B": "7f49494936",
    "C": "3e41414122", "D": "7f4141221c", "E": "7f49494941", "F": "7f09090901",
    "G": "3e4149497a", "H": "7f0808087f", "I": "00417f4100", "J": "2040413f01",
    "K": "7f08142241", "L": "7f40404040", "M": "7f020c027f", "N": "7f0408107f",
    "O": "3e4141413e", "P": "7f09090906", "Q": "3e4151215e", "R": "7f09192946",
    "S": "4649494931", "T": "01017f0101", "U": "3f4040403f", "V": "1f2040201f",
    "W": "3f4038403f", "X": "6314081463", "Y": "0708700807", "Z": "6151494543",
}  # fmt: skip

WIDTH = 5
HEIGHT = 7


@lru_cache(maxsize=1024)
def glyph(char: str, scale: int) -> Mask:
    """The mask of one character, every font pixel ``scale`` pixels wide."""
    columns = np.frombuffer(bytes.fromhex(_COLUMNS[char]), dtype=np.uint8)
    bits = (columns[None, :] >> np.arange(HEIGHT, dtype=np.uint8)[:, None]) & 1
    mask = np.repeat(np.repeat(bits.astype(bool), scale, axis=0), scale, axis=1)
    mask.setflags(write=False)
    return mask


def text_width(text: str, scale: int) -> int:
    """Pixels that ``text`` takes from its first to its last column."""
    return len(text) * (WIDTH + 1) * scale - scale
