"""The next checkpoint, brought to a node while its replicas are still at work: `Prefetch`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from lens_ray.engine.plan import ModelPlan
from lens_ray.models.remote import place_of, places_of
from lens_ray.node_cache import alone

_END_S = 2.0
_LINE = 300


class Prefetch:
    """Of one replica. A failure is only a note: who loads the checkpoint says it if it persists."""

    def __init__(self) -> None:
        """Nothing is brought yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._name = ""
        self._then: ModelPlan | None = None
        self._claim = ExitStack()

    def begin(self, model: ModelPlan) -> None:
        """Bring a checkpoint, unless this replica or another of this node is bringing one of it.

        Args:
            model: Its path is a URL, or says how it is made.
        """
        state = Path(model.identity.weights).name
        place = place_of(state)
        if any(one.is_dir() for one in places_of(state)):
            return
        if self._process is not None:
            self._then = model
            return
        if self._claim.enter_context(alone(place, "ahead")):
            self._name = model.spec.name
            with suppress(OSError):  # no process, no copy ahead
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lens_ray.models.bring", model.spec.path],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
        if self._process is None:
            self._claim.close()

    def note(self) -> str | None:
        """What went wrong with a copy that has ended meanwhile; said once."""
        if self._process is None or self._process.poll() is None:
            return None
        process, self._process = self._process, None
        said, _ = process.communicate()
        self._claim.close()
        name, then, self._then = self._name, self._then, None
        if then is not None:
            self.begin(then)
        if process.returncode == 0:
            return None
        line = said.decode(errors="replace").strip()[:_LINE] or f"it ended: {process.returncode}"
        return f"{name}: its checkpoint was not brought ahead: {line}"

    def close(self) -> None:
        """End a copy that is under way; nothing of it is left."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired, OSError):
            self._process.communicate(timeout=_END_S)  # closes its standard input
        self._process.kill()
        self._process.communicate()
        self._process = None
        self._claim.close()
