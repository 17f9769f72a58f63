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
* `lens_ray.engine.limiter`      the actor that shares a key's limits; `permits` decides in it and
  `pace` finds out what a provider bears (pure), `permit_client` spends what it lends
* `lens_ray.engine.sink`         rows on their way to the store
* `lens_ray.engine.finish`       the commit of a run, with its scores
* `lens_ray.engine.flip`         the self-check at batch 1
* `lens_ray.engine.hold`         the driver's leases of its runs
* `lens_ray.engine.messages`     what the actors say to each other; `progress` is what is shown
"""
