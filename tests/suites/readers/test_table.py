"""Values of the kind that is asked, and list literals that are never evaluated."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import SuiteError
from lens_ray.suites.readers import table
from lens_ray.suites.readers.table import as_kind, check_columns, list_literal
from lens_ray.suites.sources.base import Kind


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=6))
def test_a_list_of_texts_is_read_as_python_reads_it(texts: list[str]) -> None:
    assert list(list_literal(repr(texts))) == texts == ast.literal_eval(repr(texts))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("[]", ()),
        ("[ ]", ()),
        ("['a', \"b\"]", ("a", "b")),
        ("['a', ]", ("a",)),
        ("[1, -2.5, None, True]", ("1", "-2.5", "None", "True")),
        ('["it\'s", \'say "x"\']', ("it's", 'say "x"')),
        (r"['\u00e9\n']", ("é\n",)),
        (r"['\frac { X }']", ("\frac { X }",)),
        ("['a,b', '[c]']", ("a,b", "[c]")),
    ],
)
def test_list_literals(text: str, items: tuple[str, ...]) -> None:
    assert list_literal(text) == items


@pytest.mark.parametrize(
    "text",
    [
        "[__import__('os').system('true')]", "['a' + 'b']", "[['a']]", "[('a',)]", "['a' 'b']",
        "['a'] * 9", "[f'{1}']", "[a]", "['a", "['a',,'b']", "[" * 100_000 + "]", "['a']; 1]",
        "[lambda: 1]", "['\\x']", "[b'a']",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="literal"):
        list_literal(text)


def test_limits_of_a_literal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_ITEMS", 3)
    assert list_literal("[1, 2, 3]") == ("1", "2", "3")
    with pytest.raises(ValueError, match="more than 3 items"):
        list_literal("[1, 2, 3, 4]")
    monkeypatch.setattr(table, "MAX_LITERAL", 8)
    with pytest.raises(ValueError, match="of 9 characters; too large"):
        list_literal("[1, 2, 3]")


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        (None, "string", None),
        ("a", "string", "a"),
        (7, "string", "7"),
        (7, "integer", 7),
        (" 1000007 ", "integer", 1000007),
        ("7.0", "integer", 7),
        (7.0, "integer", 7),
        ("x", "strings", ("x",)),
        ("['x', 'y']", "strings", ("x", "y")),
        (["x", None, 3], "strings", ("x", "3")),
    ],
)
def test_values(value: object, kind: Kind, read: object) -> None:
    assert as_kind(value, kind, lambda: "here") == read


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("x", "integer", "here: holds 'x' (str), not a whole number"),
        (7.5, "integer", "here: holds 7.5 (float), not a whole number"),
        (True, "integer", "not a whole number"),
        ([1], "string", "here: holds [1] (list), not text"),
        (True, "string", "not text"),
        ({"a": 1}, "strings", "not a list of texts"),
        ([["x"]], "strings", "not text"),
        ("[os]", "strings", "unsafe list literal"),
    ],
)
def test_wrong_values_are_named(value: object, kind: Kind, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        as_kind(value, kind, lambda: "here")
    assert message in str(caught.value)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(
        SuiteError, match="f: column 'category' is missing; the nearest is 'categry'"
    ):
        check_columns(("categry", "image"), ["category"], "f")
