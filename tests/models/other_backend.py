"""A backend as another package would register it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from lens_ray.models import Backend, ModelSpec
from lens_ray.testing.fake_backend import FakeBackend


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    depth: int = 1


class OtherBackend(FakeBackend):
    def __init__(self, spec: ModelSpec, weights: str) -> None:
        super().__init__(ModelSpec(name=spec.name, backend="fake"), weights)


def make(spec: ModelSpec, weights: str) -> Backend:
    return OtherBackend(spec, weights)


make.Options = Options  # type: ignore[attr-defined]
make.needs_checkpoint = False  # type: ignore[attr-defined]
