from __future__ import annotations

import dataclasses
import io
import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lens_ray.errors import EnvironmentFailure, StoreUnavailable, SuiteError
from lens_ray.suites import images as images_module
from lens_ray.suites.digest import suite_digest
from lens_ray.suites.images import decode_png, encode_png, image_hash
from lens_ray.suites.suite import Suite, read_suite, write_suite
from tests.suites.makers import OPEN, pixels, sample, suite_of


def written(folder: Path, count: int = 6) -> Suite:
    samples, images = suite_of(count)
    return write_suite("tiny", samples, images, folder, licence="CC0-1.0", revision="r1")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    full, more = sample(
        7,
        ability="ocr",
        subtask="signs",
        format="multiple_choice",
        choices=("a", "b"),
        answers=("B",),
        group_id="g",
        variant="rot1",
        split="anchor",
        max_new_tokens=3,
        meta={"k": "v", "a": "ü"},
    )
    samples, images = suite_of(3)
    made = write_suite(
        "tiny", [*samples, full], images | more, tmp_path / "s", licence="CC0-1.0", revision="r1"
    )
    back = read_suite(str(tmp_path / "s"))
    assert back.samples == made.samples == (*samples, full)
    assert (back.name, back.digest, back.info) == ("tiny", made.digest, made.info)
    assert back.by_id["t/7"] == full
    assert back.weights == {"counting": {"dots": 1.0}, "ocr": {"signs": 1.0}}
    assert back.info.samples == 4
    for key, image in (images | more).items():
        assert np.array_equal(decode_png(back.image_bytes(key), key), image)
    assert (back.info.licence, back.info.revision) == ("CC0-1.0", "r1")


def test_images_hash_by_pixels_and_shape_not_by_encoding() -> None:
    image = pixels(1)
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, format="PNG", compress_level=9)
    assert sink.getvalue() != encode_png(image)
    assert image_hash(decode_png(sink.getvalue(), "x")) == image_hash(image)
    assert image_hash(image.reshape(7, 5, 3)) != image_hash(image)


def test_digest_feels_every_field() -> None:
    changes = {
        "sample_id": "t/9", "ability": "ocr", "source": "u", "subtask": "d", "format": "x",
        "domain": "d", "images": ("i",), "question": "q", "choices": ("c",), "answers": ("a",),
        "metric": "m", "chance": 0.5, "upper": 0.9, "cluster_id": "c", "group_id": "g",
        "split": "anchor", "variant": "v", "max_new_tokens": 5, "meta": {"k": "v"},
    }  # fmt: skip
    assert set(changes) == {field.name for field in dataclasses.fields(OPEN)}
    digests = {suite_digest([OPEN], [])}
    digests |= {
        suite_digest([dataclasses.replace(OPEN, **{key: value})], [])  # type: ignore[arg-type]
        for key, value in changes.items()
    }
    digests.add(suite_digest([OPEN], ["i"]))
    assert len(digests) == len(changes) + 2


@given(st.permutations(range(6)))
def test_digest_does_not_depend_on_the_order(order: list[int]) -> None:
    samples, images = suite_of(6)
    shuffled = [samples[index] for index in order]
    assert suite_digest(shuffled, reversed(list(images))) == suite_digest(samples, images)


def edit_json(folder: Path, **changes: object) -> None:
    file = folder / "suite.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_altered_question_is_found(tmp_path: Path) -> None:
    written(tmp_path / "s")
    file = tmp_path / "s" / "samples.parquet"
    table = pq.read_table(file)
    column = ["other question", *table.column("question").to_pylist()[1:]]
    place = table.schema.get_field_index("question")
    pq.write_table(table.set_column(place, table.schema.field(place), [column]), file)
    with pytest.raises(SuiteError, match="its content has digest"):
        read_suite(str(tmp_path / "s"))


