"""What a suite holds, counted, beside what is published: `facts_of`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.suite import Suite


@dataclass(frozen=True)
class SuiteFacts:
    """Counts of a suite.

    Attributes:
        sources: Source to ability to samples.
        abilities: Ability to samples.
        cells: (ability, domain, format) to samples, those that are not empty.
        ratio: Samples of the largest ability by those of the smallest.
        published_samples: What AbilityLens says of itself, for suites of its recipes.
        published_ratio: The same for `ratio`.
        notes: What is worth knowing and no fault: images that sources share.
    """

    sources: Mapping[str, Mapping[str, int]]
    abilities: Mapping[str, int]
    cells: Mapping[tuple[str, str, str], int]
    ratio: float
    published_samples: int | None
    published_ratio: float | None
    notes: tuple[str, ...]

    def formats(self) -> list[str]:
        """Formats that there are."""
        return sorted({kind for _, _, kind in self.cells})

    def domains_of(self, ability: str) -> list[str]:
        """Domains of an ability."""
        return sorted({domain for name, domain, _ in self.cells if name == ability})

    def possible(self) -> int:
        """Cells of ability by domain by format."""
        domains = {domain for _, domain, _ in self.cells}
        return len(self.abilities) * len(domains) * len(self.formats())

    def empty(self) -> int:
        """Those that hold no sample."""
        return self.possible() - len(self.cells)

    def as_json(self) -> Mapping[str, object]:
        """For ``--json``."""
        domains = sorted({domain for _, domain, _ in self.cells})
        return {
            "sources": self.sources,
            "abilities": self.abilities,
            "ratio": self.ratio,
            "published": None
            if self.published_samples is None
            else {"samples": self.published_samples, "ratio": self.published_ratio},
            "cells": [
                {"ability": ability, "domain": domain, "format": kind,
                 "samples": self.cells.get((ability, domain, kind), 0)}
                for ability in self.abilities for domain in domains for kind in self.formats()
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def facts_of(suite: Suite) -> SuiteFacts:
    """Count a suite's samples."""
    from lens_ray.suites.abilitylens import PUBLISHED_RATIO, PUBLISHED_SAMPLES

    sources: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in suite.samples:
        sources[sample.source][sample.ability] += 1
    counts = Counter(sample.ability for sample in suite.samples)
    known = [name for name in ABILITIES if name in counts]
    abilities = {name: counts[name] for name in (*known, *sorted(set(counts) - set(known)))}
    preset = suite.info.recipe.get("preset")
    return SuiteFacts(
        sources={name: dict(counter) for name, counter in sources.items()},
        abilities=abilities,
        cells=Counter((one.ability, one.domain, one.format) for one in suite.samples),
        ratio=max(abilities.values()) / min(abilities.values()),
        published_samples=PUBLISHED_SAMPLES if preset else None,
        published_ratio=PUBLISHED_RATIO if preset else None,
        notes=tuple(_shared(suite)),
    )


def _shared(suite: Suite) -> Sequence[str]:
    """Images that more than one source has, by pair of sources."""
    holders: dict[str, set[str]] = defaultdict(set)
    for sample in suite.samples:
        for image in sample.images:
            holders[image].add(sample.source)
    shared = Counter(tuple(sorted(names)) for names in holders.values() if len(names) > 1)
    return [
        f"{count} {'image is' if count == 1 else 'images are'} in {' and '.join(names)}; "
        "their samples share a cluster and a split"
        for names, count in sorted(shared.items())
    ]
