"""Is a suite sound: every way in which its samples could mislead, named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from lens_ray.errors import SuiteError
from lens_ray.suites.digest import source_digest
from lens_ray.suites.sample import BASE, SPLITS, Sample
from lens_ray.suites.splits import SHARES
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import LETTERS

#: Metrics that mark a group as one (`lens_ray.scoring.metrics.Metric.group`; a test compares them).
_GROUPED = frozenset({"all_right", "conbench", "mmbench", "mme", "triples_right", "yes_no_pairs"})
#: Published rules that an option of the build may give each sample for itself.
_ALONE = frozenset({"conbench", "mmbench", "mme"})
#: Members of a group of a metric, where it is always the same.
_SIZES = {"conbench": 3, "mme": 2, "triples_right": 3, "yes_no_pairs": 2}


def problems_of(suite: Suite) -> list[str]:
    """See `lens_ray.suites.suite.check_suite`."""
    problems: list[str] = []
    for sample in suite.samples:
        problems += [f"{sample.sample_id}: {problem}" for problem in _sample_problems(sample)]
    problems += _duplicates(suite)
    problems += _split_problems(suite)
    problems += _group_problems(suite)
    problems += _ability_problems(suite)
    problems += _source_problems(suite)
    used = {image for sample in suite.samples for image in sample.images}
    for image in suite.image_hashes():
        if image not in used:
            problems.append(f"image {image[:12]}: no sample uses it")
        try:
            suite.image_bytes(image)
        except SuiteError as error:
            problems.append(str(error))
    return problems


def _sample_problems(sample: Sample) -> Iterator[str]:
    if not sample.images:
        yield "it has no image"
    if not sample.question.strip():
        yield "its question is empty"
    if not sample.answers:
        yield "it has no answer"
    if sample.split not in SPLITS:
        yield f"its split is {sample.split!r}"
    if not 0 <= sample.chance < sample.upper <= 1:
        yield f"chance {sample.chance} and upper {sample.upper} leave no room for a score"
    if sample.max_new_tokens < 1:
        yield f"max_new_tokens is {sample.max_new_tokens}"
    if sample.format == "multiple_choice":
        valid = LETTERS[: len(sample.choices)]
        if len(sample.choices) < 2:
            yield f"it has {len(sample.choices)} choices"
        if len(set(sample.choices)) < len(sample.choices):
            yield "two of its choices are equal"
        if any(len(answer) != 1 or answer not in valid for answer in sample.answers):
            yield f"its answer {sample.answers[0]!r} is none of its letters"
    elif sample.choices:
        yield f"it has choices, but its format is {sample.format}"
    if sample.format == "true_false" and not {"yes", "no"} >= set(sample.answers):
        yield f"its answer {sample.answers[0]!r} is neither yes nor no"


def _duplicates(suite: Suite) -> Iterator[str]:
    first: dict[str, str] = {}
    for sample in suite.samples:
        if BASE in sample.meta:  # a control may leave nothing to tell two questions apart
            continue
        digest = sample.content_digest()
        if digest in first:
            yield f"{sample.sample_id}: it asks the same as {first[digest]}"
        first.setdefault(digest, sample.sample_id)


def _split_problems(suite: Suite) -> Iterator[str]:
    for tie in ("cluster_id", "group_id"):
        splits: dict[str, set[str]] = defaultdict(set)
        for sample in suite.samples:
            if getattr(sample, tie) is not None:
                splits[getattr(sample, tie)].add(sample.split)
        for name, held in splits.items():
            if len(held) > 1:
                yield f"{tie} {name}: lies in more than one split ({', '.join(sorted(held))})"
    image_split: dict[str, str] = {}
    for sample in suite.samples:
        for image in () if BASE in sample.meta else sample.images:
            if image_split.setdefault(image, sample.split) != sample.split:
                yield f"{sample.sample_id}: its image is in the split {image_split[image]} too"
    sizes = Counter(sample.split for sample in suite.samples)
    total = len(suite.samples)
    for split, share in SHARES:
        # Whole clusters make the shares of a small suite uneven; that alone is no problem.
        if total >= 500 and abs(sizes[split] / total - share) > 0.05:
            yield f"split {split}: holds {sizes[split] / total:.0%}, not {share:.0%}"


def _group_problems(suite: Suite) -> Iterator[str]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in suite.samples:
        if sample.group_id is not None:
            groups[sample.group_id].append(sample)
        elif sample.metric in _GROUPED - _ALONE:
            yield f"{sample.sample_id}: metric {sample.metric} needs a group_id"
    for name, members in groups.items():
        if len(members) < 2:
            yield f"group {name}: has one member"
        if len({member.subtask for member in members}) > 1:
            yield f"group {name}: goes over more than one subtask"
        wanted = _SIZES.get(members[0].metric)
        if wanted is not None and 1 < len(members) != wanted:
            yield f"group {name}: has {len(members)} of {wanted} questions"
        if _counts_rotations(suite):
            yield from _rotation_problems(name, members)


def _counts_rotations(suite: Suite) -> bool:
    """Whether a suite says that its groups are whole; the publication takes them as they come."""
    options = suite.info.recipe.get("options")
    return not (isinstance(options, Mapping) and options.get("complete_groups") is False)


def _rotation_problems(name: str, members: list[Sample]) -> Iterator[str]:
    """A set has one rotation for each option, and one right option text."""
    if not any(str(member.variant).startswith("rotation-") for member in members):
        return
    widths = {len(member.choices) for member in members}
    if len(widths) > 1 or len({frozenset(member.choices) for member in members}) > 1:
        yield f"group {name}: its rotations have different options"
    elif len(members) != widths.pop():
        yield f"group {name}: has {len(members)} of {len(members[0].choices)} rotations"
    elif len({_right_text(member) for member in members}) > 1:
        yield f"group {name}: its rotations have different answers"


def _right_text(sample: Sample) -> str:
    place = LETTERS.find(sample.answers[0]) if sample.answers else -1
    return sample.choices[place] if 0 <= place < len(sample.choices) else ""


def _ability_problems(suite: Suite) -> Iterator[str]:
    """The abilities share no question."""
    first: dict[tuple[object, ...], Sample] = {}
    for sample in suite.samples:
        asked = (sample.images, sample.question, sample.choices)
        other = first.setdefault(asked, sample)
        if other.ability != sample.ability:
            yield (
                f"{sample.sample_id}: is in {sample.ability}, and its question in "
                f"{other.ability} too ({other.sample_id})"
            )


def _source_problems(suite: Suite) -> Iterator[str]:
    """Each source's samples are those that it was built of."""
    members: dict[str, list[Sample]] = defaultdict(list)
    for sample in suite.samples:
        members[sample.source].append(sample)
    for name, facts in suite.info.sources.items():
        found = source_digest(members[name])
        if found != facts.get("digest"):
            yield (
                f"source {name}: its samples have digest {found[:12]}, "
                f"suite.json says {str(facts.get('digest'))[:12]}"
            )