def test_an_altered_image_is_found_when_it_is_read(tmp_path: Path) -> None:
    suite = written(tmp_path / "s")
    file = tmp_path / "s" / "images.parquet"
    table = pq.read_table(file)
    swapped = table.column("png").to_pylist()[::-1]
    place = table.schema.get_field_index("png")
    pq.write_table(table.set_column(place, table.schema.field(place), [swapped]), file)
    with pytest.raises(SuiteError, match="other pixels than its hash"):
        read_suite(suite.location).image_bytes(suite.samples[0].images[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": "0" * 64}, "suite.json says 000000000000"),
        ({"schema_version": 9}, "schema_version 9"),
        ({"weights": {"counting": {"dots": 0.5}}}, "other counts or weights"),
        ({"extra": 1}, "other keys"),
        ({"name": "../x"}, "use letters"),
    ],
)
def test_an_altered_suite_json_is_found(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    written(tmp_path / "s")
    edit_json(tmp_path / "s", **changes)
    with pytest.raises(SuiteError, match=message):
        read_suite(str(tmp_path / "s"))


@pytest.mark.parametrize("file", ["samples.parquet", "images.parquet", "suite.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty", "binary"])
def test_damaged_files_end_in_one_line(tmp_path: Path, file: str, damage: str) -> None:
    written(tmp_path / "s")
    path = tmp_path / "s" / file
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {"truncated": data[:-20], "empty": b"", "binary": b"\xff\x00" * 99}[damage]
        )
    with pytest.raises(SuiteError) as caught:
        read_suite(str(tmp_path / "s"))
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"there is no suite\.json in it"):
        read_suite(str(tmp_path / "nothing"))


def test_an_unknown_url_scheme_is_the_users_mistake() -> None:
    with pytest.raises(SuiteError, match="nosuch"):
        read_suite("nosuch://bucket/suite")


def test_a_url_that_cannot_be_reached_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(*_: object, **__: object) -> bytes:
        raise ConnectionRefusedError("connection\nrefused")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    with pytest.raises(EnvironmentFailure, match=r"cannot be reached \(connection refused\)"):
        read_suite("memory://bucket/suite")


def test_a_url_holds_a_suite_like_a_folder() -> None:
    samples, images = suite_of(4)
    url = "memory://bucket/a-suite"
    made = write_suite("tiny", samples, images, url, licence="x", revision="1")
    back = read_suite(url)
    assert back.samples == made.samples
    key = samples[0].images[0]
    assert image_hash(decode_png(back.image_bytes(key), key)) == key


