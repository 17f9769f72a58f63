"""The job server of a cluster: `JobServer`, over Ray's `JobSubmissionClient`.

Everything that can be found out without Ray is found out before it is imported: whether somebody
listens, whether it is a dashboard, of which version, and whether it takes our token.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from unittest import mock
from urllib.parse import urlsplit

from lens_ray.engine.submission import (
    DRIVER_CPUS,
    JOB_FILE,
    STOP_WAIT_S,
    Submission,
    attempt_of,
    next_id,
)
from lens_ray.errors import ClusterError, UserError

_KNOCK_S = 5.0
_ANSWER_S = 30.0
_POLL_S = 0.5
_RACES = 5
_MIB = 2**20
_EXAMPLE = "http://HEAD:8265"
#: Ray lets these win over the address it is given.
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True, slots=True)
class Job:
    """One submitted job.

    Attributes:
        id: Its submission id.
        status: ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED`` or ``STOPPED``.
        metadata: As in `Submission`.
        message: What Ray says of its state.
        started: Seconds since 1970; None where Ray does not say.
        ended: The same, of its end.
        exit_code: Of its driver; None until it has ended by itself.
    """

    id: str
    status: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in _ENDED

    @property
    def ours(self) -> bool:
        """Whether `lens-ray submit` made it."""
        return "lens_ray" in self.metadata


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission.

    Attributes:
        id: Of the job that does the work.
        attached: Whether it was there already.
        attempt: Its number, from 1.
    """

    id: str
    attached: bool
    attempt: int


