"""Option letters in a model's text: `find_letter`.

Order of trust: what the text declares to be its answer, then the letter it opens with, then an
option it names, then a bare letter, then an option's text. What is declared last wins: models
correct themselves, they do not un-correct. Where a text names several letters and settles on none,
there is no answer: a letter is never invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lens_ray.scoring import languages as words
from lens_ray.scoring.options import find_option, without_options

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_OPEN = r"[\s\"'(\[{$「『:>*•-]{0,8}"
_FILLER = (
    rf"\s{{0,4}}(?:(?:{words.ADVERBS})\s{{1,3}})?(?:(?:{words.UNDECIDED})\s{{1,3}})?"
    rf"(?:(?:{words.ARTICLES})\s{{1,3}})?(?:(?:{words.OPTIONS})\b[\s:]{{0,4}}"
    rf"|(?:{words.CJK_OPTIONS})[\s:]{{0,4}})?{_OPEN}"
)
_AT_LETTER = r"(?=[A-Za-z](?![A-Za-z0-9_'\u00c0-\u024f]))"
#: Ends where a declared letter begins; the second group may stand before a chance article.
_DECLARES = re.compile(
    rf"(?:\b(?:{words.NOUNS})\s{{0,3}}(?:(?:{words.ADJECTIVES})\s{{1,3}})?(?:here\s)?"
    rf"(?:(?:\b(?:{words.COPULAS})\b\s{{0,3}}[:=]?)|[:=]|\s[-—–])"
    rf"|\b(?:{words.CHOOSES})\b"
    rf"|\\(?:boxed|fbox)\s{{0,4}}\{{|({words.CJK_CUES})){_FILLER}{_AT_LETTER}",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+")
#: The words of the cues above: an ASCII text without any of them declares no letter.
_CUE_WORDS = frozenset(
    _WORD.findall(rf"{words.NOUNS} {words.CHOOSES} boxed fbox".replace("\\s", " ").lower())
)
_CORRECTS = re.compile(
    rf"(?:(?:\b|(?<=[{words.CJK}]))(?:{words.CORRECTIONS})(?:\b|(?<=[{words.CJK}]))"
    rf"[\s,.:;!?…—–-]{{0,5}}){{1,4}}(?:(?:{words.PRONOUNS})(?:\b|(?<=[{words.CJK}]))"
    rf"[\s,:]{{0,3}}){{0,5}}[\s\"'(\[]{{0,3}}{_AT_LETTER}",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    rf"(?:\b|(?<=[{words.CJK}])|(?=[→=⇒∴-]))(?:{words.CONCLUSIONS})[\s,:]{{0,3}}"
    rf"(?:(?:{words.PRONOUNS})(?:\b|(?<=[{words.CJK}]))[\s,:]{{0,3}}){{0,5}}"
    rf"[\s\"'(\[]{{0,3}}{_AT_LETTER}",
    re.IGNORECASE,
)
_NAMES = re.compile(
    rf"(?:\b(?:options?|choices?|answers?|opción|opzione|opção|antwort|réponse)\s{{1,3}}"
    rf"|(?:{words.CJK_OPTIONS})\s{{0,2}})[\"'(\[]{{0,2}}{_AT_LETTER}",
    re.IGNORECASE,
)
_AFTER = re.compile(rf"[\"')\]}}.:]{{0,2}}(?:{words.AFTER})", re.IGNORECASE)

_LETTER = re.compile(rf"{words.LEFT}(?<![A-Za-z0-9][-.])[A-Za-z]{words.RIGHT}")
#: What joins letters to one statement: ``A and C``, ``A-C``, ``A/B``.
_LINK = re.compile(
    r"[\"')\]}.$]{0,2}(?:\s{0,3}(?:,\s{0,2}(?:and|or|und|oder|et|ou|y|o|nor)\b|[,/&+~、]"
    r"|\b(?:and|or|nor|to|through|und|oder|bis|et|ou|y|o|e|noch|ni)\b|和|或者?|与|與|及|跟|と|か|또는"
    r"|과|와|랑|하고|이나)|\s?[-–—])\s{0,3}(?:(?:option|choice|选项|선택지)\s{0,2})?[\"'(\[{$]{0,2}"
    r"(?=([A-Za-z])(?![A-Za-z0-9_'\u00c0-\u024f]))",
    re.IGNORECASE,
)
_WEAK_LINK = re.compile(r"[^A-Za-z]*(?:and|und|et|y|e)?[^A-Za-z]*", re.IGNORECASE)
_SINGULAR = re.compile(
    r"[\"')\]]{0,2}\s{1,3}(?:is|was|has|shows|seems|looks|does|being|ist|est|es)\b"
)
_DENIES_NEXT = re.compile(
    rf"(?:{words.DENIES_NEXT})\s{{0,3}}(?:(?:the\s)?(?:correct\s)?(?:{words.OPTIONS}|options|both"
    rf"|选项)\s{{0,3}})?[\"'(\[]{{0,3}}$",
    re.IGNORECASE,
)
_DENIES_LAST = re.compile(
    rf"[\"')\].]{{0,3}}(?:\s{{0,2}}\([^()\n]{{1,60}}\))?(?:{words.DENIES_LAST})", re.IGNORECASE
)
_STUTTER = re.compile(r"\s{0,4}[A-Z](?: [A-Z])\s{0,4}")
_DENIALS = frozenset(words.DENIALS.split())
_NAMED = frozenset(words.NAMED_THINGS.split())
_NAMED_AFTER = re.compile(words.NAMED_AFTER, re.IGNORECASE)
#: After these an ``A`` is a letter and no article, and ``b`` a letter and no slip.
_CLOSED = re.compile(
    rf"\s{{0,2}}[.):;,\]}}!?。」』|]|[\"'$]|[ \t]{{0,4}}(?:\n|$)|\s{{1,3}}(?:{words.REASONS})\b"
    rf"|\s[-–—(]|[{words.CJK}]|\s[{words.CJK}]",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\s{1,3}(?:is|was|seems|looks|fits|matches|shows|has|does|would|must|should|will|it|as|instead"
    r"|rather|over|if|when|ist|est|es|è)\b"
)
_OTHERWISE = re.compile(r"\b(?:otherwise|else|if\snot|sonst|sinon|si\sno)\b", re.IGNORECASE)
_IF = re.compile(r"\b(?:if|falls|wenn|if\sit)\b[^.!?\n]{0,200}$", re.IGNORECASE)
_IF_NEXT = re.compile(r"[\"')\]]{0,2},?\s(?:only\s)?(?:if|when|falls|wenn|si)\b", re.IGNORECASE)
_WHOLE = " \t\r\n.()[]{}:;\"'$,!<>。、-_#\\「」|"
_LEADS = re.compile(r"[\s(\[{\"'$>#*•-]{0,8}$")
_LEAD_CLOSES = re.compile(r"\s{0,2}[.):;,\]}。、]|[\"'$]|[ \t]{0,4}(?:\n|$)|\s[-–—(]|(?=[{])")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: the canonical answer and how.

    Attributes:
        answer: The answer in canonical form.
        method: How it was found.
        explicit: Whether the text declares it, so that a cut-off text still answers.
    """

    answer: str
    method: str
    explicit: bool = False


