"""The journal of paid answers and the notes of a run: `PaidLog`, `NoteLog`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import StoreUnavailable
from lens_ray.store.folder import FolderObjects
from lens_ray.store.paid import NoteLog, PaidAnswer, PaidLog


def paid(name: str, text: str = "3") -> PaidAnswer:
    return PaidAnswer(name, name * 64, text, "stop", 10, 2, 0.5, None, "model", 1e-5)


def journals(folder: Path) -> tuple[PaidLog, PaidLog]:
    return PaidLog(FolderObjects(str(folder)), "r"), PaidLog(FolderObjects(str(folder)), "r")


def test_two_writers_lose_nothing_and_a_reader_sees_all(tmp_path: Path) -> None:
    one, two = journals(tmp_path)
    numbers = [one.append([paid("a")]), two.append([paid("b"), paid("c")]), one.append([paid("d")])]
    assert numbers == [0, 1, 2]
    reader, _ = journals(tmp_path)
    entries = reader.read_new()
    assert [answer.sample_id for _, answers in entries for answer in answers] == list("abcd")
    assert reader.read_new() == []
    assert reader.entry(1) == (paid("b"), paid("c"))
    assert reader.entry(9) == ()


def test_texts_that_are_no_unicode_come_back(tmp_path: Path) -> None:
    one, two = journals(tmp_path)
    one.append([paid("a", "x\ud800\0")])
    assert two.read_new()[0][1] == (paid("a", "x\ud800\0"),)


def test_the_start_moves_behind_what_is_done_and_no_further(tmp_path: Path) -> None:
    one, two = journals(tmp_path)
    for name in "abcd":
        one.append([paid(name)])
    assert one.advance({"a", "b", "d"}.__contains__) == 2
    assert [number for number, _ in two.read_new()] == [2, 3]
    assert one.advance(set("abcd").__contains__) == 4
    assert two.append([paid("e")]) == 4
    assert one.advance(lambda _: False) == 4


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    one, two = journals(tmp_path)
    one.append([paid("a")])
    (tmp_path / "runs/r/paid/00000000.json").write_text("{}")
    with pytest.raises(StoreUnavailable, match=r"runs/r/paid/00000000.json is damaged"):
        two.read_new()


def test_the_first_note_of_a_name_stays(tmp_path: Path) -> None:
    one = NoteLog(FolderObjects(str(tmp_path)), "r")
    two = NoteLog(FolderObjects(str(tmp_path)), "r")
    assert one.write("served", {"model": "a"})
    assert not two.write("served", {"model": "b"})
    assert two.write("batch", {"id": 1})
    assert one.read() == two.read() == {"served": {"model": "a"}, "batch": {"id": 1}}
