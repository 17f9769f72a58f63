"""Items become samples: the suites `mini:quick | full | confirm`, and the training stream."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from lens_ray.errors import SuiteError
from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.mini import attribute, counting, entity, grounding, ocr, structured
from lens_ray.suites.mini.item import Dealer, Item, SubtaskSpec
from lens_ray.suites.sample import ABILITIES, Sample
from lens_ray.suites.splits import assign_splits

SUBTASKS: tuple[SubtaskSpec, ...] = (
    *counting.SPECS, *ocr.SPECS, *attribute.SPECS,
    *entity.SPECS, *grounding.SPECS, *structured.SPECS,
)  # fmt: skip
_BY_KEY: Mapping[str, SubtaskSpec] = {spec.key: spec for spec in SUBTASKS}

#: Rows a subtask that each size has at least (the last group may go over).
SIZES: Mapping[str, int] = {"quick": 34, "full": 334, "confirm": 667}


def derived_seed(*parts: object) -> int:
    """A 64-bit seed from a path of names; different paths give unrelated streams."""
    path = "/".join(str(part) for part in ("lens-ray-mini-1", *parts))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")


def subtask(key: str) -> SubtaskSpec:
    """The subtask of this name.

    Raises:
        SuiteError: There is none.
    """
    if key not in _BY_KEY:
        near = get_close_matches(key, _BY_KEY, 1, 0.0)[0]
        raise SuiteError(f"mini has no subtask {key!r}; the nearest is {near!r}")
    return _BY_KEY[key]


def generate(key: str, rng: random.Random | Dealer) -> Item:
    """One item of a subtask; pass a `Dealer` to have the answers of many items balanced."""
    spec = subtask(key)
    dealer = rng if isinstance(rng, Dealer) else Dealer(rng.getrandbits(64))
    return spec.make(spec, dealer)


def _samples(
    spec: SubtaskSpec, item: Item, hashes: tuple[str, ...], name: str, *, shown: bool = False
) -> list[Sample]:
    base = f"mini/{spec.key}-{name}"
    several = len(item.questions) > 1 and item.questions[0].variant is None
    samples = []
    for index, question in enumerate(item.questions):
        sample_id = f"{base}.{index}" if several else base
        if question.variant is not None:
            sample_id += f"#{question.variant}"
        meta = {"level": str(item.level)}
        if shown and question.shown is not None:
            meta["shown"] = question.shown
        samples.append(
            Sample(
                sample_id=sample_id,
                ability=spec.ability,
                source="mini",
                subtask=spec.key,
                format=spec.format,
                domain=spec.domain,
                images=hashes,
                question=question.text,
                choices=question.choices,
                answers=(question.answer,),
                metric=spec.metric,
                chance=question.chance,
                upper=1.0,
                cluster_id=base,
                group_id=base if spec.grouped else None,
                variant=question.variant,
                max_new_tokens=spec.max_new_tokens,
                meta=meta,
            )
        )
    return samples


def build_mini(size: str, draw: str | None = None) -> tuple[tuple[Sample, ...], dict[str, Pixels]]:
    """The samples (with their splits) and the images by hash of one size of `mini`.

    Args:
        size: One of `SIZES`.
        draw: Of other seeds than the built-in suite, one draw a name: for what was chosen after
            all built-in samples had been looked at.

    Raises:
        SuiteError: There is no such size.
    """
    if size not in SIZES:
        raise SuiteError(f"mini has no size {size!r}; type one of mini:{', mini:'.join(SIZES)}")
    named = (size,) if draw is None else (size, draw)
    samples: list[Sample] = []
    images: dict[str, Pixels] = {}
    for spec in SUBTASKS:
        dealer = Dealer(derived_seed("suite", *named, spec.key))
        rows, index = 0, 0
        while rows < SIZES[size]:
            item = spec.make(spec, dealer)
            hashes = tuple(image_hash(image) for image in item.images)
            images.update(zip(hashes, item.images, strict=True))
            made = _samples(spec, item, hashes, f"{size[0]}{index:05d}")
            samples += made
            rows, index = rows + len(made), index + 1
    return assign_splits(samples, derived_seed("splits", *named)), images


def _weights(mix: Mapping[str, float]) -> list[float]:
    known = {*ABILITIES, *_BY_KEY}
    for key, weight in mix.items():
        if key not in known:
            near = get_close_matches(key, sorted(known), 1, 0.0)[0]
            raise SuiteError(f"mix: {key!r} is no ability or subtask; the nearest is {near!r}")
        if not 0 <= weight < float("inf"):
            raise SuiteError(f"mix: the weight of {key!r} is {weight}; it must be 0 or more")
    per_ability = {a: sum(s.ability == a and s.key not in mix for s in SUBTASKS) for a in ABILITIES}
    weights = [
        mix[spec.key] if spec.key in mix else mix.get(spec.ability, 0.0) / per_ability[spec.ability]
        for spec in SUBTASKS
    ]
    if not sum(weights) > 0:
        raise SuiteError("mix: every weight is 0; give at least one ability a weight above 0")
    return weights


def train_stream(seed: int, mix: Mapping[str, float]) -> Iterator[tuple[Sample, list[Pixels]]]:
    """An endless stream of training samples, from other seeds than any suite.

    Args:
        seed: Which stream.
        mix: Weight of each ability or subtask. The weight of an ability is shared evenly by its
            subtasks that are not named themselves; what is not named is not drawn.

    Yields:
        One question of one item at a time, with its images; ``meta["shown"]`` says what there is
        to see that decides a yes/no question.
    """
    weights = _weights(mix)
    bounds = [sum(weights[: index + 1]) for index in range(len(weights))]
    drawn = [index for index, weight in enumerate(weights) if weight > 0]
    rng = random.Random(derived_seed("train", seed))
    dealers = [Dealer(derived_seed("train", seed, spec.key)) for spec in SUBTASKS]
    count = 0
    while True:
        point = rng.random() * bounds[-1]
        place = next((index for index in drawn if point < bounds[index]), drawn[-1])
        spec = SUBTASKS[place]
        item = spec.make(spec, dealers[place])
        hashes = tuple(image_hash(image) for image in item.images)
        made = _samples(spec, item, hashes, f"t{seed}-{count:07d}", shown=True)
        yield made[rng.randrange(len(made))], list(item.images)
        count += 1
