"""Checkpoints as they appear: a training run is watched, and what it shows is told.

All files, in reading order; `lens_ray.watching.watch` puts them together, and what the findings
mean, with their error rates, stands in ``DEFINITIONS.md``.

What everything is about:

* `spec`             what a user writes: `WatchSpec`, its runs and its `Rules`; read it first
* `checkpoint`       one state of a training run: `Checkpoint`
* `evaluator`        who asks checkpoints: the protocol `Evaluator` (`lens_ray.warm` is one)
* `series`           marks of one run's checkpoints on the same units: `Series`
* `findings`         what is found, as values that print as JSON: `Findings`

The watcher, from a folder to an answer in the store:

* `watcher`          the loop: look, take, ask, tell
* `place`            where a run writes: a folder or a bucket
* `discover`         which folders there are its checkpoints, and of which step
* `whole`            whether one is whole
* `weight_scan`      whether its weights are numbers
* `looking`          what is new since the last look, and what is wrong: `Looker`
* `queue`            what is asked next, and what the policy leaves out
* `stopping`         whether the trainer is to be told to stop
* `ends`             whether the watch is over, or has met what ``--fail-on`` names

From rows in the store to a series:

* `load`             `load_series`, top-down
* `column`           one checkpoint's marks and the health of its answers; many side by side
* `shelf`            columns kept between two looks
* `axes`             steps as tokens and as GPU-hours
* `run_yaml`         changes of mix and learning rate, from the run's own ``run.yaml``
* `replay`           shipped rows as the runs of a store, for ``--replay``

What a series shows:

* `detect`           `detect(series, rules)`: all findings of a run, look by look
* `curves`           values with intervals and paired changes; their knee
* `windows`          which windows are compared, when, and at what level
* `wander`           how far checkpoints wander by themselves
* `shift`            how far each ability moved between two windows, with both variances
* `declines`         abilities that fell
* `conflicts`        one that rose while another fell
* `courses`          one ability over all checkpoints: any two stretches compared at once
* `convergence`      no later gain above the margin, as a decision
* `plateaus`         stretches without change
* `alarms`           sudden drops, collapse, answers that are none
* `steadiness_lost`  stability lost while accuracy rises

What to do:

* `assess`           one run, whole: load, detect, advise; the same from a replay
* `advice`           `advise_run`: a line an ability, and one for the run
* `best`             which checkpoint is best at what
* `first_fit`        the first that meets the needs, and how sure
* `spent`            GPU-hours and dollars since a step
* `candidates`       checkpoints worth merging, as a file that ``merge search`` reads
* `keep`             which checkpoints are kept, and why; deletes the others where told to
* `retention`        the same for ``lens-ray checkpoints``: pins and the rule in the store

Who hears of it:

* `alert`            what there is to tell of findings
* `alerts`           tells each of them once
* `webhooks`         by HTTP, generic or as Slack wants it

For trainers; none of it can end or slow a training:

* `announce`         ``announce(path, step)``: a checkpoint is whole
* `marker`           what that writes: ``lens-ray.json``
* `callback`         `LensCallback` for transformers, and accelerate
* `stop_file`        the signal to stop (Ray Train: `lens_ray.engine.train_hook`)

Nothing here touches Ray.
"""

from lens_ray.online.announce import announce

__all__ = ["announce"]
