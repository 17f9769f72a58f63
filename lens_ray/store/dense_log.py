"""Dense logs: objects numbered from 0 without a gap, each written once.

A reader asks for numbers from the last one it knows until the first that is missing, so it never
lists a prefix, and all readers see one order.
"""

from __future__ import annotations

from collections.abc import Mapping

from lens_ray.store.objects import THREADS, ObjectStore, get_many


def entry_key(prefix: str, number: int) -> str:
    """The key of an entry."""
    return f"{prefix}/{number:08d}.json"


def read_new(objects: ObjectStore, known: Mapping[str, int]) -> dict[str, list[bytes]]:
    """The entries of several logs that came after those already known.

    Each round asks for the next few numbers of every log at once, twice as many as the round
    before.

    Args:
        objects: Where they are.
        known: Prefix of each log to how many of its entries are known.

    Returns:
        Prefix to the new entries, in order.
    """
    found: dict[str, list[bytes]] = {prefix: [] for prefix in known}
    ahead, going = 1, list(known)
    while going:
        wanted = [
            (prefix, known[prefix] + len(found[prefix]) + step)
            for prefix in going
            for step in range(ahead)
        ]
        answers = get_many(objects, [entry_key(prefix, number) for prefix, number in wanted])
        ended: set[str] = set()
        for (prefix, _), data in zip(wanted, answers, strict=True):
            # What lies behind a missing number came after we asked for that number: next time.
            if data is None:
                ended.add(prefix)
            elif prefix not in ended:
                found[prefix].append(data)
        going = [prefix for prefix in going if prefix not in ended]
        ahead = min(2 * ahead, THREADS)
    return found
