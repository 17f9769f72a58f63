"""What a trainer leaves in a checkpoint's folder when it is whole: `Marker`, ``lens-ray.json``.

::

    {"version": 1, "step": 8700, "announced_at": "2026-11-27T11:50:03.120+00:00",
     "files": {"config.json": 1353, "model.safetensors": 2582144},
     "metrics": {"loss": 0.143, "lr": 0.0001, "tokens": 5.1e6}, "unusable": []}

``files`` are the names and sizes (bytes) of what lay in the folder, those of optimisers left out:
whoever copies a folder file by file may have the marker before the weights, so a reader compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field, ValidationError

from lens_ray.errors import CheckpointError
from lens_ray.models.spec import ClosedModel

#: Its name.
MARKER = "lens-ray.json"
#: Larger ones are no marker.
MAX_BYTES = 1_000_000
_VERSION = 1


class Marker(ClosedModel):
    """A checkpoint's announcement.

    Attributes:
        version: Of this format.
        step: Optimiser steps so far.
        announced_at: ISO 8601 in UTC.
        files: Bytes by name, of the files directly in the folder; empty where nobody looked.
        metrics: What the trainer said of it; see `lens_ray.online.announce`.
        unusable: Metrics that were no finite number, which JSON cannot say.
    """

    version: int = Field(default=_VERSION, ge=1, le=_VERSION)
    step: int = Field(ge=0)
    announced_at: str = Field(max_length=64)
    files: Mapping[str, int] = Field(default_factory=dict)
    metrics: Mapping[str, float] = Field(default_factory=dict)
    unusable: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """As it is written."""
        return (json.dumps(self.model_dump(mode="json"), indent=1) + "\n").encode()


def read_marker(data: bytes, where: str) -> Marker:
    """The marker of some bytes.

    Args:
        data: What the file holds.
        where: Its path, for the message.

    Raises:
        CheckpointError: They are no marker of a version that is known.
    """
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{where}: {len(data)} bytes are no announcement; delete the file")
    try:
        return Marker.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CheckpointError(
            f"{where}: {place}: {first['msg']}; delete the file or announce the checkpoint again"
        ) from None
