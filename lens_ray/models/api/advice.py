"""What to type where a provider cannot be asked: `advice`."""

from __future__ import annotations

from lens_ray.models.api.adapter import Kind

#: Where the job has a server of its own, and names no variable of its key.
_UNNAMED = {
    Kind.KEY: "options: {api_key_env: VARIABLE}, and export VARIABLE=KEY",
    Kind.CREDIT: "add credit at the provider",
}
_ADVICE = {
    Kind.KEY: "export {variable}=KEY, one that may use this model",
    Kind.CREDIT: "add credit at the provider, or export {variable}=OTHER",
    Kind.MODEL: "path: ID, one that this key may use, with options that it takes",
    Kind.CONNECTION: "base_url: of a server that runs, or HTTPS_PROXY and NO_PROXY as they must be",
    Kind.TIMEOUT: "a larger options: {{timeout_s: ...}}, or check the network",
    Kind.RATE_LIMIT: "the same again in a minute: key and model are known, and busy",
    Kind.SERVER: "the same again later: the provider has trouble of its own",
    Kind.MALFORMED: "base_url: of the interface itself; what answers there is something else",
}


def advice(kind: Kind, variable: str) -> str:
    """What to type; empty where the failure itself says it.

    Args:
        kind: Of the failure.
        variable: Where the key was read; no name of a variable where none was sent.
    """
    if kind in _UNNAMED and not variable.isidentifier():
        return _UNNAMED[kind]
    return _ADVICE.get(kind, "").format(variable=variable)
