"""``base_url: builtin:scripted``: a scripted provider inside the process that asks it."""

from __future__ import annotations

from functools import cache

from lens_ray.errors import UserError
from lens_ray.models.api.options import ApiOptions, Price, Scripted
from lens_ray.testing.provider.script import Latency, Script
from lens_ray.testing.provider.server import ProviderServer
from lens_ray.testing.provider.truth import SuiteTruth

#: Of the logarithm of seconds.
_SIGMA = 0.3


def start_scripted(options: ApiOptions) -> str:
    """Start a server that answers as ``options.scripted`` says, and name its URL.

    It lives in a thread of this process and ends with it. The same options get the same server.

    Args:
        options: Of a model; what they do not say of the script has its default.

    Returns:
        The URL without a path: Anthropic's and Google's SDKs take it as it is, OpenAI's with
        ``/v1`` behind it.

    Raises:
        SuiteError: There is no such suite.
        UserError: A skill is for an ability that the suite has not.
    """
    scripted = options.scripted or Scripted()
    price = options.price
    return _start(scripted.model_dump_json(), None if price is None else price.model_dump_json())


@cache
def _start(scripted_json: str, price_json: str | None) -> str:
    from lens_ray.suites.suite import load_suite

    scripted = Scripted.model_validate_json(scripted_json)
    suite = load_suite(scripted.suite)
    skills = scripted.skill if isinstance(scripted.skill, dict) else {}
    if odd := sorted(skills.keys() - {sample.ability for sample in suite.samples}):
        has = ", ".join(sorted({sample.ability for sample in suite.samples}))
        raise UserError(f"scripted: skill: {odd[0]!r} is no ability of {suite.name}; it has {has}")
    truth = SuiteTruth(suite, scripted.skill, scripted.seed)
    prices = {} if price_json is None else {"*": Price.model_validate_json(price_json)}
    script = Script(
        truth=truth,
        latency=Latency(median_s=scripted.latency_s, sigma=_SIGMA),
        prices=prices,
        seed=scripted.seed,
    )
    return ProviderServer(script).start().url
