"""The picture of a search: abilities of parents, final checkpoint and merge."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.merging.recipe import Group
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.search import search
from lens_ray.merging.spec import MergeSpec, SearchRules
from lens_ray.report.merged import lines_of_merged, merged_of, render, write_merged_page
from lens_ray.stats.abilities import OVERALL
from lens_ray.testing.simulated_merges import Kind, MergeDesign, SimulatedMerges


@lru_cache
def searched(kind: Kind) -> Found:
    asker = SimulatedMerges(kind, 1, MergeDesign(bend=1.2, conflict=0.06, confirm=2000))
    spec = MergeSpec(
        name="s", suite="-", store="-", parents=asker.parents, search=SearchRules(margin=0.03)
    )
    return search(spec, asker.parents, asker, confirm_samples=12_000)


def test_parents_final_and_merge_stand_side_by_side() -> None:
    found = searched("conflict")
    merged = merged_of(found)
    labels = list(merged.scores)
    assert labels[-1] == "merge"
    assert "final" in labels[-2]
    assert found.confirmation is not None
    assert merged.scores["merge"] == found.confirmation.scores["merge"]
    for parent in found.recommended.recipe.parents:
        assert any(label.startswith(f"{parent.name} ({parent.weight:.0%}") for label in labels)
    assert merged.figures[0] == OVERALL
    assert len(merged.figures) == 7


def test_the_page_says_all_and_runs_nothing(tmp_path: Path) -> None:
    found = searched("conflict")
    text = write_merged_page(found, tmp_path / "merge.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("<svg") == 1
    assert text.count('class="mark"') == 7 * len(merged_of(found).scores)
    for each in found.tried:
        assert each.trial.name in text
    assert found.confirmation is not None
    for claim in found.confirmation.claims:
        assert f"{claim.low:+.4f}" in text
    assert len(text) < 100_000


def test_without_a_merge_the_checkpoints_are_shown() -> None:
    found = searched("worse")
    merged = merged_of(found)
    assert "merge" not in merged.scores
    assert any("best)" in label for label in merged.scores)
    assert "samples of the search" in render(found)


def test_the_terminal_has_a_bar_for_each() -> None:
    found = searched("conflict")
    lines = lines_of_merged(found)
    models = len(merged_of(found).scores)
    assert len(lines) == 1 + 7 * (1 + models)
    bars = [line for line in lines if line.startswith("  ")]
    assert all(re.search(r" -*o-* .* \d\.\d{3} ", line) for line in bars)
    assert max(map(len, lines)) <= 100


def test_texts_of_others_are_no_markup() -> None:
    bad = "<script>alert(1)</script>\x1b[2J"
    found = replace(searched("conflict"), name=bad, why=bad, notes=(bad,))
    text = render(found)
    assert "<script" not in text
    assert "\x1b" not in text


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        write_merged_page(searched("conflict"), tmp_path)


def test_weights_of_parts_are_told() -> None:
    found = searched("conflict")
    parents = found.recommended.recipe.parents
    shares = {each.name: round(1 / len(parents), 3) for each in parents}
    group = Group(match="model.<vision>.*", weights=shares)
    recipe = found.recommended.recipe.model_copy(update={"groups": (group,)})
    text = render(replace(found, recommended=replace(found.recommended, recipe=recipe)))
    assert "<code>model.&lt;vision&gt;.*</code>" in text
    assert f"{next(iter(shares.values())):g} × {parents[0].name}" in text
