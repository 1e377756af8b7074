"""Several profiles → a folder of reports: each network's tables, their comparison, and an index page in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote

from tabulate import tabulate

from profiler.analysis.comparison import kind_share
from profiler.errors import ProfilerError
from profiler.files import same_folder
from profiler.formatting import engineering, share_text, thousands
from profiler.profiles import Profile
from profiler.records import show_shapes
from profiler.render.formats import render_files
from profiler.render.formats.markdown import escape
from profiler.render.report import (
    HOW_COUNTED,
    Report,
    ReportPicture,
    comparison_report,
    conv_against_linear,
    profile_report,
)

Wanted = tuple[Profile, Sequence[str], Sequence[str] | None]
"""A profile, with the formats and the tables (by default all) to write."""

INDEX = "README.md"

COMPARISON = "comparison"

PAGE = "index.html"

RESERVED_NAMES = (COMPARISON, INDEX, PAGE)
"""Other entries in the folder of reports; no network can have one of these names."""


def collection_files(
    wanted: Sequence[Wanted],
    rewritings: Sequence[Report] = (),
    pictures: Mapping[str, Sequence[ReportPicture]] = MappingProxyType({}),
) -> dict[str, str | bytes]:
    """Every file of the folder, by its path in it.

    ``rewritings`` are the reports on networks before and after their rewrites, ``pictures`` those of the report in each
    folder.  Raises :class:`ProfilerError` if two networks would be written to the same place, or a network has the name
    of another entry.
    """
    profiles = [profile for profile, _, _ in wanted]
    with_page = any("html" in formats for _, formats, _ in wanted)
    places = [same_folder(name) for name in (*RESERVED_NAMES, *(profile.name for profile in profiles))]
    for profile, place in zip(profiles, places[len(RESERVED_NAMES) :], strict=True):
        if places.count(place) > 1:
            raise ProfilerError(f"name: {profile.name!r} is already used in the folder; give the network another name")
    files: dict[str, str | bytes] = {INDEX: _index(profiles, with_page)}
    comparison = replace(comparison_report(profiles), pictures=tuple(pictures.get(COMPARISON, ())))
    for name, content in render_files(comparison, ("csv", "summary")).items():
        files[f"{COMPARISON}/{name}"] = content
    reports = [
        replace(profile_report(profile, tables), pictures=tuple(pictures.get(profile.name, ())))
        for profile, _, tables in wanted
    ]
    for report, (profile, formats, _) in zip(reports, wanted, strict=True):
        own_page = ("html",) if with_page and "html" not in formats else ()
        for name, content in render_files(report, (*formats, *own_page)).items():
            files[f"{profile.name}/{name}"] = content
    for report in rewritings:
        for name, content in render_files(report, ("csv", "summary")).items():
            files[f"{report.title}/rewriting/{name}"] = content
    if with_page:
        addresses = {profile.name: f"{quote(profile.name)}/report.html" for profile in profiles}
        files[PAGE] = collection_page(comparison, reports, rewritings, addresses)
    return files


def collection_page(
    comparison: Report,
    reports: Sequence[Report],
    rewritings: Sequence[Report] = (),
    addresses: Mapping[str, str] | None = None,
) -> str:
    """One HTML page with the comparison first, then each network, then what the rewrites changed.

    ``addresses`` are those of the networks' own pages, by name, for tables that have no room on this one.
    """
    from profiler.render.page.pages import pages_in_one  # jinja2 is needed for pages only

    changes = [replace(report, title=f"{report.title}, before and after") for report in rewritings]
    return pages_in_one(comparison.title, [comparison, *reports, *changes], addresses)


def _index(profiles: Sequence[Profile], with_page: bool) -> str:
    blocks = [
        "# Reports",
        f"What {len(profiles)} networks cost, layer by layer. {HOW_COUNTED}",
        _table([_row(profile) for profile in profiles]),
        "Side by side, with ratios: [comparison](comparison/summary.md)."
        + (f" Everything on one page, for a browser: [{PAGE}]({PAGE})." if with_page else ""),
    ]
    lessons = [(profile, lesson) for profile in profiles if (lesson := conv_against_linear(profile))]
    if lessons:
        first, lesson = lessons[0]
        blocks += [
            f"## What {escape(first.name)} teaches",
            f"{lesson} {_moral(first)}",
            _table(_parts(first)),
        ]
        blocks += [f"- **{escape(profile.name)}**: {lesson}" for profile, lesson in lessons[1:]]
    return _joined(blocks)


def _row(profile: Profile) -> dict[str, str]:
    count = profile.total
    return {
        "network": f"[{escape(profile.name)}]({quote(profile.name)}/summary.md)",
        "input": show_shapes(profile.input_shapes),
        "parameters": thousands(profile.parameters_total),
        "MACs": thousands(count.macs),
        "FLOPs": thousands(count.flops),
        "status": profile.status,
    }


def _parts(profile: Profile) -> list[dict[str, str]]:
    """Convolutions and linear layers: their shares of the parameters and of the multiplies."""
    rows = {row["kind"]: row for row in profile.tabulated("shares").records()}
    return [
        {
            "kind": kind,
            "layers": thousands(rows[kind]["layers"]),
            "parameters": thousands(rows[kind]["parameters"]),
            "of all parameters": share_text(rows[kind]["parameters_share"]),
            "multiplies": thousands(rows[kind]["multiplies"]),
            "of all multiplies": share_text(rows[kind]["multiplies_share"]),
            "adds": thousands(rows[kind]["adds"]),
        }
        for kind in ("conv", "linear", "total")
    ]


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of text; columns whose cells all begin with a digit are right-aligned."""
    names = list(rows[0])
    aligned = [
        "right" if all(row[name][:1].isdigit() and "×" not in row[name] for row in rows) else "left" for name in names
    ]
    body = [list(row.values()) for row in rows]
    return tabulate(body, names, tablefmt="pipe", disable_numparse=True, colalign=aligned)


def _moral(profile: Profile) -> str:
    """What the two shares mean for making the network smaller or faster."""
    held = kind_share(profile, "linear", "parameters") or 0
    done = kind_share(profile, "linear", "multiplies") or 0
    if held <= 2 * done:
        return "The parameters and the arithmetic are in the same layers."
    convolutions = engineering(round((1 - done) * profile.total.multiplies), "multiplies")
    return (
        "The parameters and the arithmetic are in different layers: a convolution uses each weight once for every "
        "position of its output, a linear layer uses each weight once per input. To make such a network smaller in "
        f"memory, look at its linear layers; to make it faster, look at the {convolutions} outside of them."
    )


def _joined(blocks: Sequence[str]) -> str:
    """Blocks with a blank line between them; the items of a list have none."""
    text = ""
    for previous, block in zip(("", *blocks), blocks, strict=False):
        gap = "\n" if previous.startswith("- ") and block.startswith("- ") else "\n\n"
        text += (gap if text else "") + block.strip("\n")
    return f"{text}\n"
