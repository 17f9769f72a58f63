"""What is asked: samples, suites, templates, and the built-in suite `mini`.

``sample`` and ``suite`` are the nouns and the verbs on them; below, ``load`` finds a suite,
``files`` and ``archive`` read and write it, ``check`` proves it sound; ``splits`` says what may be
used for what; ``templates`` puts the question; ``controls/`` changes one thing; ``mini/`` draws
the built-in suite.

Suites of other people's data: ``sources/`` knows the public benchmarks and ``abilitylens`` the
recipes of them, ``readers/`` reads files, ``build`` makes a recipe's suite (``origins`` finds the
files, ``drafts`` reads rows, ``picturing`` images), ``importing`` makes one of a table; ``facts``
counts what a suite holds.
"""

from __future__ import annotations

from lens_ray.suites.sample import ABILITIES, FORMATS, SPLITS, Sample
from lens_ray.suites.splits import assign_splits
from lens_ray.suites.suite import (
    Suite,
    SuiteInfo,
    check_suite,
    load_suite,
    read_suite,
    write_suite,
)
from lens_ray.suites.templates import TEMPLATES, Template, prompt_hash, render

__all__ = [
    "ABILITIES", "FORMATS", "SPLITS", "TEMPLATES", "Sample", "Suite", "SuiteInfo", "Template",
    "assign_splits", "check_suite", "load_suite", "prompt_hash", "read_suite", "render",
    "write_suite",
]  # fmt: skip
