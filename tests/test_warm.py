"""`WarmEvaluator` without a Ray; with one it is tried in ``tests/chaos/test_warm.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.warm import WarmEvaluator
from tests.warm_stage import ask


def test_a_suite_without_the_ability_is_one_clear_line(tmp_path: Path) -> None:
    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", abilities=("smell",))
    with pytest.raises(SuiteError, match="smell"):
        ask(one, 100)
    one.close()
