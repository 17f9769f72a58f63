from __future__ import annotations

import pytest

from lens_ray.stats.advice.fit import fit_of, memory_gb, static_checks
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.costs import Cost
from tests.stats.advice.makers import run

FACTS = {"parameters": "8000000000", "dtype": "bfloat16"}


def cost(usd: float | None = 1.0, latency: float | None = 0.5) -> Cost:
    return Cost(
        "r", "m", 10, usd, None, None if usd is not None else "no price", latency,
        None if latency is not None else "no latency",
    )  # fmt: skip


def test_memory_is_weights_and_a_fifth() -> None:
    # 8 billion x 2 bytes x 1.2 = 19.2 GB.
    assert memory_gb(FACTS)[0] == pytest.approx(19.2)
    assert memory_gb({"dtype": "float32"}) == (None, "the number of its parameters is not known")
    assert memory_gb({"parameters": 5, "dtype": "int4"})[1] == (
        "the type of its weights is not known"
    )


@pytest.mark.parametrize(
    ("needs", "backend", "access", "verdict"),
    [
        ({"access": "open"}, "vllm", "open", "met"),
        ({"access": "open"}, "openai", "closed", "missed"),
        ({"on_site": True}, "transformers", "open", "met"),
        ({"on_site": True}, "anthropic", "closed", "missed"),
        ({"on_site": True}, "openai", "open", "missed"),
        ({"on_site": True}, "import:lmms-eval", "closed", "missed"),
        ({"on_site": True}, "import:lmms-eval", "open", "undecided"),
        ({"gpu_memory_gb": 24}, "vllm", "open", "met"),
        ({"gpu_memory_gb": 16}, "vllm", "open", "missed"),
        ({"gpu_memory_gb": 16}, "gemini", "closed", "met"),
        ({"max_usd_per_1000": 1.0}, "vllm", "open", "met"),
        ({"max_usd_per_1000": 0.9}, "vllm", "open", "missed"),
        ({"max_latency_s": 0.4}, "vllm", "open", "missed"),
        ({}, "vllm", "open", "met"),
    ],
)
def test_needs_that_do_not_depend_on_scores(
    needs: dict[str, object], backend: str, access: str, verdict: str
) -> None:
    asked = Needs.model_validate(needs)
    checks = static_checks(asked, run("m", backend=backend, access=access), FACTS, cost())
    assert fit_of(checks) == verdict
    assert len(checks) == len(needs)


def test_what_is_unknown_is_not_met() -> None:
    needs = Needs(max_usd_per_1000=5, max_latency_s=5, gpu_memory_gb=24)
    checks = static_checks(needs, run("m"), {}, cost(None, None))
    assert {check.verdict for check in checks} == {"undecided"}
    assert {check.reason for check in checks} == {
        "no price", "no latency", "the number of its parameters is not known",
    }  # fmt: skip
