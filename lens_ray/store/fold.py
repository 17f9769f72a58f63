"""What a sequence of manifests means: one row a sample, whoever wrote what in which order.

Pure: no input or output. A dense log gives every reader the manifests in one order, so every
reader comes to the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lens_ray.store.records import Commit, FileRef, Manifest
from lens_ray.store.schema import SUPERSEDABLE


@dataclass(frozen=True, slots=True)
class RunState:
    """What is known of a run at one moment.

    Attributes:
        done: Samples whose row is final.
        open: Samples whose row a later one may supersede, with its status.
        rows: How many rows a reader sees.
        commit: The latest commit.
        current: Whether that commit adds up the rows as they are: none came later, none was
            marked again.
        complete: Whether it is current, every expected sample has a row, and every row is final.
        counts: Rows by status.
        manifests: How many manifests there are.
    """

    done: frozenset[str]
    open: Mapping[str, str]
    rows: int
    commit: Commit | None
    current: bool
    complete: bool
    counts: Mapping[str, int]
    manifests: int


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A data file with rows that count.

    Attributes:
        file: The file.
        manifest: Number of the manifest that names it.
        dead: Samples whose row in that manifest's files was superseded, or never counted.
    """

    file: FileRef
    manifest: int
    dead: frozenset[str]


class Fold:
    """The manifests and commits of a run, added up in the order of their numbers.

    Attributes:
        manifests: How many manifests were added; the number of the next one.
        commits: How many commits were added; the number of the next one.
        commit: The latest commit.
    """

    def __init__(self) -> None:
        self.manifests = 0
        self.commits = 0
        self.commit: Commit | None = None
        self._changed_at = 0
        self._status: dict[str, str] = {}
        self._home: dict[str, int] = {}
        self._files: dict[int, tuple[FileRef, ...]] = {}
        self._dead: dict[int, set[str]] = {}

    def add(self, manifest: Manifest) -> None:
        """Take in the next manifest.

        The first final row of a sample counts, and until then the latest open one.

        Raises:
            ValueError: It claims to replace all rows and holds those of other samples.
        """
        number = self.manifests
        if manifest.replaces:
            self.check_replacement(manifest.samples)
            for rows in (self._status, self._home, self._files, self._dead):
                rows.clear()
        for status, ids in manifest.samples.items():
            for sample_id in ids:
                self._take(sample_id, status, number)
        self._files[number] = manifest.files
        self.manifests = number + 1
        if manifest.remarked or not manifest.replaces:
            self._changed_at = self.manifests

    def add_commit(self, commit: Commit) -> None:
        """Take in the next commit."""
        self.commit = commit
        self.commits += 1

    def choose(self, ids: Sequence[str], statuses: Sequence[str]) -> list[int]:
        """Which rows of a batch are new: one a sample, and none for a sample that is done.

        Args:
            ids: The batch's samples, in order.
            statuses: Their statuses.

        Returns:
            Positions, ascending.
        """
        chosen: dict[str, int] = {}
        for index, (sample_id, status) in enumerate(zip(ids, statuses, strict=True)):
            stored = self._status.get(sample_id)
            if stored is not None and stored not in SUPERSEDABLE:
                continue
            earlier = chosen.get(sample_id)
            if earlier is None or (
                statuses[earlier] in SUPERSEDABLE and status not in SUPERSEDABLE
            ):
                chosen[sample_id] = index
        return sorted(chosen.values())

    def check_replacement(self, samples: Mapping[str, tuple[str, ...]]) -> None:
        """Refuse rows that cannot take the place of all there are.

        Raises:
            ValueError: They are not one for each sample, each as final as it was.
        """
        ids = [sample_id for group in samples.values() for sample_id in group]
        open_ = {key for status in SUPERSEDABLE for key in samples.get(status, ())}
        stored_open = {key for key, status in self._status.items() if status in SUPERSEDABLE}
        if len(ids) != len(self._status) or set(ids) != self._status.keys() or open_ != stored_open:
            raise ValueError("it replaces the rows of other samples")

    def state(self) -> RunState:
        """A picture of it that does not change."""
        open_ = {key: status for key, status in self._status.items() if status in SUPERSEDABLE}
        done = frozenset(key for key in self._status if key not in open_)
        return RunState(
            done=done,
            open=MappingProxyType(open_),
            rows=len(self._status),
            commit=self.commit,
            current=self.current,
            complete=self.current and not open_ and len(done) >= self._expected(),
            counts=self.counts(),
            manifests=self.manifests,
        )

    @property
    def current(self) -> bool:
        """Whether the latest commit adds up the rows as they are now."""
        return self.adds_up(self.manifests)

    def adds_up(self, upto: int) -> bool:
        """Whether the latest commit adds up all that changed within so many manifests."""
        return self.commit is not None and self.commit.upto >= min(upto, self._changed_at)

    def changed_since(self, upto: int) -> bool:
        """Whether rows came or changed after so many manifests."""
        return self._changed_at > upto

    def counts(self) -> dict[str, int]:
        """Rows by status."""
        return dict(Counter(self._status.values()))

    def statuses(self) -> Mapping[str, str]:
        """Every sample with the status of the row that counts."""
        return MappingProxyType(self._status)

    def live_files(self) -> Iterator[LiveFile]:
        """The files that hold the rows that count."""
        for number, files in self._files.items():
            dead = frozenset(self._dead.get(number, ()))
            if len(dead) < sum(file.rows for file in files):
                for file in files:
                    yield LiveFile(file, number, dead)

    def _expected(self) -> int:
        return self.commit.expected if self.commit is not None else 0

    def _take(self, sample_id: str, status: str, number: int) -> None:
        before = self._status.get(sample_id)
        if before is not None and before not in SUPERSEDABLE:
            self._dead.setdefault(number, set()).add(sample_id)
            return
        if before is not None:
            self._dead.setdefault(self._home[sample_id], set()).add(sample_id)
        self._status[sample_id] = status
        self._home[sample_id] = number
