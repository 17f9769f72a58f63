"""What is written as YAML is read back as it was, here and by readers of YAML 1.1."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.job_yaml import read_yaml, write_yaml

#: Numbers and dates to one of the two readers (YAML 1.2 here, 1.1 in PyYAML), and others' oddities.
ODD = (
    "08", "8", "1e5", "12345e67", "1_000", "0x1f", "0o17", "1:30", "2026-01-01", "yes", "no", "on",
    "true", "Null", "~", "", ".5", "5.", "+.inf", ".nan", "=", "<<", "- a", "a: b", "# c", " d ",
)  # fmt: skip
numbers_as_text = st.from_regex(r"[-+]?[0-9._]{1,6}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
texts = numbers_as_text | st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)
plain = (
    texts | st.none() | st.booleans() | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert read_yaml(write_yaml({"name": text}).encode()).value == {"name": text}
    assert yaml.safe_load(write_yaml({"name": text})) == {"name": text}


@given(st.dictionaries(st.sampled_from("abc"), plain | st.lists(plain, max_size=3), max_size=3))
def test_values_survive(value: dict[str, object]) -> None:
    text = write_yaml({"first": 0, **value})
    read = read_yaml(text.encode()).value
    assert read == yaml.safe_load(text) == {"first": 0, **value}
    assert isinstance(read, dict)
    assert [type(one) for one in read.values()] == [int, *map(type, value.values())]


def test_keys_keep_their_order() -> None:
    assert write_yaml({"b": 1, "a": "é"}) == "b: 1\na: é\n"
