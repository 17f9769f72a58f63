from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from lens_ray.models.token_watch import DistributionTap, SeededSampling, TokenWatch


def feed(watch: TokenWatch, rows: list[list[int]], scores: torch.Tensor) -> list[list[bool]]:
    """Play generated tokens to a watch, step by step, after a prompt of two tokens."""
    ids = torch.zeros((len(rows), 2), dtype=torch.long)
    done = []
    for step in range(len(rows[0])):
        DistributionTap(watch)(ids, scores[step])
        ids = torch.cat([ids, torch.tensor([[row[step]] for row in rows])], dim=1)
        done.append(watch(ids, None).tolist())
    return done


def test_rows_end_by_end_token_by_limit_and_by_text() -> None:
    scores = torch.zeros(4, 4, 10)
    rows = [[1, 9, 0, 0], [1, 2, 3, 4], [5, 6, 0, 0], [9, 0, 0, 0]]
    watch = TokenWatch([4, 3, 4, 1], [9], lambda tokens: 6 in tokens)
    done = feed(watch, rows, scores)
    assert watch.counts.tolist() == [2, 3, 2, 1]
    assert watch.stopped.tolist() == [True, False, True, True]
    assert done[0] == [False, False, False, True]
    assert done[-1] == [True] * 4


def test_probability_is_the_product_up_to_the_end_token() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 3, 7, generator=generator) * 3
    rows = [[1, 2, 6, 0, 0], [3, 3, 3, 3, 3], [6, 1, 1, 1, 1]]
    watch = TokenWatch([5, 4, 5], [6])
    feed(watch, rows, scores)
    expected = []
    for row, count in enumerate([3, 4, 1]):
        product = 1.0
        for step in range(count):
            weights = [math.exp(float(x)) for x in scores[step, row]]
            product *= weights[rows[row][step]] / sum(weights)
        expected.append(product)
    assert watch.log_probs.exp().tolist() == pytest.approx(expected, rel=1e-5)


def test_impossible_tokens_do_not_spoil_the_sum() -> None:
    scores = torch.tensor([[[0.0, -math.inf, 0.0]]])
    watch = TokenWatch([1], [2])
    feed(watch, [[0]], scores)
    assert math.exp(watch.log_probs.item()) == pytest.approx(0.5)


def test_noise_draws_from_the_distribution() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.3]]).log().repeat(4000, 1)
    sampling = SeededSampling([f"1/{row}" for row in range(4000)])
    drawn = Counter(sampling(torch.zeros(4000, 1), scores).argmax(dim=1).tolist())
    for token, probability in enumerate([0.2, 0.5, 0.3]):
        spread = math.sqrt(4000 * probability * (1 - probability))
        assert abs(drawn[token] - 4000 * probability) < 5 * spread


def test_noise_never_draws_what_is_impossible() -> None:
    scores = torch.tensor([[0.0, -math.inf]]).repeat(500, 1)
    sampling = SeededSampling([str(row) for row in range(500)])
    assert sampling(torch.zeros(500, 1), scores).argmax(dim=1).tolist() == [0] * 500
