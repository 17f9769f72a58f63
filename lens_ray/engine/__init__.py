"""How work is spread over Ray.

In the order of the work:

* `lens_ray.engine.entries`      the models of a job: who each one is, and its run
* `lens_ray.engine.plan`         what the driver hands to the actors, and what a run is called
* `lens_ray.engine.cluster`      a Ray to work on: a local one, or one that is there
* `lens_ray.engine.placement`    what a replica needs, and what the cluster has
* `lens_ray.engine.driver`       starts and kills the actors as the coordinator says
* `lens_ray.engine.coordinator`  the one actor that knows what is done; `board` decides in it, and
  `desk` is one model, `seats` are the replicas
* `lens_ray.engine.ledger`       who works on which sample (pure)
* `lens_ray.engine.planner`      which replica takes which model (pure)
* `lens_ray.engine.replica`      the actor that hosts a model; `feeder` keeps it busy, `asking`
  makes requests and rows, `opening` finds suite and checkpoint
* `lens_ray.engine.attach`       what a replica that asks a provider is given: permits, `memory` of
  paid answers, notes
* `lens_ray.engine.limiter`      the actor that shares a key's limits; `permits` decides in it and
  `pace` finds out what a provider bears (pure), `lease` is what it and its clients say to each
  other, `holder` spends what it lends (pure), `permit_client` talks to it
* `lens_ray.engine.purse`        who may spend how much of a budget (pure); `till` is the
  coordinator's side of it, `wallet` a replica's, `budgets` what a job's budgets mean
* `lens_ray.engine.sink`         rows on their way to the store
* `lens_ray.engine.finish`       the commit of a run, with its scores
* `lens_ray.engine.flip`         the self-check at batch 1
* `lens_ray.engine.hold`         the driver's leases of its runs
* `lens_ray.engine.messages`     what the actors say to each other; `progress` is what is shown
* `lens_ray.engine.forecast`     what a job will take, before it is run; `api_forecast` of a
  provider's model, `bill` in dollars
* `lens_ray.engine.keys_on_nodes` whether every node has a job's keys
"""
