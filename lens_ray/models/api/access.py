"""How a model's provider is reached: `Access`, read where it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from lens_ray.job_secrets import KEY_VARIABLES
from lens_ray.models.api.keys import Key, read_key
from lens_ray.models.api.options import SCRIPTED, ApiOptions
from lens_ray.models.api.ports import Ceilings, Scope
from lens_ray.models.spec import ModelSpec

#: Of each provider.
HOSTS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
}
#: What is sent to a server of one's own that asks for no key.
_NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Access:
    """A way to a provider.

    Attributes:
        key: Never shown, and never pickled.
        scope: Whose limits the calls fall under.
        ceilings: What the user permits.
    """

    key: Key
    scope: Scope
    ceilings: Ceilings


def api_options(spec: ModelSpec) -> ApiOptions:
    """The options of a model behind a provider's interface."""
    options = spec.parsed_options()
    assert isinstance(options, ApiOptions)
    return options


def host_of(spec: ModelSpec) -> str:
    """Which host is asked, with its port where the job names one."""
    url = api_options(spec).base_url
    if url is None:
        return HOSTS[spec.backend]
    return "scripted" if url == SCRIPTED else urlsplit(url).netloc.rpartition("@")[2]


def read_access(spec: ModelSpec) -> Access:
    """The key from this process' environment, and what it is for.

    Raises:
        ProviderUnavailable: There is no key.
    """
    options = api_options(spec)
    key = _key(options, KEY_VARIABLES[spec.backend])
    return Access(
        key,
        Scope(spec.backend, host_of(spec), key.fingerprint, spec.path),
        Ceilings(
            options.concurrency,
            options.requests_per_minute,
            options.tokens_per_minute,
            options.images_per_minute,
        ),
    )


def _key(options: ApiOptions, usual: str) -> Key:
    if options.base_url == SCRIPTED:
        return Key("scripted", "builtin:scripted")
    if options.base_url is None or options.api_key_env is not None:
        return read_key(options.api_key_env or usual)
    # A provider's key is sent to no other server, unless the job says so by api_key_env.
    return Key(_NO_KEY, "api_key_env, which the job does not name")
