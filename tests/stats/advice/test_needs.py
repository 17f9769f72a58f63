"""Needs files: what they may say, and where every mistake is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.stats.advice import Needs, load_needs

ABILITIES = ("counting", "ocr", "attribute")


def mistake(folder: Path, text: str | bytes) -> str:
    path = folder / "needs.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        load_needs(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("weight: {ocr: 1}", ":1:1: weight: unknown key; did you mean 'weights'?"),
        ("weights:\n  ocr: much", ":2:8: weights.ocr: 'much' was found; write a number"),
        ("weights:\n  ocr: -1", ":2:3: weights: 'ocr' has a weight below 0; write 0 or more"),
        ("weights: {ocr: 1e308, counting: 1e308}", ":1:10: weights: 'ocr' has a weight above"),
        ("min_score: {ocr: -1e308}", ":1:12: min_score: 'ocr' has a score below -10"),
        ("weights: {ocr: 0}", ":1:10: weights: no weight is above 0"),
        ("weights: {ocr: .nan}", ":1:16: weights.ocr: "),
        ("min_score: {ocr: 80}", ":1:12: min_score: 'ocr' must reach 80.0, and the highest"),
        ("access: closed", ":1:9: access: 'closed' was found; write 'open'"),
        ("max_usd_per_1000: cheap", ":1:19: max_usd_per_1000: 'cheap' was found; write a number"),
        ("sure: 0.4", ":1:7: sure: "),
        ("on_site: 3", ":1:10: on_site: 3 was found; write true or false"),
        ("", ":1:1: the file is empty; write weights: "),
        ("- ocr", ":1:1: a needs file is a mapping"),
        ("weights: !!python/name:os.system x", ":1:10: the tag "),
        (b"\xff\xfe\x00", ": "),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line(tmp_path: Path, text: str | bytes, says: str) -> None:
    found = mistake(tmp_path, text)
    assert says in found


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_needs(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        load_needs("a\0b")


def test_the_example_of_the_repository() -> None:
    needs = load_needs(Path(__file__).parents[3] / "jobs" / "needs_counting_ocr.yaml")
    assert needs.weights_of(ABILITIES, ABILITIES) == {"counting": 0.5, "ocr": 0.5, "attribute": 0}


def test_weights() -> None:
    alike = Needs().weights_of((*ABILITIES, "defects"), ABILITIES)
    assert alike == {"counting": 1 / 3, "ocr": 1 / 3, "attribute": 1 / 3, "defects": 0}
    # Counting matters twice.
    twice = Needs(weights={"counting": 2, "others": 1}).weights_of(ABILITIES, ABILITIES)
    assert twice == {"counting": 0.5, "ocr": 0.25, "attribute": 0.25}
    only = Needs(weights={"ocr": 3}).weights_of(ABILITIES, ABILITIES)
    assert only == {"counting": 0, "ocr": 1, "attribute": 0}


@pytest.mark.parametrize("key", ["weights", "min_score"])
def test_an_ability_that_was_not_asked(key: str) -> None:
    needs = Needs.model_validate({key: {"countin": 0.5}})
    with pytest.raises(UserError, match=rf"needs: {key}.countin: .*did you mean 'counting'"):
        needs.weights_of(ABILITIES, ABILITIES)
    with pytest.raises(UserError, match="none is above 0 for an ability"):
        Needs(weights={"others": 1, "ocr": 0}).weights_of(("ocr",), ("ocr",))
