"""``python -m tests.chaos.soak --faults 300``: jobs that meet every kind of fault, many times.

Each job runs on several machines with its rows in a bucket, meets each kind of fault once in a
random order at random moments, is started again until it is done, and must leave what the
undisturbed job leaves: no row too few or too many, and no sample without an answer but the one
that kills each engine.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lens_ray.suites.suite import load_suite
from tests import conftest  # noqa: F401  how patient Ray is, before it is imported
from tests.chaos.harness import (
    LIMIT,
    assert_same,
    calm_run,
    fake_model,
    job,
    random_blows,
    start_until_done,
    tiny_model,
)
from tests.chaos.machines import MACHINE_KINDS, STORE_FAULTS, Machines, keys, machines

#: Faults of samples, written into the models' scripts.
SAMPLE_KINDS = ("sample crashes once", "sample hangs once", "sample kills each engine")
KINDS_OF_A_RUN = (*MACHINE_KINDS, *STORE_FAULTS, *SAMPLE_KINDS)
#: All models but the poisoned one; the faults are spread over their answers.
_MODELS = 3


def one_run(place: Machines, folder: Path, calm: str, tiny: Path, seed: int) -> Counter[str]:
    """One job with every kind of fault.

    Returns:
        The faults that it met, by kind.
    """
    made, poisoned = job_of(place, folder, tiny, seed)
    blows = random_blows((*MACHINE_KINDS, *STORE_FAULTS), _MODELS * LIMIT, seed)
    starts, delivered = start_until_done(made, folder, blows, place=place, codes=(6,))
    place.proxy.clear()
    assert_same(made, calm, poisoned)
    met = Counter(blow.kind for blow in delivered)
    # Every mark is a crash or a hang that happened; what hung may be ended by another fault.
    assert sum(1 for _ in folder.glob("met-*/*")) == 4
    assert starts[-1].last["reasons"], "the poisoned sample was answered"
    met.update(dict(zip(SAMPLE_KINDS, (2, 2, 1), strict=True)))
    return met


def job_of(
    place: Machines, folder: Path, tiny: Path, seed: int
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Two models each of which meets a crash and a hang, a poisoned one, and one that computes.

    Returns:
        The job, and the poisoned sample by model.
    """
    names = [sample.sample_id for sample in load_suite("mini:quick").select(None, LIMIT)]
    crash, hang, poison = random.Random(seed).sample(names, 3)
    patient = {"latency_s": 0.5, "batch": 1, "parallel": 4}
    models = [
        fake_model(
            number, crash_ids=[crash], hang_ids=[hang], times=1,
            state_dir=str(folder / f"met-{number}"), **patient,
        )
        for number in range(2)
    ]  # fmt: skip
    poisoned = {**fake_model(2, crash_ids=[poison], **patient), "replicas": 1}
    made = job(place.bucket(), [*models, poisoned, tiny_model(tiny)])
    made["settings"]["lease_timeout_s"] = 10.0
    return made, {poisoned["name"]: poison}


def soak(faults: int, seed: int) -> Counter[str]:
    """Returns the faults that were met, by kind."""
    from moto.server import ThreadedMotoServer

    from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

    met: Counter[str] = Counter()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with (
        tempfile.TemporaryDirectory() as scratch,
        machines(Path(scratch) / "cluster", f"http://{host}:{port}", 2) as place,
    ):
        for name, value in keys(place.proxy).items():
            os.environ[name] = value.replace("{host}", "127.0.0.1")
        root = Path(scratch)
        tiny = Path(make_tiny_checkpoint(root / "tiny"))
        calm = calm_run(root, tiny)
        while met.total() < faults:
            began = time.monotonic()
            folder = root / str(seed)
            folder.mkdir()
            met.update(one_run(place, folder, calm, tiny, seed))
            took = time.monotonic() - began
            print(f"seed {seed}: {took:.0f} s; {met.total()} of {faults} faults", flush=True)
            seed += 1
        place.assert_nothing_left()
    server.stop()
    return met


def main() -> None:
    """Print a table of the faults met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", "--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1000)
    given = parser.parse_args()
    began = time.monotonic()
    met = soak(given.faults, given.seed)
    for kind in KINDS_OF_A_RUN:
        print(f"{kind:26} {met[kind]:4}")
    print(f"{'all':26} {met.total():4}  in {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
