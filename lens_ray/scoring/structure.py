"""What a text says outside its thoughts, tags and JSON: `unwrap`.

Answers in tags and in JSON are rewritten as ``Answer: ...`` on a line of their own, so that one
rule holds for all: what is declared last wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_THOUGHT = re.compile(
    r"<(/?)(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|seed:think)>"
    r"|◁(/?)think▷|\[(/?)THINK\]|<\|(?:begin|(end))_of_thought\|>",
    re.IGNORECASE,
)
_FINAL = "<|channel|>final<|message|>"
_ANSWER_OPENS = re.compile(
    r"<(?:final[_ ]?)?answer>|<\|begin_of_box\|>|<\|begin_of_solution\|>", re.I
)
_ANSWER_ENDS = re.compile(r"</(?:final[_ ]?)?answer>|<\|end_of_box\|>|<\|end_of_solution\|>", re.I)

#: Keys of an answer in JSON, the most telling first.
_KEYS = (
    "finalanswer", "answer", "correctanswer", "答案", "回答", "antwort", "réponse", "respuesta",
    "choice", "correctchoice", "option", "correctoption", "selected", "selectedoption", "letter",
    "selection", "prediction", "response", "result", "output", "label", "value",
)  # fmt: skip
_OBJECT = re.compile(r"\{\s{0,20}[\"']")
#: An answer's key and value in an object that does not parse: cut off, or in another notation.
_PAIR = re.compile(
    r"[\"'](?:final_?\s?)?(?:answer|choice|option)[\"']\s{0,4}:\s{0,4}"
    r"(?:\"([^\"\n]{0,500})\"|'([^'\n]{0,500})'|([\w.+-]{1,40})(?=\s{0,4}[,}\n]))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[A-Za-z]{0,10}")
#: Places at which an object may begin that are tried, and the longest that is read.
_TRIES, _LONGEST, _DEEPEST = 8, 20_000, 4
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


def unwrap(text: str, *, cut: bool) -> str:
    """The text without thoughts, its answers in tags and JSON written out.

    Args:
        text: Raw text.
        cut: Whether it stopped at the token limit: thoughts that never end are then no answer.

    Returns:
        The text; empty where all of it is thought.
    """
    if _FINAL in text:
        text = text.rsplit(_FINAL, 1)[1].replace("<|return|>", "").replace("<|end|>", "")
    if "<" in text or "◁" in text or "[" in text:
        text = _outside(text, cut=cut)
        text = _ANSWER_ENDS.sub("\n", _ANSWER_OPENS.sub("\nAnswer: ", text))
    return _from_json(text, cut=cut) if "{" in text else text


def _outside(text: str, *, cut: bool) -> str:
    kept: list[str] = []
    place, inside = 0, False
    for mark in _THOUGHT.finditer(text):
        if any(mark.groups()):
            if not inside:
                # Templates may open the thoughts in the prompt: all before the end is thought.
                kept.clear()
            inside = False
        else:
            if not inside:
                kept.append(text[place : mark.start()])
            inside = True
        place = mark.end()
    if not inside or not cut:
        kept.append(text[place:])
    return "\n".join(kept)


def _from_json(text: str, *, cut: bool) -> str:
    parts: list[str] = []
    place = 0
    for _ in range(_TRIES):
        match = _OBJECT.search(text, place)
        if match is None:
            break
        start = match.start()
        try:
            found, end = _DECODER.raw_decode(text[start : start + _LONGEST])
        except (ValueError, RecursionError):
            if (pair := _PAIR.search(text, start)) is None:
                break
            said = next(group for group in pair.groups() if group is not None)
            end = text.find("}", pair.end()) + 1 or len(text)
            parts += [text[place:start], f"\nAnswer: {said}\n"]
            place = end
            continue
        known, said = _answer(found)
        keep = f"\nAnswer: {said}\n" if said else "\n"
        parts += [text[place:start], keep if known else text[start : start + end]]
        place = start + end
    parts.append(text[place:])
    joined = "".join(parts)
    return _FENCE.sub("", joined) if len(parts) > 1 else joined


def _answer(value: Mapping[str, Any], depth: int = 0) -> tuple[bool, str]:
    """Whether an object holds an answer, and the answer as text."""
    named = {re.sub(r"[\s_-]", "", key).casefold(): entry for key, entry in value.items()}
    for key in _KEYS:
        if key in named:
            entry = named[key]
            if isinstance(entry, dict):
                return _answer(entry, depth + 1) if depth < _DEEPEST else (True, "")
            return True, _written(entry)
    return False, ""


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " or ".join(_written(entry) for entry in value if not isinstance(entry, list | dict))
    return " ".join(str(value).split())
