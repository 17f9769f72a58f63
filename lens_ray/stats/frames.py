"""Results as tables: `Framed` gives a frozen dataclass ``rows()`` and ``to_frame()``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lens_ray.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Framed:
    """A result that is one row, or, where it overrides `rows`, several."""

    __slots__ = ()

    def rows(self) -> list[dict[str, Any]]:
        """The result as records of plain values, None where a figure is null."""
        return [asdict(self)]  # type: ignore[call-overload]

    def to_frame(self) -> pd.DataFrame:
        """The records as a pandas data frame.

        Raises:
            UserError: pandas is not installed.
        """
        return frame_of(self.rows())


def frame_of(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Records as a pandas data frame, one column a key.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError(
            "to_frame() needs pandas; type pip install pandas, or use rows()"
        ) from error
    return pd.DataFrame.from_records([dict(record) for record in records])
