"""What the driver hands to the actors: `EnginePlan`; and what a run is called: `run_id_of`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lens_ray.engine.planner import Need, Room
from lens_ray.engine.settings import EngineSettings
from lens_ray.job import Until
from lens_ray.models.identity import Identity
from lens_ray.models.protocol import Generation
from lens_ray.models.remote import is_brought
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import TEMPLATES

#: Expected tokens of an answer that names a letter or says yes or no.
_SHORT_ANSWER = 2
#: Prompt tokens of an image, and characters of a token, roughly; they only order the work.
_IMAGE_TOKENS = 64
_CHARACTERS = 4
#: A token that is generated costs as much as so many of the prompt.
_DECODE = 16


@dataclass(frozen=True, slots=True)
class Expected:
    """What a replica of a model will take, before anything of it was measured in this job.

    Attributes:
        seconds_each: Of a sample of mean cost, the replica's window full; None is not known.
        start_s: Of a cold start; None is not known.
    """

    seconds_each: float | None = None
    start_s: float | None = None


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """One run that the engine brings to its end.

    Attributes:
        number: Of the model in the plan.
        run_id: Of its run, which the store knows.
        stored_name: Name of the model in the store, from the job that opened the run.
        spec: As in the job.
        identity: Checkpoint, digests.
        need: What one replica occupies.
        family: Models of one family take each other's place by a swap.
        expected: How long it will take, from its size or from earlier runs.
    """

    number: int
    run_id: str
    stored_name: str
    spec: ModelSpec
    identity: Identity
    need: Need
    family: str
    expected: Expected = field(default_factory=Expected)

    @property
    def remote(self) -> bool:
        """Whether its checkpoint is brought to each node: copied from a URL, or made there."""
        return is_brought(self.spec.path) and self.identity.weights != self.spec.path


@dataclass(frozen=True, slots=True)
class Budgets:
    """What the models of a plan may cost.

    Attributes:
        session: Names this start of the driver in the store's accounts.
        job: US dollars for all of them; None is not limited.
        models: US dollars by the number of the model, where one is limited by itself.
        hourly: US dollars an hour of one replica, by the number of the model; those that are not
            here cost nothing by the hour.
        before: What further runs of the job have cost, of which nothing is asked now.
    """

    session: str
    job: float | None = None
    models: Mapping[int, float] = field(default_factory=dict)
    hourly: Mapping[int, float] = field(default_factory=dict)
    before: float = 0.0

    def limit(self, number: int) -> bool:
        """Whether a model's spending is limited."""
        return self.job is not None or number in self.models


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """Everything that the actors know; the rest they read from the store and the suite.

    It stays small (no sample ids, no tensor names): Ray keeps arguments of more than 100 KB in its
    object store, from which they may be gone when the coordinator is to be started again.

    Attributes:
        store: URL of the store.
        suite: Name of the suite.
        suite_digest: Its digest.
        suite_location: Folder or URL where it lies on the driver's machine.
        abilities: Of the suite that are asked; None is all of them.
        limit: At most so many samples; None is all of them.
        models: Whose runs are to be brought to their end.
        rooms: Machines of the cluster.
        settings: Of the engine.
        job: Name of the job, for its metrics.
        splits: Of the suite that are asked; None is all of them.
        until: When an ability of a model has been asked enough; None asks all.
        budgets: What its models may cost; None where nothing is limited.
        recall: Whether paid answers of other runs of a model serve this one.
        keep: Whether replicas keep their model at the end, for a later job.
        parked: Replicas of earlier jobs that wait for this one, by family.
    """

    store: str
    suite: str
    suite_digest: str
    suite_location: str
    abilities: tuple[str, ...] | None
    limit: int | None
    models: tuple[ModelPlan, ...]
    rooms: tuple[Room, ...]
    settings: EngineSettings = field(default_factory=EngineSettings)
    job: str = ""
    splits: tuple[str, ...] | None = None
    until: Until | None = None
    budgets: Budgets | None = None
    recall: bool = True
    keep: bool = False
    parked: Mapping[str, int] = field(default_factory=dict)


def run_id_of(spec: ModelSpec, identity: Identity, suite_digest: str) -> str:
    """The name of the run of a model on a suite: the same for everything that may share rows."""
    template = TEMPLATES[spec.template]
    facts = [
        identity.model_key,
        suite_digest,
        [template.name, template.version],
        sorted((key, value) for key, value in spec.generation.items() if value is not None),
    ]
    return _digest(facts)[:16]


def family_of(spec: ModelSpec, identity: Identity) -> str:
    """Models with the same family differ only in their weights."""
    shell = identity.facts.shell_digest if identity.facts is not None else None
    options = spec.parsed_options().model_dump(mode="json")
    place = spec.runtime_env.model_dump(mode="json") if spec.runtime_env is not None else None
    return _digest([spec.backend, options, spec.tensor_parallel, shell, place])[:16]


def generation_of(spec: ModelSpec, sample: Sample) -> Generation:
    """The effective generation parameters of a sample."""
    return spec.effective_generation(Generation(max_new_tokens=sample.max_new_tokens))


def expected_costs(samples: Sequence[Sample], spec: ModelSpec) -> Mapping[str, float]:
    """What each sample is expected to cost, their mean 1.

    Samples of similar cost have similar prompts and answers, so a batch that is taken in this
    order has little padding and ends together.
    """
    costs = {sample.sample_id: _cost(sample, spec) for sample in samples}
    mean = sum(costs.values()) / max(1, len(costs))
    return {sample_id: cost / mean for sample_id, cost in costs.items()}


def _cost(sample: Sample, spec: ModelSpec) -> float:
    answer = max((len(text) for text in sample.answers), default=0)
    short = sample.format in ("true_false", "multiple_choice")
    expected = _SHORT_ANSWER if short else 1 + answer
    tokens_out = min(expected, generation_of(spec, sample).max_new_tokens)
    characters = len(sample.question) + sum(map(len, sample.choices))
    prompt = _IMAGE_TOKENS * len(sample.images) + characters / _CHARACTERS
    return prompt + _DECODE * tokens_out


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
