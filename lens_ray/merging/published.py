"""Published recipes as trials of a search: `Published`, which makes a sensitivity table at need."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lens_ray.merging.materialise import digests_of
from lens_ray.merging.presets import presets
from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.trial import Trial
from lens_ray.merging.spec import MergeSpec
from lens_ray.models.checkpoint import resolve
from lens_ray.node_cache import home, release
from lens_ray.suites.suite import Suite

_SENSITIVE = "abilitylens_sensitivity"
#: Questions of the anchor split on which a table is made: some seconds for the built-in model.
_EXAMPLES = 240


class Published:
    """`lens_ray.merging.search.search.Published`."""

    def __init__(
        self, spec: MergeSpec, suite: Suite, *, on_line: Callable[[str], None] = lambda line: None
    ) -> None:
        """Nothing is made yet.

        Args:
            spec: The search.
            suite: Its suite, on whose anchor split sensitivity is measured.
            on_line: Called with each line for the log.
        """
        self._spec, self._suite, self._on_line = spec, suite, on_line

    def __call__(self, best: Mapping[str, Parent], final: Parent) -> Sequence[Trial]:
        """The recipes of the presets that the search names.

        Args:
            best: The best checkpoint of each ability.
            final: That would be shipped without a merge.
        """
        which = self._spec.search.presets
        others = any(one.name != final.name for one in best.values())
        table = self._table(final) if _SENSITIVE in which and others else None
        recipes = presets(best, final, which=which, table=table)
        return [
            Trial(recipe.name or f"published-{number}", recipe.model_copy(update={"name": None}))
            for number, recipe in enumerate(recipes)
        ]

    def _table(self, final: Parent) -> str:
        """The file of the final checkpoint's table, made once for its weights and the questions."""
        folder = resolve(final.path, final.revision)
        try:
            digest, _ = digests_of(folder)
            name = f"{digest[:16]}-{self._suite.digest[:16]}-{_EXAMPLES}.json"
            file = home() / "sensitivity" / name
            if not file.is_file():
                self._make(folder, file)
        finally:
            release(Path(folder))
        return str(file)

    def _make(self, folder: str, file: Path) -> None:
        from lens_ray.merging.answers import examples_of
        from lens_ray.merging.sensitivity import sensitivity, write_table

        self._on_line(f"measuring how much each tensor of {Path(folder).name} matters")
        samples = self._suite.select(self._spec.abilities, splits=("anchor",))
        step = max(1, len(samples) // _EXAMPLES)
        examples = examples_of(self._suite, samples[::step][:_EXAMPLES])
        found = sensitivity(folder, examples, threads=len(os.sched_getaffinity(0)))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_table(found, file)
