from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.templates import TEMPLATES, prompt_hash, render
from tests.suites.makers import OPEN

TRUE_FALSE = dataclasses.replace(OPEN, format="true_false", question="is it red?")
CHOICE = dataclasses.replace(OPEN, format="multiple_choice", choices=("one", "two", "three"))


def test_each_format_has_the_wording_that_models_are_trained_on() -> None:
    assert render(TRUE_FALSE) == "is it red?\nAnswer yes or no."
    assert render(CHOICE) == "how many dots?\nA. one\nB. two\nC. three\nAnswer with the letter."
    assert render(OPEN) == "how many dots?\nAnswer briefly."


def test_bare_has_no_instruction() -> None:
    assert render(CHOICE, "bare") == "how many dots?\nA. one\nB. two\nC. three"


def test_unknown_template_names_the_nearest() -> None:
    with pytest.raises(SuiteError, match="'defualt' is not known; the nearest is 'default'"):
        render(OPEN, "defualt")


def test_more_choices_than_letters_is_an_error_and_not_a_lost_choice() -> None:
    many = dataclasses.replace(CHOICE, choices=tuple(str(n) for n in range(27)))
    with pytest.raises(SuiteError, match="27 choices"):
        render(many)


def test_every_template_is_under_its_own_name_and_versioned() -> None:
    assert all(name == template.name for name, template in TEMPLATES.items())
    assert all(template.version >= 1 for template in TEMPLATES.values())


def test_prompt_hash_feels_every_part_and_no_order_of_keys() -> None:
    base = prompt_hash("q", ["a", "b"], {"temperature": 0.0, "seed": None})
    assert base == prompt_hash("q", ["a", "b"], {"seed": None, "temperature": 0.0})
    others = [
        prompt_hash("p", ["a", "b"], {"temperature": 0.0, "seed": None}),
        prompt_hash("q", ["b", "a"], {"temperature": 0.0, "seed": None}),
        prompt_hash("q", ["a", "b"], {"temperature": 0.1, "seed": None}),
        prompt_hash("q", ["a", "b"], {"temperature": 0.0, "seed": 0}),
    ]
    assert len({base, *others}) == 5


def test_prompt_hash_takes_lone_surrogates() -> None:
    assert len(prompt_hash("\ud800", [], {})) == 64


def test_naming_a_suite_imports_nothing_heavy() -> None:
    code = (
        "import sys, lens_ray.suites\n"
        "heavy = {'numpy', 'pyarrow', 'PIL', 'fsspec', 'torch', 'ray', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