@dataclass(slots=True)
class _Mention:
    """Letters that stand as one statement; more than one where they are linked."""

    letters: set[str]
    start: int
    end: int
    upper: bool
    closed: bool
    denied: bool = False
    declared: bool = False

    @property
    def one(self) -> str | None:
        return next(iter(self.letters)) if len(self.letters) == 1 else None


def find_letter(text: str, choices: Sequence[str], *, cut: bool = False) -> Found | None:
    """The option that a text chooses.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.
        choices: Option texts in the order shown.
        cut: Whether the text stopped at the token limit.

    Returns:
        The upper-case letter with its method, or None.
    """
    letters = ALPHABET[: len(choices)]
    whole = text.strip(_WHOLE)
    if len(whole) == 1 and whole.upper() in letters and whole.isascii():
        return Found(whole.upper(), "letter", explicit=True)
    text, verdict = without_options(text, choices)
    mentions = list(_mentions(text, letters))
    if mentions and (found := _chosen(text, mentions, choices, cut=cut)) is not _NOTHING:
        return found
    if verdict is not None:
        return Found(ALPHABET[verdict], "named_option")
    place = find_option(text, choices, cut=cut)
    if place is None:
        return None
    index, explicit = place
    return Found(ALPHABET[index], "option_text", explicit=explicit)


