"""A scripted provider over HTTP: OpenAI's, Anthropic's and Gemini's protocols without a provider.

::

    from lens_ray.testing.provider import Fault, ProviderServer, Script

    with ProviderServer(Script(faults=(Fault(kind="rate_limit", until=20),))) as server:
        ...  # server.openai_url, or server.url for Anthropic and Gemini
    print(server.counts.paid_again)
"""

from lens_ray.testing.provider.builtin import start_scripted
from lens_ray.testing.provider.counts import Counts
from lens_ray.testing.provider.script import (
    TRANSIENT,
    BatchScript,
    Fault,
    Latency,
    Script,
    ServerLimits,
    mixed_faults,
)
from lens_ray.testing.provider.server import ProviderServer
from lens_ray.testing.provider.truth import Echo, Says, SuiteTruth, Truth

__all__ = [
    "TRANSIENT",
    "BatchScript",
    "Counts",
    "Echo",
    "Fault",
    "Latency",
    "ProviderServer",
    "Says",
    "Script",
    "ServerLimits",
    "SuiteTruth",
    "Truth",
    "mixed_faults",
    "start_scripted",
]
