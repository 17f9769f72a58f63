"""An image is decoded once on a machine, and a damaged one is found all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.images import Pixels, decode_png
from lens_ray.suites.seen import SeenImages
from lens_ray.suites.suite import Suite, read_suite, write_suite
from tests.suites.makers import suite_of

COUNT = 6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = tmp_path / "home"
    monkeypatch.setenv("LENS_RAY_HOME", str(top))
    return top


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that were decoded so far."""
    names: list[str] = []

    def decode(data: bytes, name: str) -> Pixels:
        names.append(name)
        return decode_png(data, name)

    monkeypatch.setattr("lens_ray.suites.files.decode_png", decode)
    return names


def written(folder: Path) -> Suite:
    samples, images = suite_of(COUNT)
    return write_suite("t", samples, images, folder, licence="x", revision="1")


def read_all(suite: Suite) -> dict[str, bytes]:
    return {image: suite.image_bytes(image) for image in suite.image_hashes()}


def test_the_second_reader_decodes_nothing(tmp_path: Path, decoded: list[str]) -> None:
    suite = written(tmp_path / "s")
    first = read_all(suite)
    assert len(decoded) == COUNT
    assert read_all(suite) == first
    assert read_all(read_suite(suite.location)) == first
    assert read_all(written(tmp_path / "elsewhere")) == first
    assert len(decoded) == COUNT


def test_readers_learn_from_each_other_while_they_run(tmp_path: Path, decoded: list[str]) -> None:
    location = written(tmp_path / "s").location
    one, two = read_suite(location), read_suite(location)
    images = one.image_hashes()
    for image in images[:3]:
        one.image_bytes(image)
    for image in images:
        two.image_bytes(image)
    for image in images:
        one.image_bytes(image)
    assert len(decoded) == COUNT


def test_an_image_that_is_damaged_after_it_was_seen_is_found(tmp_path: Path) -> None:
    suite = written(tmp_path / "s")
    images = read_all(suite)
    victim, data = next(iter(images.items()))
    file = tmp_path / "s" / "images.parquet"
    before = file.stat()
    whole = file.read_bytes()
    at = whole.index(data) + len(data) // 2
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # neither time nor size tell
    damaged = read_suite(suite.location)
    with pytest.raises(SuiteError, match=r"cannot be decoded|other pixels") as caught:
        damaged.image_bytes(victim)
    assert "\n" not in str(caught.value)
    for image in images.keys() - {victim}:
        assert damaged.image_bytes(image) == images[image]


def test_two_images_that_change_places_are_found(tmp_path: Path) -> None:
    """Both have bytes that were seen, under each other's name."""
    suite = written(tmp_path / "s")
    (one, data), (_, other), *_ = read_all(suite).items()
    seen = SeenImages(suite.digest)
    assert seen.knows(one, data)
    assert not seen.knows(one, other)


def test_a_line_that_was_cut_off_is_none(tmp_path: Path, home: Path, decoded: list[str]) -> None:
    suite = written(tmp_path / "s")
    read_all(suite)
    (notes,) = (home / "seen-images").iterdir()
    lines = notes.read_bytes().splitlines(keepends=True)
    notes.write_bytes(lines[0] + lines[1][:70] + lines[2] + b"\xff\xfe\n" + lines[3])
    read_all(read_suite(suite.location))
    assert len(decoded) == COUNT + 4  # lines 1, 2 (behind the piece), 4 and 5 are lost


def test_where_nothing_can_be_written_each_reader_looks_for_itself(
    tmp_path: Path, home: Path, decoded: list[str]
) -> None:
    suite = written(tmp_path / "s")
    home.mkdir()
    (home / "seen-images").write_text("a file")
    read_all(suite)
    read_all(suite)
    assert len(decoded) == COUNT
    read_all(read_suite(suite.location))
    assert len(decoded) == 2 * COUNT
