"""``python -m tests.chaos.run_watch WATCH.json``: a watcher with warm replicas.

Each line of its output is a JSON object: one before each call of the evaluator, one an answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lens_ray.engine.settings import EngineSettings
from lens_ray.online.ends import run_out
from lens_ray.online.evaluator import Answered, Question
from lens_ray.online.spec import WatchSpec
from lens_ray.online.watcher import WatchSettings, watch
from lens_ray.store import Store
from lens_ray.warm import WarmEvaluator

TTL_S = 3.0


class Telling(WarmEvaluator):
    """Tells of each question and answer."""

    def evaluate(self, questions: Sequence[Question]) -> tuple[Answered, ...]:
        say(asks=[question.checkpoint.step for question in questions])
        answers = super().evaluate(questions)
        for one in answers:
            say(
                step=one.question.checkpoint.step, status=one.status, asked=one.asked,
                resumed=one.resumed, swapped=one.swapped, reason=one.reason,
            )  # fmt: skip
        return answers


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main(path: str) -> int:
    spec = WatchSpec.model_validate_json(Path(path).read_text())
    settings = EngineSettings(run_ttl_s=TTL_S, flush_s=0.3, flush_rows=16, flip_samples=4)
    evaluator = Telling(spec.store, spec.suite, settings=settings)
    try:
        found = watch(
            spec,
            Store(spec.store, create=True),
            evaluator,
            on_line=lambda line: print(line, file=sys.stderr, flush=True),
            until=run_out(spec),
            settings=WatchSettings(ttl_s=TTL_S, at_once=1),
        )
    finally:
        evaluator.close()
    say(runs=len(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
