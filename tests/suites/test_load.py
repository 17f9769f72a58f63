from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites import archive as archive_module
from lens_ray.suites import load as load_module
from lens_ray.suites.files import FILES
from lens_ray.suites.load import installed, suites_home
from lens_ray.suites.mini import freeze, frozen_digests
from lens_ray.suites.suite import Suite, load_suite, write_suite
from tests.suites.makers import suite_of


def tiny(folder: Path) -> Suite:
    samples, images = suite_of(3)
    return write_suite("tiny", samples, images, folder, licence="x", revision="1")


def test_the_builtin_suite_is_built_once_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load_suite("mini:quick", home=tmp_path)
    assert suite.digest == frozen_digests()["mini:quick"]
    folder = tmp_path / "suites" / f"mini-quick-{suite.digest[:12]}"
    assert suite.location == str(folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    def explode(*_: object) -> None:
        raise AssertionError("it was built a second time")

    monkeypatch.setattr("lens_ray.suites.mini.build_mini", explode)
    assert load_suite("mini:quick", home=tmp_path) == suite
    assert load_suite(f"mini:quick@{suite.digest[:12]}", home=tmp_path) == suite
    assert load_suite(str(folder)) == suite
    assert [info.name for info in installed(tmp_path)] == ["mini:quick"]
    with pytest.raises(SuiteError, match="this version has digest"):
        load_suite("mini:quick@000000000000", home=tmp_path)


def test_pixels_that_differ_from_the_frozen_digest_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "digests.json"
    file.write_text('{"mini:quick": "' + "0" * 64 + '"}')
    monkeypatch.setattr(freeze, "_FILE", file)
    with pytest.raises(SuiteError, match="not the frozen 000000000000"):
        load_suite("mini:quick", home=tmp_path)
    assert not suites_home(tmp_path).exists()


def test_a_wrong_suite_under_the_builtin_name_is_refused(tmp_path: Path) -> None:
    digest = frozen_digests()["mini:full"]
    folder = suites_home(tmp_path) / f"mini-full-{digest[:12]}"
    tiny(folder)
    with pytest.raises(SuiteError, match="delete that folder"):
        load_suite("mini:full", home=tmp_path)


def test_home_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "env"))
    assert suites_home() == tmp_path / "env" / "suites"
    assert suites_home(tmp_path) == tmp_path / "suites"
    monkeypatch.delenv("LENS_RAY_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert suites_home() == tmp_path / ".cache" / "lens-ray" / "suites"


def test_an_installed_suite_is_found_by_name_and_digest(tmp_path: Path) -> None:
    made = tiny(tmp_path / "elsewhere")
    target = suites_home(tmp_path) / load_module.folder_name("tiny", made.digest)
    target.parent.mkdir()
    shutil.copytree(made.location, target)
    assert load_suite(f"tiny@{made.digest[:10]}", home=tmp_path).samples == made.samples
    with pytest.raises(SuiteError, match=f"the nearest is 'tiny@{made.digest[:12]}'"):
        load_suite("tiny@0123456789ab", home=tmp_path)
    with pytest.raises(SuiteError, match="a digest is 8 to 64"):
        load_suite("tiny@latest", home=tmp_path)


def test_unknown_references_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"'mini:quik' is not known.*nearest is 'mini:quick'"):
        load_suite("mini:quik", home=tmp_path)
    file = tmp_path / "job.yaml"
    file.write_text("x")
    with pytest.raises(SuiteError, match="is a file; give the folder"):
        load_suite(str(file), home=tmp_path)


def test_a_url_reference(tmp_path: Path) -> None:
    samples, images = suite_of(3)
    made = write_suite("tiny", samples, images, "memory://b/load", licence="x", revision="1")
    assert load_suite("memory://b/load", home=tmp_path).digest == made.digest


def pack(folder: str, target: Path, prefix: str = "") -> Path:
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as packed:
            for file in FILES:
                packed.write(Path(folder, file), prefix + file)
    else:
        with tarfile.open(target, "w:gz") as tape:
            for file in FILES:
                tape.add(Path(folder, file), prefix + file)
    return target


@pytest.mark.parametrize("name", ["s.zip", "s.tar.gz", "s.tgz"])
@pytest.mark.parametrize("prefix", ["", "tiny/"])
def test_an_archive_is_a_suite_too(tmp_path: Path, name: str, prefix: str) -> None:
    made = tiny(tmp_path / "s")
    packed = pack(made.location, tmp_path / name, prefix)
    suite = load_suite(str(packed), home=tmp_path / "home")
    assert suite.samples == made.samples
    assert load_suite(str(packed), home=tmp_path / "home") == suite


EVIL = ["../suite.json", "/etc/suite.json", "a/../../suite.json", "..\\suite.json", "C:/suite.json"]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_out_of_an_archive(tmp_path: Path, evil: str, kind: str) -> None:
    packed = tmp_path / f"s.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as sink:
            sink.writestr(evil, b"x")
    else:
        with tarfile.open(packed, "w") as tape:
            entry = tarfile.TarInfo(evil)
            entry.size = 1
            tape.addfile(entry, io.BytesIO(b"x"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SuiteError, match="leads out of the archive"):
        load_suite(str(packed), home=tmp_path / "home")
    assert sorted(tmp_path.rglob("*")) == before


def test_links_other_files_and_holes_in_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link.tar"
    with tarfile.open(link, "w") as tape:
        entry = tarfile.TarInfo("suite.json")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tape.addfile(entry)
    with pytest.raises(SuiteError, match="is a link"):
        load_suite(str(link), home=tmp_path / "home")
    zip_link = tmp_path / "link.zip"
    with zipfile.ZipFile(zip_link, "w") as packed:
        info = zipfile.ZipInfo("suite.json")
        info.external_attr = 0o120777 << 16
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(SuiteError, match="is a link"):
        load_suite(str(zip_link), home=tmp_path / "home")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("setup.py", "x")
    with pytest.raises(SuiteError, match="no file of a suite"):
        load_suite(str(other), home=tmp_path / "home")
    hole = tmp_path / "hole.zip"
    with zipfile.ZipFile(hole, "w") as packed:
        packed.writestr("suite.json", "{}")
    with pytest.raises(SuiteError, match="missing in it"):
        load_suite(str(hole), home=tmp_path / "home")
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(SuiteError, match="cannot be unpacked"):
        load_suite(str(broken), home=tmp_path / "home")
    monkeypatch.setattr(archive_module, "MAX_BYTES", 1)
    with pytest.raises(SuiteError, match="unpacks to 2 bytes"):
        load_suite(str(hole), home=tmp_path / "home")
