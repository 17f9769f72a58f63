"""A provider's key: read from the environment or a mounted file, and never shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lens_ray.errors import ProviderUnavailable

#: Beside a variable that holds a key, one that names a file that does.
FILE = "_FILE"


class Key:
    """A secret. ``str()``, ``repr()`` and pickling never show it."""

    def __init__(self, value: str, variable: str) -> None:
        """Keep it.

        Args:
            value: The key.
            variable: Where it was read.
        """
        self._value = value
        self.variable = variable

    @property
    def fingerprint(self) -> str:
        """Twelve digits of a hash: the same key gives the same ones."""
        return hashlib.sha256(b"lens-ray key " + self._value.encode()).hexdigest()[:12]

    def reveal(self) -> str:
        """The key itself, for the SDK's client alone."""
        return self._value

    def redact(self, text: str) -> str:
        """A text without the key."""
        return text.replace(self._value, "[key]") if self._value else text

    def __repr__(self) -> str:
        return f"Key({self.variable})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not pickled; read it where it is needed")


def read_key(variable: str) -> Key:
    """The key that a variable holds, or the file that ``VARIABLE_FILE`` names.

    Raises:
        ProviderUnavailable: There is none.
    """
    value = os.environ.get(variable, "").strip()
    named = os.environ.get(variable + FILE, "").strip()
    if not value and named:
        try:
            value = Path(named).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderUnavailable(
                f"{variable}{FILE} names a file that cannot be read; mount the secret there"
            ) from error
    if not value:
        raise ProviderUnavailable(
            f"no key: set {variable}, or {variable}{FILE} to the path of a mounted file, in the "
            "environment of the cluster's nodes"
        )
    return Key(value, variable)
