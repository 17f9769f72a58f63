"""``python -m lens_ray.testing.abilitylens_data OUT [--full] [--seed N]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from lens_ray.testing.abilitylens_data.layout import generate


def main() -> None:
    """Write the data sets and name them."""
    parser = argparse.ArgumentParser(
        prog="python -m lens_ray.testing.abilitylens_data",
        description="Write data sets in the schemas of AbilityLens' sources, made from a seed.",
    )
    parser.add_argument("out", type=Path, help="folder to write to; made if it is missing")
    parser.add_argument("--full", action="store_true", help="as many rows as are published")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name, rows in generate(given.out, full=given.full, seed=given.seed).items():
        print(f"{name}: {rows:,} rows")
    print(f"next: lens-ray suite build abilitylens --from {given.out}")


if __name__ == "__main__":
    main()
