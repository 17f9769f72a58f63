"""The suite behind some marks, where this machine has it: `asked_suite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lens_ray.errors import LensError
from lens_ray.stats.marks import Marks

if TYPE_CHECKING:
    from lens_ray.suites.suite import Suite


def asked_suite(marks: Marks, ref: str | None = None) -> tuple[Suite | None, str | None]:
    """Find the suite that was asked.

    Args:
        marks: What was marked.
        ref: Folder, URL or name of the suite; None looks where suites are kept.

    Returns:
        The suite and None, or None and why it is not at hand. A reference that was given must
        hold.

    Raises:
        SuiteError: ``ref`` is no suite, or another one.
    """
    from lens_ray.errors import SuiteError
    from lens_ray.suites.suite import load_suite

    if ref is not None:
        found = load_suite(ref)
        if found.digest != marks.suite_digest:
            raise SuiteError(
                f"suite {ref}: it has digest {found.digest[:12]}, but {marks.suite_digest[:12]} "
                "was asked"
            )
        return found, None
    name = marks.suite.partition("@")[0]
    try:
        return load_suite(f"{name}@{marks.suite_digest}"), None
    except LensError as error:
        return None, str(error)
