from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import UserError
from lens_ray.models.protocol import Completion
from lens_ray.scoring.mark import ANSWERED
from lens_ray.scoring.row import RowContext, make_row, make_unanswered
from lens_ray.store.schema import ROWS, STATUSES, SUPERSEDABLE
from lens_ray.suites.sample import Sample

SAMPLE = Sample(
    sample_id="mini/colour-1#r0",
    ability="attribute",
    source="mini",
    subtask="colour",
    format="multiple_choice",
    domain="shapes",
    images=("0" * 64,),
    question="Which colour?",
    choices=("red", "blue"),
    answers=("B",),
    metric="exact",
    chance=0.5,
    upper=1.0,
    cluster_id="colour-1",
    group_id="g1",
    variant="r0",
)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONTEXT = RowContext(
    run_id="r" * 16,
    model="m",
    model_key="k",
    weights_digest="w",
    suite_digest="s",
    template="default@1",
    step=500,
    backend="fake",
    backend_version="1",
    replica="replica-0",
    attempt=1,
    prompt_hash="p",
    created_at=NOON,
)


def completion(text: str, finish: str = "stop", error: str | None = None) -> Completion:
    return Completion(SAMPLE.sample_id, text, finish, 9, 3, 0.25, 0.75, "v1", error, 0.001)


@pytest.mark.parametrize(
    ("given_", "status", "score", "extracted", "method"),
    [
        (completion("B"), "ok", 1.0, "B", "letter"),
        (completion("The answer is A."), "ok", 0.0, "A", "explicit"),
        (completion("hm"), "unparsed", 0.0, None, "none"),
        (completion(""), "unparsed", 0.0, None, "none"),
        (completion("I cannot see images"), "refused", 0.0, None, "none"),
        (completion("Well, let us", "length"), "truncated", 0.0, None, "none"),
        (completion("", "content_filter"), "refused", 0.0, None, "none"),
        (completion("B", "error", "engine died"), "infra_error", None, None, "none"),
        (completion("B", "error"), "infra_error", None, None, "none"),
        (completion("B", "error", " "), "infra_error", None, None, "none"),
        (completion("B", "stop", "cut off"), "infra_error", None, None, "none"),
    ],
)
def test_status_and_score(
    given_: Completion, status: str, score: float | None, extracted: str | None, method: str
) -> None:
    row = make_row(SAMPLE, given_, CONTEXT)
    assert (row["status"], row["score"]) == (status, score)
    assert (row["extracted"], row["extraction"]) == (extracted, method)
    assert (row["cause"] is None) == (status == "ok")
    assert set(row) == set(ROWS.names)
    assert pa.Table.from_pylist([row], schema=ROWS).to_pylist() == [row]


def test_every_fact_reaches_its_column() -> None:
    row = make_row(SAMPLE, completion("B"), CONTEXT)
    for name in ("ability", "source", "subtask", "format", "domain", "metric", "chance", "upper",
                 "cluster_id", "group_id", "split", "variant", "sample_id"):  # fmt: skip
        assert row[name] == getattr(SAMPLE, name)
    for name in ("run_id", "model", "model_key", "weights_digest", "suite_digest", "template",
                 "step", "backend", "backend_version", "replica", "attempt", "prompt_hash",
                 "created_at"):  # fmt: skip
        assert row[name] == getattr(CONTEXT, name)
    for name in ("text", "finish_reason", "tokens_in", "tokens_out", "latency_s", "confidence",
                 "weight_version", "cost_usd"):  # fmt: skip
        assert row[name] == getattr(completion("B"), name)
    assert row["sample_digest"] == SAMPLE.content_digest()


def test_statuses_are_those_of_the_schema() -> None:
    assert set(STATUSES) == ANSWERED | SUPERSEDABLE


@given(st.text(max_size=200), st.sampled_from(["stop", "length", "content_filter", "error"]))
def test_any_text_can_be_stored(text: str, finish: str) -> None:
    row = make_row(SAMPLE, completion(text, finish, text if finish == "error" else None), CONTEXT)
    table = pa.Table.from_pylist([row], schema=ROWS)
    assert table.to_pylist() == [row]
    if not any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert row["text"] == text


def test_hostile_text_is_kept_as_text() -> None:
    text = "<script>alert(1)</script>\x1b[2J\0\udc80" + "x" * 1_000_000
    row = make_row(SAMPLE, completion(text), CONTEXT)
    assert row["text"] == text.replace("\udc80", "\\udc80")
    pa.Table.from_pylist([row], schema=ROWS).validate(full=True)


def test_a_time_is_stored_in_utc_and_needs_a_zone() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    row = make_row(SAMPLE, completion("B"), replace(CONTEXT, created_at=east))
    assert (row["created_at"], str(row["created_at"])[-6:]) == (NOON, "+00:00")
    with pytest.raises(ValueError, match="time zone"):
        make_row(SAMPLE, completion("B"), replace(CONTEXT, created_at=NOON.replace(tzinfo=None)))
    before = datetime.now(UTC)
    now = make_row(SAMPLE, completion("B"), replace(CONTEXT, created_at=None))["created_at"]
    assert isinstance(now, datetime)
    assert before <= now <= datetime.now(UTC)


def test_unanswered_rows_name_status_and_cause() -> None:
    row = make_unanswered(SAMPLE, "over_budget", "the limit of $5\nwas reached", CONTEXT)
    assert (row["status"], row["cause"]) == ("over_budget", "the limit of $5 was reached")
    assert row["score"] is None
    assert pa.Table.from_pylist([row], schema=ROWS).to_pylist() == [row]
    with pytest.raises(ValueError, match="belongs to an answer"):
        make_unanswered(SAMPLE, "refused", "x", CONTEXT)
    with pytest.raises(ValueError, match="names its cause"):
        make_unanswered(SAMPLE, "infra_error", " ", CONTEXT)


def test_a_completion_of_another_sample_is_a_bug() -> None:
    with pytest.raises(ValueError, match="is not of"):
        make_row(SAMPLE, Completion("other", "B", "stop"), CONTEXT)


def test_unknown_metric_is_the_suites_fault() -> None:
    with pytest.raises(UserError, match="metric 'nope'"):
        make_row(replace(SAMPLE, metric="nope"), completion("B"), CONTEXT)
