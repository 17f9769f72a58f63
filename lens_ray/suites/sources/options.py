"""The open switches of AbilityLens, named, typed and closed: `Options`.

The publication does not settle them; each default is what the project's reference advises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lens_ray.errors import SuiteError

#: Sources of which LMMs-Eval-Lite holds 500 rows.
LITE: tuple[str, ...] = ("seed_bench", "mmbench", "chartqa", "ai2d")
#: Pairs of (ability, source) that the filter table has and the published task list has not.
_NOT_IN_SCRIPT = frozenset({("structured_data", "mme"), ("structured_data", "muirbench")})


@dataclass(frozen=True, slots=True)
class Options:
    """Every open switch of AbilityLens that a build decides.

    Attributes:
        faithful: Whether samples carry the publisher's own marking (metrics named after their
            source) and not lens-ray's extraction.
        first_half: Whether the full SEED-Bench is cut to the first half of what each ability keeps.
        complete_groups: Whether incomplete rotations, pairs and triples are left out. Without it
            an incomplete pair or triple is an error, and a rotation set counts as it is.
        weights: Weight of a sub-metric within its ability: by its samples, or the same for all.
        submetrics: What a sub-metric is, over which stability is computed: each ``category`` of a
            benchmark within an ability, or the ``benchmark`` within an ability.
        mme: ``pairs`` marks acc + acc+, ``each`` every question by itself (acc).
        mmbench: ``circular`` marks a question right only if all its rotations are, ``plain`` every
            rotation by itself.
        conbench: ``triple`` marks an image right only if all three forms are (ConScore_D),
            ``each`` every form by itself, one sub-metric a form.
        pairs: Which (ability, source) pairs are in. ``table``: the whole filter table. ``narrow``:
            without MME posters and MuirBench diagrams, which gives the published 12,000 samples and
            ratio 2.6. ``script``: the task list of the reference script, which leaves ConBench out
            too.
        lite: Sources of which the 500-row subset is read, out of `LITE`.
    """

    faithful: bool = False
    first_half: bool = False
    complete_groups: bool = True
    weights: Literal["samples", "uniform"] = "samples"
    submetrics: Literal["category", "benchmark"] = "category"
    mme: Literal["pairs", "each"] = "pairs"
    mmbench: Literal["circular", "plain"] = "circular"
    conbench: Literal["triple", "each"] = "triple"
    pairs: Literal["table", "narrow", "script"] = "table"
    lite: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a value that is not one of the option's.

        Raises:
            SuiteError: One is not; the option, the value and the known ones are named.
        """
        for name, hint in get_type_hints(Options).items():
            _check(name, getattr(self, name), hint)

    def takes(self, source: str, ability: str) -> bool:
        """Whether the pair is in, given that the filter table has it."""
        if self.pairs == "table":
            return True
        if self.pairs == "script" and source == "conbench":
            return False
        return (ability, source) not in _NOT_IN_SCRIPT

    def subtask(self, source: str, ability: str, category: str) -> str:
        """The name of a sub-metric."""
        return f"{source}_{category if self.submetrics == 'category' else ability}"

    def changed(self, values: Mapping[str, object]) -> Options:
        """These options with some replaced, as a command line or a YAML file gives them.

        Args:
            values: Option to value; ``"true"`` and ``"false"`` are read as truth values, a text
                with commas as a list.

        Raises:
            SuiteError: An option or a value is not known.
        """
        hints = get_type_hints(Options)
        read: dict[str, Any] = {}
        for name, value in values.items():
            if name not in hints:
                near = get_close_matches(name, hints, 1, 0.0)[0]
                raise SuiteError(f"option {name!r} is not known; the nearest is {near!r}")
            read[name] = _read(value, hints[name])
        return dataclasses.replace(self, **read)

    def as_json(self) -> Mapping[str, object]:
        """Every option and its value, for a record of the build."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in dataclasses.fields(self)
            for value in (getattr(self, field.name),)
        }


def _read(value: object, hint: Any) -> object:
    if hint is bool and isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), value)
    if get_origin(hint) is tuple:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, Iterable):
            return tuple(value)
    return value


def _check(name: str, value: object, hint: Any) -> None:
    if hint is bool:
        if not isinstance(value, bool):
            raise SuiteError(f"option {name}: {value!r} is neither true nor false")
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            known = ", ".join(get_args(hint))
            raise SuiteError(f"option {name}: {value!r} is not known; give one of {known}")
    else:
        for part in value if isinstance(value, tuple) else (value,):
            if part not in LITE:
                raise SuiteError(
                    f"option {name}: {part!r} has no lite subset; give some of {', '.join(LITE)}"
                )
