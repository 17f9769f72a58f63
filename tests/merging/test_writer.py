"""Files that many threads fill at once: digests and the disk follow, whatever the order."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lens_ray.merging.layout import Layout, Place, lay_out
from lens_ray.merging.writer import Writer
from lens_ray.models.safetensors_header import TensorFacts

PART = 1000


def _layout() -> Layout:
    facts = {f"{n}.weight": TensorFacts("F32", (50, 40 + n)) for n in range(6)}
    return lay_out({**facts, "empty": TensorFacts("F32", (0, 3))}, shard_gb=2e-5)


def _parts(layout: Layout) -> Iterator[tuple[Place, int, bytes]]:
    draw = random.Random(3)
    for place in layout.places:
        for begin in range(0, place.size, PART):
            yield place, begin, draw.randbytes(min(PART, place.size - begin))


def _right(writer: Writer, folder: Path) -> bool:
    """Whether the digests are those of the files, read anew."""
    contents = {file.name: (folder / file.name).read_bytes() for file in writer.files}
    found = writer.digests()
    whole = hashlib.sha256(b"".join(contents.values())).hexdigest()
    each = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return (found.weights, found.files) == (whole, each)


@pytest.mark.parametrize("order", ["forwards", "backwards", "drawn"])
def test_digests_of_parts_in_any_order(tmp_path: Path, order: str) -> None:
    layout = _layout()
    assert len(layout.files) > 2
    parts = list(_parts(layout))
    if order == "backwards":
        parts.reverse()
    elif order == "drawn":
        random.Random(4).shuffle(parts)
    told: list[tuple[int, int]] = []
    writer = Writer(tmp_path, layout, lambda *done: told.append(done))
    for place, begin, data in parts:
        writer.write(place, begin, memoryview(data))
    assert _right(writer, tmp_path)
    writer.close()
    assert told == sorted(told)
    assert told[-1] == (layout.size, layout.size)


def test_many_threads_write_and_one_has_the_disk_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.merging.writer._SYNCED", 3 * PART)
    layout = _layout()
    writer = Writer(tmp_path, layout)
    syncing = threading.Thread(target=writer.sync)
    syncing.start()

    def write(part: tuple[Place, int, bytes]) -> None:
        place, begin, data = part
        writer.write(place, begin, memoryview(data))

    with ThreadPoolExecutor(4) as many:
        list(many.map(write, _parts(layout)))
    syncing.join()  # it has seen the last byte of every file
    assert _right(writer, tmp_path)
    writer.close()


def test_who_waits_for_more_hears_of_the_end(tmp_path: Path) -> None:
    writer = Writer(tmp_path, _layout())
    syncing = threading.Thread(target=writer.sync)
    syncing.start()
    writer.end()
    syncing.join()
    with pytest.raises(AssertionError, match="not whole"):
        writer.digests()
    writer.close()
