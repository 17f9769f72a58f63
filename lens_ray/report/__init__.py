"""What people look at: the compact leaderboard and the self-contained HTML report.

* `lens_ray.report.page`     `write_report`: a store becomes one HTML file
* `lens_ray.report.gather`   what the page says of each suite, read from the store
* `lens_ray.report.samples`  the samples that can be looked at, with every model's answer
* `lens_ray.report.tables`   scores become leaderboard rows, and plain text for a terminal
* `lens_ray.report.board`    the leaderboard with ranks, stability, cost and groups
* `lens_ray.report.merged`   a search for a merge: abilities of parents, final checkpoint and merge
* `lens_ray.report.merge_report`  a verification, for who answers for a merge
* `lens_ray.report.export`   rows, scores and the leaderboard as CSV, Markdown, JSON or Parquet
* `lens_ray.report.figures`  the figures, as inline SVG; `lens_ray.report.svg` is their alphabet
* `lens_ray.report.views`    what the page's skeleton fills in
* `lens_ray.report.safe`     untrusted text made harmless, and the page's security policy
* `lens_ray.report.files`    a file is there whole or not at all
* ``assets/``                skeleton, style and script of the page
"""

from __future__ import annotations

from lens_ray.report.page import write_report

__all__ = ["write_report"]