#: No letter bears on the choice: an option's text may.
_NOTHING = Found("", "none")


def _chosen(
    text: str, mentions: list[_Mention], choices: Sequence[str], *, cut: bool
) -> Found | None:
    """The letter that the mentions settle on; None where they settle on none."""
    corrects = {match.end() for match in _CORRECTS.finditer(text)} if len(mentions) > 1 else set()
    said, place = _declared(text, mentions, corrects, cut=cut)
    if said is not None:
        later = find_option(text, choices, cut=cut, declared_after=place)
        if later is not None:
            return Found(ALPHABET[later[0]], "option_text", explicit=True)
        return Found(said.one, "explicit", explicit=True) if said.one else None
    if (later := find_option(text, choices, cut=cut, declared_after=0)) is not None:
        return Found(ALPHABET[later[0]], "option_text", explicit=True)
    sure = [each for each in mentions if not each.denied and _certain(text, each, cut=cut)]
    first = _leading(text, mentions)
    corrected = [each for each in sure if each.start in corrects]
    if first is not None and not corrected and not _lines(text, sure):
        if cut:
            return Found(first, "leading_letter", explicit=True)
        return Found(first, "bare_letter")
    # ``option B``
    ends = {match.end() for match in _NAMES.finditer(text)} if mentions[-1].start > 6 else set()
    named = [
        each
        for each in mentions
        if each.start in ends and (each.upper or each.closed) and not each.denied
    ]
    return (
        (named and _settle(text, named, corrects, "named_option"))
        or _settle(text, sure, corrects, "bare_letter")
        or (None if sure or named else _NOTHING)
    )


def _declared(
    text: str, mentions: list[_Mention], corrects: set[int], *, cut: bool
) -> tuple[_Mention | None, int]:
    """The last mention that the text declares to be its answer, and where it ends."""
    cues: dict[int, re.Match[str]] = {}
    if not (text.isascii() and _CUE_WORDS.isdisjoint(_WORD.findall(text.lower()))):
        cues = {match.end(): match for match in _DECLARES.finditer(text)}
    said, place = None, 0
    for each in mentions:
        cue = cues.get(each.start)
        if each.denied or not (each.upper or each.closed):
            continue
        if cue is not None:
            sure = each.closed or bool(cue[1]) or (each.upper and not each.letters & {"A", "I"})
            ends = each.end == len(text) and cut and bool(each.letters & {"A", "I"})
            declares = sure and not ends
            if declares and _conditional(text, cue.start(), each.end):
                each.letters = set()
        else:
            declares = each.declared or (
                said is not None and each.start in corrects and each.closed
            )
        if declares:
            said, place = each, each.end
    return said, place


def _mentions(text: str, letters: str) -> Iterator[_Mention]:
    """The valid letters of a text, those joined to one statement together."""
    place = 0
    while (match := _LETTER.search(text, place)) is not None:
        start, place = match.span()
        found, last = {match[0].upper()}, match[0]
        while (link := _LINK.match(text, place)) is not None and _joins(text, link, last):
            place = link.end(1)
            last = link[1]
            found.add(last.upper())
        valid = found & set(letters)
        if valid:
            each = _Mention(
                valid, start, place, match[0].isupper(), _closed(text, place, last, found)
            )
            if _judge(text, each):
                yield each


def _judge(text: str, each: _Mention) -> bool:
    """Note what stands around a mention; False where it is a name and no choice."""
    before = text[max(0, each.start - 40) : each.start]
    at_end = each.end == len(text)
    each.declared = each.upper and not at_end and _AFTER.match(text, each.end) is not None
    if not at_end and _NAMED_AFTER.match(text, each.end):
        return False
    if _is_named(before) and not each.declared:
        each.upper = each.closed = each.closed and bool(_DECLARES.search(before))
        if not each.upper:
            return False
    each.denied = _is_denied(before)
    if not at_end and not each.denied:
        asked = text[each.end : each.end + 3].lstrip(")\"'").startswith("?")
        asked = asked and len(text) > each.end + 3
        each.denied = asked or _DENIES_LAST.match(text, each.end) is not None
    return True


