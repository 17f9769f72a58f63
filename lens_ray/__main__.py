"""``python -m lens_ray``: the command line."""

from __future__ import annotations

import sys

from lens_ray.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
