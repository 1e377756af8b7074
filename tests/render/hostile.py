"""Names and texts that break careless files, and a report that is full of them."""

from __future__ import annotations

from profiler.columns import TYPES, Column, Unit
from profiler.render import Report
from profiler.render.report import Fact, Note, ReportTable
from profiler.schema import Table

TEXTS = (
    "plain",
    "",
    " ",
    "  two  blanks  ",
    "a|b",
    "<script>alert(1)</script>",
    "a,b;c",
    'it\'s "quoted"',
    "''twice''",
    "line\nbreak",
    "carriage\rreturn\r\nboth",
    "tab\tstop",
    "\tfirst",
    "\rfirst",
    "\nfirst",
    "=1+1",
    "'=1+1",
    "''=1+1",
    " =1+1",
    "+1",
    "-1",
    "--x",
    "@SUM(A1)",
    "＝1+1",
    "#N/A",
    "TRUE",
    "1e5",
    "007",
    "_x0041_",
    "\\x1b",
    "\\\\",
    "\\",
    "\x1b[31mred\x1b[0m",
    "\x00null",
    "\u202eright to left\u202c",
    "half \ud83d of a pair",
    "pair \ud83d\ude00 of halves",
    "\U0001f600",
    "層名",
    "naïve Ærøskøbing ß Łódź",
    "αβγ ≤ ∞",
    "e\u0301",
    "\u00a0nbsp",
    "\u2028separator",
    "\ufffe",
    "%_&$#{}~^\\",
    "`code` **bold** [link](x)",
    "?` !` << >> ,, ``",
    "encoder." * 30 + "query",
)

NUMBERS: dict[Unit, tuple[object, ...]] = {
    "count": (0, 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 10**38 - 1, None),
    "bytes": (0, 2**70, 1023, None),
    "difference": (0, -12, 9216, None),
    "share": (0.0, 1.0, 1 / 3, 1e-9, 1 - 1e-9, 0.00005, 0.99995, 5e-324, None),
    "ratio": (1.0, 2.5, 1e-9, 0.1 + 0.2, 123456.789, None),
    "change": (0.0, -1.0, 1e-9, -1e-9, -1 + 1e-9, 0.5, -0.25, 12.5, 1234.5, None),
    "depth": (0, 7),
    "flag": (True, False, None),
}
"""Values of each unit, with the largest integer of each type of a file, and one more."""


def table(rows: int = len(TEXTS)) -> Table:
    """A table with every unit, every text in a column of names and in one of formulas, and every number."""
    texts: list[Unit] = [unit for unit, type in TYPES.items() if type is str]
    columns = [
        Column(f"{unit}_column", unit, place, meaning="it's <b>") for place, unit in enumerate((*texts, *NUMBERS))
    ]
    values = [[TEXTS[(row + 7 * place) % len(TEXTS)] for row in range(rows)] for place in range(len(texts))]
    values[texts.index("status")] = ["complete", "partial"] * (rows // 2) + ["complete"] * (rows % 2)
    figures = [[found[row % len(found)] for row in range(rows)] for found in NUMBERS.values()]
    return Table("hostile", "Hostile: $x_1^2$ & 100 %", tuple(columns), (*values, *figures))


def report() -> Report:
    """A report with that table, complete and shown, and the texts in its title, facts and notes."""
    found = table()
    return Report(
        title="=cmd|' /C calc'!A0 \u202e <b>",
        facts=(Fact("target", TEXTS[5]), Fact("input", "1×3"), Fact("mode", "inference"), Fact("status", "complete")),
        notes=tuple(Note(text, "remark") for text in TEXTS if text.strip()),
        tables=(ReportTable(found, found, ("A note with | and <b>.",)),),
    )
