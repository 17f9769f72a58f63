"""Whether a model behind a provider's interface can be asked from here: `check_model`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from lens_ray.errors import LensError, ProviderUnavailable, UserError
from lens_ray.models.api.access import Access, api_options, read_access
from lens_ray.models.api.adapter import ApiFailure
from lens_ray.models.api.advice import advice
from lens_ray.models.api.backend import base_url_of
from lens_ray.models.api.options import SCRIPTED, ApiOptions
from lens_ray.models.api.pricing import price_of
from lens_ray.models.api.providers import make_adapter
from lens_ray.models.api.redaction import redacted
from lens_ray.models.preflight import preflight
from lens_ray.models.spec import ModelSpec

#: The ``Date`` header counts whole seconds, and an answer takes some.
CLOCK_S = 30.0


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at.

    Attributes:
        what: ``package``, ``parameters``, ``key``, ``proxy``, ``model``, ``snapshot``, ``limits``,
            ``clock`` or ``price``.
        ok: Whether it is as it must be.
        found: What was found.
        advice: What to type where it is not.
        essential: Whether nothing is answered without it.
    """

    what: str
    ok: bool
    found: str
    advice: str = ""
    essential: bool = True


async def check_model(spec: ModelSpec) -> tuple[Checked, ...]:
    """Look at everything that a model needs, and ask it for one token, which is paid.

    Args:
        spec: Of the backend ``openai``, ``anthropic`` or ``gemini``.

    Returns:
        What was found, up to the first thing without which the next cannot be looked at.
    """
    options = api_options(spec)
    try:
        preflight(spec, None, here=True)
    except UserError as error:
        return (Checked("parameters", False, str(error)),)
    except ProviderUnavailable as error:
        return (Checked("key", False, str(error)),)
    except LensError as error:
        return (Checked("package", False, str(error)),)
    access = read_access(spec)
    before = (_key(access, options), *_proxy(access.scope.host, options))
    return (*before, *await _call(spec, options, access))


def _key(access: Access, options: ApiOptions) -> Checked:
    if options.base_url == SCRIPTED:
        return Checked("key", True, "none is needed: the server is scripted")
    if options.base_url is not None and options.api_key_env is None:
        return Checked("key", True, "none is sent: the job names no api_key_env for this server")
    key = access.key
    return Checked("key", True, f"{key.variable}, fingerprint {key.fingerprint}")


def _proxy(host: str, options: ApiOptions) -> Iterator[Checked]:
    """Which proxy stands between, without its credentials."""
    if options.base_url == SCRIPTED:
        return
    scheme = urlsplit(options.base_url or "https://").scheme
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy:
        return
    if proxy_bypass(host):
        yield Checked("proxy", True, f"none for {host}, by NO_PROXY")
        return
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    yield Checked("proxy", True, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]} for {host}")


async def _call(spec: ModelSpec, options: ApiOptions, access: Access) -> tuple[Checked, ...]:
    """The smallest call, and what its answer tells."""
    began = time.time()
    try:
        asked = options.model_copy(update={"base_url": base_url_of(options)})
        adapter = make_adapter(spec.backend, spec.path, asked, access.key)
        try:
            began = time.time()
            facts = await adapter.check()
            seconds = time.time() - began
        finally:
            await adapter.close()
    except ApiFailure as failure:
        what = advice(failure.kind, access.key.variable)
        return (Checked("model", False, redacted(f"{failure.kind}: {failure.line}"), what),)
    except LensError as error:
        return (Checked("model", False, redacted(str(error))),)
    return (
        Checked("model", True, f"{facts['served']} answered in {seconds:.2f} s"),
        *_snapshot(spec, facts),
        _limits(options, facts),
        *_clock(facts, began + seconds / 2),
        _price(spec),
    )


def _snapshot(spec: ModelSpec, facts: Mapping[str, str]) -> Iterator[Checked]:
    served = facts["served"]
    if served != spec.path:
        said = f"{spec.path} is answered by {served} today, and may be by another tomorrow"
        yield Checked("snapshot", False, said, f"path: {served}", essential=False)


def _limits(options: ApiOptions, facts: Mapping[str, str]) -> Checked:
    said = []
    more = []
    for what in ("requests", "tokens"):
        permitted = facts.get(f"{what}_per_minute")
        if permitted is None:
            continue
        said.append(f"{int(permitted):,} {what}")
        asked = getattr(options, f"{what}_per_minute")
        if asked is not None and asked > int(permitted):
            more.append(f"{what}_per_minute: {permitted}")
    if not said:
        return Checked("limits", True, "the headers say none; refusals are followed")
    found = f"{' and '.join(said)} a minute"
    if not more:
        return Checked("limits", True, found)
    found += ", less than the job permits itself"
    return Checked("limits", False, found, f"options: {{{', '.join(more)}}}", essential=False)


def _clock(facts: Mapping[str, str], here: float) -> Iterator[Checked]:
    there = facts.get("server_time")
    if there is None:
        return
    ahead = here - float(there)
    if abs(ahead) <= CLOCK_S:
        yield Checked("clock", True, "as the server's")
        return
    side = "ahead of" if ahead > 0 else "behind"
    found = f"{abs(ahead):,.0f} s {side} the server's; what is signed (s3://) may be refused"
    yield Checked("clock", False, found, "timedatectl set-ntp true", essential=False)


def _price(spec: ModelSpec) -> Checked:
    price = price_of(spec)
    if price is None:
        said = "not known: rows will have no cost_usd, and no budget can be held"
        advice = "options: {price: {input: ..., output: ...}}, dollars a million tokens"
        return Checked("price", False, said, advice, essential=False)
    million = 1_000_000
    dollars = [price.usd(million, 0), price.usd(0, million)]
    into, out = (f"${one:,.2f}" for one in dollars if one is not None)
    return Checked("price", True, f"{into} in, {out} out a million tokens ({price.basis})")
