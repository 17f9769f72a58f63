"""Objects in an S3 bucket, by s3fs.

Conditional writes do what links and locks do in a folder. A conditional write whose answer was
lost may have landed, and is then refused when it is tried again; so a refusal is never taken at
its word: what is there is read and compared.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lens_ray.errors import StoreError, StoreUnavailable
from lens_ray.store.objects import THREADS, Listed, Versioned


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a bucket is waited for.

    Attributes:
        tries: Requests until it counts as out of reach.
        first_s: Wait after the first, about twice as long after each further one.
        connect_s: Longest wait for a connection.
        read_s: Longest wait for the next bytes.
        request_s: Longest time of one request, however steadily its bytes drip.
    """

    tries: int = 6
    first_s: float = 0.2
    connect_s: float = 5.0
    read_s: float = 20.0
    request_s: float = 120.0


PATIENCE = Patience()
#: Answers that say "not now". 409 is ConditionalRequestConflict: two writers at once.
_AGAIN_CODES = frozenset(
    {
        "ConditionalRequestConflict", "InternalError", "OperationAborted", "RequestTimeout",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException",
        "TooManyRequestsException",
    }
)  # fmt: skip
_AGAIN_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})
_REFUSED = 412
_NOT_THERE = 404


#: s3fs instances of this process; making one costs more than many requests.
_CLIENTS: dict[tuple[int, Patience, int], Any] = {}
_CLIENTS_LOCK = threading.Lock()


class _Again(Exception):
    """The request is worth another try; its text says why the last one failed."""


class _Refused(Exception):
    """The condition of a conditional write does not hold, or did not at the last try."""


class _NotThere(Exception):
    """There is no such object, or no such bucket."""


