"""One backend over all providers: `ApiBackend`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from lens_ray.models.api.ports import Ports
from lens_ray.models.protocol import BackendInfo, Completion, Request
from lens_ray.models.spec import ModelSpec


class ApiBackend:
    """Asks a provider."""

    def __init__(self, spec: ModelSpec, weights: str) -> None:
        """Nothing is read yet."""
        self._spec = spec
        self._ports: Ports | None = None

    def attach(self, ports: Ports) -> None:
        """Take the ports, before `start`."""
        self._ports = ports

    async def start(self) -> BackendInfo:
        """Not built yet."""
        raise NotImplementedError

    def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Not built yet."""
        raise NotImplementedError

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Not built yet."""
        raise NotImplementedError

    async def close(self) -> None:
        """Not built yet."""
