"""Data sets in the published schemas of AbilityLens' eleven sources, made here and not copied.

``python -m lens_ray.testing.abilitylens_data OUT [--full]`` writes one folder a data set as the hub
serves them, the 500-row subsets, and VLMEvalKit's tables of those that have one. Pictures are drawn
and texts composed from a seed; the answers are true of the pictures.

``scenes`` draws and asks; ``first`` and ``second`` know the rows of each source; ``layout`` writes
files.
"""

from __future__ import annotations

from lens_ray.testing.abilitylens_data.layout import generate

__all__ = ["generate"]
