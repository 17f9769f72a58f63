"""All tensors of a merge, from the parents' files to its own, piece by piece: `stream`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError
from lens_ray.merging.kernel import Kernel, Piece, merged_alone
from lens_ray.merging.layout import Layout, Place, row_ranges
from lens_ray.merging.parents import Family
from lens_ray.merging.turns import Course, Turns
from lens_ray.merging.writer import Writer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Bytes of a piece of one parent. Three parents of 10^9 bfloat16 numbers took two cores with 2 MiB
#: of second cache 2.9, 2.6 and 2.9 s in pieces of 1, 1.9 and 2.2 MiB: smaller ones hand Python's
#: lock to and fro more often, larger ones do not stay in the cache.
PIECE = 15 << 17
#: Equal tensors differ from unequal ones here already.
_GLANCE = 4096

KernelOf = Callable[[Place], Kernel]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def stream(
    family: Family,
    layout: Layout,
    kernel_of: KernelOf,
    writer: Writer,
    *,
    keeps_equal: bool,
    threads: int | None = None,
) -> None:
    """Merge every tensor and write it.

    Memory is bounded by the threads times the pieces of all parents, not by the model.

    Args:
        family: The parents, and the base where there is one.
        layout: Of the merge.
        kernel_of: The kernel of a tensor of floating type.
        writer: Of its files.
        keeps_equal: Whether numbers that are equal in all of the family stay as they are: then
            they are copied and not computed.
        threads: None takes every core that this process may use.

    Raises:
        CheckpointError: A parent holds NaN or infinity, is truncated, or a tensor of integers
            differs between parents; or the merge leaves the range of its type.
        OSError: The disk is full.
    """
    import torch

    turns = Turns(_courses(layout, kernel_of))
    before = torch.get_num_threads()
    workers = [
        threading.Thread(target=_work, args=(turns, family, keeps_equal, writer), name="merge")
        for _ in range(max(1, threads if threads is not None else usable_cores()))
    ]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    except BaseException as error:  # an interrupt: no thread writes on behind it
        turns.fail(error)
        for worker in workers:
            if worker.ident is not None:
                worker.join()
        raise
    finally:
        torch.set_num_threads(before)
    if turns.error is not None:
        raise turns.error


def _courses(layout: Layout, kernel_of: KernelOf) -> Iterator[Course]:
    for place in layout.places:
        kernel = kernel_of(place) if place.merged else None
        most = PIECE * max(1, place.source.elements) // max(1, int(place.source.size))
        if place.size:  # a shape may promise 2^62 rows of nothing
            yield Course(place, kernel, tuple(row_ranges(place.source.shape, most)))


def _work(turns: Turns, family: Family, keeps_equal: bool, writer: Writer) -> None:
    import torch

    # One thread a worker: several in each would wait for each other.
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            bench = _Bench(family, keeps_equal, writer)
            while (turn := turns.take()) is not None:
                turns.done(*turn, bench.do(*turn))
    except BaseException as error:  # raised again by `stream`, in the thread that asked
        turns.fail(error)


class _Bench:
    """One worker's buffers and what it does with them."""

    def __init__(self, family: Family, keeps_equal: bool, writer: Writer) -> None:
        import torch

        self._sources = family.sources
        self._based = family.base is not None
        self._keeps_equal = keeps_equal
        self._writer = writer
        self._buffers = [torch.empty(0, dtype=torch.uint8) for _ in (*self._sources, "the merge")]

    def do(self, course: Course, number: int) -> object:
        """One look at a piece, or its merge."""
        place, rows, kernel = course.place, course.pieces[number], course.kernel
        raw = [self._read(at, place, rows) for at in range(len(self._sources))]
        if kernel is None:
            self._copy(place, rows, raw)
            return None
        if course.looks and not course.stage:
            self._require_numbers(place, raw)
        if course.looks and len(course.pieces) > 1:
            return kernel.look(course.stage, self._piece(place, rows, number, raw))
        if self._is_kept(place, raw):
            self._require_numbers(place, raw[:1])
            out = raw[0]
        else:
            out = self._merged(course, kernel, raw, self._piece(place, rows, number, raw))
        course.stage = kernel.looks
        self._put(place, rows, out)
        return None

    def _merged(
        self, course: Course, kernel: Kernel, raw: Sequence[Tensor], piece: Piece
    ) -> Tensor:
        """Rounded to nearest even, as the type that is written."""
        import torch

        # Where looks are left, all of the tensor is here: it is read once.
        merged = merged_alone(kernel, piece) if course.looks else kernel.merge(piece)
        if merged.dtype == torch.bfloat16:
            return merged
        if not kernel.looks:
            self._require_numbers(course.place, raw)
        return _in_type(course.place, merged)

    def _read(self, at: int, place: Place, rows: tuple[int, int]) -> Tensor:
        """The bytes of some rows of one source; good until the next piece."""
        bytes_ = self._buffer(at, (rows[1] - rows[0]) * _row_bytes(place))
        self._sources[at].reader.read(place.name, rows, _memory(bytes_))
        return bytes_

    def _buffer(self, at: int, size: int) -> Tensor:
        import torch

        if self._buffers[at].numel() < size:
            self._buffers[at] = torch.empty(size, dtype=torch.uint8)
        return self._buffers[at][:size]

    def _copy(self, place: Place, rows: tuple[int, int], raw: Sequence[Tensor]) -> None:
        for source, other in zip(self._sources[1:], raw[1:], strict=True):
            if not _same(raw[0], other):
                raise CheckpointError(
                    f"tensor {place.name!r} is {place.source.dtype}, which cannot be averaged, and "
                    f"differs between {self._sources[0].name} and {source.name}; merge checkpoints "
                    "of one run"
                )
        self._put(place, rows, raw[0])

    def _is_kept(self, place: Place, raw: Sequence[Tensor]) -> bool:
        """Whether a piece is equal in all sources, and so in the merge: it is not computed."""
        return (
            self._keeps_equal
            and place.dtype == place.source.dtype
            and not any(source.adapts(place.name) for source in self._sources)
            and all(_same(raw[0], other) for other in raw[1:])
        )

    def _require_numbers(self, place: Place, raw: Sequence[Tensor]) -> None:
        for source, bytes_ in zip(self._sources, raw, strict=False):
            what = _odd(place.name, bytes_.view(torch_types()[place.source.dtype]))
            if what is not None:
                raise CheckpointError(
                    f"{source.name} ({source.path}): tensor {place.name!r} holds {what}; "
                    "take another checkpoint"
                )

    def _piece(
        self, place: Place, rows: tuple[int, int], number: int, raw: Sequence[Tensor]
    ) -> Piece:
        kind = torch_types()[place.source.dtype]
        full = [
            source.adapted(place.name, rows, bytes_.view(kind))
            for source, bytes_ in zip(self._sources, raw, strict=True)
        ]
        base = full.pop() if self._based else None
        room = self._buffer(-1, raw[0].numel())
        return Piece(place.name, number, rows, tuple(full), base, room)

    def _put(self, place: Place, rows: tuple[int, int], data: Tensor) -> None:
        import torch

        bytes_ = data.view(torch.uint8)
        begin = rows[0] * (place.size // _rows(place))
        self._writer.write(place, begin, _memory(bytes_))


def _memory(bytes_: Tensor) -> memoryview:
    memory: Any = bytes_.numpy()  # a buffer, which numpy's types do not say
    return memoryview(memory)


def _rows(place: Place) -> int:
    return max(1, place.source.shape[0] if place.source.shape else 1)


def _row_bytes(place: Place) -> int:
    return int(place.source.size) // _rows(place)


def _in_type(place: Place, merged: Tensor) -> Tensor:
    """Rounded to nearest even, as the type that is written."""
    out = merged.to(torch_types()[place.dtype])
    what = _odd(place.name, out)
    if what is not None:
        narrow = place.dtype in ("F16", "BF16")
        raise CheckpointError(
            f"tensor {place.name!r} of the merge holds {what} in {place.dtype}: its numbers leave "
            f"the type's range; write {'dtype: float32, or ' * narrow}smaller weights"
        )
    return out


def _odd(name: str, numbers: Tensor) -> str | None:
    """NaN or infinity where none may be; masks in buffers may hold infinity."""
    import torch

    from lens_ray.merging.methods.sums import all_finite

    if all_finite(numbers):
        return None
    if bool(torch.isnan(numbers).any()):
        return "NaN"
    learned = name.endswith((".weight", ".bias"))
    return "infinity" if learned and bool(torch.isinf(numbers).any()) else None


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether bytes are equal; unequal ones mostly differ at once."""
    import torch

    if not torch.equal(one[:_GLANCE], other[:_GLANCE]):
        return False
    if one.numel() % 8 == 0:  # compared eight bytes at a time
        one, other = one.view(torch.int64), other.view(torch.int64)
    return torch.equal(one, other)


def torch_types() -> dict[str, torch.dtype]:
    """The floating types, by their names in safetensors."""
    import torch

    return {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
    }