def test_writing_the_same_suite_again_keeps_the_folder(tmp_path: Path) -> None:
    first = written(tmp_path / "s")
    before = (tmp_path / "s" / "images.parquet").stat().st_ino
    assert written(tmp_path / "s").digest == first.digest
    assert (tmp_path / "s" / "images.parquet").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_another_suite_is_not_overwritten(tmp_path: Path) -> None:
    first = written(tmp_path / "s")
    with pytest.raises(SuiteError, match=f"it holds {first.digest[:12]}"):
        written(tmp_path / "s", count=3)
    assert read_suite(str(tmp_path / "s")).digest == first.digest
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(SuiteError, match="cannot be written"):
        written(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_crash_in_the_middle_leaves_no_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfile

    def fail(source: Path, target: Path) -> None:
        if target.name == "suite.json":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(shutil, "copyfile", fail)
    with pytest.raises(StoreUnavailable, match="no room for a copy"):
        written(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_a_suite_is_refused(tmp_path: Path) -> None:
    samples, images = suite_of(2)
    kwargs = {"licence": "x", "revision": "1"}
    with pytest.raises(SuiteError, match="no sample"):
        write_suite("tiny", [], {}, tmp_path / "s", **kwargs)
    with pytest.raises(SuiteError, match="'t/0' is used more than once"):
        write_suite("tiny", [samples[0], samples[0]], images, tmp_path / "s", **kwargs)
    with pytest.raises(SuiteError, match="t/0 needs the image"):
        write_suite("tiny", samples, {}, tmp_path / "s", **kwargs)
    with pytest.raises(SuiteError, match="hash of its key"):
        write_suite("tiny", samples, {key: pixels(99) for key in images}, tmp_path / "s", **kwargs)
    bad = {key: image[:, :, 0] for key, image in images.items()}
    with pytest.raises(SuiteError, match="give uint8"):
        write_suite("tiny", samples, bad, tmp_path / "s", **kwargs)
    with pytest.raises(SuiteError, match="use letters"):
        write_suite("a/b", samples, images, tmp_path / "s", **kwargs)
    assert list(tmp_path.iterdir()) == []


def test_images_have_a_pixel_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_png(pixels(1))
    monkeypatch.setattr(images_module, "MAX_PIXELS", 34)
    with pytest.raises(SuiteError, match="7x5 pixels, more than 34"):
        decode_png(data, "x")
    with pytest.raises(SuiteError, match="cannot be decoded"):
        decode_png(b"not an image", "x")


def test_pickle_carries_the_samples_but_no_open_file(tmp_path: Path) -> None:
    suite = written(tmp_path / "s")
    key = suite.samples[0].images[0]
    data = suite.image_bytes(key)
    again = pickle.loads(pickle.dumps(suite))
    assert again == suite
    assert again.image_bytes(key) == data


def test_many_images_are_found_over_row_groups(tmp_path: Path) -> None:
    suite = written(tmp_path / "s", count=1500)
    for one in (*suite.samples[::97], *suite.samples[::-101]):
        assert image_hash(decode_png(suite.image_bytes(one.images[0]), "x")) == one.images[0]
    with pytest.raises(SuiteError, match="holds no image"):
        suite.image_bytes("f" * 64)


def mixed(folder: Path) -> Suite:
    samples, images = [], {}
    for number in range(24):
        ability, subtask = [("counting", "dots"), ("counting", "boxes"), ("ocr", "signs")][
            number // 8
        ]
        group = f"{subtask}{number // 4}" if subtask == "signs" else None
        made, image = sample(number, ability=ability, subtask=subtask, group_id=group)
        samples.append(made)
        images.update(image)
    return write_suite("mixed", samples, images, folder, licence="x", revision="1")


def test_select_by_ability(tmp_path: Path) -> None:
    suite = mixed(tmp_path / "s")
    assert suite.select() == suite.samples
    assert suite.select(["ocr"]) == suite.samples[16:]
    with pytest.raises(SuiteError, match="no sample of 'ocrr'; the nearest is 'ocr'"):
        suite.select(["ocrr"])
    with pytest.raises(SuiteError, match="the list is empty"):
        suite.select([])


def test_select_by_split(tmp_path: Path) -> None:
    samples, images = suite_of(10)
    samples = [
        dataclasses.replace(one, split="anchor" if place < 3 else "sealed")
        for place, one in enumerate(samples)
    ]
    made = write_suite("split", samples, images, tmp_path / "s", licence="x", revision="1")
    assert made.select(splits=["anchor"]) == made.samples[:3]
    assert made.select(["counting"], 2, ["sealed"]) == made.samples[3:5]
    assert made.select(splits=["anchor", "sealed"]) == made.samples
    with pytest.raises(SuiteError, match="splits: suite split has none of these samples in search"):
        made.select(splits=["search"])


def test_a_limit_takes_from_every_subtask_and_keeps_groups_whole(tmp_path: Path) -> None:
    suite = mixed(tmp_path / "s")
    for limit in range(1, 30):
        chosen = suite.select(None, limit)
        assert len(chosen) <= limit
        groups = Counter(s.group_id for s in chosen if s.group_id)
        assert all(count == 4 for count in groups.values())
        assert list(chosen) == [s for s in suite.samples if s in chosen]
    assert Counter(s.subtask for s in suite.select(None, 8)) == {"dots": 2, "boxes": 2, "signs": 4}
    assert len(suite.select(None, 24)) == 24
    with pytest.raises(SuiteError, match="limit: 0"):
        suite.select(None, 0)


def test_a_damaged_image_is_found_ahead_where_it_is_asked_for(tmp_path: Path) -> None:
    one, image = sample(1)
    two, other = sample(2)
    suite = write_suite(
        "t", [one, two], {**image, **other}, tmp_path / "s", licence="x", revision="1"
    )
    read: list[str] = []

    class Looked(Suite):
        def image_bytes(self, image: str) -> bytes:
            read.append(image)
            return super().image_bytes(image)

    looked = Looked(suite.name, suite.digest, suite.samples, suite.info, suite.location)
    looked.look_ahead([two])
    assert read == list(two.images)
    read.clear()
    looked.look_ahead([one, two], pixels=1)
    assert len(read) == 1
    lost = dataclasses.replace(one, images=("0" * 64,))
    with pytest.raises(SuiteError, match="holds no image"):
        looked.look_ahead([lost])
