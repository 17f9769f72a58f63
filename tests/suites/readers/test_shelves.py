"""Images beside a table: nothing leads out of the folder or the archive."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.readers import shelves
from lens_ray.suites.readers.shelves import FolderShelf, open_shelf
from tests.suites.readers.makers import png


def zipped(file: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return file


def taped(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


def test_the_same_image_from_each(tmp_path: Path) -> None:
    data = png(1)
    (tmp_path / "f" / "sub").mkdir(parents=True)
    (tmp_path / "f" / "sub" / "a.png").write_bytes(data)
    for place in (
        tmp_path / "f",
        zipped(tmp_path / "i.zip", sub__a=data),
        taped(tmp_path / "i.tar", {"sub/a.png": data}),
    ):
        name = "sub/a" if place.suffix == ".zip" else "sub/a.png"
        shelf = open_shelf(place)
        assert shelf.read(name, "here") == shelf.read(name.replace("/", "\\"), "here") == data
        with pytest.raises(SuiteError, match=r"^here: the image"):
            shelf.read("sub/b.png", "here")


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x", "C:\\x.png", "..\\x", ""])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(SuiteError, match=r"^t.csv, row 1: the image name .* leads out"):
        FolderShelf(tmp_path).read(name, "t.csv, row 1")


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(1))
    (tmp_path / "f").mkdir()
    os.symlink(tmp_path / "secret.png", tmp_path / "f" / "a.png")
    with pytest.raises(SuiteError, match="is a link out of its folder"):
        FolderShelf(tmp_path / "f").read("a.png", "here")
    assert FolderShelf(tmp_path / "f", tmp_path).read("a.png", "here") == png(1)


def test_zip_slip_and_links_in_archives(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"i.zip: the image name '../a' leads out"):
        open_shelf(zipped(tmp_path / "i.zip", **{"..__a": b"x"}))
    with pytest.raises(SuiteError, match=r"i.tar: the image name '/a' leads out"):
        open_shelf(taped(tmp_path / "i.tar", {"/a": b"x"}))
    with tarfile.open(tmp_path / "l.tar", "w") as archive:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(SuiteError, match=r"'a.png' is a link or a device"):
        open_shelf(tmp_path / "l.tar")


def test_members_that_unpack_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "MAX_ENCODED", 1000)
    zeros = b"\0" * 1001
    (tmp_path / "a").write_bytes(zeros)
    for place in (
        tmp_path, zipped(tmp_path / "i.zip", a=zeros), taped(tmp_path / "i.tar", {"a": zeros}),
    ):  # fmt: skip
        with pytest.raises(SuiteError, match="over 1000 bytes"):
            open_shelf(place).read("a", "here")


@pytest.mark.parametrize("name", ["i.zip", "i.tar", "i.rar", "missing"])
def test_no_archive(tmp_path: Path, name: str) -> None:
    if name != "missing":
        (tmp_path / name).write_bytes(b"PK nonsense")
    with pytest.raises(SuiteError, match=name):
        open_shelf(tmp_path / name)


def test_a_damaged_member(tmp_path: Path) -> None:
    file = zipped(tmp_path / "i.zip", a=png(1) * 20)
    data = bytearray(file.read_bytes())
    data[40:60] = b"\0" * 20
    file.write_bytes(data)
    with pytest.raises(SuiteError, match=r"here: the image 'a' in .* is damaged"):
        open_shelf(file).read("a", "here")
