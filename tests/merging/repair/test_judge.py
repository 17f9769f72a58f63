"""What a repair is judged to be, on marks made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lens_ray.merging.repair import judge
from lens_ray.stats.marks import Marks
from lens_ray.suites.sample import ABILITIES
from tests.stats.fields import field_of


def marks(**right: int) -> Marks:
    """600 samples of all abilities in turn; each model has the first so many right, of 100 each."""
    place = np.arange(600) // 6
    names = [ABILITIES[number % 6] for number in range(600)]
    scores = {model: (place < count).astype(float) for model, count in right.items()}
    return field_of(scores, ability=names, subtask=names)


def test_better_than_the_merge_and_worse_than_what_was_continued() -> None:
    """Of 600 samples 60 are won against the merge (0.60 to 0.50), 120 lost to the continued."""
    found = judge(
        marks(repaired=60, merge=50, continued=80, final=60),
        "repaired", merge="merge", continued="continued", final="final",
    )  # fmt: skip
    assert [one.other for one in found.against] == ["merge", "continued", "final"]
    assert [one.word for one in found.against] == ["better", "worse", "no difference shown"]
    assert [one.overall.difference for one in found.against] == pytest.approx([0.1, -0.2, 0.0])
    assert found.against[1].lost() == ABILITIES
    assert found.against[0].lost() == ()
    assert found.says[0].startswith("repaired against merge: better (+0.1000 [+0.0")
    assert "would be found 8 times in 10" in found.says[2]


def test_only_what_was_made_is_compared() -> None:
    found = judge(marks(repaired=60, merge=50), "repaired", merge="merge")
    assert [one.other for one in found.against] == ["merge"]


def test_one_ability_lost_is_said_beside_a_gain() -> None:
    field = marks(repaired=70, merge=50)
    score = field.score.copy()
    mine = np.array([name == "ocr" for name in (field.strata[s][0] for s in field.stratum)])
    score[field.models.index("repaired"), mine] = 0.0
    from dataclasses import replace

    found = judge(replace(field, score=score), "repaired", merge="merge")
    assert found.against[0].lost() == ("ocr",)
    assert found.says[0].endswith("it loses ocr")
