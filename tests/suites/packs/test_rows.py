"""Tables become samples: every format, its answers and its meta, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lens_ray.scoring.mark import mark
from lens_ray.suites.images import decode_png, image_hash
from lens_ray.suites.packs import load_pack
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import render
from tests.suites.packs.makers import BASE, make


def samples(folder: Path, subtask: str, table: str, name: str = "rows.csv") -> tuple[Sample, ...]:
    return load_pack(make(folder, subtask, table, name)).samples


def test_a_yes_no_question(tmp_path: Path) -> None:
    table = "image,answer\n0.png,NOK\n1.png,ok\n2.png,0\n"
    one, two, three = samples(
        tmp_path, f"{BASE}, format: true_false, answers: {{NOK: yes, ok: no}}", table
    )
    assert (one.sample_id, one.source, one.subtask) == ("mine/s-00001", "mine", "s")
    assert [sample.answers for sample in (one, two, three)] == [("yes",), ("no",), ("no",)]
    assert (one.metric, one.chance, one.upper, one.domain) == ("exact", 0.5, 1.0, "photos")
    pixels = decode_png((tmp_path / "photos" / "0.png").read_bytes(), "0")
    assert one.images == (image_hash(pixels),)
    assert one.meta == {"photo": "0.png"}
    assert render(one) == "How many?\nAnswer yes or no."
    assert one.group_id is None


def test_choices_by_text_letter_and_column(tmp_path: Path) -> None:
    fixed = f"{BASE}, format: multiple_choice, choices: [dent, scratch, A]"
    table = "image,answer\n0.png,scratch\n1.png,A\n2.png,b\n"
    found = samples(tmp_path / "a", fixed, table)
    # "A" is the text of the third option before it is the letter of the first.
    assert [sample.answers for sample in found] == [("B",), ("C",), ("B",)]
    assert found[0].chance == pytest.approx(1 / 3)
    columns = f"{BASE}, format: multiple_choice, columns: {{choices: options, answer: right}}"
    table = "image;options;right\n0.png;x|y;y\n1.png;x|y|z|w;x\n"
    found = samples(tmp_path / "b", columns, table)
    assert [(s.choices, s.answers, s.chance) for s in found] == [
        (("x", "y"), ("B",), 0.5), (("x", "y", "z", "w"), ("A",), 0.25),
    ]  # fmt: skip
    several = f"{BASE}, format: multiple_choice, columns: {{choices: [one, two, three]}}"
    table = "image\tone\ttwo\tthree\tanswer\n0.png\tx\ty\t\ty\n"
    (found_,) = samples(tmp_path / "c", several, table)
    assert (found_.choices, found_.answers) == (("x", "y"), ("B",))


def test_quantities_with_units_from_columns(tmp_path: Path) -> None:
    subtask = f"{BASE}, format: quantity, columns: {{unit: u, tolerance: t}}, chance: 0.1"
    table = "image,answer,u,t\n0.png,6.5 bar,bar,0.5\n1.png,20,C,1\n"
    one, two = samples(tmp_path, subtask, table)
    assert (one.meta["unit"], one.meta["tolerance"]) == ("bar", "0.5")
    assert render(two) == "How many?\nAnswer with a number in C, with its unit."
    assert mark(one, "7 bar", "stop").score == 1.0
    assert mark(two, "69.8 F", "stop").score == 1.0  # 21 C
    assert mark(two, "71 F", "stop").score == 0.0
    assert one.content_digest() != two.content_digest()


def test_labels_boxes_and_rules(tmp_path: Path) -> None:
    labels = f"{BASE}, format: labels, parameters: {{labels: [dent, tear], none: clean}}"
    table = 'image,answer\n0.png,"Dent, tear"\n1.png,clean\n2.png,tear;dent\n'
    found = samples(tmp_path / "a", labels, table)
    assert [sample.answers for sample in found] == [("dent, tear",), ("clean",), ("tear, dent",)]
    assert render(found[0]).endswith(
        "all that apply of: dent, tear; separated by commas, or clean."
    )
    assert mark(found[0], "a dent and a tear", "stop").score == 1.0
    box = f"{BASE}, format: box, metric: box_hit, parameters: {{coordinates: shares, iou: 0.9}}"
    (one,) = samples(tmp_path / "b", box, 'image,answer\n0.png,"0.1, 0.2; 0.5 0.6"\n')
    assert one.answers == ("0.1, 0.2, 0.5, 0.6",)
    assert mark(one, "[0.1, 0.2, 0.5, 0.6]", "stop").score == 1.0
    rule = f"{BASE}, format: rule, parameters: {{rule: max_words, value: 2}}"
    (one,) = samples(tmp_path / "c", rule, "image\n0.png\n")
    assert one.answers == ("Answer with at most 2 words.",)
    assert render(one) == "How many?\nAnswer with at most 2 words."
    assert render(one, "bare") == "How many?"
    assert mark(one, "just two", "stop").score == 1.0


def test_an_object_from_its_columns_or_as_json(tmp_path: Path) -> None:
    fields = "{name: {}, age: {type: integer}, ok: {type: boolean}, note: {optional: true}}"
    subtask = f"{BASE}, format: json, parameters: {{fields: {fields}}}"
    (one,) = samples(tmp_path / "a", subtask, "image,name,age,ok,note\n0.png,Ada,34,yes,\n")
    assert json.loads(one.answers[0]) == {"name": "Ada", "age": 34, "ok": True}
    row = {"image": "0.png", "answer": {"name": "Ada", "age": 34, "ok": True}}
    same = subtask.replace("rows.csv", "rows.jsonl")
    (two,) = samples(tmp_path / "b", same, json.dumps(row) + "\n", "rows.jsonl")
    assert two.answers == one.answers
    assert mark(one, '{"name": "ada", "age": 34, "ok": true}', "stop").score == 1.0


def test_pairs_clusters_groups_and_ids(tmp_path: Path) -> None:
    subtask = (
        "name: s, ability: matching, data: rows.csv, images: photos, format: true_false, "
        "image_names: [reference, specimen], columns: {image: [ref, spec], id: key, "
        "cluster: part, group: batch, question: ask, domain: line}"
    )
    table = (
        "key,ref,spec,ask,part,batch,line,answer\n"
        "k1,0.png,1.png,Same?,p1,b1,north,yes\nk2,0.png,2.png,Equal?,p1,b1,south,no\n"
    )
    one, two = samples(tmp_path, subtask, table)
    assert [s.sample_id for s in (one, two)] == ["mine/s-k1", "mine/s-k2"]
    assert len(one.images) == 2
    assert one.images[0] == two.images[0]
    assert (one.cluster_id, one.group_id, one.domain) == ("mine/p1", "mine/s-b1", "north")
    assert one.split == two.split
    assert render(one).splitlines()[:2] == [
        "Image 1 is the reference. Image 2 is the specimen.", "Same?",
    ]  # fmt: skip


def test_parquet_with_photos_in_it(tmp_path: Path) -> None:
    folder = make(tmp_path, f"{BASE}, format: open, metric: numeric".replace(".csv", ".parquet"))
    png = (folder / "photos" / "0.png").read_bytes()
    table = pa.table({"image": [{"bytes": png, "path": "x"}, {"bytes": png, "path": "y"}],
                      "answer": [3.0, 4.0]})  # fmt: skip
    pq.write_table(table, folder / "rows.parquet")
    content = load_pack(folder)
    assert [sample.answers for sample in content.samples] == [("3",), ("4",)]
    assert len(content.images) == 1
    assert image_hash(content.images[content.samples[0].images[0]]) in content.images


def test_majority_is_the_chance_of_the_commonest_answer(tmp_path: Path) -> None:
    table = "image,answer\n0.png,3\n1.png,3\n2.png,5\n3.png,7\n"
    found = samples(tmp_path, f"{BASE}, format: open, chance: majority", table)
    assert {sample.chance for sample in found} == {0.5}


def test_several_right_answers_and_a_chance_by_row(tmp_path: Path) -> None:
    subtask = f"{BASE}, format: open, columns: {{chance: luck}}, instruction: ''"
    (one,) = samples(tmp_path, subtask, "image,answer,luck\n0.png,grey | gray,0.25\n")
    assert (one.answers, one.chance) == (("grey", "gray"), 0.25)
    assert render(one) == "How many?"


def test_large_photos_are_scaled_down(tmp_path: Path) -> None:
    from tests.suites.packs.makers import photo

    folder = make(tmp_path, f"{BASE}, format: open, max_side: 16", "image,answer\nbig.png,3\n")
    photo(folder / "photos" / "big.png", 9, (64, 32))
    content = load_pack(folder)
    assert content.images[content.samples[0].images[0]].shape == (8, 16, 3)


def test_line_ends_may_be_mixed_and_a_mark_may_stand_before(tmp_path: Path) -> None:
    folder = make(tmp_path, f"{BASE}, format: open")
    text = b'\xef\xbb\xbfimage,answer\r\n0.png,3\n\r\n1.png,"4\r\n5"\n'
    (folder / "rows.csv").write_bytes(text)
    found = load_pack(folder).samples
    assert [sample.answers for sample in found] == [("3",), ("4\r\n5",)]
    (folder / "rows.csv").write_bytes(b"image,answer\r0.png,3\r")
    assert [sample.answers for sample in load_pack(folder).samples] == [("3",)]
