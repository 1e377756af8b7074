"""Our records and another counter's figures → where they agree, and the reason for every difference.

A reason is derived from the two records: from the counter's own convention, restated on the shapes that we recorded,
and from what it says that it saw, did not see, and has no rule for.  What is left over is unexplained.
"""

from __future__ import annotations

from profiler.crosschecks.operators import fvcore_figure
from profiler.crosschecks.reasons import REASONS, Part, Reason
from profiler.crosschecks.rows import CONVENTIONS, Row, agreement_rows
from profiler.crosschecks.tables import (
    AGREEMENT_COLUMNS,
    REASONS_COLUMNS,
    SUMMARY_COLUMNS,
    agreement_summary,
    agreement_table,
    reasons_table,
    unexplained,
)

__all__ = [
    "AGREEMENT_COLUMNS",
    "CONVENTIONS",
    "REASONS",
    "REASONS_COLUMNS",
    "SUMMARY_COLUMNS",
    "Part",
    "Reason",
    "Row",
    "agreement_rows",
    "agreement_summary",
    "agreement_table",
    "fvcore_figure",
    "reasons_table",
    "unexplained",
]