class JobServer:
    """A cluster's job server that answers, is of our Ray and knows our token."""

    def __init__(self, address: str) -> None:
        """Find out what is there.

        Args:
            address: Of the dashboard, ``http://HEAD:8265``.

        Raises:
            UserError: The address is none of a dashboard.
            ClusterError: It is out of reach, of another Ray, or it refuses our token.
        """
        self.address = dashboard_address(address)
        token = find_token()
        _check_version(self.address, _probe(self.address, token))
        from ray.job_submission import JobSubmissionClient

        # Its modules tell of every upload, whatever the level of their parent.
        for handler in logging.getLogger("ray").handlers:
            handler.setLevel(logging.ERROR)
        headers = {"Authorization": f"Bearer {token}"} if token else None
        kept = {name: value for name, value in os.environ.items() if name not in _OVERRIDES}
        with self._reached(), mock.patch.dict(os.environ, kept, clear=True):
            self._client = JobSubmissionClient(self.address, headers=headers)

    def jobs(self) -> list[Job]:
        """Every submitted job, the newest first.

        Raises:
            ClusterError: The server is out of reach.
        """
        with self._reached():
            found = [_job(one) for one in self._client.list_jobs() if one.submission_id]
        return sorted(found, key=lambda job: job.started or 0.0, reverse=True)

    def job(self, submission_id: str) -> Job:
        """One job.

        Raises:
            UserError: There is none with this id.
            ClusterError: The server is out of reach.
        """
        jobs = {job.id: job for job in self.jobs()}
        if submission_id in jobs:
            return jobs[submission_id]
        if not jobs:
            raise UserError(f"no job {submission_id!r} at {self.address}; it has none so far")
        near = get_close_matches(submission_id, jobs, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"lens-ray jobs --address {self.address}"
        raise UserError(f"no job {submission_id!r} at {self.address}; {hint}")

    def submit(self, submission: Submission) -> Submitted:
        """Start a job, or find the one that does the same work.

        Raises:
            UserError: What is to be sent is too large.
            ClusterError: The server is out of reach, or refuses the job.
        """
        refused: ClusterError | None = None
        for _ in range(_RACES):
            mine = [one for one in self.jobs() if attempt_of(one.id, submission.base)]
            for job in mine:
                if not job.over:
                    return Submitted(job.id, True, attempt_of(job.id, submission.base) or 1)
            name = next_id(submission.base, [one.id for one in mine])
            try:
                self._send(name, submission)
            except ClusterError as error:
                if "already exists" not in str(error):
                    raise
                refused = error  # somebody submits the same job at this moment
                continue
            return Submitted(name, False, attempt_of(name, submission.base) or 1)
        assert refused is not None
        raise refused

    def _send(self, name: str, submission: Submission) -> None:
        with tempfile.TemporaryDirectory(prefix="lens-submit-") as scratch, self._reached():
            environment: dict[str, Any] = {"env_vars": dict(submission.environment)}
            if submission.image is not None:
                environment["image_uri"] = submission.image
            elif submission.working_dir is not None:
                environment["working_dir"] = _package(submission.working_dir, Path(scratch))
            else:
                Path(scratch, JOB_FILE).write_text(submission.job_file, encoding="utf-8")
                environment["working_dir"] = scratch
            self._client.submit_job(
                entrypoint=submission.entrypoint,
                submission_id=name,
                runtime_env=environment,
                metadata=dict(submission.metadata),
                # Without any, Ray puts the driver on the head.
                entrypoint_num_cpus=0 if submission.on_head else DRIVER_CPUS,
            )

    def logs(self, submission_id: str) -> str:
        """What a job has printed so far.

        Raises:
            ClusterError: The server, or the node that has the text, is out of reach.
        """
        with self._reached():
            return self._client.get_job_logs(submission_id)

    def follow(self, submission_id: str) -> Generator[str, None, None]:
        """What a job prints, until it ends.

        Raises:
            ClusterError: The connection is lost; the job goes on.
        """
        import aiohttp

        loop = asyncio.new_event_loop()
        # Annotated as an iterator, it is a generator, which is to be closed.
        lines = cast("AsyncGenerator[str, None]", self._client.tail_job_logs(submission_id))
        try:
            while True:
                try:
                    yield loop.run_until_complete(anext(lines))
                except StopAsyncIteration:
                    return
                except (aiohttp.ClientError, RuntimeError, OSError) as error:
                    raise ClusterError(
                        f"the connection to {self.address} is lost: {_line(str(error))}; the job "
                        f"goes on: lens-ray logs {submission_id} --address {self.address} --follow"
                    ) from error
        finally:
            loop.run_until_complete(lines.aclose())
            loop.close()

    def stop(self, submission_id: str) -> bool:
        """Ask a job to end; it writes what was answered first.

        Returns:
            Whether it ran.

        Raises:
            ClusterError: The server is out of reach.
        """
        with self._reached():
            return self._client.stop_job(submission_id)

    def wait(
        self,
        submission_id: str,
        *,
        patience_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Job:
        """Wait until a job has ended.

        Args:
            submission_id: Of the job.
            patience_s: How long; None is without end.
            clock: Seconds.

        Raises:
            ClusterError: The server is out of reach, or the job has not ended by then.
        """
        until = None if patience_s is None else clock() + patience_s
        while not (job := self._now(submission_id)).over:
            if until is not None and clock() > until:
                raise ClusterError(
                    f"job {submission_id} is still {job.status}; look again: "
                    f"lens-ray jobs --address {self.address}"
                )
            time.sleep(_POLL_S)
        return job

    def wait_stopped(self, submission_id: str) -> Job:
        """Wait until a job that was asked to stop has ended.

        Raises:
            ClusterError: It has not ended when Ray should have killed it.
        """
        return self.wait(submission_id, patience_s=2 * STOP_WAIT_S)

    def _now(self, submission_id: str) -> Job:
        with self._reached():
            return _job(self._client.get_job_info(submission_id))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Connections that fail, tokens that expire and what the server refuses, in one line."""
        from ray.exceptions import AuthenticationError
        from requests.exceptions import RequestException

        try:
            yield
        except AuthenticationError as error:
            raise _refused(self.address, find_token() is not None) from error
        except (ConnectionError, RequestException) as error:
            raise _unreachable(self.address, str(error)) from error
        except RuntimeError as error:  # whatever status the server answers
            said = str(error).strip(" .\n")
            if "Traceback" in said:
                said = said.splitlines()[-1]
            raise ClusterError(f"the job server at {self.address} says: {_line(said)}") from error


def folder_digest(folder: Path) -> str:
    """Of everything in a folder that would be sent along.

    Raises:
        UserError: It is no folder.
    """
    if not folder.is_dir():
        raise UserError(f"--working-dir {folder}: is no folder; give the folder to send along")
    from ray._private.runtime_env.packaging import get_uri_for_directory

    return get_uri_for_directory(str(folder), include_gitignore=True, excludes=_excludes())


def _package(folder: Path, scratch: Path) -> str:
    """A folder as one file of a size that a cluster takes.

    Raises:
        UserError: It is too large.
    """
    from ray._private.runtime_env import packaging

    file = scratch / "working_dir.zip"
    packaging.create_package(str(folder), file, include_gitignore=True, excludes=_excludes())
    limit = packaging.GCS_STORAGE_MAX_SIZE
    if file.stat().st_size >= limit:
        raise UserError(
            f"--working-dir {folder}: {file.stat().st_size / _MIB:.0f} MiB when packed, and a "
            f"cluster takes less than {limit / _MIB:.0f}; name what is not needed in "
            f"{folder / '.rayignore'}, and put checkpoints on s3://"
        )
    return str(file)


def _excludes() -> list[str]:
    from ray._private import ray_constants

    return list(ray_constants.get_runtime_env_default_excludes())


def _job(details: Any) -> Job:
    def seconds(milliseconds: int | None) -> float | None:
        return None if milliseconds is None else milliseconds / 1000

    return Job(
        id=details.submission_id,
        status=str(details.status),
        metadata=dict(details.metadata or {}),
        message=details.message or "",
        started=seconds(details.start_time),
        ended=seconds(details.end_time),
        exit_code=details.driver_exit_code,
    )


# Before Ray is imported.


def dashboard_address(text: str) -> str:
    """The address of a dashboard as Ray wants it.

    Raises:
        UserError: It is one of something else, such as ``ray://``.
    """
    whole = text if "://" in text else f"http://{text}"
    parts = urlsplit(whole)
    try:
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # the port is no number
        usable = False
    if parts.username or parts.password:
        raise UserError("--address carries credentials; take them out and set RAY_AUTH_TOKEN")
    if parts.scheme not in ("http", "https") or not usable:
        raise UserError(f"--address {text}: is no address of a dashboard; give {_EXAMPLE}")
    return whole.rstrip("/")


def find_token() -> str | None:
    """The token for a cluster, from where Ray looks for it; None where there is none.

    Raises:
        UserError: The file that the environment names cannot be read.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "disabled":
        return None
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except OSError as error:
        if named is None:
            return None
        raise UserError(
            f"RAY_AUTH_TOKEN_PATH: {file} cannot be read ({error.strerror}); name the token's file"
        ) from error


def _probe(address: str, token: str | None) -> Mapping[str, Any]:
    """What the dashboard says of itself.

    Raises:
        UserError: Somebody answers who is no dashboard.
        ClusterError: Nobody answers, or our token is refused.
    """
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{address}/api/version", headers=headers)
    # A cluster's address is direct: no proxy of the environment knows it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_ANSWER_S) as answer:
            facts = json.loads(answer.read(_MIB))
        return {"ray_version": facts["ray_version"]}
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise _refused(address, token is not None) from error
        raise _no_dashboard(address, f"HTTP {error.code}") from error
    except TimeoutError as error:
        raise _unreachable(address, "no answer") from error
    except HTTPException as error:
        raise _no_dashboard(address, "it speaks no HTTP") from error
    except OSError as error:
        raise _no_dashboard(address, _line(str(error))) from error
    except (ValueError, KeyError, TypeError) as error:
        raise _no_dashboard(address, "an answer without ray_version") from error


def _check_version(address: str, facts: Mapping[str, Any]) -> None:
    """Refuse a cluster of another Ray, whose messages may mean something else.

    Raises:
        ClusterError: It is one.
    """
    here, there = version("ray"), str(facts["ray_version"])
    if here != there:
        raise ClusterError(
            f"the cluster at {address} runs Ray {there}, and here is Ray {here}; install the same: "
            f"pip install 'ray[default]=={there}', or start the cluster with {here}"
        )


def _unreachable(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"no job server at {address} can be reached: {_line(reason)}; check --address, and that "
        "the head was started with its dashboard on an address that others reach "
        "(ray start --head --dashboard-host 0.0.0.0)"
    )


def _no_dashboard(address: str, found: str) -> UserError:
    return UserError(
        f"--address {address}: what answers is no dashboard ({found}); give {_EXAMPLE}, "
        "not the port of ray start (6379) or of ray:// (10001)"
    )


def _refused(address: str, sent: bool) -> ClusterError:
    if not sent:
        what = "asks for a token, and there is none here"
    else:
        what = "refuses the token, which is wrong or has expired"
    return ClusterError(
        f"the cluster at {address} {what}; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a copy of "
        "the head's ~/.ray/auth_token (there: ray get-auth-token)"
    )


def _line(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
