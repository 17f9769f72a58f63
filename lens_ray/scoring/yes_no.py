"""Yes or no in a model's text: `find_yes_no`."""

from __future__ import annotations

import re

from lens_ray.scoring import languages as words
from lens_ray.scoring.letters import Found

_TRIM = " \t\r\n.()[]{}:;\"'$,!<>?。、✓✔✗❌-"
_WHOLE = {"y": "yes", "n": "no", "si": "yes", "correct": "yes", "right": "yes", "wrong": "no"}
#: Words of yes and no that answer nothing: the question once more, both at once, idioms.
_NOTHING = re.compile(
    r"\b(?:yes\s{0,2}(?:or|/)\s{0,2}no|true\s{0,2}(?:or|/)\s{0,2}false"
    r"|(?:yes|true)\s{1,2}and\s{1,2}(?:no|false)|neither\s{1,2}\w{2,5}\s{1,2}nor\s{1,2}\w{2,5}"
    r"|no\s(?:doubt|wonder|idea|one|problem|matter|longer|more\sthan|less\sthan)|(?-i:No)\.\s?[0-9]"
    r"|true\s(?:colou?rs?|north|story))\b"
    r"|是否|是不是|有没有|对不对|是或否|はいかいいえ",
    re.IGNORECASE,
)
#: ASCII texts up to this hold no refusal, declaration or verdict.
_SHORT = 7
_REFUSAL = re.compile(words.REFUSALS, re.IGNORECASE)
_NOT = r"(?P<not>(?:not|n't|never|nicht|pas)\s{1,3}(?:really\s|quite\s|entirely\s)?)?"
_WORD = rf"(?:(?P<yes>{words.YES})|(?:{words.NO})){words.RIGHT}"
_CJK = rf"(?P<cjk_yes>{words.CJK_YES})|(?:{words.CJK_NO})"
_DECLARED = re.compile(
    rf"(?:\b(?:{words.TEXT_NOUNS}|verdict)\s{{0,4}}(?:\b(?:{words.COPULAS})\b\s{{0,3}}[:=]?|[:=])"
    rf"|\\boxed\s{{0,4}}\{{)[\s\"'(\[{{]{{0,6}}(?:\b(?:{words.ADVERBS}|a)\s{{1,2}})?{_NOT}"
    rf"[\s\"'(\[{{]{{0,3}}{_WORD}"
    rf"|(?:答案|答え|正解|回答|정답|답)(?:应该|應該)?(?:是|为|為|は|은|는)?[\s:、,]{{0,3}}(?:{_CJK})",
    re.IGNORECASE,
)
_LEADING = re.compile(rf"[\s\"'(\[{{✓✔✗❌>#-]{{0,6}}(?:{_WORD}|{_CJK})", re.IGNORECASE)
_VERDICT_LEADS = re.compile(
    r"[\s\"'(\[{]{0,6}(?:(correct|right|indeed|that's\sright)|(incorrect|wrong|untrue|not\sreally))"
    r"(?=[\s]{0,2}(?:[.,:;!]|$))",
    re.IGNORECASE,
)
_BARE = re.compile(
    rf"{words.LEFT}{_NOT}(?:"
    rf"(yes|true|oui|sí)|(no|false|nein)){words.RIGHT}",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"(?:\b(?:is|are|was|be)|'s|\b(is|are|was)n't)\s{1,3}(?:(not)\s{1,3})?"
    r"(?:(?:indeed|actually|therefore|clearly|completely|factually)\s{1,3})?(?:a\s)?(?:"
    r"(correct|accurate|right(?=\s{0,2}[.,!]|\s{0,2}$)|(?:the\s)?case\sthat)"
    r"|(incorrect|wrong|untrue|inaccurate))\b",
    re.IGNORECASE,
)
#: Verdicts on a statement in other languages; ``not`` before a yes turns it.
_FOREIGN_VERDICT = re.compile(
    r"是(?:完全)?(?P<no>错误|錯誤|不正确|不正確|错|錯|假|不对|不對)的"
    r"|是(?:完全)?(?P<yes>正确|正確|真|对|對)的"
    r"|(?P<ja_no>正しくあり|正しくな|間違って|間違いです|誤りです|틀렸|틀립|사실이\s아|맞지\s않|옳지\s않)"
    r"|(?P<ja_yes>正しいです|正しいと|正解です|맞습니다|맞아요|사실입니다|옳습니다)"
    r"|\b(?:ist|est|es|è|é)\s(?P<eu_no>falsch|unwahr|inkorrekt|faux|fausse|fals[ao]|incorrect[ao])\b"
    r"|\b(?:(?P<ne>n'|no\s|non\s|não\s))?(?:ist|est|es|è|é)\s(?P<not>nicht\s|pas\s)?"
    r"(?P<eu_yes>richtig|wahr|korrekt|vraie?|verdader[ao]|ciert[ao]|ver[ao]|corrett[ao])\b",
    re.IGNORECASE,
)
_NEGATED_WORD = re.compile(
    r"(?:\bnot|n't|\bnever)\s{1,3}(?:really\s|quite\s|entirely\s|necessarily\s)?$", re.IGNORECASE
)
_UNASKED = re.compile(r"(?:\bwhether|\bneither|\bnor|\bif|\beither|\bsay(?:ing)?)\s{1,3}$", re.I)
_CORRECTED = re.compile(
    r"(?:\b(?:wait|actually|correction|sorry|hmm+|scratch\sthat|i\smean|rather|make\sthat|oops|doch"
    r"|on\ssecond\sthoughts?|pardon|perdón|en\sfait)[\s,.:;!—–-]{1,4})"
    rf"(?:(?:{words.PRONOUNS})\s{{1,2}}){{0,4}}"
    rf"(?:({words.YES})|({words.NO})){words.RIGHT}(?=\s{{0,2}}(?:[.,;:!]|$))",
    re.IGNORECASE,
)


