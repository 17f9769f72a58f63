"""Shows a job's numbers as Ray's own metrics: `RayMeter`.

Ray's agent on each node exports them for Prometheus beside Ray's (``ray_lens_ray_...``). It keeps
what a process last said of itself, so a coordinator that ends is to end in order
(`lens_ray.engine.driver`), and one that was killed and started again counts from 0.
"""

from __future__ import annotations

from collections.abc import Callable

from ray.util.metrics import Counter, Gauge, Histogram

from lens_ray.engine.gauges import COUNTER, GAUGE, HISTOGRAM, METRICS, Gauges, Series


class RayMeter:
    """A `lens_ray.engine.gauges.Meter`; made in the process that speaks."""

    def __init__(self, job: str) -> None:
        """Register the metrics.

        Args:
            job: Name of the job, a tag of each.
        """
        self._said: dict[Series, float] = {}
        self._record: dict[str, Callable[[float, dict[str, str]], object]] = {}
        for key, metric in METRICS.items():
            tags, text = ("job", *metric.tags), metric.text
            made: Counter | Gauge | Histogram
            if metric.kind == COUNTER:
                made = Counter(metric.name, text, tags)
                self._record[key] = made.inc
            elif metric.kind == GAUGE:
                made = Gauge(metric.name, text, tags)
                self._record[key] = made.set
            else:
                assert metric.kind == HISTOGRAM
                made = Histogram(metric.name, text, list(metric.bounds), tags)
                self._record[key] = made.observe
            made.set_default_tags({"job": job})

    def show(self, gauges: Gauges) -> None:
        """Say what has changed: 0.003 ms for each number that did."""
        for series, total in gauges.totals.items():
            more = total - self._said.get(series, 0.0)
            if more > 0:
                self._say(series, more)
                self._said[series] = total
        for series, level in gauges.levels.items():
            if self._said.get(series) != level:
                self._say(series, level)
                self._said[series] = level
        for series, seconds in gauges.times:
            self._say(series, seconds)

    def _say(self, series: Series, value: float) -> None:
        key, values = series
        tags = dict(zip(METRICS[key].tags, values, strict=True))
        self._record[key](value, tags)
