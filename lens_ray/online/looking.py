"""One look at a training run: what is new below its path. `Looker.look`, then `taken`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from lens_ray.errors import CheckpointError, StoreUnavailable
from lens_ray.online.discover import Candidate, discover, step_in
from lens_ray.online.marker import MARKER, Marker
from lens_ray.online.place import FolderFact, Place
from lens_ray.online.whole import Whole, announced_whole, examine, marker_of, what_differs
from lens_ray.store.watch_log import Incident, Seen, WatchState

#: Files that have lain unchanged for so long before the first look are at rest.
_LONG_AGO_S = 60.0
#: What a checkpoint says of itself is not trusted to be short.
_LINE = 500
_METRICS = 64


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found new.

    Attributes:
        seen: Checkpoints that are new or became something else.
        gone: Steps whose files are there no longer.
        incidents: What somebody should look at.
        unsettled: Checkpoints that may still become whole.
        reachable: Whether the path could be listed.
    """

    seen: tuple[Seen, ...] = ()
    gone: tuple[int, ...] = ()
    incidents: tuple[Incident, ...] = ()
    unsettled: int = 0
    reachable: bool = True


@dataclass(slots=True)
class _Rest:
    """Since when the files of a checkpoint have not changed, and what it lacked then."""

    mark: str
    since: float
    lacks: str = "its files still change"
    examined: bool = False
    refused: int = 0


@dataclass(slots=True)
class _Gathered:
    """What a look has found so far."""

    seen: list[Seen] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    unsettled: int = 0


