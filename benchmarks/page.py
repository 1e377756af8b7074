"""Stored results → the tables in ``README.md``, and the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.measuring import find_rows
from benchmarks.networks import LABELS
from benchmarks.results import Result, Stored, Target
from benchmarks.row import Row

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results: made by python -m benchmarks --page -->\n", "<!-- end of the results -->\n"
VERDICTS = {"wanted": "wanted", "must": "must", "missed": "**missed**", "": ""}


def lines_of(row: Row, result: Result) -> list[str]:
    """What a terminal shows of one result: each figure, its quartiles, by wall time, and its bounds."""
    label = LABELS.get(result.subject, result.subject)
    lines = [f"  {label}: {thing}: {reason}".replace(": : ", ": ") for thing, reason in result.failed.items()]
    for target in row.targets:
        value = target.of(result)
        if value is None:
            continue
        spread, wall = target.spread(result), target.of(result, "wall")
        between = "" if spread is None else f"{number(spread[0])}–{number(spread[1])}"
        by_wall = "" if target.clockless else f"wall {number(wall)}"
        shown = f"{number(value)}{target.unit and ' '}{target.unit}"
        verdict = f"{bounds(target)} {target.verdict(value)}".strip()
        lines.append(f"  {label:24} {target.label:34} {shown:>16} {between:>16} {by_wall:>14}  {verdict}".rstrip())
    return lines


def number(value: float | None) -> str:
    """Three significant digits; thousands are separated."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.3f}" if "e" in text and value else text


def bounds(target: Target) -> str:
    """The bounds of a target, ``≤ 0.6, wanted ≤ 0.3``; empty without any."""
    if target.must is None:
        return ""
    sign = "≥" if target.at_least else "≤"
    wanted = "" if target.wanted is None else f", wanted {sign} {number(target.wanted)}"
    return f"{sign} {number(target.must)}{wanted}"


def results_text(stored: Stored) -> str:
    """The generated part of the page, without its markers."""
    rows = find_rows()
    parts = [_machine(stored), _summary(stored, rows)]
    for name, row in rows.items():
        results = stored.of(name)
        if results:
            parts.append(_row_text(name, row, results))
    return "\n".join(parts)


def _machine(stored: Stored) -> str:
    described = ", ".join(f"{name} {value}" for name, value in stored.machine.items())
    loads = [result.load for result in stored.results]
    if not loads:
        return "Nothing is measured yet.\n"
    days = sorted({result.when[:10] for result in stored.results})
    return (
        f"Measured on {', '.join(days)}: {described}. The load average at the start of each measurement was "
        f"{min(loads):.1f} to {max(loads):.1f}, {median(loads):.1f} in the middle.\n"
    )


def _summary(stored: Stored, rows: dict[str, Row]) -> str:
    """Every figure with a bound: its worst value over all subjects."""
    lines = []
    for name, row in rows.items():
        for target in row.targets:
            found = {result.subject: value for result in stored.of(name) if (value := target.of(result)) is not None}
            if target.must is None or not found:
                continue
            worst = target.worst(found.values())
            holds = sum(target.verdict(value) in ("must", "wanted") for value in found.values())
            subject = next(LABELS.get(key, key) for key, value in found.items() if value == worst)
            lines.append(
                (
                    f"{name}: {target.label}",
                    f"{number(worst)} {target.unit} ({subject})".replace("  ", " "),
                    bounds(target),
                    f"{holds} of {len(found)}",
                    VERDICTS[target.verdict(worst)],
                )
            )
    return _table(("figure", "worst value", "must", "holds for", "bound that holds for all"), lines)


def _row_text(name: str, row: Row, results: Sequence[Result]) -> str:
    shown = [target for target in row.targets if any(target.of(result) is not None for result in results)]
    lines = [
        (LABELS.get(result.subject, result.subject), *(_cell(target, result) for target in shown)) for result in results
    ]
    text = f"### {row.title}\n\n" + _table((name, *(_heading(target) for target in shown)), lines)
    failures = [
        f"- {LABELS.get(result.subject, result.subject)}{thing and ', '}{thing}: {reason}"
        for result in results
        for thing, reason in result.failed.items()
    ]
    return text + ("\nWhat failed:\n\n" + "\n".join(failures) + "\n" if failures else "")


def _heading(target: Target) -> str:
    return target.label if not target.unit or target.unit in target.label else f"{target.label}, {target.unit}"


def _cell(target: Target, result: Result) -> str:
    value = target.of(result)
    if value is None:
        return ""
    bold = "**" if target.verdict(value) == "missed" else ""
    spread = target.spread(result)
    between = "" if spread is None or target.clockless else f" ({number(spread[0])}–{number(spread[1])})"
    return f"{bold}{number(value)}{bold}{between}"


def _table(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = "|".join([":--", *["--:"] * (len(heading) - 1)])
    rows = [f"| {' | '.join(heading)} |", f"|{rule}|"]
    return "\n".join(rows + [f"| {' | '.join(line)} |" for line in lines]) + "\n"


def page_text(old: str, stored: Stored) -> str:
    """The page with its generated part made again.  Raises ValueError if the markers are gone."""
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name}: expected the lines {BEGIN.strip()!r} and {END.strip()!r}")
    return f"{before}{BEGIN}\n{results_text(stored)}\n{END}{after}"


def write_page(stored: Stored) -> None:
    """Write the page, and the picture if matplotlib is installed."""
    from benchmarks.picture import write_picture

    PAGE.write_text(page_text(PAGE.read_text(encoding="utf-8"), stored), encoding="utf-8")
    write_picture(stored)
