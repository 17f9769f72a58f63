"""What can be said against a model before anything is started for it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lens_ray.errors import CheckpointError, EnvironmentFailure
from lens_ray.models import backend_entry
from lens_ray.models.api.access import read_access
from lens_ray.models.api.providers import check_parameters
from lens_ray.models.checkpoint import CheckpointFacts
from lens_ray.models.protocol import Request
from lens_ray.models.spec import ModelSpec


def preflight(spec: ModelSpec, facts: CheckpointFacts | None, *, here: bool) -> None:
    """Refuse a model whose replicas could not start.

    Args:
        spec: The model.
        facts: Of its checkpoint; None where the backend needs none.
        here: Whether its replicas run on this machine and in this environment.

    Raises:
        CheckpointError: Its attention heads cannot be split as it asks.
        EnvironmentFailure: Its backend's library is not installed, or there is no key.
        UserError: It asks for generation parameters that it does not take.
    """
    parts = spec.tensor_parallel
    if facts is not None and facts.heads is not None and facts.heads % parts:
        fitting = [str(n) for n in range(1, facts.heads + 1) if facts.heads % n == 0]
        raise CheckpointError(
            f"{facts.folder}: tensor_parallel {parts} does not divide its {facts.heads} attention "
            f"heads; write one of {', '.join(fitting)}"
        )
    entry = backend_entry(spec.backend)
    needed = entry.requires
    elsewhere = spec.runtime_env is not None and (
        spec.runtime_env.py_executable or spec.runtime_env.pip
    )
    if needed and here and not elsewhere and not _installed(needed):
        raise EnvironmentFailure(
            f"the backend {spec.backend} needs the package {needed}, which is not installed here; "
            f"type pip install 'lens-ray[{entry.extra}]', or name a Python that has it by "
            "runtime_env: {py_executable: ...}"
        )
    if entry.attached:
        check_parameters(spec)
        if here and not elsewhere:
            read_access(spec)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what it lies in is missing
        return False


def check_context(
    spec: ModelSpec, facts: CheckpointFacts | None, longest: Sequence[Request]
) -> None:
    """Refuse a model whose context the longest questions cannot fit, by their text alone.

    What images add only the processor knows; a question that is too long with them fails alone.

    Args:
        spec: The model.
        facts: Of its checkpoint; None where the backend needs none.
        longest: Questions with the longest texts; their images are not looked at.

    Raises:
        CheckpointError: One does not fit.
    """
    if facts is None:
        return
    given = getattr(spec.parsed_options(), "max_model_len", None)
    context = given or facts.context
    tokenizer = Path(facts.folder, "tokenizer.json")
    if context is None or not tokenizer.is_file():
        return
    # No token is shorter than a byte: most models are known to fit without their tokenizer.
    doubtful = [
        one
        for one in longest
        if len(one.text.encode("utf-8", "surrogatepass")) + one.generation.max_new_tokens > context
    ]
    if not doubtful:
        return
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(str(tokenizer))
    for one in doubtful:
        text = one.text.encode("utf-8", "replace").decode()
        tokens = len(read.encode(text, add_special_tokens=False).ids)
        if tokens + one.generation.max_new_tokens > context:
            where = "max_model_len" if given else "the model's context"
            raise CheckpointError(
                f"{facts.folder}: sample {one.request_id} has {tokens} tokens of text and may get "
                f"{one.generation.max_new_tokens} new ones, over {where} of {context}; write a "
                "larger max_model_len, a smaller generation: {max_new_tokens: ...}, or abilities: "
                "without it"
            )
