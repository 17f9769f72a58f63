"""What the answers of a provider's model will cost, before any is asked for: `forecast_api`.

Prompt tokens: prompts are rendered and images encoded as they will be, of at most `_SAMPLED`
questions drawn at random, and counted by the provider's published rules (the adapter's). A text has
a token for every four bytes as an estimate, for every six at the least, and what the adapter
reserves at the most. Where the store has rows of the model on the suite, what it counted itself
for the same prompts corrects the rule.

Answer tokens: those of stored rows of the model on the suite; else those of other models of
providers, which may be wrong by a factor of two; else the length of the right answers, which is
between one token and the limit. Tokens of thinking are half of what is permitted, between none and
all, until rows say better.

Intervals add the 95 % interval of the sampling to those bounds. What a provider's own tokenizer
makes of a text, nobody can know here; `tests/engine/test_api_forecast.py` holds the intervals
against what the scripted server counts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lens_ray.engine.plan import generation_of
from lens_ray.engine.simulate import Behaviour
from lens_ray.errors import LensError
from lens_ray.models.api.access import HOSTS, api_options
from lens_ray.models.api.adapter import Adapter, ApiFailure, Question
from lens_ray.models.api.images import encode_all, limits_for
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import SCRIPTED
from lens_ray.models.api.providers import make_adapter
from lens_ray.models.spec import ModelSpec
from lens_ray.prices import Dollars, Prices
from lens_ray.store import RunHeader, Store
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import render

_ANSWERED = "all is answered"
#: Questions whose prompts are made.
_SAMPLED = 128
#: Rows of the model whose prompts are made to correct the rule.
_CORRECTED = 64
_BYTES, _MOST_BYTES = 4.0, 6.0
#: Tokens around the turns of a prompt.
_FRAME = 8
#: How far answers of another model may be off.
_OTHERS = 2.0
#: Seconds of a call where none was measured.
_LATENCY_S = 3.0
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Likely:
    """An estimate and its interval.

    Attributes:
        low: Hardly less.
        expected: The estimate.
        high: Hardly more.
    """

    low: float
    expected: float
    high: float

    def times(self, factor: float) -> Likely:
        """So many times as much."""
        return Likely(self.low * factor, self.expected * factor, self.high * factor)

    def plus(self, other: Likely) -> Likely:
        """Both together, as if both erred to the same side."""
        return Likely(self.low + other.low, self.expected + other.expected, self.high + other.high)


@dataclass(frozen=True, slots=True)
class ApiForecast:
    """What one model behind a provider's interface will take.

    Attributes:
        requests: Questions that are to be asked.
        counted: Questions whose prompts were made and counted.
        tokens_in: Of all prompts, images included.
        tokens_out: Of all answers, thinking included.
        in_basis: How the prompts were counted.
        out_basis: Where the length of the answers is from.
        usd: In the mode of the job; None is not known.
        usd_reason: Why not.
        usd_basis: Whose price of which date.
        usd_most: Where every call takes what is reserved for it: a budget of this is not reached.
        usd_live: Asked one by one.
        usd_batch: By the batch interface; None where it has no price.
        minutes: At the limits and the latency that are known; None for a batch.
        minutes_basis: What it depends on.
        problem: Why nothing could be counted.
    """

    requests: int
    counted: int = 0
    tokens_in: Likely | None = None
    tokens_out: Likely | None = None
    in_basis: str = ""
    out_basis: str = ""
    usd: Likely | None = None
    usd_reason: str | None = None
    usd_basis: str | None = None
    usd_most: float | None = None
    usd_live: float | None = None
    usd_batch: float | None = None
    minutes: float | None = None
    minutes_basis: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What stored rows say of one run on the suite; lists are by row.

    Attributes:
        backend: Of its model.
        path: Of its model.
        samples: Sample ids.
        tokens_in: None is not said.
        tokens_out: None is not said.
        latency_s: None is not said.
    """

    backend: str
    path: str
    samples: list[str] = field(default_factory=list)
    tokens_in: list[int | None] = field(default_factory=list)
    tokens_out: list[int | None] = field(default_factory=list)
    latency_s: list[float | None] = field(default_factory=list)


def known_of(store: Store, runs: Sequence[RunHeader], suite: Suite) -> list[Known]:
    """What the store's rows of providers' models say of a suite.

    Args:
        store: The store.
        runs: All of its runs.
        suite: The suite.
    """
    found = []
    for header in runs:
        if header.suite_digest != suite.digest or header.backend not in HOSTS:
            continue
        columns = ["sample_id", "tokens_in", "tokens_out", "latency_s"]
        rows = store.rows([header.run_id], columns).to_pydict()
        found.append(Known(header.backend, header.backend_path, *(rows[name] for name in columns)))
    return found


