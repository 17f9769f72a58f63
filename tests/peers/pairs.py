"""Seeded rows in each benchmark's published schema (without images), the samples that they are,
and answers to them: valid, adversarial, empty, unicode, long, with several candidates."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lens_ray.suites.sample import Sample

Row = dict[str, Any]
LETTERS = "ABCDEFGH"
_THINGS = (
    "a red car", "Banana", "dog", "a dog", "two dogs", "Paris", "an A4 sheet", "NaN", "blue",
    "the left side", "No", "yes", "3", "12.5", "It is A", "Option B", "猫", "Straße", "İstanbul",
    "None of the choices provided", "C", "above / below",
)  # fmt: skip
_WORDS = (
    "the",
    "Answer",
    "is",
    "so",
    "of",
    "A",
    "image",
    "=",
    "final",
    "result",
    "yes",
    "no",
    "not",
)
_ODD = (
    "", " ", "\n", "\t\n ", ".", "...", "?", ",", "\0", "\u200b", "É", "ß", "İ", "K", "ſ", "🙂",
    "٣", "½", "Ｂ", "ｙｅｓ", "\ud7ff", "None", "nan", "NaN", "null",
    "I'm sorry, I can't help with that.",
    "Failed to obtain answer via API", "Failed to obtain answer via API A", "<leaf>", "<pad></s>",
    "As an AI model, I cannot see the image.", "答案是", "答えは", "정답은", "\\boxed{}", "{}",
)  # fmt: skip


@dataclass
class Case:
    """One question: its row, its sample, and what its answers are made of."""

    row: Row
    sample: Sample
    golds: list[str]
    wrong: list[str] = field(default_factory=list)


def _sample(source: str, kind: str, answers: tuple[str, ...], **facts: Any) -> Sample:
    choices = tuple(facts.pop("choices", ()))
    return Sample(
        sample_id=f"{source}/1", ability="counting", source=source, subtask=source, format=kind,
        domain="photo", images=("0" * 64,), question="?", choices=choices, answers=answers,
        metric=source, chance=0.0, upper=1.0, cluster_id="1", meta=facts,
    )  # fmt: skip


def _letters(source: str, rng: random.Random, row: Row, choices: list[str]) -> Case:
    right = rng.randrange(len(choices))
    gold = LETTERS[right]
    row["answer"] = gold
    others = [letter for letter in LETTERS[: len(choices)] if letter != gold]
    sample = _sample(source, "multiple_choice", (gold,), choices=choices)
    return Case(row, sample, [gold, gold, choices[right]], [*others, *choices, "E", "Z"])


def _mme(rng: random.Random) -> Case:
    answer = rng.choice(["Yes", "No"])
    category = rng.choice(["count", "OCR", "landmark", "code_reasoning"])
    row = {"question_id": "1.png", "question": "Is it? Please answer yes or no.", "answer": answer,
           "category": category}  # fmt: skip
    words = ["Yes", "No", "Yes", "nothing", "Y", "N", "not", "Noyes", "know", "eyes", "no yes"]
    sample = _sample("mme", "true_false", (answer.lower(),))
    return Case(row, sample, [answer, answer.lower()], words)


def _seed_bench(rng: random.Random) -> Case:
    choices = rng.sample(_THINGS, 4)
    row = {"question_id": "1", "data_type": rng.choice(["image", "video"]), "question": "?"}
    row |= {f"choice_{letter}": text for letter, text in zip("abcd", choices, strict=True)}
    return _letters("seed_bench", rng, row, choices)


def _mmstar(rng: random.Random) -> Case:
    row = {"index": 1, "question": "?", "category": "math", "l2_category": "geometry"}
    return _letters("mmstar", rng, row, rng.sample(_THINGS, 4))


def _muirbench(rng: random.Random) -> Case:
    choices = rng.sample(_THINGS, rng.randint(2, 7))
    row = {"idx": "1", "task": "Counting", "image_relation": "x", "image_type": "y",
           "question": "?", "options": choices}  # fmt: skip
    return _letters("muirbench", rng, row, choices)


def _ai2d(rng: random.Random) -> Case:
    choices = rng.sample(_THINGS, 4)
    case = _letters("ai2d", rng, {"question": "?", "options": choices}, choices)
    case.row["answer"] = str(LETTERS.index(case.row["answer"]))
    return case


def _mmbench(rng: random.Random) -> Case:
    choices = rng.sample(_THINGS, rng.randint(2, 4))
    missing: str | None = rng.choice(["nan", None])
    texts = dict(zip("ABCD", [*choices, missing, missing], strict=False))
    row = {"index": 1, "question": "?", "hint": "nan", "source": "s", "split": "dev",
           "category": "ocr", "L2-category": "x", **texts}  # fmt: skip
    case = _letters("mmbench", rng, row, choices)
    if missing and len(choices) < 4:
        sample = _sample("mmbench", "multiple_choice", case.sample.answers, choices=choices,
                         missing_option=missing)  # fmt: skip
        case = Case(row, sample, case.golds, [*case.wrong, "nan", "banana"])
    return case


def _number(rng: random.Random) -> str:
    value = rng.choice([rng.randint(0, 12), rng.randint(-5, 5000), round(rng.random() * 100, 2)])
    kinds: list[Callable[[], str]] = [
        lambda: str(value), lambda: f"{value:,}", lambda: f"{value}%", lambda: f"{value}.0",
        lambda: f"-{value}", lambda: f"{value:e}", lambda: f"{value}e3", lambda: f".{value}",
        lambda: f"{value}.", lambda: f"1_{value}", lambda: f" {value} ", lambda: f"+{value}",
        lambda: rng.choice(["inf", "-inf", "nan", "three", "0", "0.0", "1,234,5", "1.2.3", "12a3"]),
    ]  # fmt: skip
    return rng.choice(kinds[:1] * 6 + kinds)()


def _mirb(rng: random.Random) -> Case:
    gold = rng.choice([_number(rng), str(rng.randint(0, 12)), rng.choice("ABCDE"), "dog", "x"])
    row = {"question_id": 1, "subset": "count", "questions": "?", "answers": gold}
    wrong = [*(_number(rng) for _ in range(6)), *"ABCDE", gold + "0", "1" + gold, f"{gold}, 3"]
    if gold.isdigit():  # numbers are compared to two decimals
        wrong += [f"{int(gold) + by}" for by in (0.004, -0.004, 0.005, 0.006, 0.01)]
    return Case(row, _sample("mirb", "open", (gold,)), [gold], wrong)


def _chartqa(rng: random.Random) -> Case:
    gold = rng.choice([_number(rng), rng.choice(_THINGS)])
    row = {"type": rng.choice(["human_test", "augmented_test"]), "question": "?", "answer": gold}
    wrong = [_number(rng) for _ in range(4)]
    try:
        near = float(gold.rstrip("%"))
        wrong += [str(near * by) for by in (0.95, 1.05, 1.0501, 0.9499, 1.01, 100, 0.01)]
        wrong += [f"{near * by}%" for by in (1, 100, 0.01, 1.05)]
    except ValueError:
        wrong += [gold.upper(), gold + "."]
    return Case(row, _sample("chartqa", "open", (gold,)), [gold], wrong)


def _text(rng: random.Random) -> str:
    words = [rng.choice([*_THINGS, *_WORDS, "Total: $12.50", "ＡＢ１", "x^{2}", "\\frac {1} {2}"])]
    words += [rng.choice([*_THINGS, *_WORDS]) for _ in range(rng.randint(0, 3))]
    return rng.choice([" ", " ", "\n"]).join(words)


_FULL_WIDTH = {code: chr(code + 0xFEE0) for code in range(0x21, 0x7F)}


def _ocrbench(rng: random.Random) -> Case:
    golds = [_text(rng) for _ in range(rng.randint(1, 3))]
    dataset = rng.choice(["HME100k", "IIIT5K", "svt", "docVQA"])
    row = {"dataset": dataset, "question": "?", "question_type": "Scene Text-centric VQA",
           "answer": golds}  # fmt: skip
    wrong = [_text(rng), golds[0].replace(" ", "\u3000"), golds[-1].translate(_FULL_WIDTH)]
    return Case(row, _sample("ocrbench", "open", tuple(golds), dataset=dataset), golds, wrong)


def _synthdog(rng: random.Random) -> Case:
    gold = rng.choice(["", "", "", " ", "<leaf>"]) + _text(rng) + rng.choice(["", "", "\n"])
    truth = json.dumps({"gt_parse": {"text_sequence": gold}})
    wrong = [_text(rng) for _ in range(3)]
    return Case({"ground_truth": truth}, _sample("synthdog", "open", (gold,)), [gold], wrong)


def _conbench(rng: random.Random) -> Case:
    kind = rng.choice(["N/Y", "Choices", "Q/A"])
    row = {"image_id": "1", "question": "?", "field": "ocr", "question_field": kind}
    if kind == "N/Y":
        case = _mme(rng)
        row["answer"] = case.row["answer"]
        sample = _sample("conbench", "true_false", case.sample.answers, form=kind)
        return Case(row, sample, case.golds, case.wrong)
    if kind == "Choices":
        case = _letters("conbench", rng, row, rng.sample(_THINGS, 4))
        return Case(row, case.sample, case.golds, case.wrong)
    gold = row["answer"] = _text(rng)
    wrong = [gold[: len(gold) // 2], gold[::2], gold + " x", "x" * len(gold), _text(rng)]
    return Case(row, _sample("conbench", "open", (gold,), form=kind), [gold], wrong)


MAKERS: dict[str, Callable[[random.Random], Case]] = {
    "mme": _mme, "seed_bench": _seed_bench, "mirb": _mirb, "mmstar": _mmstar,
    "muirbench": _muirbench, "ocrbench": _ocrbench, "synthdog": _synthdog, "mmbench": _mmbench,
    "chartqa": _chartqa, "ai2d": _ai2d, "conbench": _conbench,
}  # fmt: skip

#: ``{}`` an answer, right or wrong; ``[]`` another one.
_FRAMES = (
    "{}", "{}", "{}", "{}.", " {} ", "({})", "({}", "{})", "{}:", ":{}.", "({}).", "**{}**",
    "\n{}\n", "{}\0", "\0{}", '"{}"', "'{}'", "Option {}", "option {}", "OPTION {}.", "Answer: {}",
    "The answer is {}", "the answer is {}.", "The answer is ({}) because [] is wrong.",
    "The correct answer is {}", "I choose {} rather than []", "answer = {}", "[] + [] = {}",
    "It could be {} so {}", "[] is wrong.\nThe final answer is {}", "so [], thus {} .",
    "{} or []", "{}, []", "{} and [] and []", "A {}", "A {} in the picture next to a []",
    "{}. []", "{}) []", "Both {} and []", "there are {} of them", "about {} in total",
    "答案是{}", "答えは{}です", "정답은 {}", "选{}", "<think>[]</think>{}", "<think>{} or []",
    "{}{}{}", '{{"answer": "{}"}}', "\\boxed{{{}}}", "$ {}", "{} %", "{}%", "Not {}", "no {}",
    "not sure, {}?", "([]) 답: {} 이다", "([]) 답은 {} 이다", "([]) 옵션 {} 이다",
    "([]) 정답은 {} 이다",
    "([]) my choice is {} here", "([]) i pick {} here", "([]) best option is {} here",
    "([]) 答案为 {} 吧", "([]) 答えは {} だ", "([]) 选 {} 吧", "([]) i select {} here",
    "yes {}", "\r\n{}", "{}\u3000", "- {}", "# {}", "result {} is []", "a.{}", "is :", "so = ",
)  # fmt: skip


def answer(case: Case, rng: random.Random) -> str:
    """One answer to a question."""
    kind = rng.random()
    if kind < 0.08:
        return rng.choice(_ODD)
    if kind < 0.13:
        return "".join(
            rng.choice("AaBbCDE()., :1204%\n-eyYnNo=é") for _ in range(rng.randint(1, 12))
        )
    pool = case.golds * max(1, len(case.wrong) // len(case.golds)) + case.wrong
    frame = rng.choice(_FRAMES) if kind < 0.85 else rng.choice(_FRAMES[:4])
    text = frame.replace("{{", "\1").replace("}}", "\2").replace("{}", rng.choice(pool))
    while "[]" in text:
        text = text.replace("[]", rng.choice([*pool, *_WORDS]), 1)
    text = text.replace("\1", "{").replace("\2", "}")
    if kind > 0.97:
        padding = " ".join(rng.choice(_WORDS) for _ in range(rng.randint(20, 120)))
        text = rng.choice([f"{padding} {text}", f"{text} {padding}", f"{text}\n{padding}\n{text}"])
    cases: list[Callable[[str], str]] = [str, str, str, str, str.upper, str.lower, str.swapcase]
    return rng.choice(cases)(text)


def pairs(source: str, count: int, seed: int = 0) -> list[tuple[Case, str]]:
    """Questions with answers; the same for the same seed."""
    rng = random.Random(f"{source}-{seed}")
    made: list[tuple[Case, str]] = []
    while len(made) < count:
        case = MAKERS[source](rng)
        made += [(case, answer(case, rng)) for _ in range(5)]
    return made[:count]
