"""Does a merge that was found hold on samples that nobody has ever looked at?

``python -m jobs.benchmarks.bench_merge_fresh MERGED --out FILE.json`` draws `mini` anew, in the
size of `mini:confirm` and from seeds of its own, and asks the merge in the folder MERGED, its final
checkpoint and its other parents. All differences are paired by sample and clustered by image. A
search confirms once; who changes its settings after a confirmation has looked at those samples too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import lens_ray
from lens_ray.job import JobSpec
from lens_ray.merging.verify.provenance import read_record
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.mini import build_mini
from lens_ray.suites.suite import write_suite


def asked(merged: str, draw: str, work: Path) -> str:
    """A store with the answers of the merge and of its parents on a suite drawn anew."""
    samples, images = build_mini("confirm", draw)
    suite = str(work / "suite")
    write_suite("mini-anew", samples, images, suite, licence="Apache-2.0", revision=draw)
    record = read_record(Path(merged))
    models = [
        ModelSpec(name=parent.name, path=parent.path, step=parent.step)
        for parent in record.recipe.parents
    ]
    models.append(ModelSpec(name="merge", path=merged))
    store = str(work / "store")
    lens_ray.evaluate(JobSpec(name="anew", suite=suite, store=store, models=tuple(models)))
    return store


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("merged", help="folder that merge search wrote")
    parser.add_argument("--draw", default="2611")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    record = read_record(Path(given.merged))
    found = {}
    with tempfile.TemporaryDirectory() as work:
        store = asked(given.merged, given.draw, Path(work))
        for parent in record.recipe.parents:
            told = lens_ray.compare(store, "merge", parent.name)
            found[parent.name] = {
                each.figure: [each.difference, each.ci_low, each.ci_high] for each in told.figures
            }
            for each in told.figures:
                print(
                    f"merge - {parent.name}  {each.figure:16} {each.difference:+.4f} "
                    f"[{each.ci_low:+.4f}, {each.ci_high:+.4f}]"
                )
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