def forecast_api(
    spec: ModelSpec, suite: Suite, todo: Sequence[Sample], known: Sequence[Known], prices: Prices
) -> ApiForecast:
    """What a model will take for some samples; nothing is asked.

    Args:
        spec: The model.
        suite: Has the images.
        todo: Samples that it has to answer.
        known: What stored rows say.
        prices: What tokens cost, where the job does not say.
    """
    if not todo:
        nothing = Likely(0.0, 0.0, 0.0)
        return ApiForecast(
            0, 0, nothing, nothing, usd=nothing, usd_basis=_ANSWERED, usd_most=0.0, minutes=0.0,
            minutes_basis=_ANSWERED,
        )  # fmt: skip
    try:
        counter = _Counter(spec, suite)
        drawn = _draw(todo, _SAMPLED)
        prompts = [counter.prompt(sample) for sample in drawn]
        mine = next((one for one in known if _same(one, spec)), None)
        tokens_in, in_basis = _prompts(counter, prompts, len(todo), mine, suite)
    except (LensError, ApiFailure, ImportError) as error:
        return ApiForecast(len(todo), problem=" ".join(str(error).split()))
    tokens_out, out_basis = _answers(spec, todo, known)
    most_out = sum(_limit(spec, sample) for sample in todo)
    most_in = _mean([one.high for one in prompts]).high * len(todo)
    found = ApiForecast(
        requests=len(todo),
        counted=len(drawn),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        in_basis=in_basis,
        out_basis=out_basis,
    )
    images = sum(len(sample.images) for sample in todo)
    found = _priced(found, spec, prices, max(most_in, tokens_in.high), most_out, images)
    tokens = tokens_in.expected + most_out
    minutes, basis = _minutes(spec, len(todo), tokens, images, known)
    return replace(found, minutes=minutes, minutes_basis=basis)


def behaviour_of(spec: ModelSpec, told: ApiForecast) -> Behaviour | None:
    """How a replica will behave, for the simulation; None where that is not known."""
    options = api_options(spec)
    if told.minutes is None or not told.requests:
        return None
    each = max(1e-5, 60 * told.minutes / told.requests)
    return Behaviour(
        seconds_each=each, start_s=2.0, swap_s=0.0, batch=1, parallel=options.concurrency,
        can_load_weights=False,
    )  # fmt: skip


class _Counter:
    """Makes prompts and counts them, as the backend will."""

    def __init__(self, spec: ModelSpec, suite: Suite) -> None:
        options = api_options(spec)
        if options.base_url == SCRIPTED:
            options = options.model_copy(update={"base_url": None})
        self._adapter: Adapter = make_adapter(
            spec.backend, spec.path, options, Key("not-a-key", "lens-ray plan")
        )
        self._spec, self._suite, self._options = spec, suite, options

    def prompt(self, sample: Sample) -> Likely:
        """Tokens of one prompt by the rules."""
        spec, options = self._spec, self._options
        text = render(sample, spec.template)
        data = [self._suite.image_bytes(image) for image in sample.images]
        images = encode_all(data, limits_for(spec.backend, options, len(data)))
        generation = generation_of(spec, sample)
        most = self._adapter.tokens(Question("count", text, images, generation))
        of_text = self._adapter.tokens(Question("count", text, (), generation))
        size = len(text.encode()) + len((options.system_prompt or "").encode())
        pictures = most - of_text
        low, expected = size / _MOST_BYTES, size / _BYTES + _FRAME
        return Likely(pictures + min(low, of_text), pictures + min(expected, of_text), most)


def _prompts(
    counter: _Counter, prompts: Sequence[Likely], count: int, mine: Known | None, suite: Suite
) -> tuple[Likely, str]:
    """Tokens of all prompts, and how they were counted."""
    sampling = _mean([one.expected for one in prompts], count)
    spread = sampling.high - sampling.expected
    mean = Likely(
        _mean([one.low for one in prompts]).expected,
        sampling.expected,
        _mean([one.high for one in prompts]).expected,
    )
    basis = f"the provider's rules over {len(prompts)} of {count} prompts"
    ratio = _ratio(counter, mine, suite) if mine is not None else None
    if ratio is not None:
        of, rows = ratio
        mean = Likely(mean.expected * of.low, mean.expected * of.expected, mean.expected * of.high)
        basis += f", corrected by {rows} stored rows of the model"
    widened = Likely(max(0.0, mean.low - spread), mean.expected, mean.high + spread)
    return widened.times(count), basis


def _ratio(counter: _Counter, mine: Known, suite: Suite) -> tuple[Likely, int] | None:
    """What the model itself counted, in times of the estimate, over the same prompts."""
    pairs = [
        (name, tokens)
        for name, tokens in zip(mine.samples, mine.tokens_in, strict=True)
        if tokens is not None and name in suite.by_id
    ]
    if len(pairs) < 2:
        return None
    chosen = random.Random(0).sample(pairs, min(_CORRECTED, len(pairs)))
    counted = [tokens / counter.prompt(suite.by_id[name]).expected for name, tokens in chosen]
    return _mean(counted), len(chosen)


