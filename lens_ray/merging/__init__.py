"""Checkpoints made into one: recipes, methods, search, repair, verification.

All files, in reading order. The drivers that touch Ray put them together: `lens_ray.searching`,
`lens_ray.repairing`, `lens_ray.asking_merges` and `lens_ray.verifying`. What the search and its
figures mean, with their error rates, stands in ``DEFINITIONS.md``.

A merge, from what a user writes to a folder:

* `recipe`          a merge, written down: `Recipe`; read it first
* `apply`           `apply_recipe`, top-down
* `parents`         the checkpoints that go in, opened and found to fit
* `same_files`      whether they differ in numbers only; which files are taken along
* `layout`          how the weights lie on disk, before a number of them is known
* `stream`          from the parents' files to the merge's, piece by piece
* `reader`          a parent's tensors in pieces
* `turns`           which piece is next, for many workers
* `writer`          the merge's weight files, filled at known places, and their digests
* `digests`         of the parents' weights
* `companions`      what lies beside the weights: other files, the index, the record
* `destination`     whole or not there
* `publish`         the same in a bucket
* `record`          where a merge comes from: ``merge.json``
* `card`            the model card

How numbers are merged:

* `kernel`          one tensor, piece by piece: the protocol `Kernel`
* `methods`         linear, task arithmetic, TIES, DARE, SLERP, Model Stock
* `weights`         which weight each parent has in each tensor
* `adapters`        LoRA folded in while a parent is read (`adapter_config`, `memory_names`)
* `presets`         AbilityLens' recipes, as published
* `export`          a recipe in mergekit's words
* `sensitivity`     how much each tensor matters (`answers`, `live`)

The search:

* `spec`            what a user writes: `MergeSpec`
* `ingredients`     the checkpoints that it may merge
* `search`          `search`, pure: pool, screen, greedy, mixture design, confirmation
* `published`       the presets as trials
* `asked`           who asks trials, and remembers it in the store (`lens_ray.store.merge_log`)
* `materialise`     a model path ``merge:RECIPE`` becomes a folder of a machine's cache, as
                    `lens_ray.models.made` asks

What becomes of it:

* `repair`          a short fine-tune, and whether it was worth it
* `verify`          tiers V0 to V5, and the policy that decides (`checks`)

Nothing here touches Ray.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lens_ray.merging.recipe import Recipe
    from lens_ray.merging.record import MergeRecord

__all__ = ["merge"]


def merge(
    recipe: Recipe | str | Path, out: str | Path, *, threads: int | None = None
) -> MergeRecord:
    """Carry out a recipe: ``lens-ray merge apply``.

    Args:
        recipe: The recipe or its file.
        out: Folder that the merge becomes, or ``s3://`` URL of one.
        threads: None takes every core that this process may use.

    Raises:
        JobError: The recipe's file is wrong, and where.
        LensError: See `lens_ray.merging.apply.apply_recipe`.
    """
    from lens_ray.merging.apply import apply_recipe
    from lens_ray.merging.recipe import Recipe, load_recipe

    what = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    return apply_recipe(what, out, threads=threads)
