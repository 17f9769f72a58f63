from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.stats.marks import NotComparable
from lens_ray.stats.side_by_side import marks_side_by_side
from tests.stats.stores import Asked, store_of

RIGHT = [1.0] * 8


@pytest.mark.parametrize("on", ["all", "common"])
def test_an_unfinished_run_cuts_nothing_where_nobody_named_it(tmp_path: Path, on: str) -> None:
    runs = {
        "b": Asked(RIGHT),
        "open": Asked(RIGHT[:3], committed=False),
        "a": Asked([0.0] * 8),
    }
    marks, left_out = marks_side_by_side(store_of(tmp_path, runs), None, suite=None, on=on)
    assert marks.models == ("a", "b")
    assert len(marks.ids) == 8
    assert [each.model for each in left_out] == ["open"]


def test_who_is_named_is_compared_or_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": Asked(RIGHT), "open": Asked(RIGHT[:3], committed=False)})
    with pytest.raises(NotComparable, match=r"open .* is not finished"):
        marks_side_by_side(store, ["a", "open"], suite=None, on="all")
    marks, left_out = marks_side_by_side(store, ["open", "a"], suite=None, on="common")
    assert marks.models == ("a", "open")
    assert len(marks.ids) == 3
    assert left_out == ()
