"""What a scripted provider answers: `Truth`, from a suite with a chosen skill or otherwise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lens_ray.testing.provider.wire import Asked, Picture

if TYPE_CHECKING:
    from lens_ray.suites.sample import Sample
    from lens_ray.suites.suite import Suite

_OPTION = re.compile(r"^([A-J])\. ", re.MULTILINE)


class Truth(Protocol):
    """Knows answers."""

    def answer(self, asked: Asked) -> str:
        """The text of an answer; the same question gets the same one."""
        ...


@dataclass(frozen=True, slots=True)
class Echo:
    """Answers with the question, behind what is given."""

    before: str = ""

    def answer(self, asked: Asked) -> str:
        """The question."""
        return self.before + asked.text


@dataclass(frozen=True, slots=True)
class Says:
    """Answers with what a function, or a text, says."""

    text: str | Callable[[Asked], str]

    def answer(self, asked: Asked) -> str:
        """What was given."""
        return self.text if isinstance(self.text, str) else self.text(asked)


class SuiteTruth:
    """Knows a suite's answers, and gives the right one as often as its skill says.

    A question is found by its text, in the wording of any template, and by its images' bytes;
    where these are not the suite's (scaled, or written anew), by what they show at 8 x 8.

    Attributes:
        unknown: Questions that were not found; they get an answer by chance.
    """

    def __init__(
        self, suite: Suite, skill: float | Mapping[str, float] = 0.8, seed: int = 0
    ) -> None:
        """Read the suite's questions; its images are read when they are needed.

        Args:
            suite: Whose truth.
            skill: Probability of the right answer; a mapping gives it by ability (0.5 for those
                that it does not name).
            seed: Of the mistakes. They differ between models.
        """
        self._suite = suite
        self._skill = skill
        self._seed = seed
        self._by_text: dict[str, dict[str, Sample]] = {}
        self._by_images: dict[str, dict[tuple[str, ...], Sample]] = {}
        self._looks: dict[str, bytes] = {}
        self._hashes: dict[str, str] = {}
        self._earned: dict[tuple[str, str], float] = {}
        self._wordings: list[str] = []
        self.unknown = 0
        answers: dict[str, dict[str, None]] = {}
        for sample in suite.samples:
            answers.setdefault(_kind(sample), {})[sample.answers[0]] = None
        self._others = {kind: list(texts) for kind, texts in answers.items()}
        self._add("default")

    def answer(self, asked: Asked) -> str:
        """The right answer, or a wrong one of the same kind."""
        sample = self.find(asked.text, asked.images)
        if sample is None:
            self.unknown += 1
            return _guess(asked)
        skill = self._skill
        chance = skill if isinstance(skill, float | int) else skill.get(sample.ability, 0.5)
        if self._draw(asked.model, sample.sample_id) < chance:
            return sample.answers[0]
        return self._wrong(asked.model, sample)

    def find(self, text: str, images: tuple[Picture, ...]) -> Sample | None:
        """The sample that a question is about."""
        text = text.strip()
        if text not in self._by_text:
            self._add_other_templates()
        found = self._by_text.get(text)
        if found is None:
            return None
        if len(found) == 1:
            return next(iter(found.values()))
        if text not in self._by_images:
            self._by_images[text] = {
                tuple(map(self._hash, one.images)): one for one in found.values()
            }
        exact = self._by_images[text].get(tuple(image.digest for image in images))
        if exact is not None:
            return exact
        alike = [one for one in found.values() if len(one.images) == len(images)]
        if not alike:
            return next(iter(found.values()))
        looks = [_look(image.data) for image in images]
        return min(alike, key=lambda one: self._distance(one, looks))

    def _hash(self, name: str) -> str:
        """Of an image's bytes."""
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256(self._suite.image_bytes(name)).hexdigest()
        return self._hashes[name]

    def _distance(self, sample: Sample, looks: list[bytes]) -> int:
        total = 0
        for name, look in zip(sample.images, looks, strict=True):
            if name not in self._looks:
                self._looks[name] = _look(self._suite.image_bytes(name))
            total += sum(abs(a - b) for a, b in zip(self._looks[name], look, strict=True))
        return total

    def _add(self, template: str) -> None:
        from lens_ray.errors import SuiteError
        from lens_ray.suites.templates import render

        self._wordings.append(template)
        for sample in self._suite.samples:
            try:
                text = render(sample, template).strip()
            except SuiteError:
                continue
            self._by_text.setdefault(text, {})[sample.sample_id] = sample

    def _add_other_templates(self) -> None:
        from lens_ray.suites.templates import TEMPLATES

        for template in TEMPLATES:
            if template not in self._wordings:
                self._add(template)

    def _draw(self, *facts: str) -> float:
        joined = "\0".join((str(self._seed), *facts)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(joined).digest()[:6], "big") / 2**48

    def _wrong(self, model: str, sample: Sample) -> str:
        if sample.format == "true_false":
            return "no" if sample.answers[0] == "yes" else "yes"
        if sample.choices:
            others = [chr(ord("A") + place) for place in range(len(sample.choices))]
        else:
            others = self._others[_kind(sample)]
        start = int(self._draw("wrong", model, sample.sample_id) * len(others))
        for one in (*others[start:], *others[:start]):
            if self._is_wrong(sample, one):
                return one
        return "unknown"

    def _is_wrong(self, sample: Sample, text: str) -> bool:
        """Whether it earns nothing; some metrics give something for a near miss."""
        from lens_ray.scoring.mark import mark

        key = (sample.sample_id, text)
        if key not in self._earned:
            self._earned[key] = mark(sample, text, "stop").score
        return self._earned[key] == 0


def _kind(sample: Sample) -> str:
    """Samples whose answers look alike have the same one."""
    return f"{sample.subtask} {sample.format}"


def _look(data: bytes) -> bytes:
    """What an image shows, at 8 x 8 in colour."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").resize((8, 8), Image.Resampling.BOX).tobytes()


def _guess(asked: Asked) -> str:
    place = int(asked.digest[:8], 16)
    letters = _OPTION.findall(asked.text)
    if letters:
        return str(letters[place % len(letters)])
    if "yes or no" in asked.text.lower():
        return ("yes", "no")[place % 2]
    return str(place % 10)
