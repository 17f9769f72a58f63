"""``lens-ray`` under a local Ray of one core, so that a sweep has one engine and no second.

``python -m jobs.benchmarks.one_engine run JOB.yaml``. On a machine of two cores lens-ray would
start an engine on each; `bench_sweep_lmms.py` compares one with one. The start of Ray is part of
this process, as it is of ``lens-ray``.
"""

from __future__ import annotations

import logging
import os
import sys

#: As lens-ray starts a Ray of its own, but for the cores.
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    # Ray's workers step back for other processes by 15; lmms-eval does not. Only on a machine that
    # others use too does it count.
    "RAY_worker_niceness": "0",
}


def main() -> int:
    """Start Ray and hand over to the command line."""
    os.environ.update(_ENVIRONMENT)
    import ray

    from lens_ray.cli.main import main as command_line

    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
