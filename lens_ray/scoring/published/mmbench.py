"""MMBench: an option letter among the words, else the one option whose text occurs.

The publisher asks GPT about what is left, and draws a letter at random where that fails three
times. Neither is done here: such an answer is unparsed, and wrong. All rotations of a question
make a group that is right if all are (`Metric.group`).
"""

from __future__ import annotations

from lens_ray.suites.sample import Sample

#: ``E`` is read as a letter whatever the number of options.
_LETTERS = "ABCDE"
#: A letter may stand among the words like this, in the order tried.
_AROUND = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."), (":", ""),
    (":", ","), (":", "."), (":", ")"), (":", ")."),
)  # fmt: skip
#: In an answer of more words, a lone ``A`` is an article.
_ARTICLE_FROM = 3
_FAILED = "Failed to obtain answer via API"


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark."""
    answer = by_letter(text) or by_option(text, _texts(sample))
    return answer, float(answer == sample.answers[0])


def by_letter(text: str) -> str | None:
    """The one letter among the words of a text."""
    if _FAILED in text:
        return None
    words = text.split()
    known = set(words)
    bare = [letter for letter in _LETTERS if letter in known]
    if len(bare) == 1 and not (bare == ["A"] and len(words) > _ARTICLE_FROM):
        return bare[0]
    for before, after in _AROUND:
        found = [letter for letter in _LETTERS if before + letter + after in known]
        if len(found) == 1:
            return found[0]
    return None


def by_option(text: str, texts: list[str]) -> str | None:
    """The letter of the one option whose text occurs anywhere, even within a word."""
    lower = text.lower()
    found = [letter for letter, option in zip("ABCD", texts, strict=False) if option in lower]
    return found[0] if len(found) == 1 else None


def _texts(sample: Sample) -> list[str]:
    """The option texts that the publisher looks for.

    The data set writes a missing option as ``nan``, which its prompt leaves out and its marking
    looks for, even within ``banana``.
    """
    texts = [choice.lower() for choice in sample.choices[:4]]
    if sample.meta.get("missing_option") == "nan":
        texts += ["nan"] * (4 - len(texts))
    return texts
