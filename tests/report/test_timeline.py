"""Runs as Chrome traces."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lens_ray.report.timeline import COLUMNS, chrome_trace

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(ended_s: float, latency_s: float | None, replica: str = "replica-0") -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found.update(
        sample_id=f"s{ended_s}", model="m", ability="ocr", latency_s=latency_s, replica=replica,
        created_at=START + timedelta(seconds=ended_s),
    )  # fmt: skip
    return found


def slices(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_answers_and_what_replicas_did_by_hand() -> None:
    began = START.timestamp()
    spans = {"m": [[0, "start", began - 20.0, 20.0], [1, "lost: killed", began + 3.0, 0.0]]}
    trace = chrome_trace([row(2.0, 1.5), row(2.5, 1.0), row(4.0, 1.0)], spans)
    found = [(s["name"], s["pid"], s["tid"], s["ts"], s["dur"]) for s in slices(trace)]
    assert found == [
        ("m ocr", 0, 1, 20_500_000, 1_500_000),
        ("m ocr", 0, 2, 21_500_000, 1_000_000),
        ("m ocr", 0, 1, 23_000_000, 1_000_000),
        ("start m", 0, 0, 0, 20_000_000),
        ("lost m", 1, 0, 23_000_000, 1),
    ]
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    assert names == {"replica-0", "replica-1"}


def test_rows_that_no_replica_gave_are_left_out() -> None:
    trace = chrome_trace([row(1.0, None), row(1.0, 0.5, replica="")], {})
    assert trace["traceEvents"] == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 2)), max_size=40))
def test_no_two_answers_overlap_in_a_lane(drawn: list[tuple[int, int, int]]) -> None:
    rows = [row(ended, latency, f"replica-{number}") for ended, latency, number in drawn]
    lanes = defaultdict(list)
    for one in slices(chrome_trace(rows, {})):
        lanes[one["pid"], one["tid"]].append((one["ts"], one["ts"] + one["dur"]))
    assert sum(map(len, lanes.values())) == len(rows)
    for lane in lanes.values():
        lane.sort()
        # An answer without a length is drawn one microsecond long.
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(lane))
