from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import mean

import numpy as np
import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.digest import suite_digest
from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.mini import (
    SIZES,
    SUBTASKS,
    Dealer,
    build_mini,
    frozen_digests,
    generate,
    train_stream,
)
from lens_ray.suites.mini.ocr import CODE_CHANCE, PLACES
from lens_ray.suites.sample import ABILITIES, FORMATS, Sample
from lens_ray.suites.templates import render

Built = dict[str, tuple[tuple[Sample, ...], dict[str, Pixels]]]
EVEN = dict.fromkeys(ABILITIES, 1.0)
KEYS = [spec.key for spec in SUBTASKS]


@pytest.fixture(scope="module")
def built() -> Built:
    return {size: build_mini(size) for size in SIZES}


def of(samples: Iterable[Sample], subtask: str) -> list[Sample]:
    return [sample for sample in samples if sample.subtask == subtask]


def test_digests_are_the_frozen_ones(built: Built) -> None:
    found = {f"mini:{size}": suite_digest(*built[size]) for size in SIZES}
    assert found == frozen_digests()


def test_the_digest_does_not_depend_on_the_process() -> None:
    code = (
        "from lens_ray.suites.mini import build_mini\n"
        "from lens_ray.suites.digest import suite_digest\n"
        "print(suite_digest(*build_mini('quick')))"
    )
    env = os.environ | {"PYTHONHASHSEED": "77"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    assert run.stdout.strip() == frozen_digests()["mini:quick"]


def test_sizes_and_their_even_spread(built: Built) -> None:
    for size, expected in (("quick", 600), ("full", 6000), ("confirm", 12000)):
        samples, _ = built[size]
        assert abs(len(samples) / expected - 1) < 0.03
        counts = Counter(sample.subtask for sample in samples)
        assert set(counts) == set(KEYS)
        assert max(counts.values()) - min(counts.values()) <= 3


def test_three_subtasks_an_ability_that_differ_in_format() -> None:
    for ability in ABILITIES:
        specs = [spec for spec in SUBTASKS if spec.ability == ability]
        assert len(specs) == 3
        assert {spec.format for spec in specs} == set(FORMATS)
        assert len({spec.domain for spec in specs}) == 3
    assert {spec.metric for spec in SUBTASKS} >= {
        "exact", "relaxed_numeric", "edit_similarity", "all_right",
    }  # fmt: skip


def test_no_two_subtasks_share_renderer_and_template() -> None:
    pairs = [(spec.renderer, template) for spec in SUBTASKS for template in spec.templates]
    assert len(set(pairs)) == len(pairs)


def test_no_image_is_in_two_sizes_or_in_training(built: Built) -> None:
    held = [set(images) for _, images in built.values()]
    for one, other in itertools.combinations(held, 2):
        assert not one & other
    suites = set().union(*held)
    trained: set[str] = set()
    for seed in (0, 1):
        for sample, images in itertools.islice(train_stream(seed, EVEN), 2500):
            assert sample.images == tuple(image_hash(image) for image in images)
            trained.update(sample.images)
    assert len(trained) > 5000
    assert not trained & suites


def test_samples_differ_between_and_within_sizes(built: Built) -> None:
    samples = [sample for made, _ in built.values() for sample in made]
    assert len({sample.sample_id for sample in samples}) == len(samples)
    assert len({sample.content_digest() for sample in samples}) == len(samples)


def test_every_sample_is_well_formed(built: Built) -> None:
    samples, images = built["full"]
    used = {image for sample in samples for image in sample.images}
    assert used == set(images)
    for image in images.values():
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
    for sample in samples:
        assert "{" not in sample.question
        assert sample.split in ("anchor", "search", "sealed")
        assert sample.source == "mini"
        if sample.format == "multiple_choice":
            assert 2 <= len(set(sample.choices)) == len(sample.choices) <= 6
            assert sample.answers[0] in "ABCDEF"[: len(sample.choices)]
            assert sample.chance == 1 / len(sample.choices)
        elif sample.format == "true_false":
            assert sample.answers[0] in ("yes", "no")
            assert sample.chance == 1 / 2
    words = max(len(render(sample).split()) for sample in samples)
    assert words <= 40


def test_what_the_suite_must_contain(built: Built) -> None:
    samples, _ = built["full"]
    options = {len(s.choices) for s in samples if s.format == "multiple_choice"}
    assert options == {2, 3, 4, 5, 6}
    assert any(len(sample.images) == 2 for sample in samples)
    clusters = Counter(s.cluster_id for s in samples if s.variant is None and s.group_id is None)
    assert sum(count > 1 for count in clusters.values()) > 300


def test_rotations_are_all_there_and_move_the_answer_once_through(built: Built) -> None:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in of(built["full"][0], "attribute_shapes"):
        assert sample.group_id is not None
        groups[sample.group_id].append(sample)
    for members in groups.values():
        count = len(members[0].choices)
        assert len(members) == count
        assert {s.answers[0] for s in members} == set("ABCDEF"[:count])
        right = {s.choices["ABCDEF".index(s.answers[0])] for s in members}
        assert len(right) == 1
        assert len({frozenset(s.choices) for s in members}) == 1
        assert [s.variant for s in members] == [f"rot{turn}" for turn in range(count)]
        assert len({(s.cluster_id, s.images, s.question) for s in members}) == 1


# Nothing to be had without looking. Every test below marks answers by its own few lines.


def distance(one: str, other: str) -> int:
    """Levenshtein, straight from the definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_any_code_of_the_right_form_earns_the_chance_level() -> None:
    rng = random.Random(4)
    codes = ["".join(code) for code in itertools.product(*PLACES)]
    for guess in rng.sample(codes, 3):
        earned = mean(1 - distance(guess, code) / 3 for code in codes)
        assert earned == pytest.approx(CODE_CHANCE, abs=1e-12)
    for guess in ("AAA", "222", "BBB", "2A2", "B2", "A2BC", "2BA"):
        length = max(3, len(guess))
        earned = mean(1 - distance(guess, code) / length for code in codes)
        assert earned <= CODE_CHANCE + 1e-12


def blind_score(samples: list[Sample], guess: dict[str, str]) -> list[float]:
    """What a guess for each question earns, one number a cluster."""
    clusters: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        said = guess.get(sample.question, "")
        right = sample.answers[0]
        if sample.metric == "edit_similarity":
            mark = 1 - distance(said, right) / max(len(said), len(right))
        else:
            mark = float(said == right)
        clusters[sample.cluster_id].append(mark - sample.chance)
    return [mean(marks) for marks in clusters.values()]


@pytest.fixture(scope="module")
def learned() -> dict[str, dict[str, Counter[str]]]:
    """Answers by question wording in 900 training items a subtask: what a blind model learns."""
    seen: dict[str, dict[str, Counter[str]]] = {}
    for spec in SUBTASKS:
        table: dict[str, Counter[str]] = defaultdict(Counter)
        for sample, _ in itertools.islice(train_stream(9, {spec.key: 1}), 900):
            table[sample.question][sample.answers[0]] += 1
        seen[spec.key] = table
    return seen


@pytest.mark.parametrize("key", KEYS)
def test_the_best_answer_of_training_earns_no_more_than_chance(
    built: Built, learned: dict[str, dict[str, Counter[str]]], key: str
) -> None:
    samples = of(built["confirm"][0], key)
    modes = {question: seen.most_common(1)[0][0] for question, seen in learned[key].items()}
    marks = blind_score([s for s in samples if s.question in modes], modes)
    assert len(marks) > 100
    error = np.std(marks) / len(marks) ** 0.5
    assert abs(mean(marks)) <= 3.5 * error + 1e-9


@pytest.mark.parametrize("key", KEYS)
def test_answers_are_balanced(built: Built, key: str) -> None:
    samples = of(built["confirm"][0], key)
    by_options: dict[int, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        by_options[len(sample.choices)][sample.answers[0]] += 1
    for count, answers in by_options.items():
        if samples[0].metric == "edit_similarity":
            for place in range(3):
                chars = Counter(code[place] for code in answers.elements())
                assert max(chars.values()) - min(chars.values()) <= 1
        else:
            assert len(answers) == (count or round(1 / samples[0].chance))
            # Decks are dealt out whole, but for the last one of each; that of the cells is long.
            slack = 10 if key == "grounding_cell" else 2
            assert max(answers.values()) - min(answers.values()) <= slack


@pytest.mark.parametrize("key", ["attribute_kitchen", "grounding_map"])
def test_members_of_a_pair_are_independent(built: Built, key: str) -> None:
    pairs: dict[str, list[str]] = defaultdict(list)
    for sample in of(built["confirm"][0], key):
        assert sample.metric == "all_right"
        assert sample.group_id is not None
        pairs[sample.group_id].append(sample.answers[0])
    counts = Counter(tuple(answers) for answers in pairs.values())
    assert set(counts) == set(itertools.product(("yes", "no"), repeat=2))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_five_percent_never_reach_the_neighbour(built: Built) -> None:
    values = sorted({float(s.answers[0]) for s in of(built["confirm"][0], "structured_gauge")})
    assert len(values) == 10
    for one, other in itertools.permutations(values, 2):
        assert abs(one - other) > 0.05 * other


def test_the_shown_options_do_not_tell_the_answer(built: Built) -> None:
    """The rank of the right option among the numbers or strings shown is uniform."""
    for key in ("counting_shelf", "ocr_parcel", "structured_bars"):
        ranks: dict[int, Counter[int]] = defaultdict(Counter)
        for sample in of(built["confirm"][0], key):
            right = sample.choices["ABCDEF".index(sample.answers[0])]
            ranks[len(sample.choices)][sorted(sample.choices).index(right)] += 1
        for count, seen in ranks.items():
            total = sum(seen.values())
            spread = sum((seen[r] - total / count) ** 2 / (total / count) for r in range(count))
            assert spread < 22  # the 0.0001 level of chi-square with up to 4 degrees of freedom


# The images show what the answers say.


def colour_mask(
    image: Pixels, colour: tuple[int, int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    away = np.abs(image.astype(int) - np.array(colour)).max(axis=2)
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = away < 24
    return mask


def test_the_highest_bar_is_the_highest(built: Built) -> None:
    from lens_ray.suites.mini.raster import COLOURS

    samples, images = built["full"]
    checked = 0
    for sample in of(samples, "structured_bars"):
        if sample.meta["level"] != "0":
            continue
        heights = {
            name: int(colour_mask(images[sample.images[0]], COLOURS[name]).sum(axis=0).max())
            for name in sample.choices
        }
        chosen = max(heights, key=heights.__getitem__)
        if "lowest" in sample.question:
            chosen = min(heights, key=heights.__getitem__)
        assert chosen == sample.choices["ABCDEF".index(sample.answers[0])]
        checked += 1
    assert checked > 50


def test_the_code_can_be_read_off_the_label(built: Built) -> None:
    from lens_ray.suites.mini.font import glyph

    samples, images = built["full"]
    checked = 0
    for sample in of(samples, "ocr_label"):
        if sample.meta["level"] != "0":
            continue
        dark = images[sample.images[0]].max(axis=2) < 60
        found = [
            (y, x)
            for y in range(64 - 14)
            for x in range(64 - 34)
            if all(
                np.array_equal(dark[y : y + 14, x + 12 * i : x + 12 * i + 10], glyph(char, 2))
                for i, char in enumerate(sample.answers[0])
            )
        ]
        assert len(found) == 1
        checked += 1
    assert checked > 50


# The training stream.


def test_the_stream_is_reproducible_and_its_seeds_differ() -> None:
    def first(seed: int) -> list[Sample]:
        return [sample for sample, _ in itertools.islice(train_stream(seed, EVEN), 50)]

    assert first(3) == first(3)
    assert not {s.images for s in first(3)} & {s.images for s in first(4)}


def test_what_is_shown_decides_a_yes_no_question_of_the_stream() -> None:
    asked: Counter[str] = Counter()
    mix = {spec.key: 1.0 for spec in SUBTASKS if spec.format == "true_false"}
    for sample, _ in itertools.islice(train_stream(4, mix), 1500):
        seen, question, answer = sample.meta["shown"].split(), sample.question, sample.answers[0]
        if sample.subtask in ("entity_pair", "grounding_map") or "are there more" in question:
            one, other = seen
            if sample.subtask == "entity_pair":
                truth = one == other
            elif sample.subtask == "grounding_map":
                if one == other:
                    continue  # too near each other for the grid in which it is said
                truth = int(one) < int(other)
            else:
                truth = int(one) > int(other)
        else:
            (one,) = seen
            truth = one in question.removesuffix("?").split()
            if sample.subtask == "structured_table":
                truth = question.startswith(f"is {one} in ")
        assert answer == ("yes" if truth else "no"), (sample.question, seen)
        asked[sample.subtask] += 1
    assert len(asked) == 6
    assert min(asked.values()) > 100


def test_no_suite_tells_what_is_shown(built: Built) -> None:
    assert not any("shown" in sample.meta for samples, _ in built.values() for sample in samples)


def test_the_mix_is_kept() -> None:
    mix = {"counting": 2.0, "ocr_label": 1.0, "entity": 1.0, "entity_pair": 0.0}
    seen = Counter(sample.subtask for sample, _ in itertools.islice(train_stream(1, mix), 4000))
    assert set(seen) == {
        "counting_shapes", "counting_shelf", "counting_yard", "ocr_label", "entity_badge",
        "entity_faces",
    }  # fmt: skip
    assert abs(seen["ocr_label"] / 4000 - 0.25) < 0.03
    assert abs(seen["counting_shelf"] / 4000 - 1 / 6) < 0.03
    assert abs(seen["entity_badge"] / 4000 - 0.125) < 0.03


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"countng": 1.0}, "nearest is 'counting'"),
        ({"ocr": -1.0}, "must be 0 or more"),
        ({"ocr": float("nan")}, "must be 0 or more"),
        ({"ocr": 0.0}, "every weight is 0"),
        ({}, "every weight is 0"),
    ],
)
def test_a_wrong_mix_is_an_error(mix: dict[str, float], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        next(train_stream(0, mix))


def test_generate_takes_a_plain_random_and_a_dealer() -> None:
    for key in KEYS:
        one, other = (generate(key, random.Random(5)) for _ in range(2))
        assert [image_hash(i) for i in one.images] == [image_hash(i) for i in other.images]
        assert one.questions == other.questions
    dealer = Dealer(1)
    answers = Counter(generate("ocr_panel", dealer).questions[0].answer for _ in range(40))
    assert answers == {"yes": 20, "no": 20}
    with pytest.raises(SuiteError, match="nearest is 'ocr_panel'"):
        generate("ocr_pannel", dealer)
    with pytest.raises(SuiteError, match="mini has no size 'huge'"):
        build_mini("huge")


def test_the_frozen_file_names_every_size() -> None:
    assert set(frozen_digests()) == {f"mini:{size}" for size in SIZES}
    assert json.dumps(frozen_digests()).isascii()
