"""A rule for the form of an answer: `obeys`, `obeys_and_right`, `RULES`.

`Sample.meta`: ``rule`` (a name of `RULES`) and ``value`` (what the rule needs). A rule sees the
text as the model gave it but for white space at its ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lens_ray.errors import UserError
from lens_ray.scoring.extract import extract
from lens_ray.scoring.formats.json_object import only_object
from lens_ray.scoring.plain import normalise
from lens_ray.suites.sample import Sample

#: Yes and no by language (ISO 639-1).
YES_NO: Mapping[str, tuple[str, str]] = {
    "en": ("yes", "no"), "de": ("ja", "nein"), "fr": ("oui", "non"), "es": ("sí", "no"),
    "it": ("sì", "no"), "nl": ("ja", "nee"), "pt": ("sim", "não"), "pl": ("tak", "nie"),
    "zh": ("是", "否"), "ja": ("はい", "いいえ"),
}  # fmt: skip

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ITEM = re.compile(r"(?m)^[ \t]{0,8}(?:[-*•]|[0-9]{1,3}[.)])[ \t]+\S")
#: A longer text obeys no rule.
_REACH = 20_000


def _one_word(text: str, value: str) -> bool:
    return len(_WORD.findall(text)) == 1 and len(text.split()) == 1


def _max_words(text: str, value: str) -> bool:
    return 0 < len(text.split()) <= int(value)


def _yes_no_in(text: str, value: str) -> bool:
    return normalise(text) in (normalise(word) for word in YES_NO[value])


#: Name to what says whether a text obeys; the second argument is ``value``.
RULES: Mapping[str, Callable[[str, str], bool]] = {
    "one_word": _one_word,
    "max_words": _max_words,
    "upper_case": lambda text, value: text == text.upper() != text.lower(),
    "lower_case": lambda text, value: text == text.lower() != text.upper(),
    "digits_only": lambda text, value: re.fullmatch(r"[0-9]+", text) is not None,
    "json_only": lambda text, value: only_object(text),
    "list_of": lambda text, value: (
        len(_ITEM.findall(text)) == int(value)
        and len([line for line in text.splitlines() if line.strip()]) == int(value)
    ),
    "comma_list_of": lambda text, value: (
        "\n" not in text
        and all(part.strip() for part in text.split(","))
        and len(text.split(",")) == int(value)
    ),
    "yes_no_in": _yes_no_in,
    "starts_with": lambda text, value: text.startswith(value),
    "ends_with": lambda text, value: text.endswith(value),
    "without": lambda text, value: value.casefold() not in text.casefold(),
}


def obeys(sample: Sample, text: str) -> tuple[str | None, float]:
    """1 where the text obeys the rule of the sample, whatever it says; else 0."""
    clean = text.strip()
    if not clean:
        return None, 0.0
    name = sample.meta.get("rule", "")
    if name not in RULES:
        raise UserError(f"sample {sample.sample_id}: no rule is called {name!r}")
    obeyed = len(clean) <= _REACH and RULES[name](clean, sample.meta.get("value", ""))
    return clean[:_REACH], float(obeyed)


def obeys_and_right(sample: Sample, text: str) -> tuple[str | None, float]:
    """1 where the text obeys the rule and is an accepted answer, its words compared; else 0."""
    answer, obeyed = obeys(sample, text)
    if answer is None or not obeyed:
        return answer, 0.0
    words = extract(answer, "open", (), "stop").answer
    golds = [normalise(gold) for gold in sample.answers]
    return answer, float(words is not None and normalise(words) in golds)
