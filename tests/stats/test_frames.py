"""Results as tables."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from lens_ray.errors import UserError
from lens_ray.stats.frames import Framed, frame_of


@dataclass(frozen=True, slots=True)
class Point(Framed):
    x: float
    reason: str | None = None


def test_one_row_with_the_columns_in_order() -> None:
    point = Point(0.5)
    assert point.rows() == [{"x": 0.5, "reason": None}]
    frame = point.to_frame()
    assert list(frame.columns) == ["x", "reason"]
    assert frame["x"].tolist() == [0.5]
    assert frame_of([{"x": 1}, {"x": 2}])["x"].tolist() == [1, 2]


def test_without_pandas_one_line_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="to_frame.. needs pandas; type pip install pandas"):
        Point(0.5).to_frame()