def _answers(spec: ModelSpec, todo: Sequence[Sample], known: Sequence[Known]) -> tuple[Likely, str]:
    """Tokens of all answers, and where they are from."""
    count = len(todo)
    for same, basis in ((True, "the model"), (False, "other models of providers")):
        tokens = [
            number
            for one in known
            if _same(one, spec) == same
            for number in one.tokens_out
            if number is not None
        ]
        if len(tokens) >= 2:
            mean = _mean(tokens)
            if not same:
                mean = Likely(mean.low / _OTHERS, mean.expected, mean.high * _OTHERS)
            limit = sum(_limit(spec, sample) for sample in todo)
            total = mean.times(count)
            capped = Likely(*(min(limit, n) for n in (total.low, total.expected, total.high)))
            return capped, f"{len(tokens)} stored rows of {basis} on the suite"
    thinking = api_options(spec).reasoning_tokens
    low = expected = high = 0.0
    for sample in todo:
        limit = _limit(spec, sample) - thinking
        right = max((len(text.encode()) for text in sample.answers), default=1)
        low += 1
        expected += min(limit, 2 + right / _BYTES) + thinking / 2
        high += limit + thinking
    basis = "the length of the right answers; at most the limit of each"
    return Likely(low, expected, high), basis


def _priced(
    found: ApiForecast,
    spec: ModelSpec,
    prices: Prices,
    most_in: float,
    most_out: float,
    images: int,
) -> ApiForecast:
    assert found.tokens_in is not None
    assert found.tokens_out is not None
    tokens_in, tokens_out = found.tokens_in, found.tokens_out

    def cost(n_in: float, n_out: float, *, batch: bool) -> Dollars:
        return token_dollars(spec, prices, n_in, n_out, images=images, batch=batch)

    batch = api_options(spec).mode == "batch"
    here = cost(tokens_in.expected, tokens_out.expected, batch=batch)
    if here.usd is None:
        return replace(found, usd_reason=here.reason)
    usd = Likely(
        cost(tokens_in.low, tokens_out.low, batch=batch).usd or 0.0,
        here.usd,
        cost(tokens_in.high, tokens_out.high, batch=batch).usd or 0.0,
    )
    return replace(
        found,
        usd=usd,
        usd_basis=here.basis,
        usd_most=cost(most_in, most_out, batch=batch).usd,
        usd_live=cost(tokens_in.expected, tokens_out.expected, batch=False).usd,
        usd_batch=cost(tokens_in.expected, tokens_out.expected, batch=True).usd,
    )


def token_dollars(
    spec: ModelSpec,
    prices: Prices,
    tokens_in: float,
    tokens_out: float,
    *,
    images: int = 0,
    batch: bool = False,
) -> Dollars:
    """What tokens of a model cost, by the job's own price where it gives one.

    Args:
        spec: The model.
        prices: The price table.
        tokens_in: Of prompts.
        tokens_out: Of answers.
        images: Sent, for models that bill them by the piece.
        batch: Whether by the batch interface.
    """
    given = api_options(spec).price
    if given is None:
        return prices.of_tokens(spec.path, tokens_in, tokens_out, images=images, batch=batch)
    usd = given.cost(tokens_in, tokens_out, images=images, batch=batch)
    if usd is None:
        return Dollars(None, f"options.price of {spec.name} has no batch_input or batch_output")
    return Dollars(usd, basis=given.source or "the job's own price")


def _minutes(
    spec: ModelSpec, requests: int, tokens: float, images: int, known: Sequence[Known]
) -> tuple[float | None, str]:
    """How long it takes, and what that depends on."""
    options = api_options(spec)
    if options.mode == "batch":
        return None, "a batch is answered within a day, as the provider finds time"
    waits = [
        seconds
        for one in known
        if _same(one, spec)
        for seconds in one.latency_s
        if seconds is not None
    ]
    if waits:
        latency, told = sorted(waits)[len(waits) // 2], f"{len(waits)} stored rows"
    elif options.base_url == SCRIPTED and options.scripted is not None:
        latency, told = options.scripted.latency_s, "the script"
    else:
        latency, told = _LATENCY_S, "assumed, none was measured"
    slots = f"{options.concurrency} calls at once of {latency:.3g} s ({told})"
    limits: Mapping[str, float] = {
        slots: requests * latency / options.concurrency / 60,
        f"{options.requests_per_minute} requests a minute": _per(
            requests, options.requests_per_minute
        ),
        f"{options.tokens_per_minute} tokens a minute": _per(tokens, options.tokens_per_minute),
        f"{options.images_per_minute} images a minute": _per(images, options.images_per_minute),
    }
    slowest = max(limits, key=lambda name: limits[name])
    return limits[slowest], slowest


def _per(amount: float, limit: int | None) -> float:
    return amount / limit if limit is not None else 0.0


def _limit(spec: ModelSpec, sample: Sample) -> int:
    return api_options(spec).most_output(generation_of(spec, sample).max_new_tokens)


def _mean(values: Sequence[float], population: int | None = None) -> Likely:
    """With its 95 % interval; a population that was looked at whole has none."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Likely(mean, mean, mean)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    part = 1.0 if population is None else max(0.0, 1 - n / population)
    half = _Z * math.sqrt(variance / n * part)
    return Likely(max(0.0, mean - half), mean, mean + half)


def _draw(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Some of the samples, the same ones each time."""
    return random.Random(0).sample(list(samples), min(most, len(samples)))


def _same(known: Known, spec: ModelSpec) -> bool:
    return (known.backend, known.path) == (spec.backend, spec.path)
