"""Which fixtures the tests ask for that were chosen to run."""

from __future__ import annotations

import pytest


def is_wanted(request: pytest.FixtureRequest, fixture: str) -> bool:
    """Whether a chosen test asks for a fixture, itself or by another one."""
    names = (getattr(item, "fixturenames", ()) for item in request.session.items)
    return any(fixture in one for one in names)
