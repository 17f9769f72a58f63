"""What a run keeps besides rows: its journal of paid answers (`PaidLog`), its notes (`NoteLog`).

Both are dense logs. A paid answer is in the journal before anybody makes a row of it, and is not
needed there once the row is final: `PaidLog.advance` moves the start of the journal, and what lies
before the start may be removed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lens_ray.store.dense_log import entry_key, read_new
from lens_ray.store.objects import ObjectStore
from lens_ray.store.reader import parsed, run_key
from lens_ray.store.records import dump, load
from lens_ray.store.schema import SCHEMA_VERSION

#: Below a run.
PAID = "paid"
NOTES = "notes"
START = f"{PAID}/start.json"
#: Entries that are kept in memory: neighbours are asked for together.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class PaidAnswer:
    """One answer of the journal.

    Attributes:
        sample_id: Of the question.
        prompt_hash: Of its content.
        text: As it came.
        finish_reason: As in `lens_ray.models.protocol.Completion`.
        tokens_in: Of the prompt.
        tokens_out: Of the answer.
        latency_s: Seconds.
        confidence: Of the answer.
        served: Model id that answered.
        cost_usd: What it cost.
    """

    sample_id: str
    prompt_hash: str
    text: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None
    latency_s: float
    confidence: float | None
    served: str | None
    cost_usd: float | None


class PaidLog:
    """The journal of one run, for any number of writers; one object may be used by threads."""

    def __init__(self, objects: ObjectStore, run_id: str) -> None:
        """Nothing is read yet."""
        self._objects = objects
        self._run_id = run_id
        self._start: int | None = None
        self._next = 0
        self._kept: OrderedDict[int, tuple[PaidAnswer, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def read_new(self) -> list[tuple[int, tuple[PaidAnswer, ...]]]:
        """The entries since the last call, or since the start of the journal, by number.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            self._find_start()
            prefix = self._key(PAID)
            entries = []
            for data in read_new(self._objects, {prefix: self._next})[prefix]:
                entries.append((self._next, self._parsed(self._next, data)))
                self._next += 1
            return entries

    def entry(self, number: int) -> tuple[PaidAnswer, ...]:
        """One entry; empty where it is gone.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        data = self._objects.get(entry_key(self._key(PAID), number))
        answers = () if data is None else self._parsed(number, data)
        with self._lock:
            self._kept[number] = answers
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return answers

    def append(self, answers: Sequence[PaidAnswer]) -> int:
        """Add one entry; it is durable when this returns. Its number.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        data = dump(
            {
                "kind": PAID,
                "schema_version": SCHEMA_VERSION,
                "answers": [{name: getattr(one, name) for name in _NAMES} for one in answers],
            }
        )
        with self._lock:
            self._find_start()
            while not self._objects.create(entry_key(self._key(PAID), self._next), data):
                self._next += 1  # another writer has this number
            self._next += 1
            return self._next - 1

    def advance(self, done: Callable[[str], bool]) -> int:
        """Move the start behind the entries whose samples all have their final row.

        Args:
            done: Whether a sample has.

        Returns:
            The start: no entry before it is read any more.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        found = self._objects.get_versioned(self._key(START))
        start = 0 if found is None else self._parsed_start(found.data)
        prefix, end = self._key(PAID), start
        for data in read_new(self._objects, {prefix: start})[prefix]:
            if not all(done(one.sample_id) for one in self._parsed(end, data)):
                break
            end += 1
        if end > start:
            record = dump({"kind": START, "schema_version": SCHEMA_VERSION, "number": end})
            version = None if found is None else found.version
            if self._objects.swap(self._key(START), record, version) is None:
                return start  # somebody else does the same
        return end

    def _find_start(self) -> None:
        if self._start is None:
            data = self._objects.get(self._key(START))
            self._start = 0 if data is None else self._parsed_start(data)
            self._next = max(self._next, self._start)

    def _parsed(self, number: int, data: bytes) -> tuple[PaidAnswer, ...]:
        return parsed(self._objects, entry_key(self._key(PAID), number), parse_paid, data)

    def _parsed_start(self, data: bytes) -> int:
        return parsed(self._objects, self._key(START), parse_start, data)

    def _key(self, name: str) -> str:
        return run_key(self._run_id, name)


class NoteLog:
    """The notes of one run: small, each written once, never changed."""

    def __init__(self, objects: ObjectStore, run_id: str) -> None:
        """Nothing is read yet."""
        self._objects = objects
        self._prefix = run_key(run_id, NOTES)
        self._notes: dict[str, Mapping[str, object]] = {}
        self._entries = 0
        self._lock = threading.Lock()

    def read(self) -> dict[str, Mapping[str, object]]:
        """All notes, by name.

        Raises:
            StoreUnavailable: The store is out of reach or damaged.
        """
        with self._lock:
            self._refresh()
            return dict(self._notes)

    def write(self, name: str, note: Mapping[str, object]) -> bool:
        """Write a note unless one of its name is there; durable when this returns.

        Returns:
            Whether it was written by this call.

        Raises:
            ValueError: The note has no JSON form.
            StoreUnavailable: The store cannot be written.
        """
        record = {"kind": "note", "schema_version": SCHEMA_VERSION, "name": name, "note": note}
        data = dump(record)
        with self._lock:
            while name not in self._notes:
                # An equal note of another writer counts as this one's: both said the same.
                created = self._objects.create(entry_key(self._prefix, self._entries), data)
                self._refresh()
                if created:
                    return True
            return False

    def _refresh(self) -> None:
        for data in read_new(self._objects, {self._prefix: self._entries})[self._prefix]:
            name, note = parsed(
                self._objects, entry_key(self._prefix, self._entries), parse_note, data
            )
            self._notes.setdefault(name, note)
            self._entries += 1


_NAMES = tuple(known.name for known in fields(PaidAnswer))
_TEXTS = ("sample_id", "prompt_hash", "text", "finish_reason")


def parse_paid(data: bytes) -> tuple[PaidAnswer, ...]:
    """The answers of an entry of the journal.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    answers = load(data, PAID).get("answers")
    if not isinstance(answers, list):
        raise ValueError("answers are no list")
    return tuple(_answer(one) for one in answers)


def _answer(record: object) -> PaidAnswer:
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in _TEXTS):
        raise ValueError("an answer is no object with texts")
    values: dict[str, Any] = {name: record.get(name) for name in _NAMES}
    return PaidAnswer(**{**values, "latency_s": float(values["latency_s"] or 0.0)})


def parse_start(data: bytes) -> int:
    """The number of the first entry that counts.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    number = load(data, START).get("number")
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"number {number!r}")
    return number


def parse_note(data: bytes) -> tuple[str, Mapping[str, object]]:
    """Name and content of a note.

    Raises:
        ValueError: It is damaged.
        StoreError: A newer version of lens-ray wrote it.
    """
    record = load(data, "note")
    name, note = record.get("name"), record.get("note")
    if not isinstance(name, str) or not isinstance(note, dict):
        raise ValueError("a note has a name and an object")
    return name, note
