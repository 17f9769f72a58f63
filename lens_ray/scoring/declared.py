"""Open answers in a model's text: `find_number`, `find_text`."""

from __future__ import annotations

import re
from itertools import pairwise

from lens_ray.scoring import languages as words
from lens_ray.scoring.letters import Found
from lens_ray.scoring.number_words import find_words
from lens_ray.scoring.numbers import Number, find_figures, find_numbers

_DECLARED = re.compile(
    rf"(?:^|(?<=[\n.!?;。,]))[\s>#-]{{0,6}}(?:(?:{words.CONCLUSIONS}|sorry|wait|actually|no|but),?\s{{1,3}})?"
    rf"(?:i\s(?:think|believe|guess)\s(?:that\s)?)?"
    rf"(?:(?:the|my|die|la|le|el|a|o|meine|ma|mi|het|de)\s{{1,3}})?"
    rf"(?:(?:final|correct|right|richtige|korrekte|bonne|endgültige)\s{{1,3}})?"
    rf"(?:{words.TEXT_NOUNS})\s{{0,3}}(?:(?:{words.ADJECTIVES})\s{{1,3}})?"
    rf"(?:(?:{words.COPULAS})\b\s{{0,2}}:?|[:=])[ \t]{{0,4}}\n?"
    r"|(?:最终|最終|正确|正しい)?(?:答案|答え|正解|回答|解答|정답|답변?)(?:应该|應該)?(?:(?:是|为|為|は|은|는)[\s:、,]{0,3}|:\s{0,3})",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{([^{}]{1,200})\}")
_REASON = re.compile(
    r",?\s(?:because|since\sit|weil|parce\sque|porque|perché)\b|,?因为", re.IGNORECASE
)
#: A sentence that follows the answer; ``St. Louis`` and ``J. Smith`` are none.
_SENTENCE = re.compile(
    r"(?<![\s.][A-Z])(?<!\b(?:St|Dr|Mr|Ms|Mt|No|Jr|Sr|vs))(?<!\b(?:Mrs|Ave|Inc|Ltd))(?<!Prof)[.!?]\s{1,3}"
    r"(?=(?:It|This|That|The|These|They|There|He|She|We|I|You|As|In|Because|Since|Note|Explanation"
    r"|Reason|So|However|Based|Its|His|Her|Sorry|Wait|Actually|Es|Das|Die|Der|Dies|Elle|Il|La|Le|Ce"
    r"|C'est|Es|El|Esto)\b)|。(?=.)"
)
_TRIM = " \t\r\n\"'«»„“”「」『』"
_CJK_COPULA = re.compile(r"(?:です|でした|である|だ|입니다|이에요|예요|이다)?[。.!]{0,2}$")
_CJK_CHAR = re.compile(rf"[{words.CJK}]")
#: A declared open answer is at most this long.
_TAIL = 500
#: ``Svar: 7``: shorter ASCII texts declare nothing.
_SHORTEST = 7

_BETWEEN = re.compile(r"\b(?:between|zwischen|entre|tra|fra)\s{1,2}$", re.IGNORECASE)
#: What joins two numbers so that neither is the answer: a range, or a doubt.
_RANGE = re.compile(
    r"\s?(?:[A-Za-z%°€$]{1,3}\s)?(?:[-–—~〜～]|to|through|or|bis|oder|à|ou|至|到|或者?|から|또는|에서)\s?[$€£]?",
    re.IGNORECASE,
)
_AND = re.compile(r"\s?(?:[A-Za-z%°]{1,3}\s)?(?:and|und|et|y|e)\s{1,2}", re.IGNORECASE)
_PARENTHESES = re.compile(r"\([^()\n]{1,300}\)")
#: Numbers that count nothing: of a list's items, of figures and steps, after a plus-minus sign.
_ASIDE = re.compile(
    r"^[ \t]{0,6}[0-9]{1,3}[.)][ \t]{1,4}(?=\S)"
    r"|\b(?:figure|fig\.|step|image|picture|table|question|option|page)\s{0,2}#?[0-9]{1,4}\b(?!\s?%)"
    r"|(?:±|\+/-)\s{0,2}[0-9.,]{1,12}[0-9]|±\s{0,2}[0-9]",
    re.IGNORECASE | re.MULTILINE,
)
_TOTAL = re.compile(
    r"\b(?:total|sum|in\s(?:total|all)|altogether|insgesamt|au\stotal|en\stotal)\b"
    r"(?:\s(?:number|count|of|is|are|there|to|comes)){0,4}[\s:=,]{0,4}(?:is|are|of|there\sare)?\s{0,2}$",
    re.IGNORECASE,
)
_NONE = frozenset(
    ("none", "nil", "nothing", "there are none", "keine", "aucun", "aucune", "ninguno", "ninguna")
)
_CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|sorry|scratch\sthat|i\smean|make\sthat|rather)\b[^0-9\n]{0,40}$",
    re.IGNORECASE,
)
#: German, French, Spanish and Italian words that make ``1.234`` a thousand and more.
_POINT_GROUPS = re.compile(
    r"\b(?:ist|sind|beträgt|lautet|antwort|ungefähr|insgesamt|stück|respuesta|hay|unos|réponse"
    r"|environ|risposta|circa)\b",
    re.IGNORECASE,
)
_POINTED = re.compile(r"(?<![0-9.,])([0-9]{1,3})\.([0-9]{3})(?![0-9.,])")


