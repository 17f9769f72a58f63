"""Which adapter speaks to which provider: `make_adapter`, `absent_of`; SDKs are imported inside."""

from __future__ import annotations

from importlib import import_module

from lens_ray.errors import UserError
from lens_ray.models.api.access import api_options
from lens_ray.models.api.adapter import Adapter
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import ApiOptions
from lens_ray.models.api.redaction import SealedAdapter
from lens_ray.models.spec import ModelSpec

#: The adapter of each provider, ``MODULE:CLASS``. A module has its `known_absent` beside it.
_ADAPTERS = {
    "openai": "lens_ray.models.api.openai:OpenAIAdapter",
    "anthropic": "lens_ray.models.api.anthropic:AnthropicAdapter",
    "gemini": "lens_ray.models.api.gemini:GeminiAdapter",
}


def make_adapter(provider: str, model: str, options: ApiOptions, key: Key) -> Adapter:
    """The adapter of a model; nothing is asked yet.

    Args:
        provider: ``openai``, ``anthropic`` or ``gemini``.
        model: Its id there.
        options: Of the job; ``base_url`` is a URL or None by now.
        key: Of the provider.

    Raises:
        UserError: The model does not do what the options ask for.
    """
    module, _, name = _ADAPTERS[provider].partition(":")
    return SealedAdapter(getattr(import_module(module), name)(model, options, key))


def absent_of(spec: ModelSpec) -> frozenset[str]:
    """Generation parameters that a model does not take: as the job says, or as is known of it."""
    options = api_options(spec)
    if options.absent is not None:
        return frozenset(options.absent)
    module = import_module(_ADAPTERS[spec.backend].partition(":")[0])
    return frozenset(module.known_absent(spec.path, options))


def check_parameters(spec: ModelSpec) -> None:
    """Refuse generation parameters that the job asks for and the model does not take.

    Raises:
        UserError: There are some.
    """
    asked = {name for name, value in spec.generation.items() if value is not None}
    refused = ", ".join(sorted(asked & absent_of(spec)))
    if refused:
        raise UserError(
            f"{spec.path} ({spec.backend}) takes no {refused}; take {refused} out of generation:, "
            "or, where the model does take it, write options: {absent: []}"
        )
