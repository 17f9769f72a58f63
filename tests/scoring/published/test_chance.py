"""Random guessing scores 0 and all-right answers exactly 1, for every source in both markings."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest

from lens_ray.scoring.mark import mark
from lens_ray.stats.scores import subtask_scores
from lens_ray.suites.sample import Sample
from tests.scoring.published.makers import LETTERS, sample

THINGS = ("red", "blue", "dog", "two cats", "left of it", "a car", "Paris", "none of them")
#: Default preset's metric by published one; ConBench has one a form.
ROBUST = {
    "mme": "yes_no_pairs", "seed_bench": "exact", "mirb": "numeric", "mmstar": "exact",
    "muirbench": "exact", "ocrbench": "contains", "synthdog": "nted", "mmbench": "all_right",
    "chartqa": "relaxed_numeric", "ai2d": "exact",
}  # fmt: skip
SIZE = 150


def _mme(rng: random.Random, n: int) -> list[Sample]:
    return [sample("mme", gold, kind="true_false", name=f"{n}-{gold}", group=f"mme/{n}", chance=0.5)
            for gold in ("yes", "no")]  # fmt: skip


def _choice(source: str, fewest: int, most: int) -> Callable[[random.Random, int], list[Sample]]:
    def make(rng: random.Random, n: int) -> list[Sample]:
        options = rng.sample(THINGS, rng.randint(fewest, most))
        gold = LETTERS[rng.randrange(len(options))]
        return [sample(source, gold, options, name=str(n), chance=1 / len(options))]

    return make


def _mmbench(rng: random.Random, n: int) -> list[Sample]:
    """All rotations of one question, of 2 to 4 options."""
    options = rng.sample(THINGS, rng.randint(2, 4))
    many = len(options)
    right = rng.randrange(many)
    return [
        sample("mmbench", LETTERS[(right - turn) % many], [*options[turn:], *options[:turn]],
               name=f"{n}-{turn}", group=f"mmbench/{n}", chance=1 / many)
        for turn in range(many)
    ]  # fmt: skip


def _open(source: str, gold: Callable[[random.Random], str]) -> Callable[..., list[Sample]]:
    def make(rng: random.Random, n: int) -> list[Sample]:
        text = gold(rng)
        return [sample(source, text, name=str(n), dataset="svt")]

    return make


def _synthdog(rng: random.Random, n: int) -> list[Sample]:
    gold = " ".join(rng.choice(THINGS) for _ in range(8)).title()
    capitals = sum(letter.isupper() for letter in gold)
    # What the published rule can give at most: every capital is one edit, the keys another.
    upper = 1 - (1 + capitals) / (1 + len(gold))
    return [sample("synthdog", gold, name=str(n), upper=upper)]


def _conbench(rng: random.Random, n: int) -> list[Sample]:
    group, thing = f"conbench/{n}", rng.choice(THINGS)
    return [
        sample("conbench", rng.choice(["yes", "no"]), kind="true_false", name=f"{n}-1", group=group,
               chance=0.5),
        sample("conbench", rng.choice("ABCD"), THINGS[:4], name=f"{n}-2", group=group, chance=0.25),
        sample("conbench", thing, name=f"{n}-3", group=group),
    ]  # fmt: skip


MAKERS: dict[str, Callable[[random.Random, int], list[Sample]]] = {
    "mme": _mme,
    "seed_bench": _choice("seed_bench", 4, 4),
    "mirb": _open("mirb", lambda rng: str(rng.randint(0, 12))),
    "mmstar": _choice("mmstar", 4, 4),
    "muirbench": _choice("muirbench", 2, 7),
    "ocrbench": _open("ocrbench", lambda rng: rng.choice(THINGS)),
    "synthdog": _synthdog,
    "mmbench": _mmbench,
    "chartqa": _open("chartqa", lambda rng: str(rng.randint(1, 500))),
    "ai2d": _choice("ai2d", 4, 4),
    "conbench": _conbench,
}


def robust(one: Sample) -> Sample:
    """The same question with the default preset's marking."""
    metric = ROBUST.get(one.source)
    if metric is None:
        metric = "triples_right" if one.format == "open" else "all_right"
    return dataclasses.replace(one, metric=metric, upper=1.0)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Every source twice, as a sub-metric with each marking."""
    made: list[Sample] = []
    for source, make in MAKERS.items():
        rng = random.Random(source)
        for one in (each for n in range(SIZE) for each in make(rng, n)):
            for kind, marked in (("published", one), ("default", robust(one))):
                made.append(
                    dataclasses.replace(
                        marked, sample_id=f"{kind}-{one.sample_id}", subtask=f"{source}_{kind}",
                        cluster_id=f"{kind}-{one.cluster_id}",
                        group_id=one.group_id and f"{kind}-{one.group_id}",
                    )
                )  # fmt: skip
    return made


def table(samples: list[Sample], scores: list[float]) -> pa.Table:
    names = (
        "sample_id",
        "ability",
        "subtask",
        "chance",
        "upper",
        "metric",
        "cluster_id",
        "group_id",
    )
    columns = {name: [getattr(one, name) for one in samples] for name in names}
    return pa.table(columns | {"status": ["ok"] * len(samples), "score": scores})


def guesses(one: Sample) -> list[str]:
    """What a guesser that sees no image draws from, each as likely."""
    if one.format == "true_false":
        return ["Yes", "No"]
    if one.format == "multiple_choice":
        return list(LETTERS[: len(one.choices)])
    # One of very many things that it is not.
    return ["987654321"] if one.source in ("mirb", "chartqa") else ["zzz"]


def test_all_right_is_exactly_one(samples: list[Sample]) -> None:
    texts = [{"yes": "Yes", "no": "No"}.get(one.answers[0], one.answers[0]) for one in samples]
    marks = [mark(one, text, "stop").score for one, text in zip(samples, texts, strict=True)]
    found = subtask_scores(table(samples, marks))
    assert len(found) == 2 * len(MAKERS)
    assert {one.subtask: one.corrected for one in found} == {one.subtask: 1.0 for one in found}


def guessed(samples: list[Sample], seeds: range) -> Iterator[dict[str, tuple[float, bool]]]:
    """Corrected score by sub-metric, and whether its interval holds 0, of each seed's guesser."""
    marks = [[mark(one, text, "stop").score for text in guesses(one)] for one in samples]
    many = np.array([len(each) for each in marks])
    for seed in seeds:
        drawn = (np.random.default_rng(seed).random(len(samples)) * many).astype(int).tolist()
        scores = [each[place] for each, place in zip(marks, drawn, strict=True)]
        result: dict[str, tuple[float, bool]] = {}
        for one in subtask_scores(table(samples, scores)):
            assert one.corrected is not None
            assert one.ci is not None
            result[one.subtask] = one.corrected, one.ci[0] <= 0.0 <= one.ci[1]
        yield result


def test_guessing_scores_nothing(samples: list[Sample]) -> None:
    """Each 95 % interval is to hold 0 in 95 % of 200 seeds: 190, give or take 3 (one sigma)."""
    runs = list(guessed(samples, range(200)))
    for name in runs[0]:
        scores = np.array([run[name][0] for run in runs])
        error = scores.std(ddof=1) / len(runs) ** 0.5
        # 3.5 standard errors: 22 sub-metrics, 1 % in all.
        assert abs(scores.mean()) <= 3.5 * error + 1e-12, (name, scores.mean(), error)
        held = float(np.mean([run[name][1] for run in runs]))
        assert held >= 0.9, (name, held)
