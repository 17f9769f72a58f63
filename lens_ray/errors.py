"""Every exception that lens-ray raises on purpose.

::

    LensError                    exit code
    ├── UserError                2   the user's input
    │   ├── JobError                 job file: key, line and column
    │   ├── SuiteError               suite reference, files or digest
    │   ├── CheckpointError          model folder: weights, config, tokenizer
    │   ├── StoreError               store URL that cannot be one, or does not exist
    │   └── QueryError               SQL that is wrong or that writes
    ├── NoGo                     3   a gate says no
    ├── CannotSay                4   the data do not decide
    ├── EnvironmentFailure       5   the world outside
    │   ├── StoreUnavailable         store out of reach, read-only or full
    │   ├── RunBusy                  another driver holds the run
    │   ├── ProviderUnavailable      an API provider: key refused, credit gone, model unknown
    │   └── ClusterError             Ray out of reach, or replicas cannot start
    ├── BudgetReached            6   a job's or a model's budget is spent
    └── Incomplete               6   finished, but samples lack a final row

Anything else that escapes is a bug (exit code 1) and keeps its traceback.
A message says what, where, what was found and what to type, in one line.
"""

from __future__ import annotations


class LensError(Exception):
    """Base of every deliberate error; ``str()`` is the one line shown to the user."""

    exit_code = 1


class UserError(LensError):
    """The user's input is at fault."""

    exit_code = 2


class JobError(UserError):
    """A job file is not valid."""


class SuiteError(UserError):
    """A suite cannot be resolved, read or trusted."""


class CheckpointError(UserError):
    """A model folder is not a checkpoint that can be evaluated."""


class StoreError(UserError):
    """A store URL cannot be a store, or does not exist."""


class QueryError(UserError):
    """A query is wrong, or would write."""


class NoGo(LensError):
    """A gate's answer is no."""

    exit_code = 3


class CannotSay(LensError):
    """The data at hand do not decide the question."""

    exit_code = 4


class EnvironmentFailure(LensError):
    """Something outside the program and the user's input failed."""

    exit_code = 5


class StoreUnavailable(EnvironmentFailure):
    """The store cannot be reached or written (network, permissions, space)."""


class RunBusy(EnvironmentFailure):
    """Another driver holds the lease of this run."""


class ClusterError(EnvironmentFailure):
    """Ray cannot be reached, or no replica can be started on it."""


class ProviderUnavailable(EnvironmentFailure):
    """A provider answers nobody with this key: it is refused, its credit is gone, or it is away."""


class BudgetReached(LensError):
    """No money is left for a call; the samples not asked become ``over_budget`` rows."""

    exit_code = 6


class Incomplete(LensError):
    """The work ended and some expected samples have no final row."""

    exit_code = 6
