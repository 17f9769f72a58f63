"""What is said of the keys that nodes have; the nodes are asked in ``tests/cli/test_doctor.py``."""

from __future__ import annotations

import pytest

from lens_ray.engine.keys_on_nodes import verdict
from lens_ray.models import ModelSpec

SPEC = ModelSpec(name="m", backend="openai", path="gpt-4.1")
LACKING = "no key: set OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("found", "ok", "said"),
    [
        ({"a": "key 1", "b": "key 1"}, True, "the same key on all 2"),
        ({"a": "key 1", "b": "key 2", "c": "key 1"}, False, "2 different keys: key 1 on 2, key 2"),
        ({"a": "key 1", "b": LACKING}, False, f"b: {LACKING}"),
        ({"a": LACKING, "b": LACKING, "c": "key 1"}, False, f"a (and 1 more): {LACKING}"),
    ],
)
def test_what_is_said_of_nodes(found: dict[str, str], ok: bool, said: str) -> None:
    held = verdict(SPEC, found)
    assert held.ok is ok
    assert held.found.startswith(said)