def find_number(text: str, *, cut: bool) -> Found | None:
    """The number that a text answers with.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        cut: Whether the text stopped at the token limit.

    Returns:
        The number with how it was found; None where there is none, or a range or doubt of two.
    """
    if "." in text and _POINT_GROUPS.search(text):
        text = _POINTED.sub(r"\1\2", text)
    said = last_declared(text)
    if said is not None:
        tail, start = said
        number = _first(tail)
        if number is not None:
            later = _corrected(text, start + number.end)
            # A figure that touches the cut may lack digits.
            if later is None and cut and start + number.end >= len(text):
                return None
            if later is None and _in_doubt(tail, number):
                return None
            return Found(str(later or number), "explicit", explicit=True)
    found = list(find_numbers(text))
    if len(found) == 1 and (found[0].start, found[0].end) == (0, len(text.strip().rstrip("."))):
        return Found(str(found[0]), "number", explicit=not cut)
    return _undeclared(text)


def _undeclared(text: str) -> Found | None:
    """The last number outside brackets, or the one that is called a total."""
    text = _ASIDE.sub(lambda match: "\n" if match[0][:1] in " \t" else " ", text)
    found = list(find_numbers(_PARENTHESES.sub(" ", text)))
    if found:
        text = _PARENTHESES.sub(" ", text)
    else:
        found = list(find_numbers(text))
    if not found:
        return Found("0", "number") if text.strip(" .!").lower() in _NONE else None
    last = found[-1]
    for number in found:
        if _TOTAL.search(text[max(0, number.start - 40) : number.start]):
            last = number
    if any(last in pair and _unsettled(text, *pair) for pair in pairwise(found[-200:])):
        return None
    return Found(str(last), "number")


def _first(tail: str) -> Number | None:
    """The first number of a declared answer, in figures or in words."""
    figure = next(find_figures(tail), None)
    word = next(find_words(tail), None)
    if word is not None and (figure is None or word.start < figure.start):
        return Number(word.value, False, word.start, word.end)
    return figure


def _in_doubt(tail: str, number: Number) -> bool:
    after = list(find_numbers(tail[:200]))
    return any(number == pair[0] and _unsettled(tail, *pair) for pair in pairwise(after))


def _unsettled(text: str, first: Number, second: Number) -> bool:
    """Whether two neighbouring numbers are the ends of a range, or a choice left open."""
    gap = text[first.end : second.start]
    if len(gap) > 12:
        return False
    if _AND.fullmatch(gap):
        return bool(_BETWEEN.search(text[max(0, first.start - 12) : first.start]))
    return bool(_RANGE.fullmatch(gap))


def _corrected(text: str, place: int) -> Number | None:
    """The number with which a later ``Wait, no, 6`` replaces what was declared."""
    rest = text[place : place + _TAIL]
    found = None
    for number in find_numbers(rest):
        if _CORRECTED.search(rest[max(0, number.start - 60) : number.start]):
            found = number
    return found


def find_text(text: str, *, cut: bool) -> Found | None:
    """The open answer of a text: what it declares, else all of it.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        cut: Whether the text stopped at the token limit.

    Returns:
        The answer with how it was found, or None where nothing is said.
    """
    said = last_declared(text)
    if said is not None:
        tail, start = said
        answer = _trimmed(tail)
        if answer and not (cut and start + len(tail) >= len(text)):
            return Found(answer, "explicit", explicit=True)
    answer = text.strip()
    return Found(answer, "text") if answer else None


def _trimmed(tail: str) -> str:
    """A declared answer without the reason or sentence after it, its quotes and its full stop."""
    if again := _DECLARED.match(tail):
        tail = tail[again.end() :]
    for pattern in (_SENTENCE, _REASON):
        if found := pattern.search(tail):
            tail = tail[: found.start()]
    answer = tail.strip().rstrip(".").strip(_TRIM)
    if _CJK_CHAR.search(answer):
        answer = _CJK_COPULA.sub("", answer).strip(_TRIM)
    return answer


def last_declared(text: str) -> tuple[str, int] | None:
    """What the text last declares to be its answer, to the end of the line, and where."""
    if len(text) < _SHORTEST and text.isascii():
        return None
    cue = boxed = None
    for cue in _DECLARED.finditer(text):  # noqa: B007
        pass
    if "\\" in text:
        for boxed in _BOXED.finditer(text):  # noqa: B007
            pass
    if boxed is not None and (cue is None or boxed.start() > cue.start()):
        return boxed[1], boxed.start(1)
    if cue is None:
        return None
    return text[cue.end() : cue.end() + _TAIL].split("\n", 1)[0], cue.end()
