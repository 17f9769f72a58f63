"""What a user writes of a watch: `WatchSpec`, and `load_watch`, which names line, column and key.

A watch file says which training runs are looked at, how their checkpoints are hosted and asked,
what counts as a finding, and who hears of it. Secrets (webhooks are some) are named by their
environment variables, never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from lens_ray.errors import UserError
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.spec import (
    NAME_PATTERN,
    ClosedModel,
    GenerationOverrides,
    ModelSpec,
    RuntimeEnv,
)
from lens_ray.stats.advice.needs import Needs
from lens_ray.yaml_file import FileKind, load_file
from lens_ray.yaml_problems import problem, repeated, some_or_all

#: A checkpoint is called RUN@STEP, and that is a model's name, which may have 128 characters.
_LONGEST_RUN = 112
#: What the store keeps beside a watch's runs, or beside watches and searches.
_RESERVED = ("units", "index.json", "lease.json", "spec.json")
PolicyName = Literal["all", "newest_first", "every_n", "every", "milestones_full_else_anchor"]


class RunSpec(ClosedModel):
    """One training run.

    Attributes:
        name: Unique in the file.
        path: Folder or ``s3://`` prefix below which its checkpoints appear.
        replay: Where its stored rows are for ``--replay``: ``builtin:SERIES`` or a Parquet file of
            rows; None replays what the store has.
        planned_steps: At which the run is to end; None is not known.
        tokens_per_step: For the axis; None where the trainer announces tokens or nobody does.
        gpus: That train it; 0 is not known.
        seconds_per_step: Of training; None takes what the trainer announces, or the files' times.
        accelerator: What the GPUs are, by its name in the price table, for dollars.
        run_yaml: Its own record of mix and learning rate; None looks for ``run.yaml`` in ``path``.
    """

    name: str = Field(pattern=NAME_PATTERN)
    path: str = Field(min_length=1, max_length=4096)
    replay: str | None = Field(default=None, min_length=1, max_length=4096)
    planned_steps: int | None = Field(default=None, ge=1)
    tokens_per_step: float | None = Field(default=None, gt=0)
    gpus: int = Field(default=0, ge=0)
    seconds_per_step: float | None = Field(default=None, gt=0)
    accelerator: str | None = Field(default=None, min_length=1, max_length=128)
    run_yaml: str | None = Field(default=None, min_length=1, max_length=4096)

    @field_validator("name")
    @classmethod
    def _can_be_kept(cls, name: str) -> str:
        if len(name) > _LONGEST_RUN:
            raise PydanticCustomError(
                "long_name", "{length} characters; a run's name has {most} at most",
                {"length": len(name), "most": _LONGEST_RUN},
            )  # fmt: skip
        return free_name(name)


class HostSpec(ClosedModel):
    """How checkpoints are hosted: a model of a job file without name, path and step.

    Attributes:
        backend: See `lens_ray.models.spec.ModelSpec`, as all others.
        replicas: How many processes; they stay, and take each checkpoint by a hot swap.
        tensor_parallel: GPUs of one replica.
        template: Prompt template.
        generation: Overrides.
        options: Of the backend.
        runtime_env: Of the replicas.
    """

    backend: str = "transformers"
    replicas: int | Literal["auto"] = "auto"
    tensor_parallel: int = Field(default=1, ge=1, le=1024)
    template: str = "default"
    generation: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    runtime_env: RuntimeEnv | None = None

    def model_spec(self, name: str, path: str, step: int | None = None) -> ModelSpec:
        """As the engine takes it: one checkpoint, hosted like this."""
        return ModelSpec(name=name, path=path, step=step, **self.model_dump(exclude_unset=True))


class Declared(ClosedModel):
    """Two windows that are to be compared, declared before anybody has looked.

    Attributes:
        early: First and last step of the window before.
        late: First and last step of the window after.
    """

    early: tuple[int, int]
    late: tuple[int, int]

    @model_validator(mode="after")
    def _in_order(self) -> Declared:
        if not self.early[0] <= self.early[1] < self.late[0] <= self.late[1]:
            raise PydanticCustomError(
                "windows", "early must end before late begins; write early: [100, 300] and "
                "late: [400, 600]",
            )  # fmt: skip
        return self


class Rules(ClosedModel):
    """What counts as a finding, and how sure it must be.

    Attributes:
        margin: Gain (of the corrected score) that is worth training for.
        confidence: Of the intervals and bounds that are shown.
        alpha: False alarms of one kind a run, at most.
        window: Checkpoints of one window, where none are declared.
        planned_checkpoints: For which ``alpha`` is spent; later looks share what is set aside.
        windows: Declared windows; empty takes consecutive blocks of ``window`` checkpoints.
        near_chance: Corrected score below which an ability has not been learned.
    """

    margin: float = Field(default=0.02, gt=0, le=0.5)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    window: int = Field(default=5, ge=1, le=1000)
    planned_checkpoints: int = Field(default=30, ge=2, le=100_000)
    windows: tuple[Declared, ...] = ()
    near_chance: float = Field(default=0.10, ge=0, lt=1)


class AlertSpec(ClosedModel):
    """Who hears of findings; nobody hears the same one twice.

    Attributes:
        webhook_env: Environment variable with a URL that takes generic JSON.
        slack_env: Environment variable with a URL that takes Slack's shape.
        on: Which findings; empty is all.
        timeout_s: A webhook that hangs is given up after so long; it is tried again later.
    """

    webhook_env: str | None = Field(default=None, max_length=128)
    slack_env: str | None = Field(default=None, max_length=128)
    on: tuple[str, ...] = ()
    timeout_s: float = Field(default=5.0, gt=0, le=60)

    @field_validator("webhook_env", "slack_env")
    @classmethod
    def _a_variable(cls, value: str | None) -> str | None:
        if value is not None and not value.isidentifier():
            raise PydanticCustomError(
                "variable",
                "write the name of an environment variable that holds the URL, never the URL: "
                "webhook_env: LENS_WEBHOOK",
            )
        return value


class StopSpec(ClosedModel):
    """When the trainer is told to stop: a file in the run's folder, which its callback heeds.

    Attributes:
        when: ``all_converged``: every ability (of the needs, where there are some) gains no more;
            ``needs_met``; ``collapse``.
        file: Its name.
    """

    when: tuple[Literal["all_converged", "needs_met", "collapse"], ...] = ()
    file: str = Field(default="STOP", pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")


class WatchSpec(ClosedModel):
    """A whole watch file.

    Attributes:
        name: Of the watch; its queue and state live in the store under this name.
        suite: As in a job file.
        abilities: Which of the suite's; None takes all.
        store: Folder or fsspec URL.
        runs: The training runs, at least one.
        model: How their checkpoints are hosted.
        policy: ``all`` asks every checkpoint, oldest first; ``newest_first`` the newest, and the
            others when there is time; ``every_n`` each n-th; ``every`` one in a stretch of time;
            ``milestones_full_else_anchor`` every one on the anchor split, milestones in full.
        every_n: For ``every_n``.
        every: For ``every``: ``30m``, ``2h``, ``90s``.
        ask: Which samples, for the policies without milestones.
        milestones: Steps that are asked in full, or every so many-th checkpoint.
        behind: Checkpoints that may wait before the policy skips some and says so; None is no
            limit.
        poll_s: Seconds between two looks.
        settle_s: A checkpoint without a completion marker is whole when its sizes have not
            changed for so long.
        never_whole_s: After so long without becoming whole it is reported.
        idle_release_s: Replicas without work are given back after so long; None keeps them.
        give_way: Give the replicas back as soon as something else waits for the resources.
        rules: What counts as a finding.
        needs: A use: the first checkpoint that meets it is named.
        alerts: Who hears.
        stop: When the trainer is told to stop.
        pool: Frozen pool for the stability of all steps; None takes the built-in one of the
            suite, if there is one.
    """

    name: str = Field(pattern=NAME_PATTERN)
    suite: str = Field(min_length=1, max_length=4096)
    abilities: tuple[str, ...] | None = None
    store: str = Field(min_length=1, max_length=4096)
    runs: tuple[RunSpec, ...]
    model: HostSpec = Field(default_factory=HostSpec)
    policy: PolicyName = "milestones_full_else_anchor"
    every_n: int = Field(default=1, ge=1)
    every: str | None = Field(default=None, pattern=r"^\d+(\.\d+)?[smhd]$")
    ask: Literal["anchor", "full"] = "anchor"
    milestones: int | tuple[int, ...] = 5
    behind: int | None = Field(default=None, ge=1)
    poll_s: float = Field(default=5.0, gt=0, le=3600)
    settle_s: float = Field(default=10.0, ge=0, le=86_400)
    never_whole_s: float = Field(default=3600.0, gt=0)
    idle_release_s: float | None = Field(default=None, gt=0)
    give_way: bool = False
    rules: Rules = Field(default_factory=Rules)
    needs: Needs | None = None
    alerts: AlertSpec = Field(default_factory=AlertSpec)
    stop: StopSpec = Field(default_factory=StopSpec)
    pool: str | None = None

    @field_validator("name")
    @classmethod
    def _can_be_kept(cls, name: str) -> str:
        return free_name(name)

    _some_or_all = field_validator("abilities")(some_or_all)

    @field_validator("runs")
    @classmethod
    def _runs_of_their_own(cls, runs: tuple[RunSpec, ...]) -> tuple[RunSpec, ...]:
        if not runs:
            raise PydanticCustomError("no_run", "the list is empty; name at least one run")
        problems = [
            *repeated((run.name for run in runs), "name", "runs"),
            *repeated((run.path.rstrip("/") for run in runs), "path", "runs"),
        ]
        if problems:
            raise ValidationError.from_exception_data("WatchSpec", problems)
        return runs

    @field_validator("model")
    @classmethod
    def _can_be_hosted(cls, host: HostSpec) -> HostSpec:
        return hosts_checkpoints(host)

    @field_validator("milestones")
    @classmethod
    def _possible_milestones(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        steps = (value,) if isinstance(value, int) else value
        if not steps or min(steps) < (1 if isinstance(value, int) else 0):
            raise PydanticCustomError(
                "milestones", "write every how many-th checkpoint (5), or a list of steps "
                "([1000, 2000])",
            )  # fmt: skip
        return value

    @model_validator(mode="after")
    def _keys_that_belong_together(self) -> WatchSpec:
        problems = [
            *_lacking(self.policy, self.model_fields_set),
            *_without_effect(self.policy, self.model_dump(exclude_defaults=True).keys()),
        ]
        if "needs_met" in self.stop.when and self.needs is None:
            what = "needs_met rests on needs; write needs: {min_score: ...} too"
            problems.append(problem(("stop", "when"), "no_needs", what))
        if problems:
            raise ValidationError.from_exception_data("WatchSpec", problems)
        return self


def hosts_checkpoints(host: HostSpec) -> HostSpec:
    """Check that checkpoints can be hosted so: the rules of a job file's model hold here too.

    Raises:
        ValidationError: At the key's place in the part ``model``.
        PydanticCustomError: The backend hosts no checkpoints, or the template is not known.
    """
    from lens_ray.models import backend_entry
    from lens_ray.suites.templates import unknown_template

    try:
        host.model_spec("checkpoint", "checkpoint")
    except ValidationError as error:
        raise ValidationError.from_exception_data(
            "HostSpec", [_again(detail) for detail in error.errors(include_url=False)]
        ) from error
    if backend_entry(host.backend).attached:
        raise PydanticCustomError(
            "attached", "{name} asks a provider, which hosts no checkpoint of yours; write "
            "backend: transformers or vllm", {"name": host.backend},
        )  # fmt: skip
    if (unknown := unknown_template(host.template)) is not None:
        raise unknown
    return host


_KEYS_OF_POLICIES: Mapping[str, tuple[PolicyName, ...]] = {
    "every": ("every",),
    "every_n": ("every_n",),
    "milestones": ("milestones_full_else_anchor",),
    "ask": ("all", "newest_first", "every_n", "every"),
}


def free_name(name: str) -> str:
    """A name that the store has no other use for; of a watch, a training run or a search.

    Raises:
        PydanticCustomError: It has one.
    """
    if name in _RESERVED:
        raise PydanticCustomError(
            "reserved", "{name} is a name that the store uses itself; take another",
            {"name": name},
        )  # fmt: skip
    return name


def _lacking(policy: PolicyName, given: Set[str]) -> list[InitErrorDetails]:
    """What a policy cannot do without."""
    for key, example in (("every", "30m"), ("every_n", "5")):
        if policy == key and key not in given:
            what = "policy {key} needs a key of this name; write {key}: {example}"
            return [problem(("policy",), "lacking", what, key=key, example=example)]
    return []


def _without_effect(policy: PolicyName, given: Set[str]) -> list[InitErrorDetails]:
    what = "no effect with policy: {policy}; take it out, or write policy: {wanted}"
    return [
        problem((key,), "no_effect", what, policy=policy, wanted=policies[0])
        for key, policies in _KEYS_OF_POLICIES.items()
        if key in given and policy not in policies
    ]


def _again(detail: Mapping[str, Any]) -> InitErrorDetails:
    """An error of a model that was built from a part of the file, at that part's place."""
    kind, ctx = detail["type"], detail.get("ctx", {})
    try:
        PydanticKnownError(kind, ctx)
    except KeyError:  # one of our own
        kind = PydanticCustomError(kind, detail["msg"])
    return {"type": kind, "loc": detail["loc"], "input": detail["input"], "ctx": ctx}


