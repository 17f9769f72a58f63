"""``python -m tests.chaos.soak --kills 60``: jobs killed at random moments until enough is enough.

Each job is killed once in each way, in random order at random moments, is started again until it
is done, and must leave what the undisturbed job leaves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.harness import (
    KINDS,
    SAMPLES,
    assert_same,
    calm_run,
    fake_job,
    random_kills,
    start_until_done,
)


def soak(kills: int, seed: int) -> Counter[str]:
    """Returns the kills that were delivered, by kind."""
    delivered: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        calm = calm_run(fake_job(root / "unused", speed=100.0), root)
        while delivered.total() < kills:
            began = time.monotonic()
            folder = root / str(seed)
            folder.mkdir()
            store = folder / "store"
            planned = random_kills(KINDS * 2, SAMPLES, seed)[: kills - delivered.total()]
            starts, done = start_until_done(fake_job(store), folder, planned)
            assert_same(str(store), calm)
            delivered.update(kill.kind for kill in done)
            took = time.monotonic() - began
            print(
                f"seed {seed}: {', '.join(f'{kill.kind}@{kill.at}' for kill in done)}; "
                f"{len(starts)} starts, {took:.0f} s; {delivered.total()} of {kills} kills",
                flush=True,
            )
            seed += 1
    return delivered


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1000)
    given = parser.parse_args()
    print(dict(soak(given.kills, given.seed)))
