"""Whether a merge is what it says, works, and harms nobody: tiers V0 to V5.

* `lens_ray.verifying`    `verify_merge`, top-down: read it first
* `look`                  the tiers that need no answers, one after the other
* `structure`, `loading`  V0: a checkpoint like its parents
* `algebra`, `recompute`  V1: numbers as the recipe says
* `function`, `probes`    V2: it still computes, block by block (`blocks`)
* `engines`               V3: the serving engine answers alike
* `behaviour`, `churn`    V4: abilities won, held and lost; what parents know and the merge not
* `habits`, `sight`       V4: how it answers, whatever is right; whether it looks at the image
* `bounded`               V4: one difference held against one limit
* `critical`              V4: samples that must not fail
* `provenance`            V5: it is what its record tells of
* `policy`                what GO is, as a file
* `tiers`, `kin`          what the tiers look at (`weights`)
* `verification`          what was found, whole
"""
