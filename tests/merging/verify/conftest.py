"""A merge that is made once and copied for whoever spoils it."""

from __future__ import annotations

from tests.merging.verify import merges

merge, pristine = merges.merge, merges.pristine
