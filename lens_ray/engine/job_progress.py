"""How far a submitted job is, read from its store: `JobProgress`, `Stores`.

The store is the only thing asked. A job's driver may be gone, on another node, or of last week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lens_ray.engine.job_server import Job
from lens_ray.errors import LensError
from lens_ray.store import RunHeader, Store


@dataclass(frozen=True, slots=True)
class ModelDone:
    """How far one model of a job is.

    Attributes:
        model: Its name in the job.
        run_id: Of its run; None where it has none yet.
        done: Samples with a final row.
        expected: Samples that the job asks for; None until the driver has named the suite.
        complete: Whether nothing is left to ask.
    """

    model: str
    run_id: str | None
    done: int
    expected: int | None
    complete: bool


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is.

    Attributes:
        models: In the order of the job; empty where the store cannot be read from here.
        reason: Why not.
    """

    models: tuple[ModelDone, ...] = ()
    reason: str | None = None

    @property
    def done(self) -> int:
        """Samples with a final row, over all models."""
        return sum(model.done for model in self.models)

    @property
    def expected(self) -> int | None:
        """Samples that the job asks for; None where that is not known of every model."""
        asked = [model.expected for model in self.models]
        return sum(one for one in asked if one is not None) if None not in asked else None


class Stores:
    """Stores that were opened once, for many jobs."""

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._opened: dict[str, Store | str] = {}

    def progress(self, job: Job) -> JobProgress:
        """Read how far a job is; what stands against it is said in the result."""
        url = job.metadata.get("store", "")
        try:
            opened = self._open(url)
            if isinstance(opened, str):
                return JobProgress(reason=opened)
            return JobProgress(_models(job, opened))
        except LensError as error:
            self._opened[url] = str(error)
            return JobProgress(reason=str(error))

    def _open(self, url: str) -> Store | str:
        if url not in self._opened:
            self._opened[url] = Store(url)
        return self._opened[url]


def _models(job: Job, store: Store) -> tuple[ModelDone, ...]:
    counts: dict[str, Mapping[str, Mapping[str, int]]] = {}
    for facts in store.suites():
        found = facts["counts"]
        assert isinstance(found, dict)
        counts[str(facts["digest"])] = found
    headers = store.runs()
    asked = _asked(job, headers, counts)
    models = []
    for name in _names(job, "models"):
        # The latest, where a model of this name was trained again.
        mine = [header for header in headers if header.model == name and _of_suite(job, header)]
        if not mine:
            models.append(ModelDone(name, None, 0, asked, complete=False))
            continue
        header = mine[-1]
        state = store.run(header.run_id).refresh()
        expected = _expected(job, counts.get(header.suite_digest))
        # A run may have more samples than this job asks for, from a job with a higher limit.
        done = len(state.done) if expected is None else min(len(state.done), expected)
        complete = done == expected or state.complete
        models.append(ModelDone(name, header.run_id, done, expected, complete))
    return tuple(models)


def _names(job: Job, key: str) -> list[str]:
    return [name for name in job.metadata.get(key, "").split(",") if name]


def _of_suite(job: Job, header: RunHeader) -> bool:
    """Whether a run is of the job's suite, as far as the job's reference names it."""
    reference = job.metadata.get("suite", "")
    if "/" in reference:  # a folder or URL, whose suite has a name of its own
        return True
    name, at, digest = reference.rpartition("@")
    if not at:
        return header.suite == reference
    return header.suite == name and header.suite_digest.startswith(digest)


def _asked(
    job: Job,
    headers: list[RunHeader],
    counts: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> int | None:
    """What a model without a run is asked: the same as the others of its job."""
    names = set(_names(job, "models"))
    for header in reversed(headers):
        if header.model in names and _of_suite(job, header):
            return _expected(job, counts.get(header.suite_digest))
    return None


def _expected(job: Job, counts: Mapping[str, Mapping[str, int]] | None) -> int | None:
    """As `submit` counted them, else from the suite; a limit may leave a group or two less."""
    if (samples := job.metadata.get("samples", "")).isdigit():
        return int(samples)
    if counts is None:
        return None
    wanted = set(_names(job, "abilities")) or set(counts)
    total = sum(sum(subtasks.values()) for name, subtasks in counts.items() if name in wanted)
    limit = job.metadata.get("limit", "")
    return min(total, int(limit)) if limit.isdigit() else total
