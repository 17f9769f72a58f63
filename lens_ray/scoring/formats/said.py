"""What a text says its answer is, for formats that then read it in their own way: `said`."""

from __future__ import annotations

from lens_ray.scoring.extract import extract


def said(text: str) -> str | None:
    """The declared answer, else the whole text; None where it is empty or a refusal."""
    return extract(text, "open", (), "stop").answer
