"""The shipped packs: sound, the same on every build, and with the chance levels that they say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lens_ray.cli.main import main
from lens_ray.errors import SuiteError
from lens_ray.scoring.mark import mark
from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.packs import build_pack, load_pack, notices
from lens_ray.suites.packs.build import SHIPPED
from lens_ray.suites.packs.demo import DEMOS, factory
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, check_suite, load_suite


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    home = tmp_path_factory.mktemp("home")
    return {name: load_suite(f"pack:{name}", home=home) for name in SHIPPED}


def test_there_are_five_and_they_are_sound(suites: dict[str, Suite]) -> None:
    assert list(suites) == [
        "instruction_following", "logistics", "manufacturing", "medical", "reasoning",
    ]  # fmt: skip
    for name, suite in suites.items():
        assert suite.name == name
        assert check_suite(suite) == []
        counts = [n for subtasks in suite.info.counts.values() for n in subtasks.values()]
        assert all(20 <= count <= 60 for count in counts)


def test_they_hold_what_the_issue_names(suites: dict[str, Suite]) -> None:
    subtasks = {
        name: {subtask for each in suite.info.counts.values() for subtask in each}
        for name, suite in suites.items()
    }
    assert subtasks["manufacturing"] == {
        "defect", "defect_kind", "defect_region", "gauge_reading", "part_count", "part_label",
    }  # fmt: skip
    assert subtasks["logistics"] == {
        "parcel_label", "barcode_text", "parcel_damage", "pallet_count", "package_identity",
    }  # fmt: skip
    assert subtasks["medical"] == {"device_display", "form_reading", "laterality"}
    assert "Not for clinical use" in notices(suites["medical"])[0]
    assert notices(suites["logistics"]) == []


def test_show_prints_what_one_must_know(
    suites: dict[str, Suite], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suite", "show", suites["medical"].location]) == 0
    assert capsys.readouterr().out.startswith("notice    Not for clinical use.")
    assert main(["suite", "show", suites["logistics"].location]) == 0
    assert "notice" not in capsys.readouterr().out


def test_a_second_build_finds_the_first(suites: dict[str, Suite], tmp_path: Path) -> None:
    suite = suites["medical"]
    home = Path(suite.location).parent.parent
    assert load_suite("pack:medical", home=home).location == suite.location
    assert load_suite(f"medical@{suite.digest[:12]}", home=home) == suite
    again = build_pack("pack:medical", tmp_path / "copy")
    assert again.digest == suite.digest
    assert load_suite(str(tmp_path / "copy")).digest == suite.digest
    for wrong in ("pack:medicl", "medicl"):
        with pytest.raises(SuiteError, match="pack:medical"):
            load_suite(wrong, home=home)


def right(sample: Sample) -> str:
    """A text that answers a sample rightly, in its own form."""
    texts = {
        "one_word": "Red", "upper_case": "RED", "json_only": "{}", "max_words": "a shape",
        "list_of": "- a\n- b\n- c", "without": "a shap",
    }  # fmt: skip
    rule = sample.meta.get("rule", "")
    if rule in texts:
        return texts[rule]
    unit = sample.meta.get("unit", "")
    text = sample.answers[0]
    return f"{text} {unit}" if unit and not text.endswith(unit) else text


def test_all_right_is_exactly_one_and_silence_is_nothing(suites: dict[str, Suite]) -> None:
    for suite in suites.values():
        for sample in suite.samples:
            assert mark(sample, right(sample), "stop").score == 1.0, sample.sample_id
            assert mark(sample, "", "stop").score == 0.0


def best_constant(sample: Sample, golds: list[str], guesses: list[str]) -> float:
    """What the best answer that is always the same earns over these accepted answers."""
    import dataclasses

    samples = [dataclasses.replace(sample, answers=(gold,)) for gold in golds]
    return max(
        sum(mark(each, guess, "stop").score for each in samples) / len(samples) for guess in guesses
    )


def one_of(suite: Suite, subtask: str) -> Sample:
    return next(sample for sample in suite.samples if sample.subtask == subtask)


def test_chance_of_what_is_drawn_evenly(suites: dict[str, Suite]) -> None:
    factory_, stock = suites["manufacturing"], suites["logistics"]
    readings = [f"{half / 2:g} bar" for half in range(21)]
    damage = ["none", "tear", "dent", "wet", "tear, dent", "tear, wet", "dent, wet",
              "tear, dent, wet"]  # fmt: skip
    counts = [str(count) for count in range(2, 10)]
    for sample, golds in (
        (one_of(factory_, "gauge_reading"), readings),
        (one_of(factory_, "part_count"), counts),
        (one_of(stock, "pallet_count"), counts),
        (one_of(stock, "parcel_damage"), damage),
    ):
        found = best_constant(sample, golds, golds)
        assert sample.chance == pytest.approx(found, abs=6e-5)


def test_chance_of_a_region() -> None:
    side, places = factory.REGION, range(64 - factory.REGION + 1)

    def overlap(low: Fraction, size: int, place: int) -> Fraction:
        return max(min(low + size, Fraction(place + side)) - max(low, Fraction(place)), Fraction(0))

    def hits(wide: int, high: int) -> int:
        """Places at which a box of this size in the middle overlaps by half."""
        across = [overlap(Fraction(64 - wide, 2), wide, x) for x in places]
        down = [overlap(Fraction(64 - high, 2), high, y) for y in places]
        return sum(
            a * b * 3 >= wide * high + side * side for a, b in product(across, down)
        )  # a b / (w h + s s - a b) >= 1/2  # fmt: skip

    best = max(hits(wide, high) for wide in range(16, 32) for high in range(16, wide + 1))
    pack = load_pack("pack:manufacturing").pack
    stated = next(subtask.chance for subtask in pack.subtasks if subtask.name == "defect_region")
    assert stated == pytest.approx(best / len(places) ** 2, abs=1e-3)


def test_chance_of_the_twins(suites: dict[str, Suite]) -> None:
    # The order (3 to 9) is drawn first, then whether it can be filled, then the count.
    counts: Counter[int] = Counter()
    for needed, enough in product(range(3, 10), (True, False)):
        able = range(needed, 10) if enough else range(2, needed)
        for count in able:
            counts[count] += 1 / 14 / len(able)  # type: ignore[assignment]
    assert one_of(suites["reasoning"], "order_seen").chance == pytest.approx(
        max(counts.values()), abs=1e-4
    )
    readings = [0.0] * 21
    for bound, over in product(range(2, 19), (True, False)):
        able = range(bound + 1, 21) if over else range(bound)
        for half in able:
            readings[half] += 1 / 34 / len(able)
    # The tolerance is one step, so a guess holds three of them.
    three = max(sum(readings[max(0, half - 1) : half + 2]) for half in range(21))
    assert one_of(suites["reasoning"], "limit_seen").chance == pytest.approx(three, abs=1e-4)
    sums = Counter(a + b for a, b in product(range(1, 10), repeat=2))
    assert one_of(suites["reasoning"], "sum_found").chance == pytest.approx(
        max(sums.values()) / 81, abs=1e-4
    )


@pytest.mark.parametrize(
    ("demo", "bit"),
    [
        ("plate", lambda row: row["verdict"] == "NOK"),
        ("parcel_pair", lambda row: row["same"] == "yes"),
        ("sides", lambda row: row["side"] == "left"),
        ("order", lambda row: row["enough"] == "yes"),
        ("limit", lambda row: row["over"] == "yes"),
    ],
)
def test_two_way_answers_are_even(demo: str, bit: Callable[[dict[str, object]], bool]) -> None:
    dealer = Dealer(1)
    assert sum(bit(dict(DEMOS[demo](dealer))) for _ in range(40)) == 20


def test_a_question_says_nothing_of_its_answer() -> None:
    for demo, answer in (("order", "enough"), ("limit", "over")):
        dealer = Dealer(2)
        said: dict[float, list[bool]] = {}
        for _ in range(2000):
            row = DEMOS[demo](dealer)
            number = re.search(r"[0-9.]+[0-9]|[0-9]", str(row["question"]))
            assert number is not None
            said.setdefault(float(number[0]), []).append(row[answer] == "yes")
        shares = [sum(values) / len(values) for values in said.values()]
        # 2,000 draws over at most 17 numbers: within 4 standard errors of 1/2.
        smallest = min(map(len, said.values()))
        assert max(abs(share - 0.5) for share in shares) < 4 * 0.5 / smallest**0.5


def test_pictures_are_of_one_size_and_differ() -> None:
    for name, draw in DEMOS.items():
        dealer = Dealer(3)
        rows = [draw(dealer) for _ in range(5)]
        pictures = [
            value for row in rows for value in row.values() if isinstance(value, np.ndarray)
        ]
        assert {picture.shape for picture in pictures} == {(64, 64, 3)}, name
        assert len({picture.tobytes() for picture in pictures}) == len(pictures)
