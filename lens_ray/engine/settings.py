"""The engine's constants, each in one place: `EngineSettings`."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.engine.ledger import ATTEMPT_CAP


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How patient and how eager the engine is. The defaults serve; tests are less patient.

    Attributes:
        lease_timeout_s: A lease of which nothing is heard for so long has expired, and its
            replica is killed. Raised to ten times the slowest answer seen of the model.
        start_timeout_s: A replica that is not ready by then (placed, loaded) is killed.
        run_ttl_s: A driver that did not renew its runs for so long is dead, and its runs are free.
        outage_s: How long replicas and driver wait for a coordinator that does not answer.
        attempt_cap: Error answers after which a sample ends as ``infra_error``.
        start_attempts: Replicas that may die while they load a model before it has failed.
        death_cap: Replicas that may die in a row without an answer before a model has failed.
        flush_rows: Rows of one run that are written without waiting for more.
        flush_s: Seconds after which the rows at hand are written.
        buffer_rows: Rows not yet written at which no more work is handed out.
        flip_samples: Samples that are asked again at batch 1 at the end of each model's run.
        keep_answers_s: Longest that a finished answer stays in the replica.
        answers_at_once: Answers with which a replica calls at once.
    """

    lease_timeout_s: float = 300.0
    start_timeout_s: float = 1800.0
    run_ttl_s: float = 15.0
    outage_s: float = 60.0
    attempt_cap: int = ATTEMPT_CAP
    start_attempts: int = 3
    death_cap: int = 8
    flush_rows: int = 1024
    flush_s: float = 5.0
    buffer_rows: int = 4096
    flip_samples: int = 16
    keep_answers_s: float = 0.2
    answers_at_once: int = 64
