"""Follows a batch while transformers generates it: `TokenWatch`, and `SeededSampling`.

Both act inside ``model.generate``. The probability of an answer is summed up token by token, so
no step's logits are kept, and a row ends at its own limit, so that requests with different limits
share a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from transformers import LogitsProcessor, StoppingCriteria

Tensor = torch.Tensor


class TokenWatch(StoppingCriteria):
    """Counts tokens, adds up their log-probabilities and ends each row where it should end.

    Attributes:
        counts: Tokens of each row so far, the end token included.
        log_probs: Their summed log-probability.
        stopped: Rows that ended by an end token or a stop text, not by their limit.
    """

    def __init__(
        self,
        limits: Sequence[int],
        end_tokens: Sequence[int],
        ended_by_text: Callable[[list[int]], bool] | None = None,
    ) -> None:
        """Start with no token generated.

        Args:
            limits: Most tokens of each row.
            end_tokens: Tokens that end a row.
            ended_by_text: Says of a row's tokens whether they hold a stop text.
        """
        rows = len(limits)
        self.counts = torch.zeros(rows, dtype=torch.long)
        self.log_probs = torch.zeros(rows, dtype=torch.float64)
        self.stopped = torch.zeros(rows, dtype=torch.bool)
        self._alive = torch.ones(rows, dtype=torch.bool)
        self._limits = torch.tensor(limits, dtype=torch.long)
        self._end = torch.tensor(sorted(end_tokens), dtype=torch.long)
        self._ended_by_text = ended_by_text
        self._scores: Tensor | None = None

    def see(self, scores: Tensor) -> None:
        """Keep one step's scores until its token is known."""
        self._scores = scores

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        """Take the newest token of each row in; True for rows that are done."""
        distribution, self._scores = self._scores, None
        assert distribution is not None, "a DistributionTap must be the last logits processor"
        token = input_ids[:, -1]
        log_prob = distribution.gather(1, token[:, None])[:, 0] - distribution.logsumexp(dim=1)
        token = token.cpu()
        self.counts += self._alive
        self.log_probs += torch.where(self._alive, log_prob.cpu().double(), 0.0)
        ends = self._alive & torch.isin(token, self._end)
        if self._ended_by_text is not None:
            for row in torch.nonzero(self._alive & ~ends)[:, 0].tolist():
                new = input_ids[row, input_ids.shape[1] - int(self.counts[row]) :]
                ends[row] = self._ended_by_text(new.tolist())
        self.stopped |= ends
        self._alive = self._alive & ~ends & (self.counts < self._limits)
        return (~self._alive).to(input_ids.device)


class DistributionTap(LogitsProcessor):
    """Shows a watch the distribution that the next token is taken from."""

    def __init__(self, watch: TokenWatch) -> None:
        self._watch = watch

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, unchanged."""
        self._watch.see(scores)
        return scores


class SeededSampling(LogitsProcessor):
    """Turns greedy choice into sampling that does not depend on the batch.

    Adding Gumbel noise and taking the largest is a draw from the distribution. Each row has its
    own generator, seeded by the request, so its draws are the same in any company.
    """

    def __init__(self, seeds: Sequence[str]) -> None:
        """Seed one generator a row."""
        self._generators = [
            torch.Generator().manual_seed(
                int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little") >> 1
            )
            for seed in seeds
        ]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores with noise on top."""
        noise = torch.stack(
            [
                torch.empty(scores.shape[1], dtype=torch.float64).exponential_(generator=generator)
                for generator in self._generators
            ]
        )
        return scores - noise.log().to(scores.device, scores.dtype)
