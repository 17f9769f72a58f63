"""The search for a merge that beats the final checkpoint and the best single one. Pure.

* `search`               `search`, top-down: read it first
* `trial`                what is tried, and who asks it: the protocol `Asker`
* `desk`, `table`        what was tried, and what it scored side by side
* `screen`               which checkpoints and ingredients are worth the dear samples
* `pool`                 window means of each ability: what goes in
* `greedy`               ingredients that help, one after the other
* `mixture`              the mixture design (`lattice`, `surface`)
* `refine`               parts of the model, task vectors, published recipes
* `choose`               which trial is worth confirming
* `conclude`, `confirm`  once, on samples that no step has seen
* `optimism`             what being chosen adds to a gain
* `found`                all of it, as it is printed
"""