def find_yes_no(text: str) -> Found | None:
    """What a text answers to a question of yes or no.

    Args:
        text: Text that went through `lens_ray.scoring.plain.plain`.

    Returns:
        ``yes`` or ``no`` with how it was found, or None where it says neither or both.
    """
    whole = text.strip(_TRIM).lower()
    if whole in _SAYS:
        return Found(_SAYS[whole], "word", explicit=True)
    if len(text) > _SHORT or not text.isascii() or "/" in text or "." in text:
        text = _REFUSAL.sub(" ", _NOTHING.sub(" ", text))
        last = None
        for last in _DECLARED.finditer(text):  # noqa: B007
            pass
        if last is not None:
            said = bool(last["yes"] or last["cjk_yes"]) != bool(last["not"])
            return Found(_corrected(text, last.end(), said), "explicit", explicit=True)
    if first := _LEADING.match(text):
        said = bool(first["yes"] or first["cjk_yes"])
        return Found(_corrected(text, first.end(), said), "leading_word", explicit=True)
    if first := _VERDICT_LEADS.match(text):
        return Found(_corrected(text, first.end(), bool(first[1])), "leading_word", explicit=True)
    return _bare(text)


def _corrected(text: str, place: int, said: bool) -> str:
    """What was said at last: ``Yes. Wait, no`` is a no."""
    for match in _CORRECTED.finditer(text, max(0, place - 1)):
        said = bool(match[1])
    return "yes" if said else "no"


def _bare(text: str) -> Found | None:
    """The last word or verdict of the text."""
    said, place = None, -1
    for match in _BARE.finditer(text):
        if _UNASKED.search(text[max(0, match.start() - 16) : match.start()]):
            continue
        negated = match[1] or _NEGATED_WORD.search(text[max(0, match.start() - 24) : match.start()])
        said, place = bool(match[2]) != bool(negated), match.start()
    for match in _VERDICT.finditer(text) if len(text) > _SHORT else ():
        if match.start() > place:
            said = bool(match[3]) != bool(match[1] or match[2])
            place = match.start()
    for match in (
        _FOREIGN_VERDICT.finditer(text) if len(text) > _SHORT or not text.isascii() else ()
    ):
        if match.start() > place:
            yes = match["yes"] or match["ja_yes"] or match["eu_yes"]
            said = bool(yes) != bool(match["ne"] or match["not"])
    return None if said is None else Found("yes" if said else "no", "bare_word")


_SAYS = {
    **_WHOLE,
    **{word.replace("\\s", " "): "yes" for word in words.YES.split("|")},
    **{word: "no" for word in words.NO.split("|")},
    **dict.fromkeys(("incorrect", "untrue", "not true", "not correct"), "no"),
    **dict.fromkeys(
        ("是", "是的", "对", "對", "对的", "正确", "有", "はい", "예", "네", "not false"), "yes"
    ),
    **dict.fromkeys(
        ("不是", "不", "不对", "否", "错误", "错", "没有", "いいえ", "아니요", "아니오"), "no"
    ),
}
