"""Do answers stay when a question is put in another way: `kept_marks`, of two models alike.

The mark of a question is the share of its variants (`lens_ray.suites.controls`) whose answer is
that of the base, so that consistency is compared as scores are: paired, clustered by image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lens_ray.errors import SuiteError
from lens_ray.stats.answers import PAIRED_COLUMNS, answer_of, base_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import FINAL

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store


def kept_marks(
    store: Store, runs: Sequence[RunHeader], labels: Sequence[str], variants: Sequence[str] | None
) -> Marks | str:
    """How often each model kept its answer, question by question; or why that is not known.

    Args:
        store: Where the rows are.
        runs: Of the models on the base suite.
        labels: Of the models.
        variants: Suites of variants; None takes all that keep a question's meaning and that every
            model answered.

    Raises:
        UserError: A variant is named that a model did not answer.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.stats.model_stability import variant_runs

    changed: list[dict[str, RunHeader]] = []
    for run in runs:
        name = f"{run.suite.partition('@')[0]}@{run.suite_digest}"
        _, found = variant_runs(store, run.run_id, suite=name, variants=variants)
        changed.append({each.suite_digest: each for each in found})
        if not found:
            return (
                f"no run of {run.model} on a variant of {run.suite}: make one with "
                f"`lens-ray suite control {run.suite} rotate`, and run the model on it"
            )
    shared = [digest for digest in changed[0] if all(digest in each for each in changed)]
    if not shared:
        return "the models answered no variant in common"
    choices = _choices([runs[0], *(changed[0][digest] for digest in shared)])
    try:
        found_of = [
            _kept(_rows(store, run), [_rows(store, each[digest]) for digest in shared], choices)
            for run, each in zip(runs, changed, strict=True)
        ]
    except ValueError as error:  # rotated letters of suites that are not here
        return f"{error}; build or import them on this machine"
    return _marks(found_of, labels, runs[0])


def _choices(runs: Sequence[RunHeader]) -> dict[str, Sequence[str]]:
    """Options by sample id, of the suites that are here.

    Letters are compared by the options that they stand for; only rotated ones need it.
    """
    from lens_ray.suites import load_suite

    found: dict[str, Sequence[str]] = {}
    for run in runs:
        try:
            suite = load_suite(f"{run.suite.partition('@')[0]}@{run.suite_digest}")
        except SuiteError:
            continue
        found |= {sample.sample_id: sample.choices for sample in suite.samples}
    return found


def _rows(store: Store, run: RunHeader) -> list[dict[str, Any]]:
    table: pa.Table = store.rows([run.run_id], columns=PAIRED_COLUMNS)
    found: list[dict[str, Any]] = table.to_pylist()
    return found


#: Ability, cluster and share of kept answers, by the base's sample id.
_Kept = Mapping[str, tuple[str, str, float]]


def _kept(
    base_rows: Sequence[Mapping[str, Any]],
    variants: Sequence[Sequence[Mapping[str, Any]]],
    choices: Mapping[str, Sequence[str]],
) -> _Kept:
    bases = {row["sample_id"]: row for row in base_rows if row["status"] in FINAL}
    same: dict[str, list[bool]] = {}
    for row in (row for rows in variants for row in rows if row["status"] in FINAL):
        base = bases.get(base_of(row["sample_id"], row["variant"]))
        if base is not None:
            mine, its = (answer_of(each, row, base, choices) for each in (base, row))
            same.setdefault(base["sample_id"], []).append(mine == its)
    return {
        name: (bases[name]["ability"], bases[name]["cluster_id"], sum(found) / len(found))
        for name, found in same.items()
    }


def _marks(found: Sequence[_Kept], labels: Sequence[str], run: RunHeader) -> Marks | str:
    facts = {name: fact[:2] for each in found for name, fact in each.items()}
    if not facts:
        return "no answer to a variant has a partner"
    ids = sorted(facts)
    abilities = sorted({ability for ability, _ in facts.values()})
    clusters = sorted({cluster for _, cluster in facts.values()})
    number = {name: place for place, name in enumerate(clusters)}
    score = np.array(
        [[each[name][2] if name in each else np.nan for name in ids] for each in found]
    )
    return Marks(
        models=tuple(labels),
        runs=(),
        suite=run.suite,
        suite_digest=run.suite_digest,
        ids=tuple(ids),
        strata=tuple((ability, "kept") for ability in abilities),
        stratum=np.array([abilities.index(facts[name][0]) for name in ids], dtype=np.int64),
        cluster=np.array([number[facts[name][1]] for name in ids], dtype=np.int64),
        clusters=len(clusters),
        chance=np.zeros(len(ids)),
        upper=np.ones(len(ids)),
        score=score,
        weights={},
        facets={},
    )
