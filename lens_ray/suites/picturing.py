"""The second pass over a data set: the images of the drafts, checked and written as they come."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from lens_ray.errors import SuiteError
from lens_ray.suites.image_writer import ImageWriter
from lens_ray.suites.readers.pictures import Picture, check_picture
from lens_ray.suites.readers.table import Table
from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft

#: Rows whose images are looked at ahead of the one that is written; Pillow and hashes work beside
#: each other, as they do not hold the interpreter.
_AHEAD = 8
_THREADS = min(4, os.cpu_count() or 1)
_EVERY_S = 5.0

Say = Callable[[str], None]
#: Hashes of the images in a column of a row.
_Hashes = dict[tuple[int, str], tuple[str, ...]]


def add_pictures(
    table: Table, drafts: Sequence[Draft], writer: ImageWriter, name: str, say: Say
) -> tuple[Sample, ...]:
    """The samples of drafts, in their order, their images written.

    Args:
        table: Where the drafts came from.
        drafts: Which.
        writer: Takes every image once.
        name: Of the source, for the progress.
        say: Takes lines on the progress.

    Raises:
        SuiteError: An image is missing, damaged or too large; file, row and column are named.
    """
    wanted: dict[int, tuple[str, ...]] = {}
    for draft in drafts:
        columns = (*wanted.get(draft.row, ()), *draft.image_columns)
        wanted[draft.row] = tuple(dict.fromkeys(columns))
    hashes: _Hashes = {}
    said = time.monotonic()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="pictures") as threads:
        for count, (place, found) in enumerate(_checked(table, wanted, writer, threads), 1):
            hashes[place] = found
            if time.monotonic() - said >= _EVERY_S:
                said = time.monotonic()
                say(f"{name}: images of {count:,} of {len(wanted):,} rows")
    samples = []
    for draft in drafts:
        images = [image for column in draft.image_columns for image in hashes[draft.row, column]]
        if not images:
            column = draft.image_columns[0] if draft.image_columns else None
            raise SuiteError(f"{table.place(draft.row, column)}: there is no image")
        samples.append(dataclasses.replace(draft.sample, images=tuple(images)))
    return tuple(samples)


def _checked(
    table: Table,
    wanted: Mapping[int, Sequence[str]],
    writer: ImageWriter,
    threads: ThreadPoolExecutor,
) -> Iterator[tuple[tuple[int, str], tuple[str, ...]]]:
    """Row and column with the hashes of their images; each image was written by then."""
    known: dict[bytes, str] = {}  # SHA-256 of encoded bytes to the hash of their pixels
    asked: dict[bytes, Future[Picture]] = {}
    waiting: deque[tuple[tuple[int, str], list[bytes]]] = deque()

    def settle() -> tuple[tuple[int, str], tuple[str, ...]]:
        place, keys = waiting.popleft()
        for key in keys:
            if key not in known:
                picture = asked.pop(key).result()
                writer.add(picture.hash, picture.data, picture.width, picture.height)
                known[key] = picture.hash
        return place, tuple(known[key] for key in keys)

    try:
        for row, columns in table.pictures(wanted):
            for column, encoded in columns.items():
                keys = []
                for number, data in enumerate(encoded, 1):
                    key = hashlib.sha256(data).digest()
                    keys.append(key)
                    if key not in known and key not in asked:
                        where = table.place(row, column)
                        if len(encoded) > 1:
                            where += f", image {number}"
                        asked[key] = threads.submit(check_picture, data, where)
                waiting.append(((row, column), keys))
            while len(waiting) > _AHEAD:
                yield settle()
        while waiting:
            yield settle()
    finally:
        for future in asked.values():
            future.cancel()
