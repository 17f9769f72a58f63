"""A search killed again and again: ``python -m tests.merging.kill_ground ROOT URL MOMENTS``.

The process imports everything once and forks a driver for each life, so that a life costs no start
of Python. It prints how often a driver was at work when it was killed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from lens_ray import searching
from lens_ray.searching import Searched, search_merges
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from tests.merging.stage import Weighed, parents_in, spec_of

#: Samples of one append.
BATCH = 40
PLACES = (0.0, 1.0)


def live(root: Path, url: str, *, pause_s: float = 0.0, log: str | None = "asked.log") -> Searched:
    """One life of a driver, to the end."""
    store = Store(url, create=True)
    evaluator = Weighed(
        store, load_suite("mini:quick"), batch=BATCH, pause_s=pause_s,
        log=root / log if log is not None else None,
    )  # fmt: skip
    parents = parents_in(root, PLACES)
    spec = spec_of(store, parents, search={"margin": 0.2, "confidence": 0.6})
    return search_merges(spec, out=root / "out", evaluators=lambda _: evaluator)


def main(root: Path, url: str, moments: int) -> None:
    """Kill it so often, then let it live."""
    searching.TTL_S = 0.2
    chance = random.Random(7)
    kills = 0
    for number in range(moments + 1):
        child = os.fork()
        if child == 0:
            live(root, url, pause_s=0.005)
            os._exit(0)
        if number < moments:
            time.sleep(0.3 + chance.uniform(0.0, 0.6))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
    if status != 0:
        raise SystemExit(f"the last life ended with {status}")
    print(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
