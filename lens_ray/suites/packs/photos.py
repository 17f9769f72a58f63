"""The photos of a pack, read when they are needed and never all at once: `Photos`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lens_ray.errors import SuiteError
from lens_ray.suites.images import MAX_PIXELS, Pixels, image_hash

#: A file larger than this is no photo.
MAX_BYTES = 200_000_000
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    max_side: int | None


@dataclass
class Photos(Mapping[str, Pixels]):
    """Pixels by hash; a photo in a file is read again at each look, so memory holds few.

    Attributes:
        seen: Where each photo is: in memory, or a file.
    """

    seen: dict[str, Pixels | bytes | _File] = field(default_factory=dict)
    _hashes: dict[_File, str] = field(default_factory=dict)

    def add(self, cell: object, folder: Path, max_side: int | None, place: str) -> str:
        """Take a photo in.

        Args:
            cell: Name of a file below the folder, encoded bytes (also as ``{"bytes": ...}``), or
                pixels.
            folder: Where the files are.
            max_side: A larger photo is scaled down to this.
            place: Row and column, for errors.

        Returns:
            Its hash.

        Raises:
            SuiteError: There is none, it lies outside the folder, or it cannot be read.
        """
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, np.ndarray):
            key = image_hash(cell)
            self.seen[key] = cell
            return key
        if isinstance(cell, bytes):
            pixels = decode_photo(cell, place, max_side)
            key = image_hash(pixels)
            self.seen[key] = pixels
            return key
        if not isinstance(cell, str) or not cell.strip():
            raise SuiteError(f"{place}: is empty; write the name of a photo")
        file = _File(_inside(cell.strip(), folder, place), max_side)
        if file not in self._hashes:
            self._hashes[file] = image_hash(_read(file, place))
            self.seen.setdefault(self._hashes[file], file)
        return self._hashes[file]

    def __getitem__(self, key: str) -> Pixels:
        kept = self.seen[key]
        if isinstance(kept, _File):
            return _read(kept, str(kept.path))
        assert isinstance(kept, np.ndarray)
        return kept

    def __iter__(self) -> Iterator[str]:
        return iter(self.seen)

    def __len__(self) -> int:
        return len(self.seen)


def _inside(name: str, folder: Path, place: str) -> Path:
    """The file of a name below a folder; a name that leads elsewhere is refused."""
    if "\0" in name:
        raise SuiteError(f"{place}: {name!r} is no file name")
    root = folder.resolve()
    path = (root / name.replace("\\", "/")).resolve()
    if not path.is_relative_to(root):
        raise SuiteError(f"{place}: {name!r} lies outside the folder {folder}; put the photo in it")
    if not path.is_file():
        raise SuiteError(f"{place}: there is no photo {name!r} in {folder}")
    return path


def _read(file: _File, place: str) -> Pixels:
    try:
        with file.path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SuiteError(f"{place}: {file.path} cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise SuiteError(f"{place}: {file.path} is larger than {MAX_BYTES} bytes; make it smaller")
    return decode_photo(data, f"{place}: {file.path.name}", file.max_side)


def decode_photo(data: bytes, place: str, max_side: int | None = None) -> Pixels:
    """RGB pixels of a photo, turned as its camera says, scaled down to ``max_side``.

    Raises:
        SuiteError: It cannot be decoded, is too large, or has more than 8 bits a channel.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        # Pillow only prints that an image is far too large; here it is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
        with opened as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise SuiteError(
                    f"{place}: {width}x{height} pixels, more than {MAX_PIXELS}; make it smaller"
                )
            if image.mode not in _MODES:
                raise SuiteError(
                    f"{place}: pixels of the kind {image.mode}, not 8 bits a channel; convert it"
                )
            turned = ImageOps.exif_transpose(image).convert("RGB")
            if max_side is not None:
                turned.thumbnail((max_side, max_side))
            return np.asarray(turned, dtype=np.uint8)
    except (
        UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:  # fmt: skip
        raise SuiteError(f"{place}: cannot be decoded ({type(error).__name__})") from error
