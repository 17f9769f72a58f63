"""The command line in this process, and a folder of suites, as in ``tests/cli``."""

from __future__ import annotations

from tests.cli.conftest import cli, lens_home

__all__ = ["cli", "lens_home"]
