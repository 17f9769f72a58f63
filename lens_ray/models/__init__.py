"""Who answers: `ModelSpec`, the `Backend` protocol, and the registry of backends.

A backend of another package registers a callable ``(spec, weights) -> Backend`` under the entry
point group ``lens_ray.backends``. The callable may carry the attributes ``Options`` (a pydantic
model with ``extra="forbid"``) and ``needs_checkpoint`` (False where ``path`` names no folder).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pydantic import BaseModel

from lens_ray.errors import UserError
from lens_ray.models.api.options import (
    AnthropicOptions,
    ApiOptions,
    GeminiOptions,
    OpenAIOptions,
)
from lens_ray.models.protocol import Backend, BackendInfo, Completion, Generation, Request
from lens_ray.models.spec import (
    ClosedModel,
    FakeOptions,
    ModelSpec,
    TransformersOptions,
    VllmOptions,
)

GROUP = "lens_ray.backends"

__all__ = [
    "Backend",
    "BackendEntry",
    "BackendInfo",
    "Completion",
    "Generation",
    "ModelSpec",
    "Request",
    "backend_entry",
    "backend_names",
    "create_backend",
    "options_class",
]

Factory = Callable[[ModelSpec, str], Backend]


class NoOptions(ClosedModel):
    """For a backend that takes none."""


@dataclass(frozen=True, slots=True)
class BackendEntry:
    """A registered backend.

    Attributes:
        factory: Makes a backend that is not yet started.
        options: Its options, a closed pydantic model.
        needs_checkpoint: Whether ``path`` must resolve to a checkpoint folder.
        requires: A package that it imports.
        extra: The extra of lens-ray that brings it.
        attached: Whether its backend takes `lens_ray.models.api.ports.Ports` by ``attach``.
    """

    factory: Factory
    options: type[BaseModel]
    needs_checkpoint: bool = True
    requires: str | None = None
    extra: str | None = None
    attached: bool = False


def _transformers(spec: ModelSpec, weights: str) -> Backend:
    from lens_ray.models.transformers_backend import TransformersBackend

    return TransformersBackend(spec, weights)


def _vllm(spec: ModelSpec, weights: str) -> Backend:
    from lens_ray.models.vllm_backend import VllmBackend

    return VllmBackend(spec, weights)


def _fake(spec: ModelSpec, weights: str) -> Backend:
    from lens_ray.testing.fake_backend import FakeBackend

    return FakeBackend(spec, weights)


def _api(spec: ModelSpec, weights: str) -> Backend:
    from lens_ray.models.api.backend import ApiBackend

    return ApiBackend(spec, weights)


def _provider(options: type[ApiOptions], package: str) -> BackendEntry:
    return BackendEntry(
        _api, options, needs_checkpoint=False, requires=package, extra="api", attached=True
    )


_BUILTIN = {
    "transformers": BackendEntry(_transformers, TransformersOptions),
    "vllm": BackendEntry(_vllm, VllmOptions, requires="vllm", extra="vllm"),
    "openai": _provider(OpenAIOptions, "openai"),
    "anthropic": _provider(AnthropicOptions, "anthropic"),
    "gemini": _provider(GeminiOptions, "google.genai"),
    "fake": BackendEntry(_fake, FakeOptions, needs_checkpoint=False),
}


@cache
def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def backend_names() -> list[str]:
    """Names that ``backend:`` of a job file may take."""
    return sorted({*_BUILTIN, *_registered()})


def backend_entry(name: str) -> BackendEntry:
    """The registered backend of a name.

    Raises:
        UserError: No backend has this name, or the package that brings it cannot be imported.
    """
    if name in _BUILTIN:
        return _BUILTIN[name]
    point = _registered().get(name)
    if point is None:
        raise UserError(f"no backend is called {name!r}; known: {', '.join(backend_names())}")
    try:
        factory = point.load()
    except ImportError as error:
        raise UserError(f"backend {name!r} ({point.value}) cannot be imported: {error}") from error
    return BackendEntry(
        factory,
        getattr(factory, "Options", NoOptions),
        bool(getattr(factory, "needs_checkpoint", True)),
    )


def options_class(name: str) -> type[BaseModel]:
    """The closed pydantic model of a backend's options."""
    return backend_entry(name).options


def create_backend(spec: ModelSpec, weights: str) -> Backend:
    """Make the backend of a model; `Backend.start` then loads it.

    Args:
        spec: The model as written in the job file.
        weights: Local checkpoint folder, as `lens_ray.models.identity.identify` gives it.
    """
    return backend_entry(spec.backend).factory(spec, weights)
