"""SynthDoG: normalised tree edit distance accuracy of a page of text.

Both trees are one path (root, key, text) and their keys differ, so the accuracy of the publisher
is max(0, 1 - (1 + d) / (1 + n)) for the edit distance d of the texts and the length n of the
accepted one (compared with zss in the peer tests). It lower-cases the answer alone, so capitals
and the keys cost even a perfect answer something (`read`); `nted` is 1 - d / n with both in
lower case, which a perfect answer brings to 1.
"""

from __future__ import annotations

from lens_ray.scoring.distance import levenshtein
from lens_ray.suites.sample import Sample

#: Donut marks leaves of its trees so; where a text holds it, it is taken out.
_LEAF = "<leaf>"


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The text and its mark, as the publisher marks it."""
    answer = text.lower().strip()
    return answer or None, _accuracy(answer, sample.answers[0].strip(), 1)


def nted(sample: Sample, text: str) -> tuple[str | None, float]:
    """The text behind any reasoning, and its mark without regard to case."""
    answer = text.rpartition("</think>")[2].lower().strip()
    return answer or None, _accuracy(answer, sample.answers[0].lower().strip(), 0)


def _accuracy(answer: str, gold: str, key: int) -> float:
    """1 - normalised distance, not below 0; ``key`` is what the differing keys cost."""
    answer, gold = answer.replace(_LEAF, ""), gold.replace(_LEAF, "")
    # At a distance of len(gold) nothing is left, and lengths alone bound the distance.
    if not answer or len(answer) >= 2 * len(gold):
        return 0.0
    return max(0.0, 1 - (key + levenshtein(answer, gold)) / (key + len(gold)))
