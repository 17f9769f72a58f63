"""OCRBench: right if an accepted answer occurs in the text.

Handwritten expressions (data set HME100k) are compared without spaces. The reference lower-cases
the text but not their accepted answers (`read`), so that a capital can never be found; the rule
as lmms-eval has it now (`contains`) leaves the case of both and folds full-width letters.
"""

from __future__ import annotations

from lens_ray.suites.sample import Sample

#: The data set (``meta["dataset"]``) of handwritten expressions.
EXPRESSIONS = "HME100k"
_FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The text and its mark, as the reference marks it."""
    return _mark(sample, text.lower().strip(), text, folded=False)


def contains(sample: Sample, text: str) -> tuple[str | None, float]:
    """The text behind any reasoning, and its mark, as lmms-eval marks it now."""
    text = text.rpartition("</think>")[2]
    return _mark(sample, text.strip(), text, folded=True)


def _mark(sample: Sample, given: str, text: str, *, folded: bool) -> tuple[str | None, float]:
    form = _folded if folded else _flat
    if sample.meta.get("dataset") == EXPRESSIONS:
        form = _unspaced
    where = form(given)
    right = any(form(gold) in where for gold in sample.answers)
    return text.strip() or None, float(right)


def _flat(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _folded(text: str) -> str:
    return _flat(text.translate(_FULL_WIDTH))


def _unspaced(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")
