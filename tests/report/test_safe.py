from __future__ import annotations

import base64
import hashlib
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from lens_ray.report.safe import content_policy, script_json, visible, visible_line
from tests.report.makers import HOSTILE

ANY = st.text(alphabet=st.characters(), max_size=80)


@given(ANY)
def test_visible_text_holds_no_control_character(text: str) -> None:
    shown = visible(text)
    assert all(letter in "\n\t" or ord(letter) >= 0x20 for letter in shown)
    assert not re.search("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode("utf-8")


@given(ANY)
def test_a_line_is_a_line(text: str) -> None:
    assert len(visible_line(text).splitlines()) <= 1


def test_signs_of_control_characters() -> None:
    assert visible("a\0b\x1b[31m\x7f\r\n\tc\x85") == "a␀b␛[31m␡\n\tc\\u0085"
    assert visible_line("a\n\tb") == "a␊␉b"
    assert visible("\ud800 and \u202e") == "\\ud800 and \\u202e"
    assert visible("plain ä 漢 🙂") == "plain ä 漢 🙂"


@given(st.recursive(ANY | st.none() | st.integers() | st.booleans(),
                    lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)))  # fmt: skip
def test_json_survives_and_cannot_end_a_script(value: object) -> None:
    text = script_json(value)
    assert not set(text) & set("<>&\u2028\u2029")
    text.encode("utf-8")
    assert json.loads(text) == json.loads(json.dumps(value))


def test_hostile_texts_survive_as_data() -> None:
    text = script_json(dict(HOSTILE))
    assert json.loads(text) == dict(HOSTILE)
    assert "</" not in text
    assert "<!--" not in text


def test_the_policy_allows_one_style_and_one_script() -> None:
    digest = base64.b64encode(hashlib.sha256(b"let a;").digest()).decode()
    policy = content_policy("a{}", "let a;").split("; ")
    assert policy[0] == "default-src 'none'"
    assert f"script-src 'sha256-{digest}'" in policy
    assert not any("unsafe" in rule or "http" in rule or "*" in rule for rule in policy)
