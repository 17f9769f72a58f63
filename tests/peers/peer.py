"""Asks the peers' environment for marks: `ask`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
#: The Python of the peers' environment (`make test-peers` makes it).
PYTHON = Path(os.environ.get("LENS_RAY_PEERS_PYTHON", _ROOT / ".venv-peers" / "bin" / "python"))
#: lmms-eval 0.3.0, of the time at which the reference was forked.
REFERENCE = "reference"
#: lmms-eval 0.7.3 and VLMEvalKit (ms-vlmeval 0.0.20).
CURRENT = "current"


def ask(peer: str, task: str, work: Any, script: str = "oracle.py") -> Any:
    """What ``oracle.py``, or another script of this folder, answers."""
    if not PYTHON.exists():
        pytest.fail(f"the peers' environment {PYTHON} is not there: run `make test-peers`")
    home = PYTHON.parents[1]
    (site,) = home.glob("lib/python3*/site-packages")
    folder = home / REFERENCE if peer == REFERENCE else site
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name(script)), str(folder), task],
        input=json.dumps(work), capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    if done.returncode:
        sys.stderr.write(done.stderr)
        pytest.fail(f"{peer} {task}: the oracle ended with {done.returncode}")
    return json.loads(done.stdout)
