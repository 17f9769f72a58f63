"""Changes of mix and learning rate that a trainer wrote down."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import UserError
from lens_ray.models.resolve import builtin_root
from lens_ray.online.run_yaml import changes_in, read_changes
from lens_ray.online.spec import RunSpec


def run(path: object, **changes: object) -> RunSpec:
    return RunSpec.model_validate({"name": "a", "path": str(path), **changes})


def test_the_shipped_run_tells_its_switch() -> None:
    told, trouble = read_changes(run("/nowhere"), "builtin:minivlm-a/step-9600")
    assert trouble is None
    assert max(told) == 8700
    for part in ("ocr 1.4 -> 3", "entity 0.9 -> 0", "lr 0.0001 -> 0.0008"):
        assert part in told[8700]


def test_both_forms_and_what_a_phase_leaves_unsaid() -> None:
    text = b"""
name: mine
phases:
  - {steps: 3, mix: {a: 1, b: 2}, lr: [0.1, 0.01]}
  - {steps: 4, lr: 0.01, clip: 1}
  - {steps: 2, mix: {a: 2}}
  - {steps: 9}
changes: {"7": "new data", 99: "longer pictures"}
"""
    assert changes_in(text, "run.yaml") == {
        3: "also clip",
        7: "mix: a 1 -> 2, b 2 -> 0; also clip; new data",
        99: "longer pictures",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"changes:\n  soon: x", "r.yaml:2:3: changes.soon: write the step as a whole number"),
        (b"changes: {5: 3}", "r.yaml:1:14: changes.5: write what changed, in quotes"),
        (b"changes: {" + b"9" * 900 + b": x}", "write the step as a whole number"),
        (b"phases: 3", "r.yaml:1:9: phases: write a list of phases"),
        (b"phases:\n- {lr: 3}", "phases[0].steps: write how many steps"),
        (b"phases: [{steps: 1, lr: [.nan]}]", "phases[0].lr[0]: write a number"),
        (b"phases: [{steps: 1, mix: {a: true}}]", "phases[0].mix.a: write a number"),
        (b"[1, 2]", "r.yaml:1:1: write a mapping"),
        (b"{", "r.yaml:1:2: not valid YAML"),
        (b"a: !!python/object:os.system {}", "not allowed"),
    ],
)
def test_a_wrong_file_is_one_line(text: bytes, said: str) -> None:
    with pytest.raises(UserError) as caught:
        changes_in(text, "r.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_or_missing_file_is_a_note_and_no_end(tmp_path: Path) -> None:
    assert read_changes(run(tmp_path)) == ({}, None)
    named = tmp_path / "other.yaml"
    assert read_changes(run(tmp_path, run_yaml=str(named))) == ({}, f"{named} is not there")
    (tmp_path / "run.yaml").write_text("changes: 3")
    told, trouble = read_changes(run(tmp_path))
    assert told == {}
    assert trouble is not None
    assert trouble.startswith(f"{tmp_path}/run.yaml:1:10: changes:")


def test_beside_the_checkpoints_comes_before_the_run_s_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "run.yaml").write_text("changes: {1: one}")
    checkpoint = str(tmp_path / "deep" / "step-100")
    assert read_changes(run(tmp_path), checkpoint) == ({1: "one"}, None)
    (tmp_path / "deep" / "run.yaml").write_text("changes: {2: two}")
    assert read_changes(run(tmp_path), checkpoint) == ({2: "two"}, None)
    assert 8700 in read_changes(run(tmp_path), "builtin:minivlm-a/step-9600")[0]
    assert read_changes(run(tmp_path), "")[0] == {1: "one"}


def test_a_file_in_a_bucket(bucket_url: str) -> None:
    from lens_ray.store.objects import open_objects

    assert read_changes(run(f"{bucket_url}/mine")) == ({}, None)
    open_objects(f"{bucket_url}/mine").create("run.yaml", b"changes: {5: x}")
    assert read_changes(run(f"{bucket_url}/mine")) == ({5: "x"}, None)


def test_what_is_shown_is_one_short_line_of_text() -> None:
    told = changes_in(b'changes: {8: "a\\u001b[31mb\\nc", 9: "' + b"x" * 5000 + b'"}', "r.yaml")
    assert told[8] == "a [31mb c"
    assert len(told[9]) == 300


@given(st.binary(max_size=200))
def test_whatever_the_bytes_it_is_changes_or_one_line(data: bytes) -> None:
    try:
        said = str(changes_in(data, "r.yaml"))
    except UserError as error:
        said = str(error)
    assert "\n" not in said


def test_every_shipped_record_can_be_read() -> None:
    for file in builtin_root().glob("*/run.yaml"):
        assert changes_in(file.read_bytes(), str(file))
