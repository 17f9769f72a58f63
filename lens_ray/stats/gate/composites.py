"""The figures that a policy is about: abilities, ``overall``, and its own composites."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.gate.policy import Policy, Scored
from lens_ray.stats.marks import Marks


def label_of(weights: Mapping[str, float]) -> str:
    """The name of a composite, such as ``2 counting + 1 ocr``."""
    return " + ".join(f"{weight:g} {name}" for name, weight in weights.items())


def figures_of(policy: Policy, marks: Marks) -> Figures:
    """The abilities, ``overall`` and the composites of a policy.

    A composite is the mean of the abilities' corrected scores by its weights.
    """
    plain = ability_figures(marks)
    composites = {
        label_of(rule.value.weights): rule.value.weights
        for rule in policy.rules
        if isinstance(rule.value, Scored) and rule.value.weights is not None
    }
    names, reasons = list(plain.names), dict(plain.reasons)
    slope, shift = [plain.slope], [plain.shift]
    for label, weights in composites.items():
        row = np.zeros(len(plain.names))
        for name, weight in weights.items():
            if name in plain.names:
                row[plain.names.index(name)] = weight / sum(weights.values())
        lacking = [name for name in weights if name not in plain.names or name in plain.reasons]
        if lacking:
            row[:] = 0.0
            reasons[label] = f"no score for {', '.join(lacking)}"
        names.append(label)
        slope.append((row @ plain.slope)[None])
        shift.append(np.array([row @ plain.shift]))
    return Figures(tuple(names), np.concatenate(slope), np.concatenate(shift), reasons)
