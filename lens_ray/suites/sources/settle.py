"""What a source does with all of its drafts: ids, groups, halves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from lens_ray.errors import SuiteError
from lens_ray.suites.sources.base import Draft, Options


def unique(drafts: Sequence[Draft], columns: str) -> Sequence[Draft]:
    """The same drafts, proved to have ids of their own.

    Args:
        drafts: Of one source.
        columns: Where the id comes from, for the error.

    Raises:
        SuiteError: Two rows give the same id.
    """
    first: dict[str, int] = {}
    for draft in drafts:
        name = draft.sample.sample_id
        if name in first:
            raise SuiteError(
                f"{draft.sample.source}: row {draft.row}: column {columns}: "
                f"{name!r} is the id of row {first[name]} too"
            )
        first[name] = draft.row
    return drafts


def by_row(drafts: Sequence[Draft], options: Options) -> Sequence[Draft]:
    """All drafts of a source whose ids are row numbers."""
    return drafts


def complete(
    drafts: Sequence[Draft],
    options: Options,
    columns: str,
    size: Callable[[Sequence[Draft]], int],
    what: str,
) -> Sequence[Draft]:
    """The drafts of complete groups, in their order.

    Args:
        drafts: Of one source; those without a group stay.
        options: ``complete_groups`` leaves incomplete groups out; without it they are an error.
        columns: What names a group, for the error.
        size: How many members a group of these must have.
        what: A group, in words (``pair``).

    Raises:
        SuiteError: A group has too many members, or, without ``complete_groups``, too few.
    """
    groups: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.sample.group_id is not None:
            groups[draft.sample.group_id].append(draft)
    dropped = set()
    for name, members in groups.items():
        wanted, last = size(members), members[-1]
        if len(members) > wanted or (len(members) < wanted and not options.complete_groups):
            raise SuiteError(
                f"{last.sample.source}: row {last.row}: column {columns}: the {what} {name!r} has "
                f"{len(members)} of {wanted} questions"
            )
        if len(members) < wanted:
            dropped.add(name)
    return [draft for draft in drafts if draft.sample.group_id not in dropped]


def first_half(drafts: Sequence[Draft]) -> Sequence[Draft]:
    """Of each ability's n drafts the first floor(n / 2), in the order of the data set."""
    left: dict[str, int] = defaultdict(int)
    for draft in drafts:
        left[draft.sample.ability] += 1
    left = defaultdict(int, {ability: count // 2 for ability, count in left.items()})
    kept = []
    for draft in drafts:
        if left[draft.sample.ability] > 0:
            left[draft.sample.ability] -= 1
            kept.append(draft)
    return kept