def stamp(seconds: float) -> str:
    """A time as records keep it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Looker:
    """Looks at one training run again and again; what it remembers can be lost without harm."""

    def __init__(
        self,
        place: Place,
        path: str,
        *,
        settle_s: float,
        never_whole_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            place: Where its checkpoints appear.
            path: The same, for messages.
            settle_s: As `WatchSpec.settle_s`.
            never_whole_s: As `WatchSpec.never_whole_s`.
            clock: Seconds that pass.
            wall: Seconds since 1970.
        """
        self._place = place
        self._path = path
        self._settle_s = settle_s
        self._never_whole_s = never_whole_s
        self._clock = clock
        self._wall = wall
        self._rests: dict[str, _Rest] = {}
        self._markers: dict[tuple[str, str, int], Marker | None] = {}
        self._shells: dict[str, Whole] = {}

    def look(self, state: WatchState) -> Look:
        """What is new, compared with what is known."""
        alive = {one.step: one for one in state.seen if one.status != "gone"}
        try:
            folders = self._place.folders()
            markers = self._announced(folders)
        except FileNotFoundError:
            return self._out_of_reach("it is not there; is it mounted?") if alive else Look()
        except StoreUnavailable as error:
            return self._out_of_reach(str(error).removeprefix(f"{self._path}: "))
        paths = {one.path for one in alive.values()}
        known = [folder.name for folder in folders if folder.path in paths]
        discovery = discover(folders, markers, known)
        if alive and not discovery.candidates and not any(one.trouble for one in folders):
            return self._out_of_reach("none of its checkpoints is there any more")
        found = _Gathered()
        if discovery.two_runs is not None:
            what = "what was known before is watched" if paths else "none is watched"
            line = f"{self._path}: {discovery.two_runs}; {what}: give each run a folder of its own"
            found.incidents.append(self._incident("two_runs", None, line))
        for candidate in discovery.candidates:
            try:
                self._take(candidate, state, found)
            except FileNotFoundError:
                continue  # it is being deleted: the next look does not list it
            except StoreUnavailable as error:
                self._refused(candidate, str(error), found)
        there = {candidate.step for candidate in discovery.candidates}
        for folder in folders:
            if folder.trouble is not None and (named := step_in(folder.name)) is not None:
                found.incidents.append(self._incident("unreachable", named[1], folder.trouble))
        closed = {folder.path for folder in folders if folder.trouble is not None}
        there |= {step for step, one in alive.items() if one.path in closed}
        gone = tuple(step for step in alive if step not in there)
        for step in gone:
            found.incidents += self._lost(alive[step])
        return Look(tuple(found.seen), gone, tuple(found.incidents), found.unsettled)

    def _announced(self, folders: Sequence[FolderFact]) -> dict[str, Marker]:
        """The markers; each is read once."""
        held: dict[tuple[str, str, int], Marker | None] = {}
        for folder in folders:
            if MARKER not in folder.files:
                continue
            fact = folder.files[MARKER]
            key = (folder.name, fact.version, fact.size)
            if key in self._markers:
                held[key] = self._markers[key]
                continue
            try:
                held[key] = marker_of(self._place, folder)
            except (CheckpointError, FileNotFoundError):
                held[key] = None  # no announcement: it is whole when its files are at rest
        self._markers = held
        return {key[0]: marker for key, marker in held.items() if marker is not None}

    def _take(self, candidate: Candidate, state: WatchState, found: _Gathered) -> None:
        """Note one candidate, if there is anything to note."""
        known, mark = state.at(candidate.step), candidate.folder.mark
        if known is not None and known.mark == mark and known.status not in ("growing", "gone"):
            return
        rest = self._rest_of(candidate)
        if not self._at_rest(candidate, rest):
            found.unsettled += 1
        elif not rest.examined:
            verdict = examine(self._place, candidate)
            rest.examined = True
            if isinstance(verdict, Whole):
                found.seen.append(self._whole(candidate, known, verdict))
                found.incidents += self._odd(candidate, state, found.seen)
                return
            rest.lacks = verdict.reason
        if known is None:
            folder = candidate.folder
            found.seen.append(Seen(candidate.step, folder.path, "", stamp(self._wall())))
        elif known.status == "growing" and self._age(known) >= self._never_whole_s:
            line = (
                f"step {candidate.step} is not whole after {self._never_whole_s:g} s: {rest.lacks}"
            )
            found.incidents.append(self._incident("never_whole", candidate.step, line))

    def _refused(self, candidate: Candidate, why: str, found: _Gathered) -> None:
        """Note that a file cannot be read; at the second time it counts as one without rights."""
        rest = self._rest_of(candidate)
        rest.lacks, rest.refused = why, rest.refused + 1
        if rest.refused < 2:
            found.unsettled += 1
        else:
            line = f"step {candidate.step} cannot be read: {why}; it is tried again"
            found.incidents.append(self._incident("unreachable", candidate.step, line))

    def _rest_of(self, candidate: Candidate) -> _Rest:
        path = candidate.folder.path
        mark = f"{candidate.folder.mark} {announced_whole(candidate)}"
        rest = self._rests.get(path)
        if rest is None or rest.mark != mark:
            rest = self._rests[path] = _Rest(mark, self._clock())
        return rest

    def _at_rest(self, candidate: Candidate, rest: _Rest) -> bool:
        if announced_whole(candidate):
            return True
        # Other clocks may be wrong, so the age of files counts only where it is large.
        age = self._wall() - candidate.folder.arrived
        unchanged = self._clock() - rest.since >= self._settle_s
        return unchanged or age >= max(_LONG_AGO_S, self._settle_s)

    def _whole(self, candidate: Candidate, known: Seen | None, whole: Whole) -> Seen:
        now = stamp(self._wall())
        folder, marker = candidate.folder, candidate.marker
        fresh = Seen(candidate.step, folder.path, folder.mark, now)
        if whole.shell is not None:
            self._shells[whole.shell] = whole
        return replace(
            known or fresh,
            path=folder.path,
            mark=folder.mark,
            status="failed" if whole.broken else "whole",
            whole_at=now,
            tries=0,
            reason=_short(whole.broken or whole.doubt or "") or None,
            shell=whole.shell,
            broken=whole.broken,
            metrics=dict(islice(marker.metrics.items(), _METRICS)) if marker is not None else {},
            written=folder.written,
            size=folder.size,
        )

    def _odd(
        self, candidate: Candidate, state: WatchState, new: Sequence[Seen]
    ) -> Iterator[Incident]:
        """What is strange about the checkpoint that has just become whole."""
        seen, step = new[-1], candidate.step
        if seen.broken is not None:
            line = f"step {step} is not asked: {seen.broken}"
            yield self._incident("broken_weights", step, line)
        whole = [one for one in state.seen if one.whole_at is not None]
        top = whole[-1] if whole else None
        if top is not None and step < top.step and _came_after(seen, top):
            line = (
                f"step {step} appeared after step {top.step}: training went back, or files were "
                "copied late; it is put in its place"
            )
            yield self._incident("step_went_back", step, line)
        held = state.with_seen(*new).seen
        before = [one for one in held if one.step < step and one.shell is not None]
        if before and seen.shell is not None and before[-1].shell != seen.shell:
            old = self._shells.get(before[-1].shell or "")
            new_files = self._shells[seen.shell].files
            odd = what_differs(old.files if old is not None else {}, new_files if old else {})
            line = (
                f"step {step} is of another model than step {before[-1].step}: {odd} differs; "
                "its answers come from a cold start"
            )
            yield self._incident("shell_changed", step, line)

    def _lost(self, seen: Seen) -> Iterator[Incident]:
        self._rests.pop(seen.path, None)
        if seen.status == "whole" and seen.depth is None:
            line = f"step {seen.step} was deleted before it was asked"
            yield self._incident("gone", seen.step, line)

    def _out_of_reach(self, why: str) -> Look:
        line = f"{self._path}: {why}"
        return Look(incidents=(self._incident("unreachable", None, line),), reachable=False)

    def _incident(self, kind: str, step: int | None, line: str) -> Incident:
        return Incident(kind, step, _short(line), stamp(self._wall()))

    def _age(self, seen: Seen) -> float:
        return self._wall() - datetime.fromisoformat(seen.first_at).timestamp()


def _short(line: str) -> str:
    """One line that nothing in a checkpoint's files can make long."""
    line = " ".join(line.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 3]}..."


def _came_after(seen: Seen, top: Seen) -> bool:
    """Whether a checkpoint was begun after another was whole, and not only copied later."""
    return seen.first_at > (top.whole_at or "") and (seen.written or 0.0) > (top.written or 0.0)


def taken(state: WatchState, look: Look) -> WatchState:
    """The state after a look. Pure; the same look again changes nothing."""
    gone = []
    for step in look.gone:
        seen = state.at(step)
        if seen is not None and seen.status != "gone":
            gone.append(replace(seen, status="gone"))
    new = []
    for seen in look.seen:
        known = state.at(seen.step)
        if known is not None and seen.status == "growing":
            continue  # another watcher noted it first
        if known is not None:  # what was answered meanwhile stays
            seen = replace(
                seen, first_at=known.first_at, depth=known.depth, run_id=known.run_id,
                asked_mark=known.asked_mark, asked_at=known.asked_at, seconds=known.seconds,
                swapped=known.swapped,
            )  # fmt: skip
        new.append(seen)
    return state.with_seen(*gone, *new).with_incidents(*look.incidents)
