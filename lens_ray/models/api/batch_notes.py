"""What is durable of a batch at each step of its life: `BatchNotes`.

::

    gathered ──intent──> handed in ──id──> over, its answers kept ──end──> forgotten

The intent names the questions and a tag that nobody else uses; every custom id begins with it. So
whoever finds an intent without an id can look for the batch at the provider: by its tag where the
provider keeps one, by the custom ids of its results where it does not.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lens_ray.models.api.ports import Notes
from lens_ray.models.protocol import Generation, Request

_PREFIX = "batch-"
_ID = "-id"
_END = "-end"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of this run.

    Attributes:
        tag: Nobody else's.
        made: When it was meant to be handed in, in seconds since 1970.
        asked: Its questions, without their images, by custom id.
        batch_id: At the provider; None is not known (yet).
    """

    tag: str
    made: float
    asked: Mapping[str, Request]
    batch_id: str | None = None

    def owns(self, custom_id: str) -> bool:
        """Whether a custom id is one of this batch."""
        return custom_id in self.asked


def new_batch(requests: Sequence[Request]) -> Batch:
    """A batch of some questions, whose custom ids are in their order."""
    return _batch(uuid.uuid4().hex[:16], time.time(), requests)


def bare(request: Request) -> Request:
    """What is kept of a question once it is handed in: of its images only how many they are."""
    return replace(request, text="", images=(b"",) * len(request.images))


class BatchNotes:
    """Reads and writes the notes of a run's batches."""

    def __init__(self, notes: Notes) -> None:
        """Nothing is read yet."""
        self._notes = notes

    async def unfinished(self) -> list[Batch]:
        """The batches of this run whose answers were not all kept, the oldest first."""
        notes = await self._notes.read()
        found = []
        for name, note in notes.items():
            if not name.startswith(_PREFIX) or name.endswith((_ID, _END)) or name + _END in notes:
                continue
            identified = notes.get(name + _ID, {}).get("batch_id")
            found.append(_read(note, None if identified is None else str(identified)))
        return sorted(found, key=lambda batch: batch.made)

    async def ids(self) -> frozenset[str]:
        """Every batch at the provider that is known to be of this run."""
        notes = await self._notes.read()
        return frozenset(
            str(note["batch_id"])
            for name, note in notes.items()
            if name.startswith(_PREFIX) and name.endswith(_ID)
        )

    async def intend(self, batch: Batch) -> None:
        """Before it is handed in."""
        asked = [[one.request_id, one.prompt_hash, len(one.images)] for one in batch.asked.values()]
        note = {"tag": batch.tag, "made": batch.made, "asked": asked}
        await self._notes.write(_PREFIX + batch.tag, note)

    async def identify(self, batch: Batch, batch_id: str) -> None:
        """Once the provider has it."""
        await self._notes.write(_PREFIX + batch.tag + _ID, {"batch_id": batch_id})

    async def end(self, batch: Batch, why: str) -> None:
        """Once its answers are kept, or where there will be none."""
        await self._notes.write(_PREFIX + batch.tag + _END, {"why": why})


def _batch(
    tag: str, made: float, requests: Sequence[Request], batch_id: str | None = None
) -> Batch:
    asked = {f"{tag}-{number}": bare(request) for number, request in enumerate(requests)}
    return Batch(tag, made, asked, batch_id)


def _read(note: Mapping[str, object], batch_id: str | None) -> Batch:
    asked = note["asked"]
    assert isinstance(asked, Sequence)
    requests = [
        Request(str(name), "", (b"",) * int(images), Generation(), prompt_hash=str(hashed))
        for name, hashed, images in asked
    ]
    return _batch(str(note["tag"]), float(str(note["made"])), requests, batch_id)
