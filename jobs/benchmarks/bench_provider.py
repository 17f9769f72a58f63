"""How many answers the scripted provider gives, and what an answer costs it in CPU time.

``python jobs/benchmarks/bench_provider.py --out FILE.json``: 64 calls in flight, questions of
mini:quick with their images, over each protocol. It must give at least 400 answers for a second of
CPU time (so that what is measured before it is the asker, not it); the exit code is 1 below.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.suites.templates import render

LIMIT = 400.0
IN_FLIGHT = 64
ANSWERS = 4000
LATENCY_S = 0.05

_Images = Sequence[str]


def _responses(text: str, images: _Images) -> dict[str, object]:
    parts: list[object] = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{one}"} for one in images
    ]
    content = [*parts, {"type": "input_text", "text": text}]
    return {"model": "m", "input": [{"role": "user", "content": content}]}


def _chat(text: str, images: _Images) -> dict[str, object]:
    parts: list[object] = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}}
        for one in images
    ]
    content = [*parts, {"type": "text", "text": text}]
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


def _messages(text: str, images: _Images) -> dict[str, object]:
    parts: list[object] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": one}}
        for one in images
    ]
    content = [*parts, {"type": "text", "text": text}]
    return {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": content}]}


def _generate(text: str, images: _Images) -> dict[str, object]:
    parts: list[object] = [{"inlineData": {"mimeType": "image/png", "data": one}} for one in images]
    return {"contents": [{"role": "user", "parts": [*parts, {"text": text}]}]}


PROTOCOLS: dict[str, tuple[str, Callable[[str, _Images], dict[str, object]]]] = {
    "responses": ("/v1/responses", _responses),
    "chat": ("/v1/chat/completions", _chat),
    "messages": ("/v1/messages", _messages),
    "generateContent": ("/v1beta/models/m:generateContent", _generate),
}


def body_of(suite: Suite, sample: Sample, write: Callable[[str, _Images], object]) -> bytes:
    """A question as it is sent."""
    images = [base64.b64encode(suite.image_bytes(name)).decode() for name in sample.images]
    return json.dumps(write(render(sample), images)).encode()


async def ask(url: str, bodies: Sequence[bytes]) -> float:
    """Seconds for all answers."""
    left = iter(range(ANSWERS))
    headers = {
        "Authorization": "Bearer any",
        "Content-Type": "application/json",
        "anthropic-version": "2023-06-01",
    }
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def worker() -> None:
            for number in left:
                async with session.post(url, data=bodies[number % len(bodies)]) as answer:
                    await answer.read()
                    assert answer.status == 200, answer.status

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return time.perf_counter() - began


def cpu_s(process: int) -> float:
    """CPU time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure() -> dict[str, dict[str, float]]:
    """By protocol: answers a second, and answers for a second of the server's CPU time."""
    suite = load_suite("mini:quick")
    command = [sys.executable, "-m", "lens_ray.testing.provider", "--latency", str(LATENCY_S)]
    found = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for name, (path, write) in PROTOCOLS.items():
            bodies = [body_of(suite, sample, write) for sample in suite.samples]
            before = cpu_s(server.pid)
            seconds = asyncio.run(ask(url + path, bodies))
            used = cpu_s(server.pid) - before
            found[name] = {"per_s": ANSWERS / seconds, "per_cpu_s": ANSWERS / used}
        server.terminate()
        server.communicate()
    return found


def main() -> int:
    """Measure, print, and compare with the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = measure()
    for name, figures in found.items():
        print(
            f"{name}: {figures['per_s']:.0f} answers/s with {IN_FLIGHT} in flight, "
            f"{figures['per_cpu_s']:.0f} for a second of CPU time (at least {LIMIT:.0f})"
        )
    passed = all(figures["per_cpu_s"] >= LIMIT for figures in found.values())
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps({"provider": found, "limit": LIMIT, "passed": passed}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