def load_watch(path: str | Path, *, store: str | None = None) -> WatchSpec:
    """Read and check a watch file.

    ``${NAME}`` stands for an environment variable in ``store``, ``suite``, ``pool`` and a run's
    ``path``, ``replay`` and ``run_yaml``, and nowhere else.

    Args:
        path: The file.
        store: Used in the place of the file's ``store``, which may then be missing.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    return load_file(path, WatchSpec, _KIND, store=store)


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): WatchSpec, ("runs",): RunSpec, ("model",): HostSpec,
    ("model", "generation"): GenerationOverrides, ("model", "runtime_env"): RuntimeEnv,
    ("rules",): Rules, ("rules", "windows"): Declared, ("needs",): Needs, ("alerts",): AlertSpec,
    ("stop",): StopSpec,
}  # fmt: skip


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    """The keys that the mapping at a path may have."""
    keys = tuple(part for part in path if isinstance(part, str))
    if keys == ("model", "options"):
        return known_option_keys(values["model"])
    return list(_PARTS[keys].model_fields)


def known_option_keys(host: object) -> list[str]:
    """The keys that ``options`` of a file's part ``model`` may have; none where nobody knows.

    Args:
        host: The part, as it was written.
    """
    from lens_ray.models import options_class

    backend = host.get("backend", "transformers") if isinstance(host, dict) else ""
    try:
        return list(options_class(str(backend)).model_fields)
    except UserError:  # its own error is on the list
        return []


_KIND = FileKind(
    name="watch file",
    start="start with name:, suite:, store: and runs:",
    expanded=frozenset(
        {("store",), ("suite",), ("pool",)}
        | {("runs", key) for key in ("path", "replay", "run_yaml")}
    ),
    where="store, suite, pool, and a run's path, replay and run_yaml",
    known_keys=_known_keys,
)
