"""From what identifies a draw to its seed: `seed_of`."""

from __future__ import annotations

import hashlib


def seed_of(key: str) -> int:
    """The seed of a key: the first 64 bits of its SHA-256, the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
