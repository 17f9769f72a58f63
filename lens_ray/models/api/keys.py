"""A provider's key: read from the environment or a mounted file, and never shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lens_ray.errors import ProviderUnavailable
from lens_ray.models.api.redaction import hide

#: Beside a variable that holds a key, one that names a file that does.
FILE = "_FILE"
#: No provider's key is nearly as long.
_LONGEST = 16_384


class Key:
    """A secret. ``str()``, ``repr()``, pickling and log records never show it."""

    def __init__(self, value: str, variable: str) -> None:
        """Keep it.

        Args:
            value: The key.
            variable: Where it was read.
        """
        self._value = value
        self.variable = variable
        hide(value)

    @property
    def fingerprint(self) -> str:
        """Twelve digits of a hash: the same key gives the same ones."""
        return hashlib.sha256(b"lens-ray key " + self._value.encode()).hexdigest()[:12]

    def reveal(self) -> str:
        """The key itself, for the SDK's client alone."""
        return self._value

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
    where = variable
    if not value and named:
        where = f"the file that {variable}{FILE} names"
        value = _of_file(Path(named), where)
        if not value:
            raise ProviderUnavailable(f"{where} is empty; write the key into it")
    if not value:
        raise ProviderUnavailable(
            f"no key: set {variable}, or {variable}{FILE} to the path of a mounted file, in the "
            "environment of the cluster's nodes"
        )
    # An HTTP library would refuse the header and show it.
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ProviderUnavailable(
            f"{where} holds more than a key: a space, a line break or a letter that no key has; "
            "write the key alone"
        )
    return Key(value, variable)


def _of_file(path: Path, where: str) -> str:
    """The key in a mounted file.

    Raises:
        ProviderUnavailable: It cannot be read; what stands in it is not repeated.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise ValueError
        return data.decode("utf-8-sig").strip()
    except (OSError, ValueError):
        raise ProviderUnavailable(
            f"{where} cannot be read as a key; mount the secret there"
        ) from None
