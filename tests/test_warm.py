"""`WarmEvaluator` under a real Ray: replicas stay from one checkpoint to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from lens_ray import Store
from lens_ray.engine.cluster import Cluster
from lens_ray.errors import SuiteError
from lens_ray.warm import WarmEvaluator
from tests.warm_stage import ALL, ANCHOR, SETTINGS, ask, question, replicas


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Cluster]:
    """One Ray for all of them; an evaluator uses the one that its process has."""
    with Cluster() as one:
        one.start()
        yield one


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[WarmEvaluator]:
    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", settings=SETTINGS)
    yield one
    one.close()


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lens_ray.engine")


def test_one_replica_takes_each_checkpoint_by_a_swap(
    warm: WarmEvaluator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = ask(warm, 100)
    there = replicas()
    assert len(there) == 1
    second, third = warm.evaluate([question(200), question(300, "full")])
    assert replicas() == there
    assert [one.swapped for one in (first, second, third)] == [False, True, True]
    assert [one.status for one in (first, second, third)] == ["complete"] * 3
    assert [one.asked for one in (first, second, third)] == [ANCHOR, ANCHOR, ALL]
    # The rest of a checkpoint that was asked the anchor split, and then nothing more.
    rest, again = ask(warm, 200, "full"), ask(warm, 200, "full")
    assert (rest.asked, rest.resumed, rest.run_id) == (ALL - ANCHOR, ANCHOR, second.run_id)
    assert (again.status, again.asked, again.resumed, again.swapped) == ("complete", 0, ALL, None)
    assert not [record for record in caplog.records if "lost" in record.message]
    assert not [record for record in caplog.records if "cold start" in record.message]
    # Each row names the weights that its run was registered with: no answer is of another's.
    store = Store(str(tmp_path / "store"))
    assert store.check() == []
    weights = {header.run_id: header.weights_digest for header in store.runs()}
    rows = store.rows(columns=["run_id", "weights_digest"]).to_pylist()
    assert {(row["run_id"], row["weights_digest"]) for row in rows} == set(weights.items())
    assert len(set(weights.values())) == 3


def test_a_suite_without_the_split_is_one_clear_line(tmp_path: Path) -> None:
    one = WarmEvaluator(str(tmp_path / "store"), "mini:quick", abilities=("smell",))
    with pytest.raises(SuiteError, match="smell"):
        ask(one, 100)
    one.close()
