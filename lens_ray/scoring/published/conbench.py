"""ConBench: three forms of one question an image, all three right (ConScore_D).

The publisher's rule for the letter fails with an exception on an empty answer; here that is no
answer and wrong.
"""

from __future__ import annotations

from lens_ray.scoring.distance import levenshtein
from lens_ray.scoring.published.letter import as_letter
from lens_ray.scoring.published.mme import in_first_four
from lens_ray.suites.sample import Sample

#: An open answer is right from this similarity on; a distance from `_FAR` on is no similarity.
_SIMILAR, _FAR = 0.4, 0.95


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The answer and its mark, by the sample's format; three make a group (`Metric.group`)."""
    text = text.replace("\n", "").lower()
    gold = sample.answers[0].lower()
    if sample.format == "true_false":
        answer = in_first_four(text)
        return answer, float(answer == gold)
    if sample.format == "multiple_choice":
        first = text.replace(" ", "")[:1]
        return as_letter(sample, first), float(first == gold)
    return text.strip() or None, open_mark(text, gold)


def open_mark(answer: str, gold: str) -> float:
    """1 where an open answer equals the accepted one or is similar enough to it."""
    return float(answer == gold or similarity(answer, gold, _FAR) >= _SIMILAR)


def similarity(answer: str, gold: str, threshold: float) -> float:
    """ANLS: 1 - normalised edit distance, 0 where that reaches the threshold.

    Case and runs of space do not count.
    """
    left, right = (" ".join(text.strip().lower().split()) for text in (answer, gold))
    # The publisher measures the length in capitals, where a letter may be two.
    longest = max(len(left.upper()), len(right.upper()))
    if longest == 0:
        return 1.0
    if abs(len(left) - len(right)) / longest >= threshold:
        return 0.0
    distance = levenshtein(left, right) / longest
    return 1 - distance if distance < threshold else 0.0
