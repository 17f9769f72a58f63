"""How much of what a provider permits is used, over the real SDK and the scripted provider.

``python jobs/benchmarks/bench_api.py --out FILE.json [--only full,limits,two,budget,memory]``:

* ``full``: a server that admits 64 calls at once and takes 500 ms for each: at least 0.95 of its
  128 answers a second, in a whole job on Ray.
* ``limits``: 600 requests a minute, as a bucket of a second and as fixed minutes, told by the
  user, by headers, or by nobody: at least 0.95 of them and at most 1 % of the calls refused, over
  two minutes after 10 s of warm-up (some two minutes where nobody tells). A bucket permits the same at any
  moment; fixed minutes permit all of a minute at its beginning, and nothing afterwards, so that
  where nobody tells they are used up at once and then waited for.
* ``two``: two drivers of one Ray cluster share a key: the same of their sum.
* ``budget``: 200 calls at once and answers of random length: what the server bills beyond the
  budget is at most the calls in flight (a job on Ray).
* ``memory``: 50,000 questions with two images each: what the process has at the end, over what it
  has after 10,000.

The exit code is 1 where one fails. A refused call is one that the server counts as rejected.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lens_ray import JobSpec, ModelSpec
from lens_ray.engine.permit_client import ClusterPermits, LeasedPermits, LocalPermits
from lens_ray.evaluate import evaluate
from lens_ray.models.api.backend import ApiBackend
from lens_ray.models.api.options import Price
from lens_ray.models.api.ports import Alone, Ports
from lens_ray.models.protocol import Generation, Request
from lens_ray.testing.provider import Counts, Latency, ProviderServer, Script, ServerLimits

USED, REFUSED, GREW = 0.95, 0.01, 1.05
N = 600
KEY = "LENS_RAY_BENCH_KEY"
ANSWER = 4


class Watch:
    """What a server has counted, by time."""

    def __init__(self, server: ProviderServer) -> None:
        """Look twice a second from now on."""
        self._server = server
        self._seen: list[tuple[float, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            counts = self._server.counts
            self._seen.append((time.monotonic(), counts.answers, counts.rejected))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def between(self, warm_s: float, share: float = 1.0) -> tuple[float, float]:
        """Answers a second and the share refused, from so long after the first answer.

        Args:
            warm_s: Left out.
            share: Of all answers, what comes after is left out.
        """
        last = self._seen[-1][1]
        first = next(when for when, answers, _ in self._seen if answers)
        seen = [one for one in self._seen if one[0] >= first + warm_s and one[1] <= share * last]
        seconds = seen[-1][0] - seen[0][0]
        answers, rejected = seen[-1][1] - seen[0][1], seen[-1][2] - seen[0][2]
        return answers / seconds, rejected / max(1, answers + rejected)


def spec(server: ProviderServer, **options: Any) -> ModelSpec:
    """A model at a server."""
    given = {"base_url": server.openai_url, "api_key_env": KEY, "api": "chat", **options}
    given.setdefault("price", {"input": 1.0, "output": 1.0})
    return ModelSpec(name="paid", backend="openai", path="bench-1", options=given)


@asynccontextmanager
async def opened(
    model: ModelSpec, permits: Callable[..., LeasedPermits]
) -> AsyncIterator[ApiBackend]:
    """A backend with its own permits and no memory."""
    backend = ApiBackend(model, "")
    access = backend.access()
    alone = Alone()
    backend.attach(Ports(permits(access.scope, access.ceilings), Forgets(), alone))
    await backend.start()
    try:
        yield backend
    finally:
        await backend.close()


class Forgets(Alone):
    """Keeps nothing."""

    async def keep(self, *_: object) -> None:
        """Not this."""


async def ask(
    backend: ApiBackend, until: Callable[[int], bool], parallel: int, images: tuple[bytes, ...] = ()
) -> int:
    """Ask, so many at once, while it is not enough; returns how many answers came."""
    begun = answered = 0

    async def one() -> None:
        nonlocal begun, answered
        while not until(begun):
            begun += 1
            generation = Generation(max_new_tokens=ANSWER)
            request = Request(f"{begun}", f"question {begun}", images, generation)
            async for completion in backend.generate([request]):
                answered += completion.error is None

    await asyncio.gather(*(one() for _ in range(parallel)))
    return answered


def full() -> Mapping[str, object]:
    """A job before a server that admits 64."""
    script = Script(latency=Latency(median_s=0.5), limits=ServerLimits(concurrency=64))
    with ProviderServer(script) as server, tempfile.TemporaryDirectory() as folder:
        watch = Watch(server)
        job = JobSpec(
            name="full", suite="mini:full", store=folder, models=(spec(server),), limit=6000
        )
        report = evaluate(job)
        watch.stop()
        if report.exit_code:
            raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
        rate, refused = watch.between(5.0, 0.9)
        used = rate / 128
        most = server.counts.most_waiting
    return {
        "answers_per_s": rate, "used": used, "refused": refused, "most_at_once": most,
        "held": used >= USED and refused <= REFUSED,
    }  # fmt: skip


async def _limited(kind: Any, told: str) -> tuple[str, Mapping[str, object]]:
    limits = ServerLimits(requests=N, kind=kind, headers=told == "headers")
    script = Script(latency=Latency(median_s=0.5, sigma=0.4), limits=limits)
    # Two whole minutes: where the minute is used up at its beginning, between two quiet times.
    warm = {"bucket": 150.0, "window": 115.0}[kind] if told == "nobody" else 10.0
    with ProviderServer(script) as server:
        given = {"requests_per_minute": N} if told == "user" else {}
        async with opened(spec(server, **given), LocalPermits) as backend:
            watch = Watch(server)
            end = time.monotonic() + warm + 121.0
            await ask(backend, lambda _: time.monotonic() > end, 80)
            watch.stop()
        rate, refused = watch.between(warm)
    used = rate / (N / 60)
    held = used >= USED and refused <= REFUSED
    return f"{kind}, told by {told}", {"used": used, "refused": refused, "held": held}


def limits() -> Mapping[str, object]:
    """Every way of counting and telling, beside each other."""

    async def all_of_them() -> Mapping[str, object]:
        ways = [(kind, told) for kind in ("bucket", "window") for told in TOLD]
        return dict(await asyncio.gather(*(_limited(*way) for way in ways)))

    found = asyncio.run(all_of_them())
    return {**found, "held": all(dict(one)["held"] for one in found.values())}  # type: ignore[call-overload]


TOLD = ("user", "headers", "nobody")


def driver(address: str, url: str, seconds: float) -> None:
    """One of two: a process of its own on the cluster."""
    import ray

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    server = ProviderServer()
    given = {"base_url": url, "requests_per_minute": N}

    async def work() -> int:
        async with opened(spec(server, **given), ClusterPermits) as backend:
            end = time.monotonic() + seconds
            return await ask(backend, lambda _: time.monotonic() > end, 80)

    print(asyncio.run(work()))


def two() -> Mapping[str, object]:
    """Two drivers, one key."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    address = ray.get_runtime_context().gcs_address
    script = Script(latency=Latency(median_s=0.5, sigma=0.4), limits=ServerLimits(requests=N))
    with ProviderServer(script) as server:
        watch = Watch(server)
        command = [sys.executable, __file__, "--driver", address, server.openai_url, "75"]
        drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in "ab"]
        each = [int(one.communicate()[0].split()[-1]) for one in drivers]
        watch.stop()
        rate, refused = watch.between(10.0, 0.9)
    ray.shutdown()
    used = rate / (N / 60)
    return {
        "used": used, "refused": refused, "answers_of_each": each,
        "held": used >= USED and refused <= REFUSED and min(each) >= 0.7 * max(each),
    }  # fmt: skip


