"""The shares of the parameters and of the work, kind by kind, as pairs of bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profiler.formatting import is_missing, share_text
from profiler.measures import Measure, find_measure
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import FIRST, GRAY, SECOND, Sheet, bare, label, name_rows, room_for, words_of
from profiler.pictures._subjects import about, remarks
from profiler.records import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAIN = ("conv", "linear")
"""The kinds that have their own bars in any case, if the network has them."""

MOST = 4
"""The number of kinds with their own bars; the smaller ones are summed up."""

THICKNESS = 0.36

Pair = tuple[str, float | None, float | None]
"""A kind, and its shares of the parameters and of the work; a share is missing if the work is not known."""


def pairs(profiles: Profiles, measure: Measure) -> list[Pair]:
    """The kinds with their shares, in the order of tables; those with small shares are summed up in ``other``."""
    (profile,) = profiles
    table = profile.tabulated("shares").records()
    columns = ("parameters", measure.name)
    whole = next(row for row in table if row["kind"] == "total")
    rows = [
        row for row in table if row["kind"] in KINDS and any(row[name] or is_missing(row[name]) for name in columns)
    ]

    def rank(row: dict[str, Any]) -> tuple[bool, float]:
        return row["kind"] not in MAIN, -max(row[f"{name}_share"] or 0 for name in columns)

    own = sorted(rows, key=rank)[: MOST if len(rows) > MOST + 1 else MOST + 1]
    found: list[Pair] = [
        (row["kind"], row["parameters_share"], row[f"{measure.name}_share"]) for row in rows if row in own
    ]
    rest = [row for row in rows if row not in own]
    if rest:
        sums = [sum(row[name] or 0 for row in rest) for name in columns]
        parts = [number / whole[name] if whole[name] else 0.0 for number, name in zip(sums, columns, strict=True)]
        found.append(("other", parts[0], parts[1]))
    return found


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """As high as its bars."""
    (profile,) = profiles
    found = pairs(profiles, measure)
    held = find_measure("parameters")
    counted = "" if profile.complete else "counted "
    key = ((FIRST, "share of the parameters"), (SECOND, f"share of the {counted}{measure.heading}"))
    return Sheet(
        profile.name,
        about(profile, (held, measure)),
        key if found else (),
        remarks(profiles),
        height=24 * max(1, len(found)),
        left=room_for([words_of(kind) for kind, _, _ in found], 90),
        right=34,
        below=14 if found else 4,
    )


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """Two bars for each kind, of the lengths of its shares."""
    found = pairs(profiles, measure)
    if not found:
        bare(ax)
        label(ax, "no parameters, and no work that is counted", (0.5, 0.5), ha="center", color=GRAY)
        return
    bare(ax, keep=("left", "bottom"))
    ax.set_yticks([])
    ax.set_xlim(0, 1)
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.grid(visible=True, axis="x")
    bars = ((FIRST, -0.5, [held for _, held, _ in found]), (SECOND, 0.5, [done for _, _, done in found]))
    for fill, side, values in bars:
        rows = [row + side * THICKNESS for row in range(len(found))]
        ax.barh(rows, [value or 0 for value in values], THICKNESS, **fill.options)
        for row, value in zip(rows, values, strict=True):
            label(ax, share_text(value), (value or 0, row), (3, 0))
    name_rows(ax, [words_of(kind) for kind, _, _ in found], 90)


def words(profiles: Profiles, measure: Measure) -> str:
    """What each kind holds and does."""
    (profile,) = profiles
    found = pairs(profiles, measure)
    if not found:
        return f"{profile.name} has no parameters and no counted {measure.heading}."
    counted = "" if profile.complete else "counted "
    of = f"{counted}{measure.heading}"
    parts = [
        f"{words_of(kind)}: {share_text(held)} of the parameters, {share_text(done)} of the {of}"
        for kind, held, done in found
    ]
    return f"{profile.name}: {'; '.join(parts)}."


PICTURE = Picture(
    "shares of the parameters and of the work, by kind of layer",
    draw,
    sheet,
    words,
    figures=("multiplies", "macs", "adds", "flops"),
)
