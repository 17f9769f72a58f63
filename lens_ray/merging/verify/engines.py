"""V3, whether the engine that will serve the merge says what transformers says: `engines`.

Conversions that pass every check of names and shapes may still compute something else in another
engine (allenai/open-instruct PR 1839: 38 % error of the logits after three such checks).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.merging.checks import Check
from lens_ray.merging.verify.probes import requests_of
from lens_ray.models import create_backend
from lens_ray.models.protocol import Completion, Request
from lens_ray.models.spec import ModelSpec
from lens_ray.scoring.mark import mark
from lens_ray.scoring.plain import storable
from lens_ray.suites.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from lens_ray.merging.verify.policy import EngineLimits
    from lens_ray.merging.verify.tiers import FunctionGround

REFERENCE, SERVING = "transformers", "vllm"
#: An engine for a few dozen short questions: started soon, not fast.
_OPTIONS = {"enforce_eager": True, "max_num_seqs": 16}
_NAMES = ("engine_parity", "parse_failures")


def engines(ground: FunctionGround, limits: EngineLimits) -> tuple[Check, ...]:
    """Ask the probes of the merge in both engines, greedily.

    Args:
        ground: Merge, parents and probes.
        limits: How many answers must be equal.

    Returns:
        ``engine_parity`` (share of equal texts) and ``parse_failures`` (answers of the serving
        engine that cannot be read against the parents' in transformers); skipped where vLLM is
        not installed or does not start here.
    """
    if find_spec(SERVING) is None:
        why = "vLLM is not installed here; verify where the merge will be served"
        return tuple(Check("V3", name, "skipped", why) for name in _NAMES)
    if not ground.probes:
        return tuple(Check("V3", name, "skipped", "there are no probes") for name in _NAMES)
    requests = requests_of(ground.suite, ground.probes, ground.template)
    try:
        served = asked(ground.merge, SERVING, requests, _OPTIONS)
    except EnvironmentFailure as error:
        return tuple(Check("V3", name, "skipped", str(error)) for name in _NAMES)
    except CheckpointError as error:
        fault = Check("V3", "engine_parity", "fail", str(error))
        return fault, Check("V3", "parse_failures", "skipped", "the engine does not take the merge")
    try:
        told = asked(ground.merge, REFERENCE, requests)
    except CheckpointError as error:
        fault = Check("V3", "engine_parity", "fail", str(error))
        return fault, Check("V3", "parse_failures", "skipped", "transformers does not take it")
    parents = [asked(parent.folder, REFERENCE, requests) for parent in ground.parents]
    return parity(ground.probes, told, served, limits), parse_failures(
        ground.probes, served, parents
    )


def parity(
    probes: Sequence[Sample],
    told: Sequence[Completion],
    served: Sequence[Completion],
    limits: EngineLimits,
) -> Check:
    """Whether enough answers are equal, letter by letter."""
    odd = [
        probe.sample_id
        for probe, one, other in zip(probes, told, served, strict=True)
        if one.text != other.text or one.error is not None or other.error is not None
    ]
    share = 1 - len(odd) / len(probes)
    what = f"{len(probes) - len(odd)} of {len(probes)} greedy answers are equal in both engines"
    if odd:
        what += f"; {odd[0]} is not"
    figures = {"probes": len(probes), "equal": len(probes) - len(odd), "limit": limits.agreement}
    return Check(
        "V3", "engine_parity", "pass" if share >= limits.agreement else "fail", what, figures
    )


def parse_failures(
    probes: Sequence[Sample],
    served: Sequence[Completion],
    parents: Sequence[Sequence[Completion]],
) -> Check:
    """Whether the merge, as it is served, is read as often as the worst of its parents."""
    mine = _unread(probes, served)
    most = max((_unread(probes, answers) for answers in parents), default=0)
    what = f"{mine} of {len(probes)} served answers cannot be read; of a parent's at most {most}"
    figures = {"probes": len(probes), "merge": mine, "parents": most}
    return Check("V3", "parse_failures", "pass" if mine <= most else "fail", what, figures)


def asked(
    folder: Path,
    backend: str,
    requests: Sequence[Request],
    options: Mapping[str, object] | None = None,
) -> list[Completion]:
    """The answers of a checkpoint behind a backend, in the order of the requests.

    Raises:
        CheckpointError: The backend does not take the checkpoint.
        EnvironmentFailure: The backend does not start here.
    """
    spec = ModelSpec(name="probed", backend=backend, path=str(folder), options=dict(options or {}))
    return asyncio.run(_answers(spec, str(folder), requests))


async def _answers(spec: ModelSpec, folder: str, requests: Sequence[Request]) -> list[Completion]:
    backend = create_backend(spec, folder)
    try:
        await backend.start()
        found = {one.request_id: one async for one in backend.generate(requests)}
    finally:
        await backend.close()
    return [found[request.request_id] for request in requests]


def _unread(probes: Sequence[Sample], answers: Sequence[Completion]) -> int:
    """Answers that are none: refused, cut, not to be read, or an error."""
    return sum(
        one.error is not None or mark(probe, storable(one.text), one.finish_reason).status != "ok"
        for probe, one in zip(probes, answers, strict=True)
    )
