"""Keeps what a search tries: `Desk`, between the steps of the search and the asker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.found import Fate, Step
from lens_ray.merging.search.pool import average, single
from lens_ray.merging.search.table import Table, table_of
from lens_ray.merging.search.trial import Asker, Ground, Trial
from lens_ray.merging.spec import SearchRules
from lens_ray.stats.abilities import in_overall
from lens_ray.stats.advice.needs import Needs


@dataclass
class Note:
    """What is known of one trial so far.

    Attributes:
        trial: It.
        step: In which it was first asked.
        ground: The most that it was asked.
        verdict: See `lens_ray.merging.search.found.Tried`.
        why: In words.
    """

    trial: Trial
    step: Step
    ground: Ground
    verdict: Fate = "rejected"
    why: str = ""


@dataclass
class Desk:
    """The trials of one search.

    Attributes:
        asker: Asks them.
        rules: Of the search.
        needs: Of the user.
        parents: By name, in the order that recipes keep.
        final: The checkpoint that would be shipped without a merge.
        say: Told of each step.
        confirm_samples: How many samples confirm; None is not known.
        notes: By trial's name, in the order of asking.
        weights: Of the abilities in ``overall``, known from the first answers on.
    """

    asker: Asker
    rules: SearchRules
    needs: Needs | None
    parents: Mapping[str, Parent]
    final: Parent
    say: Callable[[str], None]
    confirm_samples: int | None = None
    notes: dict[str, Note] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    _by_key: dict[str, Trial] = field(default_factory=dict)

    def average(self, name: str, weights: Mapping[str, float]) -> Trial:
        """The trial of a weighted mean of checkpoints; that of before where it is the same."""
        return self.known(average(name, weights, self.parents.values()))

    def single(self, name: str) -> Trial:
        """The trial of a checkpoint as it is."""
        return self.average(name, single(self.parents[name]).weights)

    def known(self, trial: Trial) -> Trial:
        """A trial, or the one of before whose recipe is the same."""
        found = self._by_key.get(trial.key)
        if found is not None:
            return found
        name, count = trial.name, 1
        taken = {each.name for each in self._by_key.values()}
        while name in taken or (name in self.parents and not trial.single):
            count += 1
            name = f"{trial.name}.{count}"
        self._by_key[trial.key] = found = Trial(name, trial.recipe)
        return found

    def ask(self, trials: Sequence[Trial], ground: Ground, step: Step) -> Table:
        """Ask some trials and line up their marks."""
        told = list({each.name: each for each in map(self.known, trials)}.values())
        marks = self.asker.ask(told, ground)
        self.weights = self.weights or self._weights(marks.strata)
        for each in told:
            note = self.notes.setdefault(each.name, Note(each, step, ground))
            if ground != "anchor":
                note.ground = "search"
        return table_of(marks, self.weights, self.rules.confidence)

    def all(self) -> Table:
        """Everything that was asked on the ground ``search``."""
        return self.ask([each.trial for each in self.on("search")], "search", "single")

    def on(self, ground: Ground) -> list[Note]:
        """What was asked on a ground, and on no larger one."""
        return [each for each in self.notes.values() if each.ground == ground]

    def judge(self, trial: Trial, verdict: Fate, why: str) -> None:
        """Write down what became of a trial."""
        note = self.notes[trial.name]
        note.verdict, note.why = verdict, why

    def _weights(self, strata: Sequence[tuple[str, str]]) -> dict[str, float]:
        abilities = sorted({ability for ability, _ in strata})
        counted = [name for name in abilities if name in in_overall(abilities)]
        return (self.needs or Needs()).weights_of(abilities, counted)
