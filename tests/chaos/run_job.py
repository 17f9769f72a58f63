"""``python -m tests.chaos.run_job JOB.json``: one `lens_ray.evaluate` that says how far it is.

Each line of its output is a JSON object: ``{"done": N}`` while it runs, the report at the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lens_ray
from lens_ray.engine.progress import Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def show(progress: Progress) -> None:
    done = sum(done for model in progress.models for done, _ in model.abilities.values())
    say(done=done, replicas=progress.replicas)


def main(path: str) -> int:
    given = json.loads(Path(path).read_text())
    settings = EngineSettings(**given.pop("settings", {}))
    job = JobSpec.model_validate(given)
    try:
        report = evaluate(job, on_progress=show, settings=settings)
    except lens_ray.LensError as error:
        say(error=str(error), exit=error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        say(error="interrupted", exit=130)
        return 130
    say(
        exit=report.exit_code,
        flips={model.model: model.flip_rate for model in report.models},
        reasons=[model.reason for model in report.models if model.reason],
    )
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
