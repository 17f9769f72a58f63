"""The backend ``transformers`` on a GPU, against itself on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.suites.suite import load_suite
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint
from tests.models.helpers import answers, request
from tests.vllm.hosts import Host, requests_of, texts

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
LAST = "builtin:minivlm-a/step-9600"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_answers_as_on_the_cpu(tmp_path: Path, family: str) -> None:
    folder = make_tiny_checkpoint(tmp_path / family, family)
    requests = [request(number) for number in range(0, 12, 2)]  # one image each
    there = answers(folder, requests, dtype="float32", device="cuda")
    here = answers(folder, requests, dtype="float32", device="cpu")
    same = sum(there[name].text == here[name].text for name in here)
    # Kernels sum in another order; random weights are full of near ties.
    assert same >= len(here) - 1


def test_the_shipped_model_in_both_dtypes() -> None:
    suite = load_suite("mini:quick")
    found = {}
    for name, options in {
        "cpu": {"device": "cpu"},
        "float32": {"device": "cuda", "dtype": "float32"},
        "auto": {"device": "cuda"},
    }.items():
        host = Host(LAST, "transformers", **options)
        try:
            found[name] = texts(host.ask(requests_of(suite, host.spec)))
            assert host.info.facts["dtype"] == ("bfloat16" if name == "auto" else "float32")
        finally:
            host.close()
    for name, least in (("float32", 0.995), ("auto", 0.95)):
        same = sum(found[name][sample] == text for sample, text in found["cpu"].items())
        assert same >= least * len(suite.samples), name


def test_a_swap_on_the_gpu_is_a_cold_start() -> None:
    suite = load_suite("mini:quick")
    first, last = "builtin:minivlm-a/step-0500", LAST
    warm = Host(first, "transformers", device="cuda", dtype="float32")
    cold = Host(last, "transformers", device="cuda", dtype="float32")
    try:
        requests = requests_of(suite, warm.spec, 120)
        warm.ask(requests)
        warm.load(last, "last")
        assert texts(warm.ask(requests)) == texts(cold.ask(requests))
    finally:
        warm.close()
        cold.close()


def test_a_batch_too_large_for_the_memory_is_halved() -> None:
    import torch

    suite = load_suite("mini:quick")
    host = Host(LAST, "transformers", device="cuda", dtype="float32", batch_size=512)
    try:
        requests = requests_of(suite, host.spec)
        whole = texts(host.ask(requests))
        used = torch.cuda.max_memory_allocated()
        total = torch.cuda.get_device_properties(0).total_memory
        held = torch.cuda.memory_allocated()
        torch.cuda.empty_cache()
        # So little that the whole batch cannot fit, and small ones do.
        torch.cuda.set_per_process_memory_fraction((held + (used - held) / 4) / total)
        assert texts(host.ask(requests)) == whole
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        host.close()
