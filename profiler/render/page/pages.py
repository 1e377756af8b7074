"""Reports → pages: one report, several of them on one page, and a frame for a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

from profiler.printable import visible
from profiler.render.page.content import Size, section, without_tables
from profiler.render.page.document import article, document
from profiler.render.report import Report

MOST_BYTES = 6_000_000
"""The maximum size of a page; tables that would exceed it are left out of a page of several reports."""

SMALL = Size(whole=60, first=20)
"""What is written of the tables on a page of several reports."""

KEPT = 1
"""The number of tables that a report keeps if the page would be too large."""


def page(report: Report) -> str:
    """The page of one report."""
    found = section(report)
    return document(found.title, [found])


def pages_in_one(title: str, reports: Sequence[Report], addresses: Mapping[str, str] | None = None) -> str:
    """One page with a view for each report, the first one first.

    Names of networks lead to the view of the first report of that title about one profile.  If all tables together are
    too large, the last reports keep their first table only, and name their own page if ``addresses`` has it by title.
    """
    links: dict[str, str] = {}
    for number, report in enumerate(reports, 1):
        if report.profile is not None:
            links.setdefault(visible(report.title), f"#r{number}")
    sections = [section(report, f"r{number}", SMALL, links) for number, report in enumerate(reports, 1)]
    articles = [article(each, first=each is sections[0]) for each in sections]
    sizes = [len(text.encode()) + 1 for text in articles]
    room = MOST_BYTES - len(document(visible(title), sections, [Markup()]).encode())
    for place in reversed(range(1, len(sections))):
        if sum(sizes) <= room:
            break
        address = (addresses or {}).get(reports[place].title, "")
        sections[place] = without_tables(sections[place], KEPT, address)
        articles[place] = article(sections[place], first=False)
        sizes[place] = len(articles[place].encode()) + 1
    return document(visible(title), sections, articles)


def frame(report: Report, height: int = 640) -> str:
    """The page of a report in an ``iframe`` of this height in pixels, for a notebook; its styles do not leave it."""
    source = escape(page(report), quote=True)
    return (
        f'<iframe srcdoc="{source}" title="{escape(visible(report.title), quote=True)}" '
        f'style="width:100%;height:{height}px;border:0" loading="lazy"></iframe>'
    )
