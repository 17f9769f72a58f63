"""The samples that the sources make of rows are marked as the peers mark the rows."""

from __future__ import annotations

from typing import Any

import pytest

from lens_ray.errors import SuiteError
from lens_ray.scoring.metrics import find_metric
from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Options
from lens_ray.suites.sources.registry import SOURCES
from tests.peers.pairs import MAKERS, Case, pairs
from tests.peers.peer import REFERENCE, ask

pytestmark = pytest.mark.peers

COUNT = 2000
#: What the rows of `tests.peers.pairs` do not need for a mark.
_REST: dict[str, dict[str, Any]] = {
    "seed_bench": {"question_type_id": 5, "data_id": "1"},
    "mmstar": {"l2_category": "object counting"},
    "conbench": {"field": "count", "question_id": 1},
}


def _sample(source: str, case: Case) -> Sample | None:
    """The sample of a row; None where the source refuses the row."""
    row = case.row | _REST.get(source, {})
    kind = SOURCES[source]
    try:
        (draft,) = kind.ask(row, 0, next(iter(kind.abilities)), Options(faithful=True))
    except SuiteError:
        return None
    return draft.sample


@pytest.mark.parametrize("source", MAKERS)
def test_samples_of_the_sources(source: str) -> None:
    made = [(case, text, _sample(source, case)) for case, text in pairs(source, 2 * COUNT, seed=9)]
    sound = [(case, text, sample) for case, text, sample in made if sample is not None]
    theirs = ask(REFERENCE, source, [[case.row, text] for case, text, _ in sound])
    rule = find_metric(source).whole
    assert rule is not None
    differing = [
        (case.row, text, given)
        for (case, text, sample), given in zip(sound, theirs, strict=True)
        if not isinstance(given, str) and rule(sample, text)[1] != given
    ]
    compared = sum(not isinstance(given, str) for given in theirs)
    print(f"{source}: {compared} compared, {len(made) - len(sound)} rows refused")
    assert not differing, differing[:5]
    assert compared >= COUNT