def _is_denied(before: str) -> bool:
    """Whether what stands before a letter denies it: ``not``, ``rather than``."""
    # Most words deny nothing: a set is ten times as fast as the pattern.
    said = _WORD.findall(before.lower())
    if _DENIALS.isdisjoint(said) and before.isascii() and "n't" not in before:
        return False
    return _DENIES_NEXT.search(before) is not None


def _is_named(before: str) -> bool:
    """Whether the word before a letter makes it a name: ``vitamin C``, ``20 degrees C``."""
    before = before.rstrip(" \"'(")
    if before.endswith(words.CJK_NAMED_THINGS):
        return True
    word = before[before.rfind(" ") + 1 :].lower()
    return word in _NAMED


def _joins(text: str, link: re.Match[str], last: str) -> bool:
    """Whether a link makes two letters one statement: not so in ``B, A is wrong``."""
    letter, end = link[1], link.end(1)
    if letter.isupper() != last.isupper():
        return False
    if _WEAK_LINK.fullmatch(link[0]) and _SINGULAR.match(text, end):
        return False
    if letter in "AI" or letter.islower():
        return bool(_CLOSED.match(text, end) or _LINK.match(text, end) or _VERB.match(text, end))
    return True


def _closed(text: str, end: int, last: str, found: set[str]) -> bool:
    if len(found) > 1 or _CLOSED.match(text, end):
        return True
    return last.isupper() and _VERB.match(text, end) is not None


def _certain(text: str, each: _Mention, *, cut: bool) -> bool:
    """Whether a bare mention is a letter and no word."""
    if not each.upper:
        return text[max(0, each.start - 1) : each.start] == "(" and text[each.end :][:1] == ")"
    if each.letters & {"A", "I"} and len(each.letters) == 1:
        return each.closed and not (cut and each.end == len(text))
    return True


def _leading(text: str, mentions: list[_Mention]) -> str | None:
    """The letter with which the text opens: ``B. a car``, ``(b)``, ``B`` on a line."""
    first = mentions[0]
    if (
        first.start > 8
        or first.denied
        or first.one is None
        or not _LEADS.match(text[: first.start])
    ):
        return None
    if not _LEAD_CLOSES.match(text, first.end):
        return None
    return first.one


def _lines(text: str, sure: list[_Mention]) -> bool:
    """Whether several lines open with a letter of their own."""
    opened: set[str] = set()
    for each in sure:
        before = text[max(0, each.start - 9) : each.start]
        if (len(before) < 9 or "\n" in before) and _LEADS.match(before[before.rfind("\n") + 1 :]):
            opened |= each.letters
    return len(opened) > 1


def _settle(text: str, mentions: list[_Mention], corrects: set[int], method: str) -> Found | None:
    """The one letter of some mentions, or the last where the text settles on it."""
    if not mentions:
        return None
    last = mentions[-1]
    said = last.letters.union(*(each.letters for each in mentions[:-1]))
    if len(said) == 1:
        return Found(said.pop(), method)
    if last.one is None:
        return None
    # Letters and nothing else, ``E D``: how small models correct themselves.
    if _STUTTER.fullmatch(text):
        return Found(last.one, method)
    concludes = last.start in corrects or any(
        match.end() == last.start for match in _CONCLUDES.finditer(text)
    )
    line = text[text.rfind("\n", 0, last.start) + 1 :]
    alone = "\n" in text.strip() and line.strip(_WHOLE).upper() == last.one
    return Found(last.one, method) if concludes or alone else None


def _conditional(text: str, start: int, end: int) -> bool:
    """Whether a declaration holds under a condition only: ``if red, the answer is A, else B``."""
    after = text[end : end + 200]
    if not _OTHERWISE.search(after):
        return False
    return bool(_IF.search(text[max(0, start - 200) : start]) or _IF_NEXT.match(after))
