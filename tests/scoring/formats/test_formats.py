"""Each format marked by hand: what the text says, and what that is worth."""

from __future__ import annotations

import dataclasses
import json

import pytest

from lens_ray.errors import UserError
from lens_ray.scoring.formats import WHOLE
from lens_ray.scoring.formats.json_object import find_object
from lens_ray.scoring.formats.rules import RULES, YES_NO
from lens_ray.scoring.formats.units import KNOWN
from lens_ray.scoring.mark import mark
from lens_ray.scoring.metrics import METRICS
from lens_ray.suites.packs.formats import FORMATS, LANGUAGES, RULE_WORDS
from lens_ray.suites.packs.units import UNITS
from tests.suites.makers import OPEN


def marked(metric: str, text: str, *answers: str, **meta: str) -> tuple[str | None, float]:
    """The answer found in a text, and its score."""
    sample = dataclasses.replace(OPEN, format="x", metric=metric, answers=answers, meta=meta)
    found = mark(sample, text, "stop")
    return found.extracted, found.score


def test_the_tables_of_packs_and_of_metrics_agree() -> None:
    named = {metric for kind in FORMATS.values() for metric in kind.metrics}
    assert named <= set(METRICS)
    assert set(WHOLE) <= named
    assert set(RULE_WORDS) == set(RULES)
    assert set(LANGUAGES) == set(YES_NO)
    assert set(KNOWN) == set(UNITS)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("3.2 bar", 1.0),
        ("3.3 bar", 1.0),  # the bound is within
        ("3.31 bar", 0.0),
        ("The gauge shows about 3.25 bar.", 1.0),
        ("320 kPa", 1.0),
        ("0.32 MPa", 1.0),
        ("46.4 psi", 1.0),  # 46.4 x 6894.757 Pa = 3.1992 bar
        ("44 psi", 0.0),  # 3.0337 bar
        ("3.2 bar (46 psi)", 1.0),
        ("46 psi, that is 3.2 bar", 1.0),
        ("First 9 bar, no: the answer is 3.2 bar.", 1.0),
        ("3.2", 0.0),  # no unit
        ("3.2 V", 0.0),
        ("3,2 bar", 1.0),
        ("**3.2 bar**", 1.0),
        ("3.2bar", 1.0),
        ("-3.2 bar", 0.0),
    ],
)
def test_a_pressure(text: str, score: float) -> None:
    assert marked("quantity", text, "3.2 bar", unit="bar", tolerance="0.1")[1] == score


@pytest.mark.parametrize(
    ("unit", "gold", "text"),
    [
        ("mm", "25.4", "1 in"), ("cm", "2.54", "1 inch"), ("m", "0.0254", "25.4 millimetres"),
        ("in", "100", "2.54 m"), ("C", "37", "98.6 F"), ("F", "212", "100 °C"),
        ("K", "273.15", "32 degrees Fahrenheit"), ("C", "-40", "-40 F"), ("g", "453.59237", "1 lb"),
        ("kg", "0.45359237", "1 pound"), ("mV", "1500", "1.5 V"), ("A", "0.25", "250 mA"),
        ("%", "45", "45 %"), ("%", "45", "45 percent"), ("pcs", "7", "7 pieces"),
        ("l", "0.5", "500 mL"), ("rpm", "1450", "1450 RPM"), ("bpm", "72", "72 beats per minute"),
        ("mmHg", "760", "101.325 kPa"),
    ],
)  # fmt: skip
def test_units_convert(unit: str, gold: str, text: str) -> None:
    # 760 mmHg is 101.325 kPa to five parts in ten million; the others are exact.
    allowed = {"tolerance": "0.001"} if unit == "mmHg" else {}
    assert marked("quantity", text, gold, unit=unit, **allowed)[1] == 1.0


