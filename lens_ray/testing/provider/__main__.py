"""A scripted provider from the command line: ``python -m lens_ray.testing.provider``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from typing import get_args

from lens_ray.errors import UserError
from lens_ray.models.api.options import Price
from lens_ray.testing.provider.script import (
    TRANSIENT,
    FaultKind,
    Latency,
    Script,
    ServerLimits,
    mixed_faults,
)
from lens_ray.testing.provider.server import ProviderServer
from lens_ray.testing.provider.truth import Echo, SuiteTruth, Truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; then print what was seen, as one line of JSON."""
    given = _parser().parse_args(arguments)
    try:
        server = ProviderServer(_script(given), given.host, given.port).start()
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    print(server.url, flush=True)
    if sys.stderr.isatty():
        print(
            f"OpenAI: {server.openai_url}   Anthropic, Gemini: {server.url}   any key; "
            f"counts: {server.url}/scripted/counts   Ctrl-C ends it",
            file=sys.stderr,
        )
    ended.wait()
    counts = server.counts
    server.stop()
    print(json.dumps(counts.facts()), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lens_ray.testing.provider",
        description="A scripted provider that speaks like OpenAI, Anthropic and Gemini.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--suite", default="mini:quick", help="whose truth it knows; 'echo' repeats the question")
    add("--skill", type=float, default=0.8, help="probability of the right answer")
    add("--seed", type=int, default=0, help="of mistakes, faults and latencies")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--latency", type=float, default=0.05, help="median seconds of an answer")
    add("--latency-sigma", type=float, default=0.3, help="of the logarithm of the seconds")
    add("--rpm", type=int, help="requests a minute")
    add("--tpm", type=int, help="tokens a minute")
    add("--window", action="store_true", help="fixed minutes instead of buckets")
    add("--concurrency", type=int, help="calls at once; more get 429")
    add("--queue", action="store_true", help="calls above --concurrency wait")
    add("--faults", type=float, default=0.0, help="share of the questions that fail at first")
    add("--fault", action="append", choices=get_args(FaultKind), help="which; again for more")
    add("--credit", type=float, help="US dollars until the key has no credit")
    add("--price", type=float, nargs=2, metavar=("IN", "OUT"), help="US dollars a million tokens")
    return parser


def _script(given: argparse.Namespace) -> Script:
    truth: Truth = Echo()
    if given.suite != "echo":
        from lens_ray.suites.suite import load_suite

        truth = SuiteTruth(load_suite(given.suite), given.skill, given.seed)
    price = given.price
    kinds: Sequence[FaultKind] = given.fault or TRANSIENT
    return Script(
        truth=truth,
        latency=Latency(median_s=given.latency, sigma=given.latency_sigma),
        limits=ServerLimits(
            requests=given.rpm,
            tokens=given.tpm,
            kind="window" if given.window else "bucket",
            concurrency=given.concurrency,
            queue=given.queue,
        ),
        faults=mixed_faults(given.faults, kinds) if given.faults else (),
        prices={} if price is None else {"*": Price(input=price[0], output=price[1])},
        credit_usd=given.credit,
        seed=given.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
