"""What the store holds becomes all that is known of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lens_ray.online.assess import assess
from lens_ray.online.spec import WatchSpec
from lens_ray.store import Store
from tests.online.training import RUN, answer, run_id_of, state_of, training

SPEC = WatchSpec.model_validate(
    {"name": "w", "suite": "tiny", "store": "x", "runs": [{"name": RUN, "path": "/nowhere"}]}
)


def scores(seed: int) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).random(160) < 0.6]


def test_what_was_left_out_and_a_wrong_run_yaml_are_notes(tmp_path: Path) -> None:
    store, asked = training(tmp_path / "store", {step: scores(step) for step in (200, 300)})
    answer(store, 100, scores(1), template="other@1")
    state = state_of((type(asked[0])(100, run_id_of(100), "full"), *asked))
    (tmp_path / "run.yaml").write_text("phases: 3")
    run = SPEC.runs[0].model_copy(update={"path": str(tmp_path)})
    found = assess(SPEC, store, run, state=state)
    assert found.step == 300
    assert any("step 100 is left out" in note for note in found.notes)
    assert any("run.yaml:1:9: phases: write a list" in note for note in found.notes)


def test_nothing_that_can_be_compared_is_a_note_and_no_end(tmp_path: Path) -> None:
    store = Store(tmp_path, create=True)
    found = assess(SPEC, store, SPEC.runs[0])
    assert (found.step, found.curves) == (None, ())
    assert "no checkpoint has answers" in found.notes[0]
    answer(store, 100, [None] * 8)
    asked = state_of(training(tmp_path, {})[1])
    assert assess(SPEC, store, SPEC.runs[0], state=asked).step is None
