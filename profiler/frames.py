"""Data frames that a notebook shows as reports."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def shown_frame(frame: pd.DataFrame, shown: Callable[[], str]) -> pd.DataFrame:
    """A copy of the data frame that a notebook shows as the HTML of ``shown``.

    What is derived from it (a selection, a copy, a pickle) is a plain data frame.  If it is changed in place, a
    notebook shows it as it shows any data frame.
    """
    found: pd.DataFrame = _shown_frame_class()(frame.copy())
    found._shown, found._as_made = shown, frame  # type: ignore[attr-defined]
    return found


@cache
def _shown_frame_class() -> Any:
    """The class, which is made when pandas is needed."""
    import pandas as pd

    plain: Any = pd.DataFrame

    class ShownFrame(plain):  # type: ignore[misc]
        """A data frame with a display of its own."""

        _internal_names = (*plain._internal_names, "_shown", "_as_made")
        _internal_names_set = frozenset(_internal_names)

        @property
        def _constructor(self) -> Any:
            return plain

        def _repr_html_(self) -> str | None:
            made = self._as_made
            if list(self.columns) == list(made.columns) and self.equals(made):
                text: str = self._shown()
                return text
            other: str | None = plain(self)._repr_html_()
            return other

        def __reduce__(self) -> Any:
            return plain(self).__reduce__()

    return ShownFrame