def test_a_bare_number_counts_where_the_unit_is_not_required() -> None:
    free = {"unit": "pcs", "unit_required": "false"}
    assert marked("quantity", "There are 7.", "7", **free) == ("7", 1.0)
    assert marked("quantity", "I count seven", "7", **free) == ("7", 1.0)
    assert marked("quantity", "There are 7 in the box", "7", **free)[1] == 1.0  # no inches
    assert marked("quantity", "7 kg", "7", **free) == ("7 kg", 0.0)
    assert marked("quantity", "8", "7", "8", **free)[1] == 1.0
    assert marked("quantity", "about 41", "40", relative_tolerance="0.025")[1] == 1.0
    assert marked("quantity", "about 41.01", "40", relative_tolerance="0.025")[1] == 0.0


def test_no_quantity_is_not_a_wrong_one() -> None:
    sample = dataclasses.replace(OPEN, metric="quantity", meta={"unit": "bar"})
    found = mark(sample, "The gauge is dirty.", "stop")
    assert (found.status, found.cause) == ("unparsed", "quantity finds no answer in it")
    assert mark(sample, "I cannot read the gauge, 3 bar", "stop").extracted is None
    with pytest.raises(UserError, match="unit 'furlong' is not known"):
        marked("quantity", "3", "3", unit="furlong")


LABELS = {"labels": "scratch\ndent\ndeep scratch\nrust", "none": "none"}


@pytest.mark.parametrize(
    ("text", "given", "f1"),
    [
        ("scratch, dent", "dent, scratch", 1.0),
        ("Dent and scratch.", "dent, scratch", 1.0),
        ("- scratch\n- dent", "dent, scratch", 1.0),
        ('["scratch", "dent"]', "dent, scratch", 1.0),
        ("scratch", "scratch", 2 / 3),
        ("scratch, rust", "rust, scratch", 1 / 2),
        ("scratch, dent, rust", "dent, rust, scratch", 4 / 5),
        ("deep scratch, dent", "deep scratch, dent", 1 / 2),
        ("scratch, dent, hole", "dent, hole, scratch", 4 / 5),  # no label, and wrong
        ("none", "none", 0.0),
        ("I can see a scratch on the left and there is a dent below.", "dent, scratch", 1.0),
        ("I can see a scratch on the left, but there is no dent anywhere.", "scratch", 2 / 3),
        ("The answer is: scratch, dent", "dent, scratch", 1.0),
    ],
)
def test_labels(text: str, given: str, f1: float) -> None:
    found, score = marked("label_set_f1", text, "scratch, dent", **LABELS)
    assert found == given
    assert score == pytest.approx(f1)
    assert marked("label_set", text, "scratch, dent", **LABELS)[1] == float(f1 == 1.0)


def test_no_label_is_an_answer_too() -> None:
    assert marked("label_set_f1", "None.", "none", **LABELS) == ("none", 1.0)
    assert marked("label_set_f1", "dent", "none", **LABELS) == ("dent", 0.0)
    assert marked("label_set_f1", "", "none", **LABELS)[0] is None
    assert marked("label_set_f1", "I see a nice picture of a new part here", "none", **LABELS) == (
        None, 0.0,
    )  # fmt: skip
    assert marked("label_set", "keine", "none", labels="dent", none="keine")[1] == 0.0
    assert marked("label_set", "keine", "keine", labels="dent", none="keine") == ("keine", 1.0)


@pytest.mark.parametrize(
    ("text", "iou"),
    [
        ("10, 10, 30, 30", 1.0),
        ("[10, 10, 30, 30]", 1.0),
        ("10,10,30,30", 1.0),
        ("(10, 10), (30, 30)", 1.0),
        ('{"x1": 10, "y1": 10, "x2": 30, "y2": 30}', 1.0),
        ("The rust is at [10, 20, 30, 40].", 1 / 3),  # 200 of 600
        ("20, 20, 40, 40", 1 / 7),  # 100 of 700
        ("15, 15, 25, 25", 1 / 4),
        ("40, 40, 50, 50", 0.0),
        ("30, 30, 10, 10", 0.0),  # inside out
        ("10, 10, 10, 30", 0.0),  # flat
        ("0, 0, 60, 60, then the answer is 10, 10, 30, 30", 1.0),
        ("100,100,300,300", 0.0),
    ],
)
def test_a_box(text: str, iou: float) -> None:
    assert marked("box_iou", text, "10, 10, 30, 30")[1] == pytest.approx(iou)
    for bound in ("0.25", "0.5"):
        hit = marked("box_hit", text, "10, 10, 30, 30", iou=bound)[1]
        assert hit == float(iou >= float(bound))


