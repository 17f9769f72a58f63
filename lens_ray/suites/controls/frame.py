"""What a control is: `Control`; and what it makes of a suite: `Variant`, `Pictures`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from lens_ray.errors import SuiteError
from lens_ray.suites.images import Pixels, decode_png, image_hash
from lens_ray.suites.sample import BASE, Sample
from lens_ray.suites.suite import Suite

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a control; its type is that of its default.

    Attributes:
        default: Where it is not given.
        about: What it decides, in one line.
        low: Least number allowed.
        high: Greatest number allowed.
        values: Texts allowed.
    """

    default: Value
    about: str
    low: float = 0
    high: float = 2**31 - 1
    values: tuple[str, ...] = ()

    def parsed(self, where: str, given: object) -> Value:
        """The value that was meant; the command line gives texts.

        Raises:
            SuiteError: It is none that is allowed.
        """
        if isinstance(self.default, str):
            text = str(given)
            if text in self.values:
                return text
            raise SuiteError(f"{where} {text!r}: type one of {', '.join(self.values)}")
        whole = isinstance(self.default, int)
        number = _number(given, whole=whole)
        if number is None or not self.low <= number <= self.high:
            sort = "a whole number" if whole else "a number"
            raise SuiteError(f"{where} {given!r}: type {sort} from {self.low:g} to {self.high:g}")
        return number


def _number(given: object, *, whole: bool) -> int | float | None:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        return int(given) if whole else float(given)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Variant:
    """One changed sample.

    Attributes:
        base: What it was made of.
        label: Which change, without ``#``; samples of one group and label are marked together.
        changes: Fields of `Sample` that differ, but the ids.
    """

    base: Sample
    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def sample(self) -> Sample:
        """The variant as a sample: its own id and group, the cluster and split of its base."""
        base = self.base
        return dataclasses.replace(
            base,
            sample_id=f"{base.sample_id}#{self.label}",
            group_id=None if base.group_id is None else f"{base.group_id}#{self.label}",
            variant=self.label if base.variant is None else f"{base.variant}#{self.label}",
            meta={**base.meta, BASE: base.sample_id},
            **self.changes,
        )


class Pictures(Mapping[str, Pixels]):
    """The images of a control, each made when it is asked for, so that memory holds only one.

    Attributes:
        renamed: Hash of an image of the base suite to the hash of what was made of it.
    """

    def __init__(self, renamed: Mapping[str, str], make: Callable[[str], Pixels]) -> None:
        """See `changed` and `kept`."""
        self.renamed = renamed
        self._make = make
        self._base = {key: base for base, key in renamed.items()}

    @classmethod
    def changed(cls, bases: Iterable[str], make: Callable[[str], Pixels]) -> Pictures:
        """Others in the place of some images; each is made once here, to learn its hash.

        Args:
            bases: Hashes of images of the base suite.
            make: The image that takes the place of one.
        """
        return cls({base: image_hash(make(base)) for base in dict.fromkeys(bases)}, make)

    @classmethod
    def kept(cls, bases: Iterable[str], suite: Suite) -> Pictures:
        """Images as they are."""
        return cls({base: base for base in bases}, lambda image: pixels_of(suite, image))

    def __getitem__(self, key: str) -> Pixels:
        return self._make(self._base[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


@dataclass(frozen=True, slots=True)
class Control:
    """One change that leaves the questions' meaning, or takes away what they are about.

    Attributes:
        name: As `lens_ray.suites.controls.CONTROLS` has it.
        about: What it does and what it shows, in one line.
        label: What its suite is called after the base's name, by its settings.
        variants: The changed samples, in the order of the suite.
        picture: The image in the place of one, by its hash; None where images stay as they are.
        options: What can be set.
    """

    name: str
    about: str
    label: Callable[[Mapping[str, Any]], str]
    variants: Callable[[Suite, Mapping[str, Any], str], Iterable[Variant]]
    picture: Callable[[Suite, Mapping[str, Any]], Callable[[str], Pixels]] | None = None
    options: Mapping[str, Option] = field(default_factory=dict)

    def settings(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Every option with its value.

        Raises:
            SuiteError: One is unknown or cannot be.
        """
        for key in given:
            if key not in self.options:
                near = get_close_matches(key, self.options, 1, 0.0)
                hint = f"the nearest is {near[0]!r}" if near else "it has none"
                raise SuiteError(f"control {self.name} has no option {key!r}; {hint}")
        return {
            key: option.parsed(f"control {self.name}: {key}", given.get(key, option.default))
            for key, option in self.options.items()
        }


def same(suite: Suite, settings: Mapping[str, Any], label: str) -> Iterable[Variant]:
    """Every sample as it is: what controls that change only images begin with."""
    return [Variant(base, label) for base in suite.samples]


def whole_groups(variants: Iterable[Variant], suite: Suite) -> list[Variant]:
    """Those that are marked by themselves, and those whose whole group is there."""
    kept = list(variants)
    sizes = Counter(sample.group_id for sample in suite.samples)
    found = Counter((one.base.group_id, one.label) for one in kept)
    return [
        one
        for one in kept
        if one.base.group_id is None
        or found[one.base.group_id, one.label] == sizes[one.base.group_id]
    ]


def pixels_of(suite: Suite, image: str) -> Pixels:
    """The pixels of an image of a suite."""
    return decode_png(suite.image_bytes(image), image[:12])
