from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.cli.main import main
from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Question
from lens_ray.online.place import open_place
from lens_ray.store import Store
from lens_ray.store.watch_log import Seen, WatchState
from lens_ray.suites import load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator, write_checkpoint
from lens_ray.online.spec import load_watch

STEPS = (100, 200, 300, 400)
#: Right answers: ocr is best at 200, everything else at 300.
ACCURACY = {"ocr": (0.3, 0.9, 0.5, 0.5)}
OTHERS = (0.2, 0.4, 0.9, 0.5)

WATCH = """\
name: w
suite: mini:quick
store: {store}
abilities: [counting, ocr]
policy: all
model: {{backend: fake}}
runs:
  - {{name: r, path: {path}}}
"""


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    """A watch file; its run was asked, all of it but the last checkpoint."""
    for step in (*STEPS, 500):
        write_checkpoint(tmp_path / "run" / f"step-{step}", seed=step)
    file = tmp_path / "watch.yaml"
    file.write_text(WATCH.format(store=tmp_path / "store", path=tmp_path / "run"))
    spec = load_watch(file)
    store = Store(spec.store, create=True)
    suite = load_suite("mini:quick").select_abilities(("counting", "ocr"))
    fake = FakeEvaluator(store, suite, lambda ability, step: (
        ACCURACY.get(ability, OTHERS)[STEPS.index(step)]))
    seen = []
    for folder in open_place(spec.runs[0].path).folders():
        step = int(folder.name.partition("-")[2])
        one = Seen(step, folder.path, folder.mark, "2026-01-01", status="whole", size=folder.size)
        if step in STEPS:
            host = spec.model.model_spec(f"r@{step}", folder.path, step)
            asked = Checkpoint("r", step, folder.path, folder.mark, "2026-01-01")
            (answer,) = fake.evaluate([Question(asked, host, "anchor")])
            assert answer.run_id is not None
            one = replace(one, depth="anchor", run_id=answer.run_id, asked_mark=folder.mark)
        seen.append(one)
    store.watch("w").state("r").update(lambda state: WatchState(tuple(sorted(seen, key=lambda each: each.step))))
    return file
