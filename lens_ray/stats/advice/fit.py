"""Which hard need each model meets: `checks_of`, `Check`.

A need is ``met``, ``missed`` or ``undecided``: a score whose interval holds what is needed, or a
fact that nobody knows. What is unknown is never taken for met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lens_ray.stats.advice.best import Judged
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.costs import Cost
from lens_ray.stats.frames import Framed

if TYPE_CHECKING:
    from lens_ray.store import RunHeader

Verdict = Literal["met", "missed", "undecided"]

#: Backends that ask a provider.
PROVIDERS = frozenset({"openai", "anthropic", "gemini"})
#: Backends that host the weights where lens-ray runs.
_HOSTED = frozenset({"transformers", "vllm", "fake"})
_UNITS = {
    "max_usd_per_1000": "${:.3g} for 1,000 answers",
    "max_latency_s": "{:.3g} s an answer",
    "gpu_memory_gb": "{:.3g} GB on one GPU",
}
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
#: Memory besides the weights: activations and cache, as a share of them. A rule of thumb; who
#: serves long contexts needs more.
OVERHEAD = 0.2


@dataclass(frozen=True, slots=True)
class Check(Framed):
    """One need of one model.

    Attributes:
        need: Its key in the needs file.
        verdict: ``met``, ``missed`` or ``undecided``.
        wanted: What is needed, in words.
        found: What was found, in words; None where nothing is known.
        probability: That a score is reached; None for other needs.
        reason: Why it is undecided or missed, where the numbers do not say it.
    """

    need: str
    verdict: Verdict
    wanted: str
    found: str | None
    probability: float | None = None
    reason: str | None = None


def static_checks(
    needs: Needs, run: RunHeader, facts: Mapping[str, object], cost: Cost
) -> tuple[Check, ...]:
    """The needs that do not depend on scores.

    Args:
        needs: What is needed.
        run: The model's run.
        facts: Of its latest commit.
        cost: What its answers cost.
    """
    found = []
    if needs.access is not None:
        fits = run.access == needs.access
        found.append(_check("access", fits, f"{needs.access} weights", f"{run.access} weights"))
    if needs.on_site:
        found.append(_on_site(run))
    if needs.gpu_memory_gb is not None:
        found.append(_memory(needs.gpu_memory_gb, run, facts))
    if needs.max_usd_per_1000 is not None:
        found.append(
            at_most("max_usd_per_1000", needs.max_usd_per_1000, cost.usd_per_1000, cost.reason)
        )
    if needs.max_latency_s is not None:
        found.append(
            at_most("max_latency_s", needs.max_latency_s, cost.latency_s, cost.latency_reason)
        )
    return tuple(found)


def score_checks(
    needs: Needs, judged: Judged, place: int, scores: Mapping[str, float | None]
) -> tuple[Check, ...]:
    """The scores that are needed of one model.

    Args:
        needs: What is needed.
        judged: Of all models.
        place: The model's number there.
        scores: Its corrected scores by ability.
    """
    found = []
    for ability, least in needs.min_score.items():
        score, chance = scores.get(ability), float(judged.meets[ability][place])
        key, wanted = f"min_score.{ability}", f"at least {least:g}"
        if score is None:
            found.append(Check(key, "undecided", wanted, None, None, f"its {ability} has no score"))
            continue
        verdict: Verdict = "undecided"
        if chance >= needs.sure:
            verdict = "met"
        elif judged.missed_of[ability][place]:
            verdict = "missed"
        reason = None
        if verdict == "undecided":
            reason = f"too few samples to be sure (probability {chance:.2f})"
        found.append(Check(key, verdict, wanted, f"{score:.3f}", chance, reason))
    return tuple(found)


def fit_of(checks: tuple[Check, ...]) -> Verdict:
    """``missed`` where one need is, else ``undecided`` where one is, else ``met``."""
    verdicts = {check.verdict for check in checks}
    if "missed" in verdicts:
        return "missed"
    return "undecided" if "undecided" in verdicts else "met"


def at_most(need: str, limit: float, value: float | None, reason: str | None) -> Check:
    """Whether a number is within its limit.

    Args:
        need: One of ``max_usd_per_1000``, ``max_latency_s`` and ``gpu_memory_gb``.
        limit: The most that is allowed.
        value: What was found; None is unknown.
        reason: Why it is unknown.
    """
    unit = _UNITS[need]
    wanted = f"at most {unit.format(limit)}"
    if value is None:
        return Check(need, "undecided", wanted, None, None, reason)
    return _check(need, value <= limit, wanted, unit.format(value))


def memory_gb(facts: Mapping[str, object]) -> tuple[float | None, str | None]:
    """GB (10^9 bytes) that a model needs to run, or why that is not known."""
    try:
        parameters = float(str(facts.get("parameters")))
    except ValueError:
        return None, "the number of its parameters is not known"
    size = _BYTES.get(str(facts.get("dtype", "")).removeprefix("torch."))
    if size is None:
        return None, "the type of its weights is not known"
    return parameters * size * (1 + OVERHEAD) / 1e9, None


def _check(need: str, fits: bool, wanted: str, found: str) -> Check:
    return Check(need, "met" if fits else "missed", wanted, found)


def _on_site(run: RunHeader) -> Check:
    wanted = "images stay on site"
    if run.backend in PROVIDERS or run.access == "closed":
        reason = "a provider is asked"
        if run.access == "open":
            reason += "; its weights are open: host it and evaluate that"
        return Check("on_site", "missed", wanted, f"backend {run.backend}", None, reason)
    if run.backend in _HOSTED:
        return Check("on_site", "met", wanted, f"backend {run.backend}")
    return Check(
        "on_site", "undecided", wanted, f"backend {run.backend}", None,
        "where this backend sends images is not known",
    )  # fmt: skip


def _memory(limit: float, run: RunHeader, facts: Mapping[str, object]) -> Check:
    if run.backend in PROVIDERS or run.access == "closed":
        wanted = f"at most {_UNITS['gpu_memory_gb'].format(limit)}"
        return Check("gpu_memory_gb", "met", wanted, "no GPU: a provider is asked")
    return at_most("gpu_memory_gb", limit, *memory_gb(facts))
