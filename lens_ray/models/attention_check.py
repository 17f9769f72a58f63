"""Is a GPU's fast attention attention? `first_wrong_length` asks it before a model does.

Seen: on H200s (torch 2.11, CUDA 13, float32) the last of 129 positions of a left-padded batch was
wrong by more than the values' spread under `torch.nn.functional.scaled_dot_product_attention`; the
plain formula on the same GPU agreed with the CPU to 2e-5. Nothing was raised, and every answer was
wrong. Kernels are chosen by device, type, width, length and layout: there, one key head of width 32
stood for two as a view (stride 0), the first wrong length was 65, and the same numbers
with two key heads were right at every length. So each length that is likely is tried, with the
model's own heads as transformers lays them out: some 300 calls of microseconds each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import functional

#: Every length up to here, where prompts are; kernels work in tiles of 64 to 256 positions.
_EACH_UP_TO = 288
#: Beyond it, lengths around the edges of tiles.
_LONG = tuple(tile + step for tile in (512, 1024, 2048) for step in (-1, 0, 1, 7))
#: Of a batch of short and of long prompts, whose scores take memory; the first is not padded.
_ROWS, _LONG_ROWS = 6, 2
#: Largest deviation, in units of the values' spread.
_TOLERANCE = {torch.float32: 5e-3, torch.float16: 2e-2, torch.bfloat16: 8e-2}


def first_wrong_length(
    heads: int,
    head_dim: int,
    dtype: torch.dtype,
    device: torch.device,
    longest: int | None = None,
    *,
    key_heads: int | None = None,
) -> int | None:
    """The shortest length at which the fast attention is not the formula; None where it is.

    Args:
        heads: Attention heads of the model.
        head_dim: Width of one.
        dtype: What the model computes in.
        device: Where.
        longest: The model's context.
        key_heads: Heads of its keys and values; None is as many as there are of the queries.

    Returns:
        A number of positions, or None.
    """
    draw = torch.Generator(device="cpu").manual_seed(0)
    lengths = [n for n in (*range(1, _EACH_UP_TO + 1), *_LONG) if longest is None or n <= longest]
    most = max(lengths)
    key_heads = key_heads or heads
    asked, *known = (
        torch.randn(_ROWS, most, count, head_dim, generator=draw).to(device, dtype)
        for count in (heads, key_heads, key_heads)
    )
    wrong: list[torch.Tensor] = []
    for length in lengths:
        rows = _ROWS if length <= _EACH_UP_TO else _LONG_ROWS
        query = asked[:rows, :length].contiguous().transpose(1, 2)
        key, value = (_repeated(one[:rows, :length], heads) for one in known)
        wrong.append(torch.stack(list(_deviations(query, key, value))).amax())
    # One look for all, so that the GPU is not waited for 300 times. NaN is not in order either.
    allowed = _TOLERANCE.get(dtype, max(_TOLERANCE.values()))
    fine = (torch.stack(wrong) <= allowed).tolist()
    return next((length for length, good in zip(lengths, fine, strict=True) if not good), None)


def _repeated(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Keys or values (rows, positions, key heads, width) for all heads, as transformers does."""
    rows, length, count, width = states.shape
    one = states.transpose(1, 2).contiguous()
    shared = one[:, :, None].expand(rows, count, heads // count, length, width)
    return shared.reshape(rows, heads, length, width)


def _deviations(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Of a padded batch's prompt, of its next token, and of an image's patches."""
    length = key.shape[2]
    places = torch.arange(length, device=key.device)
    # All rows but the first are padded on the left.
    rows = key.shape[0]
    first = torch.tensor([length * row // (3 * rows) for row in range(rows)], device=key.device)
    real = places[None, :] >= first[:, None]
    causal = (places[None, :] <= places[:, None])[None, None] & real[:, None, None, :]
    for asked, mask in ((query, causal), (query[:, :, -1:], causal[:, :, -1:]), (query, None)):
        fast = functional.scaled_dot_product_attention(asked, key, value, attn_mask=mask)
        scores = asked.float() @ key.float().transpose(2, 3) / math.sqrt(asked.shape[3])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        plain = scores.softmax(dim=3) @ value.float()
        gap = (fast.float() - plain).abs()
        if mask is not None:  # what stands in the padding is nobody's answer
            gap = gap.masked_fill(~real[:, None, -asked.shape[2] :, None], 0.0)
        yield gap.amax()
