"""A provider in this process, for the real SDKs: `Wire`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx2
import pytest

from lens_ray.models.api.adapter import ApiFailure
from lens_ray.models.api.keys import Key

SECRET = "sk-test-canary-0123456789"
KEY = Key(SECRET, "TEST_KEY")


@dataclass
class Wire:
    """Answers each call with what comes next, the last one again and again.

    Attributes:
        says: Responses, or exceptions that the connection raises.
        asked: What came.
    """

    says: list[httpx2.Response | Exception | Callable[[], Awaitable[httpx2.Response]]]
    asked: list[httpx2.Request] = field(default_factory=list)

    @property
    def transport(self) -> httpx2.MockTransport:
        async def answer(request: httpx2.Request) -> httpx2.Response:
            self.asked.append(request)
            said = self.says[min(len(self.asked), len(self.says)) - 1]
            if isinstance(said, Exception):
                raise said
            return said if isinstance(said, httpx2.Response) else await said()

        return httpx2.MockTransport(answer)

    @property
    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(request.content) for request in self.asked]


def failure_of(wire: Wire, ask: Callable[[], object]) -> ApiFailure:
    """What one call fails with: in one line, without the key, and without the SDK's exception."""
    with pytest.raises(ApiFailure) as failure:
        ask()
    assert SECRET not in str(failure.value)
    assert "\n" not in failure.value.line
    assert failure.value.__cause__ is None
    assert len(wire.asked) == 1
    return failure.value
