"""Thirty rows marked by hand: every figure is worked out here by plain arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction as F

import pyarrow as pa

from lens_ray.stats.pool import make_pool
from lens_ray.stats.scores import AbilityScore, ability_scores, subtask_scores
from tests.stats.tables import row, table

#: counting/parity: eight yes/no questions on four images, chance 1/2.
PARITY = [("p0", 1, "i0"), ("p1", 1, "i0"), ("p2", 1, "i1"), ("p3", 0, "i1"), ("p4", 1, "i2"),
          ("p5", 1, "i2"), ("p6", 0, "i3"), ("p7", 1, "i3")]  # fmt: skip
#: counting/choice: six questions with 2 to 4 options.
CHOICE = [("c0", 1, 2), ("c1", 0, 3), ("c2", 1, 4), ("c3", 1, 4), ("c4", 0, 4), ("c5", 1, 3)]
#: counting/rotated: three groups of two rotations of two options; the last lost one to the engine.
ROTATED = [("r0", 1, "g0"), ("r1", 1, "g0"), ("r2", 1, "g1"), ("r3", 0, "g1"), ("r4", 1, "g2"),
           ("r5", None, "g2")]  # fmt: skip
#: ocr/label: five edit similarities with an upper bound below 1.
LABEL = [("l0", 1.0), ("l1", 0.75), ("l2", 0.5), ("l3", 0.0), ("l4", 0.875)]
#: ocr/number: five numbers; best constant answer 1/10; a refusal and an unparsed one are wrong.
NUMBER = [("n0", 1, "ok"), ("n1", 0, "refused"), ("n2", 0, "unparsed"), ("n3", 1, "ok"),
          ("n4", 0, "truncated")]  # fmt: skip

WEIGHTS = {
    "counting": {"parity": 8.0, "choice": 6.0, "rotated": 6.0},
    "ocr": {"label": 0.5, "number": 0.5},
}
EXPECTED = {"counting": 20, "ocr": 10}


def thirty() -> pa.Table:
    rows = [row(s, "counting", "parity", v, chance=0.5, cluster=c) for s, v, c in PARITY]
    rows += [row(s, "counting", "choice", v, chance=1 / k) for s, v, k in CHOICE]
    rows += [
        row(s, "counting", "rotated", v, chance=0.5, cluster=g, group=g, metric="all_right")
        for s, v, g in ROTATED
    ]
    rows += [row(s, "ocr", "label", v, upper=0.9, metric="edit_similarity") for s, v in LABEL]
    rows += [row(s, "ocr", "number", v, chance=0.1, status=t) for s, v, t in NUMBER]
    assert len(rows) == 30
    return table(rows)


POOL = make_pool(
    "hand", 3, "suite-1",
    {
        "m1": {"counting": {"parity": 0.2, "choice": 0.1, "rotated": 0.0},
               "ocr": {"label": 0.9, "number": 0.8}},
        "m2": {"counting": {"parity": 0.6, "choice": 0.5, "rotated": 0.4},
               "ocr": {"label": 0.3, "number": 0.2}},
        "m3": {"counting": {"parity": 1.0, "choice": 0.9, "rotated": 0.5},
               "ocr": {"label": 0.6, "number": 0.2}},
    },
)  # fmt: skip

# counting/parity: 6 of 8 right; (6/8 - 1/2) / (1 - 1/2) = 1/2.
PARITY_ACC, PARITY_COR = F(6, 8), F(1, 2)
# counting/choice: 4 of 6; BL = (1/2 + 1/3 + 1/4 + 1/4 + 1/4 + 1/3) / 6 = 23/72.
CHOICE_ACC, CHOICE_BL = F(4, 6), F(23, 72)
CHOICE_COR = (F(4, 6) - F(23, 72)) / (1 - F(23, 72))
# counting/rotated: groups g0 (all right) and g1 (not); g2 is incomplete. BL = 1/2 * 1/2.
ROTATED_ACC, ROTATED_COR = F(1, 2), (F(1, 2) - F(1, 4)) / (1 - F(1, 4))
# ocr/label: (1 + 3/4 + 1/2 + 0 + 7/8) / 5 = 25/40; UB = 9/10, BL = 0.
LABEL_ACC, LABEL_COR = F(25, 40), F(25, 40) / F(9, 10)
# ocr/number: 2 of 5; (2/5 - 1/10) / (9/10) = 1/3.
NUMBER_ACC, NUMBER_COR = F(2, 5), F(1, 3)

COUNTING_ACC = (8 * PARITY_ACC + 6 * CHOICE_ACC + 6 * ROTATED_ACC) / 20
COUNTING_COR = (8 * PARITY_COR + 6 * CHOICE_COR + 6 * ROTATED_COR) / 20
OCR_ACC, OCR_COR = (LABEL_ACC + NUMBER_ACC) / 2, (LABEL_COR + NUMBER_COR) / 2


def close(value: float | None, exact: F | float) -> bool:
    return value is not None and abs(value - float(exact)) < 1e-12


def test_the_fractions_are_the_ones_on_paper() -> None:
    assert F(25, 49) == CHOICE_COR
    assert F(13, 20) == COUNTING_ACC
    assert F(1, 5) + F(3, 10) * (F(25, 49) + F(1, 3)) == COUNTING_COR
    assert F(25, 36) == LABEL_COR


def test_subtasks() -> None:
    by_name = {score.subtask: score for score in subtask_scores(thirty())}
    exact: dict[str, tuple[int, int, int, F, F | int, F | int, F]] = {
        "parity": (8, 8, 4, PARITY_ACC, F(1, 2), 1, PARITY_COR),
        "choice": (6, 6, 6, CHOICE_ACC, CHOICE_BL, 1, CHOICE_COR),
        "rotated": (4, 2, 2, ROTATED_ACC, F(1, 4), 1, ROTATED_COR),
        "label": (5, 5, 5, LABEL_ACC, 0, F(9, 10), LABEL_COR),
        "number": (5, 5, 5, NUMBER_ACC, F(1, 10), 1, NUMBER_COR),
    }
    assert set(by_name) == set(exact)
    for name, (n, units, clusters, accuracy, chance, upper, corrected) in exact.items():
        score = by_name[name]
        assert (score.n, score.units, score.clusters) == (n, units, clusters)
        assert close(score.accuracy, accuracy)
        assert close(score.chance, chance)
        assert close(score.upper, upper)
        assert close(score.corrected, corrected)
        assert score.ci is not None
        assert score.ci[0] <= float(corrected) <= score.ci[1]


def scored(threshold: float) -> dict[str, AbilityScore]:
    scores = ability_scores(
        thirty(), weights=WEIGHTS, expected=EXPECTED, pool=POOL, coverage_threshold=threshold,
    )  # fmt: skip
    assert [score.ability for score in scores] == ["counting", "ocr", "overall"]
    return {score.ability: score for score in scores}


def test_abilities_and_overall() -> None:
    scores = scored(0.9)
    exact = {
        "counting": (18, F(18, 20), COUNTING_ACC, COUNTING_COR),
        "ocr": (10, F(10, 10), OCR_ACC, OCR_COR),
        "overall": (28, F(28, 30), (COUNTING_ACC + OCR_ACC) / 2, (COUNTING_COR + OCR_COR) / 2),
    }
    for ability, (n, coverage, accuracy, corrected) in exact.items():
        score = scores[ability]
        assert score.n == n
        assert close(score.coverage, coverage)
        assert close(score.accuracy, accuracy)
        assert close(score.corrected, corrected)
        assert score.ci_low is not None
        assert score.ci_high is not None
        assert score.ci_low <= float(corrected) <= score.ci_high
        assert score.pool == "hand@3"
        few = "dvs, res and tau: no interval: a subtask has fewer than 5 clusters"
        assert score.reason == (None if ability == "ocr" else few)


def sample_std(values: list[float]) -> float:
    middle = sum(values) / len(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


def test_stability() -> None:
    # Pool means and standard deviations (ddof 1), by hand.
    parity = (float(PARITY_COR) - 0.6) / 0.4
    choice = (float(CHOICE_COR) - 0.5) / 0.4
    rotated = (float(ROTATED_COR) - 0.3) / math.sqrt((0.09 + 0.01 + 0.04) / 2)
    counting_dvs = sample_std([parity, choice, rotated])
    # Ranks among m1..m3 and itself: parity 3rd (0.6 and 1.0 above 0.5), choice 2nd (0.9 above
    # 0.51), rotated 3rd (0.4 and 0.5 above 1/3): shares 2/3 and 1/3.
    counting_res = -(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3)
    label = (float(LABEL_COR) - 0.6) / 0.3
    number = (float(NUMBER_COR) - 0.4) / math.sqrt((0.16 + 0.04 + 0.04) / 2)
    ocr_dvs = sample_std([label, number])
    # label 2nd (0.9), number 2nd (0.8): one rank, no entropy.
    ocr_res = 0.0
    scores = scored(0.9)
    assert close(scores["counting"].dvs, counting_dvs)
    assert close(scores["counting"].res, counting_res)
    assert close(scores["ocr"].dvs, ocr_dvs)
    assert close(scores["ocr"].res, ocr_res)
    assert close(scores["overall"].dvs, (counting_dvs + ocr_dvs) / 2)
    assert close(scores["overall"].res, (counting_res + ocr_res) / 2)


def test_under_the_threshold_no_score_is_given() -> None:
    scores = scored(0.99)
    short, whole, overall = scores["counting"], scores["ocr"], scores["overall"]
    assert short.n == 18
    assert close(short.coverage, F(18, 20))
    assert short.reason == "coverage 0.9000 is below 0.99"
    assert overall.reason == "no score for counting"
    for score in (short, overall):
        figures = (score.accuracy, score.corrected, score.ci_low, score.ci_high)
        assert (*figures, score.dvs, score.res) == (None,) * 6
    assert close(whole.corrected, OCR_COR)
