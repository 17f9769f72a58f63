"""Which piece of which tensor is next, for many workers at once: `Turns`.

A tensor goes through its looks and then its merge. Every piece of a stage is done before the next
stage begins, so workers without a piece go on to the next tensor; only few are open at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from lens_ray.merging.kernel import Kernel
from lens_ray.merging.layout import Place

Rows = tuple[int, int]


@dataclass(eq=False, slots=True)
class Course:
    """One tensor on its way.

    Attributes:
        place: Where it goes.
        kernel: How it is merged; None copies it.
        pieces: Its rows, in order.
        stage: Number of the look, or the kernel's ``looks`` of the merge.
        claimed: Pieces of this stage that a worker has or had.
        left: Pieces of this stage that are not done.
        found: By this look, in the order of the pieces.
    """

    place: Place
    kernel: Kernel | None
    pieces: tuple[Rows, ...]
    stage: int = 0
    claimed: int = 0
    left: int = 0
    found: list[object] = field(default_factory=list)

    @property
    def looks(self) -> bool:
        """Whether this stage is a look."""
        return self.kernel is not None and self.stage < self.kernel.looks

    def begin(self) -> None:
        """Begin a stage."""
        self.claimed, self.left = 0, len(self.pieces)
        self.found = [None] * len(self.pieces) if self.looks else []


class Turns:
    """Hands out pieces until every tensor is merged, or one failed."""

    def __init__(self, courses: Iterator[Course]) -> None:
        """Tensors are taken from the iterator one by one, as workers become free."""
        self._fresh = courses
        self._open: list[Course] = []
        self._changed = threading.Condition()
        self._ended = False
        self.error: BaseException | None = None

    def take(self) -> tuple[Course, int] | None:
        """A piece to work on; waits for one; None where nothing is left to do."""
        with self._changed:
            while not self._ended:
                for course in self._open:
                    if course.claimed < len(course.pieces):
                        course.claimed += 1
                        return course, course.claimed - 1
                if not self._open_next():
                    if not self._open:
                        return None
                    self._changed.wait()
            return None

    def _open_next(self) -> bool:
        course = next(self._fresh, None)
        if course is not None:
            course.begin()
            self._open.append(course)
        return course is not None

    def done(self, course: Course, number: int, found: object = None) -> None:
        """A piece is done."""
        with self._changed:
            if course.looks:
                course.found[number] = found
            course.left -= 1
            last = not course.left
        if not last:
            return
        if course.looks:
            assert course.kernel is not None
            course.kernel.settle(course.stage, course.found)  # nobody else has this tensor now
        with self._changed:
            self._next_stage(course)
            self._changed.notify_all()

    def _next_stage(self, course: Course) -> None:
        if course.looks:
            course.stage += 1
            course.begin()
        else:
            self._open.remove(course)

    def fail(self, error: BaseException) -> None:
        """No piece is handed out any more; the first failure is kept."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._ended = True
            self._changed.notify_all()
