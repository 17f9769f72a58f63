"""The end of a run: its scores from its stored rows, and the commit that holds both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.engine.stopping import Stopping
from lens_ray.job import Until
from lens_ray.stats import (
    SCORED_COLUMNS,
    AbilityScore,
    ability_scores,
    further,
    pool_for,
    scores_table,
)
from lens_ray.stats.expectation import expected_counts, group_sizes
from lens_ray.store import RunLog
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite


def answered(
    log: RunLog, suite: Suite, samples: Sequence[Sample], until: Until | None = None
) -> bool:
    """Whether a run needs nothing more: committed, with a final row of every sample to be asked.

    Args:
        log: The run, refreshed.
        suite: What was asked.
        samples: That the job asks for.
        until: When an ability has been asked enough.
    """
    state = log.state
    if state.commit is None:
        return False
    selected = [sample.sample_id for sample in samples]
    if until is not None:
        stored = state.done | state.open.keys()
        stopping = Stopping(samples, suite, until, stored)
        stopping.resume(log)
        stopping.look(lambda _: False)
        selected = stopping.kept
    return state.done.issuperset(selected) and not set(state.commit.left_out).intersection(selected)


def asked(log: RunLog, samples: Sequence[Sample], until: Until | None = None) -> Sequence[Sample]:
    """Of the samples that a job asks for, those that its adaptive stop has not left out."""
    commit = log.state.commit
    if until is None or commit is None:
        return samples
    left_out = set(commit.left_out)
    return [sample for sample in samples if sample.sample_id not in left_out]


def counted(log: RunLog, suite: Suite) -> set[str]:
    """The samples that a run's latest commit adds up."""
    commit = log.state.commit
    return set() if commit is None else suite.by_id.keys() - set(commit.left_out)


def commit_run(
    log: RunLog, suite: Suite, selected: Sequence[str], facts: Mapping[str, object]
) -> None:
    """Add up a run whose selected samples have ended.

    Samples that an earlier commit counted stay in; all others of the suite are left out.

    Args:
        log: The run.
        suite: What was asked.
        selected: The ids that this job asked for.
        facts: Kept with the commit.
    """
    log.refresh()
    chosen = set(selected) | counted(log, suite)
    expected = [sample for sample in suite.samples if sample.sample_id in chosen]
    scores = scores_of(log, suite, expected)
    header = log.header
    table = scores_table(scores, run_id=header.run_id, model=header.model, suite=header.suite)
    left_out = [sample.sample_id for sample in suite.samples if sample.sample_id not in chosen]
    facts = {name: fact for name, fact in facts.items() if name not in further.TABLES}
    if further.asks(expected):
        facts |= further.further_facts(log.rows(further.COLUMNS), expected)
    log.commit(table, expected=len(expected), left_out=left_out, facts=facts)


def scores_of(log: RunLog, suite: Suite, expected: Sequence[Sample]) -> list[AbilityScore]:
    """The scores of some samples of a run, from its stored rows."""
    rows = log.rows(SCORED_COLUMNS)  # of a million rows, all columns take 1.5 GB
    ids = pa.array([sample.sample_id for sample in expected], pa.string())
    return ability_scores(
        rows.filter(pc.is_in(rows["sample_id"], value_set=ids)),
        weights=suite.weights,
        expected=expected_counts(expected),
        pool=pool_for(suite.name, suite.digest),
        group_sizes=group_sizes(expected),
    )
