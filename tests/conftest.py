"""The environment of every test process, set before Ray or torch are imported."""

from __future__ import annotations

import os

os.environ.update(
    {
        # Ray stays on loopback and asks for no token (reference page ray-vllm-s3, section 5).
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_initial_delay_ms": "500",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
)

from hypothesis import settings

pytest_plugins = ["tests.buckets", "tests.disks"]

# A busy machine is slow, not wrong. CI draws the same examples each time, so that a landing does
# not hang on luck; here they are new at every run.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
