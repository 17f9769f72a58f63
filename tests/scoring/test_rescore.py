from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lens_ray.errors import SuiteError
from lens_ray.models.protocol import Completion
from lens_ray.models.resolve import builtin_root
from lens_ray.scoring.rescore import remark
from lens_ray.scoring.row import make_row, make_unanswered
from lens_ray.store.schema import ROWS
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import load_suite
from tests.scoring.test_row import CONTEXT, SAMPLE

TEXTS = ["B", "A", "hm", "the answer is b", "I cannot see it", "", "\udc80 B"]
SAMPLES = [replace(SAMPLE, sample_id=f"s{index}") for index in range(len(TEXTS) + 2)]


class FakeSuite:
    def __init__(self, samples: list[Sample]) -> None:
        self.by_id: Mapping[str, Sample] = {sample.sample_id: sample for sample in samples}


def stored() -> pa.Table:
    rows = [
        make_row(sample, Completion(sample.sample_id, text, "stop"), CONTEXT)
        for sample, text in zip(SAMPLES, TEXTS, strict=False)
    ]
    rows.append(make_unanswered(SAMPLES[-2], "infra_error", "died", CONTEXT))
    rows.append(make_unanswered(SAMPLES[-1], "over_budget", "limit", CONTEXT))
    return pa.Table.from_pylist(rows, schema=ROWS)


def test_nothing_changes_where_nothing_changed() -> None:
    rows = stored()
    again, changes = remark(rows, FakeSuite(SAMPLES))
    assert changes == []
    assert again.equals(rows)


def test_an_old_mark_is_replaced_and_reported() -> None:
    rows = stored()
    old = rows.to_pylist()
    old[0].update(
        status="unparsed", cause="old rules", extracted=None, extraction="none", score=0.0
    )
    old[1].update(score=1.0)
    again, changes = remark(pa.Table.from_pylist(old, schema=ROWS), FakeSuite(SAMPLES))
    assert again.equals(rows)
    assert [(c.sample_id, c.before.score, c.after.score) for c in changes] == [
        ("s0", 0.0, 1.0),
        ("s1", 1.0, 0.0),
    ]
    assert (changes[0].before.cause, changes[0].after.extracted) == ("old rules", "B")


def test_a_sample_of_another_suite_is_refused() -> None:
    with pytest.raises(SuiteError, match="'s0' of the rows is not in the suite"):
        remark(stored(), FakeSuite(SAMPLES[1:]))
    other = [replace(sample, answers=("A",)) for sample in SAMPLES]
    with pytest.raises(SuiteError, match="'s0' has other content"):
        remark(stored(), FakeSuite(other))


def test_an_empty_table_stays_empty() -> None:
    again, changes = remark(ROWS.empty_table(), FakeSuite([]))
    assert (again.num_rows, changes) == (0, [])
    assert again.schema == ROWS


@pytest.mark.slow
def test_the_shipped_rows_keep_their_marks() -> None:
    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    assert rows.num_rows == 72_144
    again, changes = remark(rows, load_suite("mini:full"))
    assert changes == []
    assert again.equals(rows)
