"""Teaches the eyes of a `minivlm` before anything is asked: which words fit what each token shows.

A tower that has seen only colours hardly learns shapes later: after 1,900 steps of questions about
colours, 16,000 questions for a thing's name stayed at chance. So the tower and the connector learn
to put the sum of the words' embeddings where the things are: at first alone, and then beside the
questions, for what nothing asks for is lost in some hundred steps. The words are those of
`jobs.minivlm_practice.sight`; the language model is not touched.
"""

from __future__ import annotations

import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from PIL import Image

from jobs.minivlm_practice import SEEN, Box, sight

GRID = 4
CELL = 16
BATCH = 48
#: A thing is in a cell that holds this share of it, or that it fills to this share.
SHARE = 0.25
#: Logits a unit of similarity: embeddings have about length 0.6 at first.
SHARPNESS, BIAS = 20.0, -4.0
#: Of the loss beside that of the questions.
WEIGHT = 0.5
#: Pictures beside the questions of one step.
BESIDE = 16
_AHEAD = 4

SightBatch = tuple[np.ndarray, np.ndarray]


def cells_of(box: Box) -> list[int]:
    """The cells of the 4 by 4 grid of image tokens in which a thing is to be seen."""
    x, y, wide, high = box
    found = []
    for cell in range(GRID * GRID):
        left, top = cell % GRID * CELL, cell // GRID * CELL
        across = min(x + wide, left + CELL) - max(x, left)
        down = min(y + high, top + CELL) - max(y, top)
        if across > 0 and down > 0 and across * down >= SHARE * min(wide * high, CELL * CELL):
            found.append(cell)
    return found


def sight_batch(seed: int, step: int, size: int) -> SightBatch:
    """Pictures (batch, 64, 64, 3) of bytes, and which words fit (batch, 16, words), of booleans."""
    rng = random.Random(f"sight {seed} {step}")
    numbers = {word: number for number, word in enumerate(SEEN)}
    pictures, fits = [], np.zeros((size, GRID * GRID, len(SEEN)), dtype=bool)
    for row in range(size):
        picture, seen = sight(rng)
        pictures.append(picture)
        for words, box in seen:
            for cell in cells_of(box):
                for word in words:
                    fits[row, cell, numbers[word]] = True
    return np.stack(pictures), fits


def _tokens(tokenizer: Any) -> list[int]:
    """The token that begins each word, as it is written in the middle of a sentence."""
    found = []
    for word in SEEN:
        ids = tokenizer(f" {word}", add_special_tokens=False).input_ids
        blank = tokenizer.convert_ids_to_tokens(ids[0]) == "Ġ"
        found.append(ids[1] if blank else ids[0])
    return found


def sight_loss(model: Any, processor: Any, batch: SightBatch) -> tuple[torch.Tensor, str]:
    """How badly the image tokens point to the words that fit, and that in figures to read.

    Args:
        model: Of transformers, for images and text; its embeddings of words get no gradient.
        processor: Its own.
        batch: Of `sight_batch`.
    """
    pictures, fits = batch
    words = model.get_input_embeddings().weight[_tokens(processor.tokenizer)].detach()
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    seen = _see(model, pixels) @ words.T * SHARPNESS + BIAS
    wanted = torch.from_numpy(fits)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        seen, wanted.float(), reduction="sum"
    ) / (len(pictures) * GRID * GRID)
    named = int(((seen > 0) & wanted).sum())
    share, sure = named / int(wanted.sum()), named / max(1, int((seen > 0).sum()))
    return loss, f"sight loss {loss.item():.3f} named {share:.2f} right {sure:.2f}"


def take_step(model: Any, optimisers: tuple[Any, ...], rate: float) -> None:
    """Clip the gradients, step every optimiser at its share of the rate, and forget them."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        optimiser.step()
    model.zero_grad(set_to_none=True)


def teach_sight(
    model: Any, processor: Any, optimisers: tuple[Any, ...], seed: int, steps: int, rate: float
) -> None:
    """Train the tower and the connector of a model.

    Args:
        model: Of transformers, for images and text.
        processor: Its own.
        optimisers: Over the model's parameters; each group has its ``share`` of the rate.
        seed: Of the pictures.
        steps: Optimiser steps.
        rate: First learning rate; it falls to a tenth.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        coming = [pool.submit(sight_batch, seed, step, BATCH) for step in range(min(_AHEAD, steps))]
        for step in range(steps):
            batch = coming.pop(0).result()
            if step + _AHEAD < steps:
                coming.append(pool.submit(sight_batch, seed, step + _AHEAD, BATCH))
            if step == 0:
                _check_pixels(processor, batch[0])
            loss, told = sight_loss(model, processor, batch)
            loss.backward()
            take_step(model, optimisers, rate * min(1.0, (step + 1) / 50, 1.1 - step / steps))
            if (step + 1) % 100 == 0 or step + 1 == steps:
                print(f"before step 0: {step + 1}/{steps} {told}", flush=True)


def _see(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Image tokens, (batch, 16, width)."""
    if model.config.model_type == "idefics3":
        found = model.model.get_image_features(pixels[:, None])
    else:
        found = model.model.get_image_features(
            pixel_values=pixels,
            vision_feature_layer=model.config.vision_feature_layer,
            vision_feature_select_strategy=model.config.vision_feature_select_strategy,
        )
    tokens: torch.Tensor = found.pooler_output
    return tokens.reshape(len(pixels), GRID * GRID, -1)


def _check_pixels(processor: Any, pictures: np.ndarray) -> None:
    """What is fed here is what the processor makes of a picture.

    Raises:
        ValueError: It is not.
    """
    made = processor.image_processor(Image.fromarray(pictures[0]), return_tensors="pt")
    wanted = torch.from_numpy(pictures[0]).permute(2, 0, 1).float() / 127.5 - 1
    if not torch.allclose(made["pixel_values"].reshape(wanted.shape), wanted, atol=1e-4):
        raise ValueError("the image processor changes the pixels")
