"""The backend ``vllm`` on GPUs: agreement, swaps, determinism, tensor parallelism."""

from __future__ import annotations

from typing import Any

import pytest

from lens_ray.suites.suite import load_suite
from tests.vllm.hosts import Host, requests_of, texts

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default"), pytest.mark.timeout(900)]
FIRST, LAST = "builtin:minivlm-a/step-0500", "builtin:minivlm-a/step-9600"
OPTIONS: dict[str, Any] = {"gpu_memory_utilization": 0.2, "block_size": 16, "dtype": "float32"}


def test_the_same_answers_as_transformers_on_the_cpu() -> None:
    suite = load_suite("mini:quick")
    engine, other = Host(LAST, **OPTIONS), Host(LAST, "transformers", device="cpu")
    try:
        requests = requests_of(suite, engine.spec)
        found, expected = texts(engine.ask(requests)), texts(other.ask(requests))
    finally:
        engine.close()
        other.close()
    same = sum(found[name] == text for name, text in expected.items())
    assert same >= 0.99 * len(expected)


def test_there_and_back_is_a_cold_start() -> None:
    suite = load_suite("mini:quick")
    warm, cold = Host(LAST, **OPTIONS), Host(FIRST, **OPTIONS)
    try:
        requests = requests_of(suite, warm.spec, 120)
        before = texts(warm.ask(requests))
        warm.load(FIRST, "first")
        assert texts(warm.ask(requests)) == texts(cold.ask(requests))
        warm.load(LAST, "last")
        assert texts(warm.ask(requests)) == before
    finally:
        warm.close()
        cold.close()


def test_batch_invariant_answers_do_not_depend_on_company() -> None:
    suite = load_suite("mini:quick")
    engine = Host(LAST, **OPTIONS, batch_invariant=True)
    try:
        assert engine.info.facts["determinism"] == "batch_invariant"
        requests = requests_of(suite, engine.spec, 60)
        together = texts(engine.ask(requests))
        alone: dict[str, Any] = {}
        for request in requests:
            alone.update(texts(engine.ask([request])))
        assert alone == together
    finally:
        engine.close()


def test_two_gpus_give_the_answers_of_one() -> None:
    import torch

    assert torch.cuda.device_count() >= 2, "tensor parallelism needs two GPUs"
    suite = load_suite("mini:quick")
    one = Host(LAST, **OPTIONS)
    try:
        requests = requests_of(suite, one.spec)
        expected = texts(one.ask(requests))
    finally:
        one.close()
    two = Host(LAST, **OPTIONS, tensor_parallel=2)
    try:
        found = texts(two.ask(requests))
    finally:
        two.close()
    assert sum(found[name] == text for name, text in expected.items()) >= 0.99 * len(expected)
