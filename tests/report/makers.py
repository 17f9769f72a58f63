"""Runs for the tests of the report: real samples, scripted answers, real marks and scores."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from lens_ray.models.protocol import Completion
from lens_ray.scoring import RowContext, make_row, make_unanswered
from lens_ray.stats import Pool, ability_scores, scores_table
from lens_ray.stats.expectation import expected_counts, group_sizes
from lens_ray.store import RunHeader, Store
from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from tests.stats.tables import sample_weights

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

#: Texts by which a page could be taken over, or a terminal.
HOSTILE: Mapping[str, str] = {
    "script": "<script>window.pwned = 1; alert(1)</script> yes",
    "closer": "</script><script>window.pwned = 2</script><!-- <script> -->",
    "image": "<img src=x onerror=\"window.pwned = 3\"><svg onload='window.pwned=4'>",
    "link": '<a href="javascript:window.pwned=5">click</a> {{ 7 * 7 }} {% raw %}',
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\x9b31m",
    "nul": "before\0after",
    "surrogate": "lone \ud800 and \udfff",
    "turned": "abc \u202egnp.exe\u2066 and \u2028 and \u2029 and \u200b",
    "long": "x" * 1_000_000,
}


def run_id_of(model: str) -> str:
    """A run id that depends on the model's name alone."""
    return hashlib.sha256(model.encode()).hexdigest()[:16]


def context(model: str, suite: Suite, step: int | None = None) -> RowContext:
    """What the rows of a model record."""
    return RowContext(
        run_id=run_id_of(model),
        model=model,
        model_key=f"key-{model}",
        weights_digest=f"weights-{model}",
        suite_digest=suite.digest,
        template="default@1",
        step=step,
        backend="fake",
        backend_version="1",
        replica="replica-0",
        attempt=1,
        prompt_hash="p",
        created_at=NOON,
    )


def clever(skill: Mapping[str, float], seed: str) -> Callable[[Sample], str]:
    """Answers that are right with a probability by ability, and otherwise an option or a word."""

    def answer(sample: Sample) -> str:
        draw = random.Random(f"{seed}/{sample.cluster_id}/{sample.variant}")
        if draw.random() < skill.get(sample.ability, 0.5):
            return sample.answers[0]
        if sample.choices:
            return draw.choice([chr(65 + place) for place in range(len(sample.choices))])
        return draw.choice(["yes", "no"]) if sample.format == "true_false" else "I see a picture."

    return answer


def rows_of(
    suite: Suite,
    model: str,
    answer: Callable[[Sample], str | None],
    *,
    step: int | None = None,
    samples: Sequence[Sample] | None = None,
) -> list[dict[str, object]]:
    """The rows of a model; an answer of None is a failure of the engine."""
    facts = context(model, suite, step)
    rows = []
    for sample in suite.samples if samples is None else samples:
        text = answer(sample)
        if text is None:
            rows.append(make_unanswered(sample, "infra_error", "replica died (scripted)", facts))
        else:
            done = Completion(sample.sample_id, text, "stop", 80, 3, 0.125, 0.875, "v1")
            rows.append(make_row(sample, done, facts))
    return rows


def scores_of(
    rows: Sequence[dict[str, object]], suite: Suite, pool: Pool | None = None
) -> pa.Table:
    """The scores of one run's rows, as its commit has them."""
    model, run_id = str(rows[0]["model"]), str(rows[0]["run_id"])
    scores = ability_scores(
        pa.Table.from_pylist(list(rows), schema=ROWS),
        weights=sample_weights(suite.samples),
        expected=expected_counts(suite.samples),
        pool=pool,
        group_sizes=group_sizes(suite.samples),
    )
    return scores_table(scores, run_id=run_id, model=model, suite=suite.name)


def header_of(
    model: str, suite: Suite, *, step: int | None = None, access: str = "open"
) -> RunHeader:
    """The header of a model's run."""
    return RunHeader(
        run_id=run_id_of(model),
        model=model,
        model_key=f"key-{model}",
        weights_digest=f"weights-{model}",
        suite=suite.name,
        suite_digest=suite.digest,
        template="default@1",
        backend="fake",
        backend_path=f"builtin:{model}",
        access=access,
        step=step,
        generation={},
        created_at=NOON.isoformat(),
        job="quickstart",
    )


def add_run(
    store: Store,
    suite: Suite,
    model: str,
    answer: Callable[[Sample], str | None],
    *,
    step: int | None = None,
    access: str = "open",
    pool: Pool | None = None,
    commit: bool = True,
) -> None:
    """Put a model's run into a store, as the engine does."""
    store.put_suite(suite.info)
    log = store.open_run(header_of(model, suite, step=step, access=access))
    rows = rows_of(suite, model, answer, step=step)
    log.append(rows)
    if commit:
        facts = {"flip_rate": 0.0, "flip_n": 32}
        log.commit(scores_of(rows, suite, pool), expected=len(suite.samples), facts=facts)


def even(suite: Suite, skill: float) -> dict[str, float]:
    """The same skill in every ability."""
    return dict.fromkeys(suite.info.counts, skill)


def saying(texts: Sequence[str], others: Callable[[Sample], str]) -> Callable[[Sample], str]:
    """Answers of which each text is given once a subtask, to its first samples in turn."""
    left: dict[str, list[str]] = {}

    def answer(sample: Sample) -> str:
        queue = left.setdefault(sample.subtask, list(texts)[::-1])
        return queue.pop() if queue else others(sample)

    return answer
