"""Large tables: 200,000 rows within 20 s and 1 GB; requests in parallel."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lens_ray.store.dense_log import entry_key, read_new
from lens_ray.store.objects import THREADS, get_many
from tests.store.makers import MemoryObjects

_CODE = """
import json, sys, time
from lens_ray.store import Store
from tests.memory import peak_mb
from tests.store.makers import header, rows, scores

url, count, batch = sys.argv[1], 200_000, 1_000
began = time.monotonic()
log = Store(url, create=True).open_run(header())
for start in range(0, count, batch):
    log.append(rows(range(start, start + batch)))
log.commit(scores(), expected=count)
state = Store(url).run("r1").refresh()
table = Store(url).rows()
answer = Store(url).query("SELECT count(DISTINCT sample_id) AS n, avg(score) AS score FROM rows")
print(json.dumps({
    "seconds": time.monotonic() - began,
    "mb": peak_mb(),
    "rows": table.num_rows, "complete": state.complete, "answer": answer.to_pylist(),
}))
"""


@pytest.mark.slow
def test_two_hundred_thousand_rows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(tmp_path / "store")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts = json.loads(done.stdout)
    assert facts["rows"] == 200_000
    assert facts["complete"]
    assert facts["answer"] == [{"n": 200_000, "score": 1.0}]
    assert facts["seconds"] < 20
    assert facts["mb"] < 1024


def test_many_objects_are_asked_for_at_once() -> None:
    objects = MemoryObjects()
    objects.held = {str(number): b"%d" % number for number in range(THREADS)}
    # Nobody passes before all of them have asked.
    together = threading.Barrier(THREADS, timeout=30)

    def before(verb: str, key: str) -> None:
        together.wait()

    objects.before = before  # type: ignore[method-assign]
    assert get_many(objects, list(objects.held)) == list(objects.held.values())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 40])
@pytest.mark.parametrize("known", [0, 1, 5])
def test_a_dense_log_is_read_to_its_end(count: int, known: int) -> None:
    objects, known = MemoryObjects(), min(known, count)
    objects.held = {entry_key("log", number): b"%d" % number for number in range(count)}
    objects.held[entry_key("other", 0)] = b"x"
    objects.held[entry_key("log", count + 2)] = b"behind a gap"
    asked: list[str] = []
    objects.before = lambda verb, key: asked.append(key)  # type: ignore[method-assign]
    found = read_new(objects, {"log": known, "other": 0})
    assert found == {"log": [b"%d" % number for number in range(known, count)], "other": [b"x"]}
    assert len(asked) <= 2 * max(0, count - known) + 8
