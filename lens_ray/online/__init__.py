"""Checkpoints as they appear: a training run is watched, and what it shows is told.

* `lens_ray.online.spec`         what a user writes: `WatchSpec`; read it first
* `lens_ray.online.watcher`      the loop: look, take, ask, tell
* `lens_ray.online.evaluator`    what the loop asks: `Evaluator`; the engine implements it
* `lens_ray.online.checkpoint`   what is asked about: `Checkpoint`
* `lens_ray.online.series`       marks of one run's checkpoints: `Series`
* `lens_ray.online.findings`     what is found, as values that print as JSON: `Findings`
* `lens_ray.online.detect`       `detect(series, rules)`: all findings of a run, look by look
* `lens_ray.online.advice`       what to do, from what was found: `advise_run`
* `lens_ray.online.retention`    which checkpoints are kept, pinned, deleted, worth merging
* `lens_ray.online.alerts`       who hears of it, once

Of the watcher, each pure but where it reads files: `place` is where a run writes, `discover` says
which folders are its checkpoints, `whole` and `weight_scan` whether one is whole and of numbers,
`looking` what is new, `queue` what is asked next, `stopping` whether the trainer is to stop.

For trainers:

* `lens_ray.online.announce`     ``announce(path, step)``: a checkpoint is whole
* `lens_ray.online.marker`       what that writes: ``lens-ray.json``
* `lens_ray.online.callback`     `LensCallback` for transformers; accelerate
* `lens_ray.online.stop_file`    the signal to stop (Ray Train: `lens_ray.engine.train_hook`)

Nothing here touches Ray.
"""

from lens_ray.online.announce import announce

__all__ = ["announce"]
