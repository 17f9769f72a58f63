"""Is a suite sound: every way in which its samples could mislead, named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from lens_ray.errors import SuiteError
from lens_ray.suites.sample import SPLITS, Sample
from lens_ray.suites.splits import SHARES
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import LETTERS

#: Metrics that mark a group as one (`lens_ray.scoring.metrics.Metric.group`; a test compares them).
_GROUPED = frozenset({"all_right", "conbench", "mmbench", "mme", "triples_right", "yes_no_pairs"})


def problems_of(suite: Suite) -> list[str]:
    """See `lens_ray.suites.suite.check_suite`."""
    problems: list[str] = []
    for sample in suite.samples:
        problems += [f"{sample.sample_id}: {problem}" for problem in _sample_problems(sample)]
    problems += _duplicates(suite)
    problems += _split_problems(suite)
    problems += _group_problems(suite)
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
        for image in sample.images:
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
        elif sample.metric in _GROUPED:
            yield f"{sample.sample_id}: metric {sample.metric} needs a group_id"
    for name, members in groups.items():
        if len(members) < 2:
            yield f"group {name}: has one member"
        if len({member.subtask for member in members}) > 1:
            yield f"group {name}: goes over more than one subtask"
