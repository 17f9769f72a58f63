"""A training run with known findings, made by hand: ocr rises while entity falls."""

from __future__ import annotations

from lens_ray.online.findings import (
    AdviceLine,
    Alarm,
    Conflict,
    Convergence,
    Curve,
    Decline,
    Findings,
    Plateau,
    Point,
)

STEPS = (500, 3000, 6000, 8700, 9000, 9300, 9600)
VALUES = {
    "counting": (0.02, 0.4, 0.7, 0.80, 0.81, 0.80, 0.81),
    "ocr": (0.01, 0.2, 0.5, 0.60, 0.72, 0.75, 0.77),
    "entity": (0.05, 0.3, 0.6, 0.70, 0.60, 0.52, 0.50),
}
HOSTILE = "<img src=x onerror=window.pwned=1><a href='javascript:1'>x</a>\x1b[2J\u202e"


def point(step: int, value: float, before: float | None, *, axes: bool = True) -> Point:
    return Point(
        step=step,
        depth="full" if step in (500, 6000, 9600) else "anchor",
        n=100,
        value=value,
        interval=(value - 0.05, value + 0.05),
        change=None if before is None else value - before,
        change_interval=None if before is None else (value - before - 0.03, value - before + 0.03),
        tokens=step * 2e6 if axes else None,
        gpu_hours=step / 100 if axes else None,
        dvs=0.9,
        tau=0.1,
    )


def curve(ability: str, values: tuple[float, ...], subtask: str | None = None) -> Curve:
    before = (None, *values[:-1])
    points = tuple(point(*each) for each in zip(STEPS, values, before, strict=True))
    return Curve(ability, subtask, points, pool="some@1")


def findings(hostile: str = "") -> Findings:
    """What was found; ``hostile`` stands in every text that others may have written."""
    overall = tuple(sum(column) / 3 for column in zip(*VALUES.values(), strict=True))
    return Findings(
        run=f"a{hostile}",
        step=9600,
        curves=(
            *(curve(name + hostile, values) for name, values in VALUES.items()),
            curve("overall", overall),
            *(
                curve(name + hostile, tuple(v + s for v in values), f"{name}_{at}{hostile}")
                for name, values in VALUES.items()
                for at, s in enumerate((-0.1, 0.1))
            ),
        ),
        convergence=(
            Convergence("counting" + hostile, "converged", 8700, 9600, 0.003, (-1, 0.012), 0.95,
                        0.02, 3, (9000,)),
            Convergence("ocr" + hostile, "rising"),
            Convergence("entity" + hostile, "undecided", reason="too little is known" + hostile),
        ),
        plateaus=(
            Plateau("counting" + hostile, (8700, 9600), 0.001, (-0.01, 0.012), 0.95, 0.02, False),
        ),
        declines=(
            Decline("entity" + hostile, (6000, 8700), (9300, 9600), 9600, -0.14, (-0.2, -0.1), 0.95,
                    0.0004, 8700, True),
        ),
        conflicts=(
            Conflict("ocr" + hostile, "entity" + hostile, (6000, 8700), (9300, 9600), 9600, 0.21,
                     (0.1, 0.3), -0.14, (-0.2, -0.1), 0.95, 0.001,
                     {8700: "mix: entity out" + hostile}),
        ),
        alarms=(Alarm("falls_behind", None, None, "3 checkpoints were skipped" + hostile),),
        advice=(
            AdviceLine("entity" + hostile, "falling", "falling since 8,700" + hostile, (8700,),
                       -0.14, (-0.2, -0.1), 0.95, ("decline:entity:9600" + hostile,)),
            AdviceLine("run", "change_mix", "give entity more data", confidence=None),
        ),
        notes=("a note" + hostile,),
        changes={8700: "mix: entity out" + hostile},
    )  # fmt: skip
