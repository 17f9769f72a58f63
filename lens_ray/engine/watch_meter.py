"""Shows what a watch finds as Ray's own metrics: `WatchMeter`.

They are of the process that watches, and exported beside those of `lens_ray.engine.meter`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from lens_ray.online.findings import Findings

#: Name, tags and meaning of each gauge; Ray puts ``ray_`` before the name.
WATCH_METRICS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "lens_ray_watch_step": (("watch", "run"), "Step of the newest checkpoint that was asked"),
    "lens_ray_watch_score": (
        ("watch", "run", "ability"), "Corrected score of the newest checkpoint that was asked"
    ),
    "lens_ray_watch_findings": (
        ("watch", "run", "kind"), "Abilities converged, declines, conflicts, alarms"
    ),
}  # fmt: skip

Reading = tuple[str, dict[str, str], float]


def readings(watch: str, findings: Findings) -> list[Reading]:
    """What there is to show of a run: name, tags and value of each gauge; nothing undefined.

    Args:
        watch: Name of the watch.
        findings: Of one of its runs.
    """
    tags = {"watch": watch, "run": findings.run}
    found: list[Reading] = []
    if findings.step is not None:
        found.append(("lens_ray_watch_step", tags, float(findings.step)))
    for curve in findings.curves:
        last = curve.points[-1].value if curve.subtask is None and curve.points else None
        if last is not None:
            found.append(("lens_ray_watch_score", {**tags, "ability": curve.ability}, last))
    counts = {
        "converged": sum(one.phase == "converged" for one in findings.convergence),
        "decline": len(findings.declines),
        "conflict": len(findings.conflicts),
        "alarm": len(findings.alarms),
    }
    for kind, count in counts.items():
        found.append(("lens_ray_watch_findings", {**tags, "kind": kind}, float(count)))
    return found


class WatchMeter:
    """Shows the findings of a watch, while Ray is up in this process."""

    def __init__(self, watch: str) -> None:
        """Nothing is registered before Ray is up.

        Args:
            watch: Name of the watch, a tag of each gauge.
        """
        self._watch = watch
        self._gauges: dict[str, object] = {}

    def show(self, findings: Findings) -> None:
        """Say how a run stands; without Ray nothing happens."""
        ray = sys.modules.get("ray")  # a watch that asks nothing has not imported it
        if ray is None or not ray.is_initialized():
            return
        from ray.util.metrics import Gauge

        for name, tags, value in readings(self._watch, findings):
            gauge = self._gauges.get(name)
            if not isinstance(gauge, Gauge):
                keys, text = WATCH_METRICS[name]
                gauge = self._gauges[name] = Gauge(name, text, keys)
            gauge.set(value, tags)
