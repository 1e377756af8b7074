"""Writes docs/timm-figures.md from the stored rows: ``python -m tests.published.timm_page``.

``python -m tests.published.timm_page TABLE.csv`` first measures every row of a table as timm writes it, and stores
the rows; it takes about half an hour.
"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from profiler.files import write_text
from tests.published.timm_rows import (
    AS_BUILT,
    NOT_FUSED,
    NOT_THERE,
    REPARAMETERIZED,
    SOURCE,
    TABLE,
    Row,
    measured,
    published,
    rows,
    store,
)

PAGE = Path(__file__).parents[2] / "docs" / "timm-figures.md"

TIMM = "1.0.31"
"""The release of timm that the rows were measured with."""

REASONS = {
    "ecaresnext50t_32x4d": "timm's row repeats the figures of `ecaresnext26t_32x4d`, the network of half the depth",
}
"""The reasons for networks whose figures differ in every form."""

SECTIONS = {
    REPARAMETERIZED: (
        "## Reparameterized networks",
        "timm printed the figures of the form with merged branches. The rewrite `reparameterize`, which calls the "
        "networks' own methods, gives them.",
    ),
    NOT_FUSED: (
        "## Attention that is not fused",
        "These networks do other work where torch's fused attention is switched off, as it is for timm's table.",
    ),
}


def page(found: list[Row]) -> str:
    """The whole page, from stored rows."""
    forms = Counter(row.form for row in found if row.agrees)
    differ = [row for row in found if not row.agrees and row.form != NOT_THERE]
    missing = [row for row in found if row.form == NOT_THERE]
    lines = [
        "# timm's table, and ours",
        "",
        "timm publishes how many billions of MACs and millions of parameters its networks have, in a table of "
        f"inference benchmarks ([{TABLE}]({SOURCE}{TABLE}), January 2026). fvcore counted them. Here each network is "
        f"built by the installed timm ({TIMM}) and profiled at the same image size. Its headline by the convention "
        "`fvcore` and its parameters are printed as timm prints them. All rows, with exact figures, are in "
        "[timm_rows.csv](../tests/published/timm_rows.csv).",
        "",
        "| rows | |",
        "|---:|---|",
        f"| {len(found):,} | in timm's table |",
        f"| {forms[AS_BUILT]:,} | print as published, both figures |",
        f"| {forms[REPARAMETERIZED]:,} | print as published in the reparameterized form |",
        f"| {forms[NOT_FUSED]:,} | print as published with attention that is not fused |",
        f"| {len(differ):,} | differ, each for a reason given below |",
        f"| {len(missing):,} | name a network that the installed timm does not have |",
        "",
    ]
    for form, (title, text) in SECTIONS.items():
        lines += [title, "", text, "", *_table([row for row in found if row.agrees and row.form == form]), ""]
    if differ:
        lines += ["## Rows that differ", "", *_table(differ, reasons=True), ""]
    if missing:
        names = ", ".join(f"`{name}`" for name in dict.fromkeys(row.network for row in missing))
        lines += ["## Networks that the installed timm does not have", "", f"{names}.", ""]
    lines.append("This page is written by `python -m tests.published.timm_page`.")
    return "\n".join(lines) + "\n"


def _table(found: list[Row], *, reasons: bool = False) -> list[str]:
    more = " reason |" if reasons else ""
    return [
        f"| network | image | GMACs, published | ours | parameters, published, in millions | ours |{more}",
        f"|---|---:|---:|---:|---:|---:|{'---|' if reasons else ''}",
        *(
            f"| {row.network} | {row.size} | {row.gmacs} | {row.figure:,} | {row.mparameters} | {row.parameters:,} |"
            + (f" {REASONS.get(row.network, 'not explained')} |" if reasons else "")
            for row in found
        ),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        assert version("timm") == TIMM, "write down the release of timm that the rows are measured with"
        store([measured(row) for row in published(Path(sys.argv[1]))])
    write_text(PAGE, page(rows()))