class BucketObjects:
    """An `ObjectStore` over a prefix of a bucket.

    Endpoint, region and keys come from the environment (``AWS_ENDPOINT_URL``,
    ``AWS_ACCESS_KEY_ID``, ...) of each process that uses it, and are kept nowhere.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        """Name the place; nothing is asked yet.

        Raises:
            StoreError: The URL names no bucket.
        """
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        if not bucket or "?" in url or "#" in url or ".." in prefix.split("/"):
            raise StoreError(f"store {url}: it names no bucket; give s3://BUCKET/PREFIX")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._patience = patience or PATIENCE

    def __reduce__(self) -> tuple[type[BucketObjects], tuple[str, Patience]]:
        return BucketObjects, (self.url, self._patience)

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore.get`."""
        found = self.get_versioned(key)
        return found.data if found is not None else None

    def get_versioned(self, key: str) -> Versioned | None:
        """See `ObjectStore.get_versioned`."""
        try:
            answer = self._ask("get_object", key)
        except _NotThere:
            return None
        return Versioned(answer["Body"], answer["ETag"])

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """Some bytes of an object, fewer where it ends before; None where it is not there."""
        try:
            answer = self._ask("get_object", key, Range=f"bytes={start}-{start + length - 1}")
        except _NotThere:
            return None
        return bytes(answer["Body"])

    def create(self, key: str, data: bytes) -> bool:
        """See `ObjectStore.create`."""
        return self.swap(key, data, None) is not None

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        """See `ObjectStore.swap`."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        for _ in range(self._patience.tries):
            try:
                return str(self._ask("put_object", key, Body=data, **condition)["ETag"])
            except (_Refused, _NotThere) as error:
                found = self.get_versioned(key)
                if found is None and version is None and isinstance(error, _NotThere):
                    raise self._unavailable("there is no such bucket; make it first") from error
            if found is not None and found.data == data:
                return found.version
            if (found.version if found is not None else None) != version:
                return None
        raise self._unavailable(f"{key} is refused though nothing speaks against it")

    def list(self, prefix: str) -> Iterator[Listed]:
        """See `ObjectStore.list`."""
        start = f"{self._prefix}{prefix}".rstrip("/")
        more: dict[str, str] = {"Prefix": f"{start}/" if start else ""}
        while True:
            try:
                page = self._ask("list_objects_v2", None, **more)
            except _NotThere:
                return
            for found in page.get("Contents", ()):
                key = str(found["Key"]).removeprefix(self._prefix)
                tag = str(found.get("ETag", "")).strip('"')
                yield Listed(key, int(found["Size"]), found["LastModified"].timestamp(), tag)
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """See `ObjectStore.delete`."""
        self._ask("delete_object", key)

    def _ask(self, method: str, key: str | None, **arguments: Any) -> dict[str, Any]:
        """One request, tried again while that may help; a body is read to its end."""
        arguments["Bucket"] = self._bucket
        if key is not None:
            arguments["Key"] = self._prefix + key
        wait = self._patience.first_s
        for attempt in range(1, self._patience.tries + 1):
            try:
                return self._once(method, arguments)
            except _Again as error:
                if attempt == self._patience.tries:
                    cause = f"{error}, {attempt} times"
                    raise self._unavailable(
                        f"cannot be reached ({cause}); check AWS_ENDPOINT_URL and the network"
                    ) from error
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait *= 2
        raise AssertionError("unreachable")

    def _once(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        from botocore import exceptions as botocore
        from fsspec.asyn import sync

        filesystem = _filesystem(self._patience)

        async def request() -> dict[str, Any]:
            answer: dict[str, Any] = await filesystem._call_s3(method, **arguments)
            if "Body" in answer:
                async with answer["Body"] as stream:
                    answer["Body"] = await stream.read()
            return answer

        try:
            timed = asyncio.wait_for  # one deadline for the answer and all of its body
            answer: dict[str, Any] = sync(
                filesystem.loop, lambda: timed(request(), self._patience.request_s)
            )
        except botocore.ParamValidationError as error:
            raise StoreError(f"store {self.url}: no valid name of a bucket") from error
        except (
            botocore.HTTPClientError,
            botocore.ConnectionError,
            TimeoutError,
            ConnectionError,
        ) as error:
            raise _Again(type(error).__name__) from error
        except (botocore.BotoCoreError, ValueError) as error:  # ValueError: no such endpoint
            raise self._unavailable(f"{type(error).__name__}; check the AWS_* variables") from error
        except Exception as error:
            # s3fs gives the service's answers as OSErrors whose cause has the code; aiohttp has
            # classes of its own for answers that were cut off.
            cause = error if isinstance(error, botocore.ClientError) else error.__cause__
            if isinstance(cause, botocore.ClientError):
                raise self._meaning(cause.response) from error
            if type(error).__module__.partition(".")[0] in ("aiohttp", "botocore", "aiobotocore"):
                raise _Again(type(error).__name__) from error
            raise
        return answer

    def _meaning(self, response: Any) -> Exception:
        """What the service's answer means, as an exception to raise."""
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == _REFUSED:
            return _Refused(code)
        if status == _NOT_THERE:
            return _NotThere(code)
        if code in _AGAIN_CODES or status in _AGAIN_STATUS:
            return _Again(f"{status} {code}")
        if status in (401, 403):
            return self._unavailable(
                f"access denied ({code}); the keys need s3:GetObject, s3:PutObject and "
                "s3:ListBucket there"
            )
        return self._unavailable(
            f"it answered {status} {code}; check the bucket and AWS_DEFAULT_REGION"
        )

    def _unavailable(self, cause: str) -> StoreUnavailable:
        return StoreUnavailable(f"store {self.url}: {cause}")


def _filesystem(patience: Patience) -> Any:
    """The s3fs instance of this process and of the environment as it is now.

    It holds an event loop, which no fork survives.
    """
    settings = frozenset((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))
    key = (os.getpid(), patience, hash(settings))
    with _CLIENTS_LOCK:
        if key not in _CLIENTS:
            import s3fs

            made = s3fs.S3FileSystem(
                skip_instance_cache=True,
                use_listings_cache=False,
                config_kwargs={
                    "connect_timeout": patience.connect_s,
                    "read_timeout": patience.read_s,
                    "max_pool_connections": 2 * THREADS,
                    # Every try is counted in `BucketObjects._ask`, and nowhere below.
                    "retries": {"total_max_attempts": 1},
                },
            )
            made.retries = 1
            _CLIENTS[key] = made
        return _CLIENTS[key]
