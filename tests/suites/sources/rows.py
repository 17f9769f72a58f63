"""Rows as the eleven data sets publish them, written for these tests, and what a build does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Draft, Options, Source
from lens_ray.suites.sources.registry import SOURCES


def drafts_of(
    name: str, rows: Sequence[Mapping[str, Any]], options: Options | None = None
) -> Sequence[Draft]:
    """The drafts that stay of a data set of these rows, as a build makes them."""
    source: Source = SOURCES[name]
    options = options or Options()
    made: list[Draft] = []
    for number, row in enumerate(rows):
        for ability, selection in source.taken(options).items():
            if selection.keeps(row):
                made += source.ask(row, number, ability, options)
    return source.settle(made, options)


def samples_of(
    name: str, rows: Sequence[Mapping[str, Any]], options: Options | None = None
) -> list[Sample]:
    """The samples of `drafts_of`."""
    return [draft.sample for draft in drafts_of(name, rows, options)]


def only(name: str, row: Mapping[str, Any], options: Options | None = None) -> Sample:
    """The one sample of one row, whatever its group would need."""
    source = SOURCES[name]
    options = options or Options()
    (ability,) = [a for a, kept in source.taken(options).items() if kept.keeps(row)]
    (draft,) = source.ask(row, 0, ability, options)
    return draft.sample


def mme(**changes: Any) -> dict[str, Any]:
    return {
        "question_id": "count/0001.jpg",
        "question": "Are there two dogs in this image? Please answer yes or no.",
        "answer": "Yes",
        "category": "count",
    } | changes


def seed(**changes: Any) -> dict[str, Any]:
    return {
        "question_id": "101669",
        "question_type_id": 5,
        "question": "How many towels are in the image?",
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "Three",
        "choice_d": "Four",
        "answer": "A",
        "data_id": "1454426_2591111986",
        "data_type": "image",
        "segment": None,
    } | changes


def mirb(**changes: Any) -> dict[str, Any]:
    return {
        "question_id": 17,
        "subset": "count",
        "questions": "How many cups are there in all images?",
        "answers": "12",
    } | changes


def mmstar(**changes: Any) -> dict[str, Any]:
    return {
        "index": 3,
        "question": "How many boats can be seen?\nOptions: A: 1, B: 2, or so, C: 3, D: None",
        "answer": "C",
        "category": "fine-grained perception",
        "l2_category": "object counting",
        "meta_info": {"source": "MMBench", "split": "val", "image_path": "images/3.jpg"},
    } | changes


def muir(**changes: Any) -> dict[str, Any]:
    return {
        "idx": "12",
        "task": "Counting",
        "image_relation": "Independent",
        "image_type": "Photography",
        "question": "Which image shows as many pens as <image>?",
        "options": ["<image>", "<image>", "None of the choices provided"],
        "answer": "B",
        "counterpart_idx": "13",
    } | changes


def ocr(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": "IIIT5K",
        "question": "what is written in the image?",
        "question_type": "Regular Text Recognition",
        "answer": ["CENTRE"],
    } | changes


def dog(text: str = "Hello World", **changes: Any) -> dict[str, Any]:
    return {"ground_truth": json.dumps({"gt_parse": {"text_sequence": text}})} | changes


def bench(**changes: Any) -> dict[str, Any]:
    return {
        "index": 241,
        "question": "What does the sign say?",
        "hint": None,
        "A": "stop",
        "B": "go",
        "C": "turn left",
        "D": "yield",
        "answer": "A",
        "category": "ocr",
        "L2-category": "finegrained_perception (instance-level)",
        "source": "mmbench",
        "split": "dev",
        "comment": None,
    } | changes


def chart(**changes: Any) -> dict[str, Any]:
    return {
        "type": "human_test",
        "question": "What is the highest value of the blue line?",
        "answer": "14.5%",
    } | changes


def ai2d(**changes: Any) -> dict[str, Any]:
    return {
        "question": "Which part takes up water?",
        "options": ["leaf", "root", "flower"],
        "answer": "1",
    } | changes


def con(form: str = "N/Y", **changes: Any) -> dict[str, Any]:
    facts = {
        "N/Y": ("Are there three cats? Please answer yes or no.", "No"),
        "Choices": ("How many cats are there?\nA. 1\nB. 2\nC. 3\nD. 4", "B"),
        "Q/A": ("How many cats are there? ", "two"),
    }
    question, answer = facts[form]
    return {
        "image_id": "count_7",
        "question": question,
        "field": "count",
        "answer": answer,
        "question_id": "7",
        "question_field": form,
    } | changes
