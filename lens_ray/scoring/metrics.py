"""How an extracted answer is compared with the accepted ones: `METRICS`, `score`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import EntryPoint
from typing import Literal

from lens_ray.errors import UserError
from lens_ray.registry import Registry
from lens_ray.scoring.distance import levenshtein as levenshtein
from lens_ray.scoring.formats import WHOLE
from lens_ray.scoring.numbers import Number, find_numbers, whole_number
from lens_ray.scoring.plain import normalise, plain, squeeze
from lens_ray.scoring.published import (
    ai2d,
    chartqa,
    conbench,
    mirb,
    mmbench,
    mme,
    mmstar,
    muirbench,
    ocrbench,
    seed_bench,
    synthdog,
)
from lens_ray.suites.sample import Sample

GROUP = "lens_ray.metrics"
#: `relaxed_numeric` accepts this relative error, bounds included (ChartQA).
TOLERANCE = Decimal("0.05")
#: `anls` gives 0 from this normalised edit distance on.
ANLS_THRESHOLD = 0.5
#: `edit_similarity` gives 0 to answers longer than this and ten times the accepted one.
_RAMBLING = 1000


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to mark an answer.

    Attributes:
        name: Its name in suites and rows.
        mark: The score, 0 to 1, of an answer against one accepted answer.
        numeric: Whether a number is to be extracted from an open answer.
        group: How samples of one group count as one: ``all`` by their worst score (all rotations
            right), ``mean_and_all`` by the middle of their mean and their worst (MME's acc and
            acc+); None where each counts for itself.
        whole: Where it is given, it reads and marks the raw text of a sample by itself, as its
            publisher does: the answer found (None where there is none) and the score. Neither
            `lens_ray.scoring.extract` nor ``mark`` is asked then.
    """

    name: str
    mark: Callable[[str, str], float]
    numeric: bool = False
    group: Literal["all", "mean_and_all"] | None = None
    whole: Callable[[Sample, str], tuple[str | None, float]] | None = None


def _load(entry: EntryPoint, known: Container[str]) -> Metric:
    """A metric of another package: a `Metric`, or a function of answer and accepted answer."""
    if entry.name in known:
        raise UserError(
            f"metric {entry.name!r} of entry point {entry.value!r} exists already: "
            "rename it in the package that declares it"
        )
    found = entry.load()
    return found if isinstance(found, Metric) else Metric(entry.name, found)


def _exact(answer: str, gold: str) -> float:
    return float(normalise(answer) == normalise(gold))


def _numbers(answer: str, gold: str) -> tuple[Number, Number] | None:
    """The answer's last number and the gold number, or None where one of them is none."""
    target = whole_number(gold)
    found = list(find_numbers(plain(answer))) if target is not None else []
    return (found[-1], target) if target is not None and found else None


def _pairs(given: Number, target: Number) -> Iterator[tuple[Decimal, Decimal]]:
    """The readings to compare: a percent sign on one side only may mean hundredths."""
    if given.percent == target.percent:
        yield given.value, target.value
        return
    for left in given.readings():
        for right in target.readings():
            yield left, right


def _numeric(answer: str, gold: str) -> float:
    numbers = _numbers(answer, gold)
    if numbers is None:
        return _exact(answer, gold)
    return float(any(left == right for left, right in _pairs(*numbers)))


def _relaxed_numeric(answer: str, gold: str) -> float:
    numbers = _numbers(answer, gold)
    if numbers is None:
        return _exact(answer, gold)
    return float(
        any(abs(left - right) <= TOLERANCE * abs(right) for left, right in _pairs(*numbers))
    )


def _anls(answer: str, gold: str) -> float:
    return conbench.similarity(answer, gold, ANLS_THRESHOLD)


def _edit_similarity(answer: str, gold: str) -> float:
    left, right = squeeze(answer), squeeze(gold)
    longest = max(len(left), len(right))
    if longest == 0:
        return 1.0
    if len(left) > max(_RAMBLING, 10 * len(right)):
        return 0.0
    return 1.0 - levenshtein(left, right) / longest


#: Each reads the raw text as its benchmark's publisher does (`lens_ray.scoring.published`).
_PUBLISHED = (
    Metric("mme", _exact, group="mean_and_all", whole=mme.read),
    Metric("seed_bench", _exact, whole=seed_bench.read),
    Metric("mirb", _exact, whole=mirb.read),
    Metric("mmstar", _exact, whole=mmstar.read),
    Metric("mmstar_ranked", _exact, whole=mmstar.read_ranked),
    Metric("muirbench", _exact, whole=muirbench.read),
    Metric("ocrbench", _exact, whole=ocrbench.read),
    Metric("synthdog", _exact, whole=synthdog.read),
    Metric("mmbench", _exact, group="all", whole=mmbench.read),
    Metric("chartqa", _exact, whole=chartqa.read),
    Metric("ai2d", _exact, whole=ai2d.read),
    Metric("conbench", _exact, group="all", whole=conbench.read),
)

_BUILTIN = (
    Metric("exact", _exact),
    Metric("numeric", _numeric, numeric=True),
    Metric("relaxed_numeric", _relaxed_numeric, numeric=True),
    Metric("edit_similarity", _edit_similarity),
    Metric("all_right", _exact, group="all"),
    Metric("anls", _anls),
    Metric("yes_no_pairs", _exact, group="mean_and_all"),
    Metric("triples_right", conbench.open_mark, group="all"),
    Metric("contains", _exact, whole=ocrbench.contains),
    Metric("nted", _exact, whole=synthdog.nted),
    *_PUBLISHED,
    *(Metric(name, _exact, whole=whole) for name, whole in WHOLE.items()),
)

#: Every metric by name: the built-in ones and those of the entry points ``lens_ray.metrics``.
METRICS: Mapping[str, Metric] = Registry({metric.name: metric for metric in _BUILTIN}, GROUP, _load)


def find_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UserError: No such metric; the nearest name is given.
    """
    try:
        return METRICS[name]
    except KeyError:
        near = difflib.get_close_matches(name, list(METRICS), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(METRICS))}"
        raise UserError(f"metric {name!r} is unknown: {hint}") from None


def score(metric: str, answer: str | None, answers: Sequence[str]) -> float:
    """The mark of an answer: its best over the accepted ones.

    Args:
        metric: Name in `METRICS`.
        answer: The extracted answer; None earns 0.
        answers: The accepted answers, at least one.

    Returns:
        A score from 0 to 1.

    Raises:
        UserError: The metric is unknown, or gave something that is no score.
    """
    mark = find_metric(metric).mark
    if answer is None:
        return 0.0
    return checked(metric, max(float(mark(answer, gold)) for gold in answers))


def checked(metric: str, earned: float) -> float:
    """A score that a metric gave.

    Raises:
        UserError: It is none.
    """
    if math.isnan(earned) or not 0.0 <= earned <= 1.0:
        raise UserError(f"metric {metric!r} gave {earned!r}: a score lies between 0 and 1")
    return earned
