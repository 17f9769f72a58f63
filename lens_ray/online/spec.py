"""What a user writes of a watch: `WatchSpec`, and `load_watch`, which names line, column and key.

A watch file says which training runs are looked at, how their checkpoints are hosted and asked,
what counts as a finding, and who hears of it. Secrets (webhooks are some) are named by their
environment variables, never written.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from lens_ray.models.spec import NAME_PATTERN, ClosedModel, RuntimeEnv
from lens_ray.stats.advice.needs import Needs

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


class Declared(ClosedModel):
    """Two windows that are to be compared, declared before anybody has looked.

    Attributes:
        early: First and last step of the window before.
        late: First and last step of the window after.
    """

    early: tuple[int, int]
    late: tuple[int, int]


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

    webhook_env: str | None = Field(default=None, min_length=1, max_length=128)
    slack_env: str | None = Field(default=None, min_length=1, max_length=128)
    on: tuple[str, ...] = ()
    timeout_s: float = Field(default=5.0, gt=0, le=60)


class StopSpec(ClosedModel):
    """When the trainer is told to stop: a file in the run's folder, which its callback heeds.

    Attributes:
        when: ``all_converged``: every ability (of the needs, where there are some) gains no more;
            ``needs_met``; ``collapse``.
        file: Its name.
    """

    when: tuple[Literal["all_converged", "needs_met", "collapse"], ...] = ()
    file: str = Field(default="STOP", pattern=r"^[A-Za-z0-9._-]{1,64}$")


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
    runs: tuple[RunSpec, ...] = Field(min_length=1)
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
