"""Tests that need a GPU: run ``python -m pytest -m gpu tests/gpu`` on a machine that has one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def gpu() -> None:
    """Not skipped: who asks for this tier wants to know."""
    import torch

    assert torch.cuda.is_available(), "no GPU is seen here; this tier needs one"