def test_boxes_by_width_and_in_shares() -> None:
    assert marked("box_iou", "10, 10, 20, 20", "10, 10, 20, 20", corners="xywh")[1] == 1.0
    # From (10, 10) to (30, 30) and from (20, 10) to (40, 30): 200 of 600.
    wide = marked("box_iou", "20, 10, 20, 20", "10, 10, 20, 20", corners="xywh")[1]
    assert wide == pytest.approx(1 / 3)
    assert marked("box_iou", "0.1, .2, 0.5, 0.4", "0.1, 0.2, 0.5, 0.4")[1] == 1.0
    assert marked("box_iou", "in the corner", "1, 2, 3, 4") == (None, 0.0)
    assert marked("box_iou", "1, 2, 3", "1, 2, 3, 4") == (None, 0.0)


FIELDS = json.dumps(
    {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "ward": {"type": "string", "enum": ["A", "B"]},
        "weight": {"type": "number", "tolerance": 0.5},
    }
)
GOLD = '{"name": "Ada", "age": 34, "ward": "A", "weight": 61.0}'


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (GOLD, 1.0),
        (f"Here you are:\n```json\n{GOLD}\n```", 1.0),
        ('{"name": "ADA.", "age": 34, "ward": "a", "weight": 61.5}', 1.0),
        ('{"name": "Ada", "age": 34.0, "ward": "A", "weight": 61}', 1.0),
        ('{"name": "Ada", "age": "34", "ward": "A", "weight": 61}', 3 / 4),  # a text is no number
        ('{"name": "Ada", "age": 34, "ward": "C", "weight": 61.51}', 2 / 4),
        ('{"name": "Ada", "age": 34}', 2 / 4),
        ('{"name": "Ada", "age": 34, "ward": "A", "weight": 61, "sex": "F"}', 4 / 5),
        ('{"name": "Ada", "age": true, "ward": null, "weight": []}', 1 / 4),
        ("{}", 0.0),
    ],
)
def test_an_object(text: str, share: float) -> None:
    assert marked("json_fields", text, GOLD, fields=FIELDS)[1] == pytest.approx(share)
    assert marked("json_exact", text, GOLD, fields=FIELDS)[1] == float(share == 1.0)


@pytest.mark.parametrize(
    "text",
    ["", "name: Ada", "[1, 2]", '{"name": "Ada"', '{"a": 1, "a": 2}', '{"a": NaN}',
     "{" * 20_000, '{"a":' * 9 + "1" + "}" * 9, "{'name': 'Ada'}", "{" + "9" * 5000 + "}"],
)  # fmt: skip
def test_no_object(text: str) -> None:
    assert marked("json_fields", text, GOLD, fields=FIELDS) == (None, 0.0)
    assert find_object(text) is None


def test_the_last_of_several_objects_and_lists_without_order() -> None:
    assert find_object('{"a": 1} and then {"a": {"b": 2}}') == {"a": {"b": 2}}
    assert find_object('{"a": "}{", "b": "\\"{"}') == {"a": "}{", "b": '"{'}
    fields = json.dumps({"tags": {"type": "list"}, "ok": {"type": "boolean"}})
    gold = '{"tags": ["x", "y"], "ok": true}'
    assert marked("json_fields", '{"tags": ["Y", "x"], "ok": true}', gold, fields=fields)[1] == 1.0
    assert marked("json_fields", '{"tags": ["x"], "ok": false}', gold, fields=fields)[1] == 0.0


