"""What the task of `lmms_task.py` names by ``!function``; copied beside its YAML.

It runs in lmms-eval's environment and knows nothing of lens-ray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Doc = Mapping[str, Any]


def images(doc: Doc) -> list[Any]:
    """The pictures of a question, in order (decoded by ``datasets``)."""
    names = sorted(name for name in doc if name.startswith("image_"))
    return [doc[name] for name in names if doc[name] is not None]


def text(doc: Doc) -> str:
    """The rendered prompt."""
    return str(doc["prompt"])


def target(doc: Doc) -> str:
    """The first of the accepted answers."""
    return str(doc["answers"][0])


def messages(doc: Doc) -> list[dict[str, Any]]:
    """One turn of the user: the pictures, then the text."""
    content: list[dict[str, Any]] = [{"type": "image", "url": image} for image in images(doc)]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text(doc)}]}]


def results(doc: Doc, answers: Sequence[str]) -> dict[str, float]:
    """Marks as plain as they can be: the benchmark compares texts, not scores."""
    return {"exact": float(answers[0].strip() in doc["answers"])}


def mean(marks: Sequence[float]) -> float:
    """The aggregation of `results`."""
    return sum(marks) / len(marks)