def budget(usd: float = 1.0, workers: int = 200) -> Mapping[str, object]:
    """A job that may not cost more."""
    price = Price(input=1.0, output=40.0)
    script = Script(latency=Latency(median_s=0.2, sigma=0.6), prices={"*": price})
    with ProviderServer(script) as server, tempfile.TemporaryDirectory() as folder:
        model = spec(server, concurrency=workers, price=price.model_dump(exclude_none=True))
        job = JobSpec.model_validate(
            {
                "name": "budget", "suite": "mini:full", "store": folder, "limit": 4000,
                "models": [model.model_dump(exclude_none=True)], "budget": {"usd": usd},
            }
        )  # fmt: skip
        report = evaluate(job)
        counts: Counts = server.counts
    most = counts.usd / max(1, counts.answers) * workers
    return {
        "budget_usd": usd, "billed_usd": counts.usd, "answers": counts.answers,
        "over_usd": max(0.0, counts.usd - usd), "in_flight_usd": most,
        "exit_code": report.exit_code,
        "held": counts.usd <= usd + most and report.exit_code == 6,
    }  # fmt: skip


def picture(seed: int) -> bytes:
    """A PNG of 64 by 64 pixels that does not compress: 12 kB."""
    from PIL import Image

    noise = Image.frombytes("RGB", (64, 64), random.Random(seed).randbytes(64 * 64 * 3))
    sink = io.BytesIO()
    noise.save(sink, "PNG")
    return sink.getvalue()


def memory(count: int = 50_000) -> Mapping[str, object]:
    """What a process of its own has after 10,000 questions and after all."""
    with ProviderServer(Script()) as server:
        command = [sys.executable, __file__, "--asker", server.openai_url, str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.split("\n")[-2])
    grew = found["all_mib"] / found["some_mib"]
    return {**found, "grew": grew, "held": grew <= GREW and found["answered"] == count}


def asker(url: str, count: int) -> None:
    """The process that `memory` looks at."""
    images = (picture(1), picture(2))
    some = 0.0

    async def work() -> int:
        nonlocal some
        with ProviderServer() as server:  # only for its type: the other one is asked
            model = spec(server, base_url=url)
        async with opened(model, LocalPermits) as backend:

            def enough(begun: int) -> bool:
                nonlocal some
                if begun >= count // 5 and not some:
                    some = _rss()
                return begun >= count

            return await ask(backend, enough, 80, images)

    began = time.monotonic()
    answered = asyncio.run(work())
    rate = answered / (time.monotonic() - began)
    found = {"some_mib": some, "all_mib": _rss(), "answered": answered, "answers_per_s": rate}
    print(json.dumps(found))


def _rss() -> float:
    """MiB, the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS: dict[str, Callable[[], Mapping[str, object]]] = {
    "full": full, "limits": limits, "two": two, "budget": budget, "memory": memory,
}  # fmt: skip


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--driver", nargs=3)
    parser.add_argument("--asker", nargs=2)
    given = parser.parse_args()
    os.environ[KEY] = "no-key-of-anybody"
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if given.driver:
        driver(given.driver[0], given.driver[1], float(given.driver[2]))
        return 0
    if given.asker:
        asker(given.asker[0], int(given.asker[1]))
        return 0
    found: dict[str, Mapping[str, object]] = {}
    for name in given.only.split(","):
        found[name] = PARTS[name]()
        print(name, json.dumps(found[name], indent=2), flush=True)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(part["held"] for part in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