@pytest.mark.parametrize(
    ("rule", "value", "obeying", "breaking"),
    [
        ("one_word", "", ["red", "Red.", "blue-green", "l'eau"], ["dark red", "the\nred", "?"]),
        ("max_words", "2", ["red", "dark red"], ["a dark red"]),
        ("upper_case", "", ["RED", "RED 7!"], ["Red", "red", "77", "是"]),
        ("lower_case", "", ["red", "red, 7"], ["Red", "RED", "7"]),
        ("digits_only", "", ["7", "042"], ["7.", "seven", "-7", "٣"]),
        ("json_only", "", ['{"a": 1}', "[1]", ' {"a": [1, {"b": null}]}\n'],
         ["Sure: {}", '```json\n{"a": 1}\n```', "{'a': 1}", "7", '{"a": 1} ok']),
        ("list_of", "3", ["- a\n- b\n- c", "1. a\n2. b\n\n3. c"],
         ["- a\n- b", "- a\n- b\n- c\n- d", "Here:\n- a\n- b\n- c", "a, b, c"]),
        ("comma_list_of", "3", ["a, b, c", "a,b,c"], ["a, b", "a, b, c, d", "a, , c", "a,\nb, c"]),
        ("yes_no_in", "de", ["ja", "Nein.", "JA!"], ["yes", "ja, ein Kreis", "oui"]),
        ("yes_no_in", "es", ["sí", "no"], ["si", "yes"]),
        ("yes_no_in", "ja", ["はい", "いいえ。"], ["yes"]),
        ("starts_with", "Answer:", ["Answer: red"], ["answer: red", "The Answer: red"]),
        ("ends_with", "Over.", ["Red. Over."], ["Red. Over"]),
        ("without", "e", ["a big lion"], ["a tree", "THE END"]),
    ],
)  # fmt: skip
def test_rules(rule: str, value: str, obeying: list[str], breaking: list[str]) -> None:
    for text in obeying:
        assert marked("obeys", text, "x", rule=rule, value=value)[1] == 1.0, text
    for text in breaking:
        assert marked("obeys", text, "x", rule=rule, value=value)[1] == 0.0, text


def test_obeying_and_being_right_are_two_things() -> None:
    facts = {"rule": "yes_no_in", "value": "de"}
    assert marked("obeys_and_right", "Ja.", "ja", **facts)[1] == 1.0
    assert marked("obeys_and_right", "nein", "ja", **facts)[1] == 0.0
    assert marked("obeys_and_right", "yes", "ja", **facts)[1] == 0.0
    assert marked("obeys", "nein", "ja", **facts)[1] == 1.0
    assert marked("obeys", " \n", "ja", **facts)[0] is None
    with pytest.raises(UserError, match="no rule is called 'shout'"):
        marked("obeys", "x", "x", rule="shout")


@pytest.mark.parametrize(
    ("metric", "gold"),
    [("quantity", "many"), ("box_iou", "B"), ("box_hit", "1, 2"), ("json_fields", "1")],
)
def test_an_accepted_answer_that_is_none_is_named(metric: str, gold: str) -> None:
    with pytest.raises(UserError, match=r"sample t/0: .* is no "):
        marked(metric, '{"a": 1, "b": 2, "c": 3, "d": 4}', gold)


@pytest.mark.parametrize("metric", sorted(WHOLE))
@pytest.mark.parametrize(
    "text",
    ["", "\0", "\ud800", "9" * 100_000, "{" * 50_000, "1, " * 50_000, "- " * 50_000, "ja" * 50_000,
     '{"a": 1e999}', "½ ٣ ３", "a," * 50_000, "\x1b[31m3 bar", "e" * 100_000],
)  # fmt: skip
def test_any_text_is_marked(metric: str, text: str) -> None:
    meta = {
        "unit": "bar", "labels": "a\nb", "fields": '{"a": {"type": "number"}}', "rule": "list_of",
        "value": "3",
    }  # fmt: skip
    text = text if len(text) < 1000 else text * 10  # a megabyte is read in linear time
    gold = '{"a": 1}' if metric.startswith("json") else "1, 2, 3, 4"
    assert 0.0 <= marked(metric, text, gold, **meta)[1] <= 1.0
