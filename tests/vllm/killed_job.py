"""``python -m tests.vllm.killed_job STORE``: a job whose engine and whose replica are killed.

Its last line of output is a JSON object: how it ended, whom it lost, how many processes of vLLM
it left, and its store.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from lens_ray import JobSpec, ModelSpec
from lens_ray.engine.progress import Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.evaluate import evaluate
from lens_ray.testing.processes import descendants
from tests.vllm.hosts import OPTIONS

LIMIT = 360
# Its answers take six seconds. On a machine whose only two cores others hold as long, the driver
# tells of the first when the last is in, and nobody was killed; then it runs again.
ATTEMPTS = 3
# How many answers there are when somebody is killed, and how it calls itself.
DUE = ((LIMIT // 6, b"VLLM::EngineCore"), (LIMIT // 2, b"ray::ReplicaActor"))
PATH = "builtin:minivlm-b/step-6950"


def processes(title: bytes) -> list[int]:
    """Below this one, by the start of how they call themselves."""
    found = []
    for pid in descendants(os.getpid()):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title):
                found.append(pid)
        except OSError:
            continue
    return found


@dataclass(frozen=True)
class Ended:
    """How one job ended; see above."""

    exit: int
    killed: list[str]
    left: int
    store: str


def run(store: str) -> Ended:
    due = [*DUE]
    killed: list[str] = []

    def kill(progress: Progress) -> None:
        (done,) = [sum(n for n, _ in one.abilities.values()) for one in progress.models[:1]]
        if due and done >= due[0][0]:
            found = processes(due[0][1])
            if found:
                os.kill(found[0], signal.SIGKILL)
                killed.append(due.pop(0)[1].decode())

    # Slow enough that both kills find it at work.
    options = {**OPTIONS, "max_num_seqs": 1}
    models = (
        ModelSpec(name="vllm", backend="vllm", path=PATH, replicas=1, options=options),
        ModelSpec(name="transformers", path=PATH, replicas=1),
    )
    job = JobSpec(name="kills", suite="mini:quick", store=store, models=models, limit=LIMIT)
    settings = EngineSettings(flush_s=0.5, flush_rows=16)
    report = evaluate(job, on_progress=kill, settings=settings)
    left = len(processes(b"VLLM::"))
    return Ended(report.exit_code, killed, left, store)


def main(store: str) -> None:
    for attempt in range(ATTEMPTS):
        ended = run(f"{store}-{attempt}")
        if ended.exit or len(ended.killed) == len(DUE):
            break
    print(json.dumps(asdict(ended)))


if __name__ == "__main__":
    main(sys.argv[1])
