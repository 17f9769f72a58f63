"""A scripted provider over HTTP: OpenAI's, Anthropic's and Gemini's protocols without a provider.

::

    from lens_ray.testing.provider import Fault, ProviderServer, Script

    with ProviderServer(Script(faults=(Fault(kind="rate_limit", until=20),))) as server:
        ...  # server.openai_url, or server.url for Anthropic and Gemini
    print(server.counts.paid_again)

From the wire inwards:

* `server`            HTTP on loopback, in a thread; `__main__` the same from the command line,
  `builtin` the same inside a replica (``base_url: builtin:scripted``)
* `headers`           keys that come, and headers that every answer has
* `spoil`             how an answer is sent: whole, or spoilt on its way
* `service`           one question, by the script; knows no HTTP
* `script`            what is to be done: `Script`, limits, latencies, faults
* `truth`             what is answered: a suite's truth with a chosen skill, or otherwise
* `limits`            requests, tokens and images a minute, with the time given
* `counts`            what was seen
* `wire`              what every dialect reads and writes, and the `Dialect` itself
* `openai_responses`, `openai_chat`, `anthropic`, `gemini`   the dialects
* `openai_errors`     what OpenAI's two share; `openai_images` its tokens of images
* `parameters`        names that a body may have, by dialect
* `batches`           batches, whichever dialect they came in; `batch_routes` their endpoints
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
