"""Reports as pages: what is in the HTML before a browser reads it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from profiler.columns import Column
from profiler.errors import ProfilerError
from profiler.formatting import UNKNOWN, format_table, is_missing
from profiler.printable import visible
from profiler.render import Report, ReportTable, comparison_report, find_format, profile_report
from profiler.render.page import document as documents
from profiler.render.page import pages
from profiler.render.page.cells import EMPTY, MISSING, Cell, cell_columns, natural
from profiler.render.page.content import Size, looks, section
from profiler.render.page.details import module_details
from profiler.render.page.document import Assets, as_script, document, page_assets
from profiler.render.page.pages import frame, page, pages_in_one
from profiler.render.page.tree import module_tree
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.browser.screenshots import SHOTS
from tests.render import hostile
from tests.render.samples import REPORTS, checked, doubtful

NO_ASSETS = Assets("/* styles of the library */", "/* the library */", "/* styles */", ("/* scripts */",))
"""In place of the library, styles and scripts, which have files of their own."""

VOID = {"meta", "input", "br", "link", "img", "rect"}


class Reader(HTMLParser):
    """The elements of a page: each with its attributes, its text and the elements it is in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[Element] = []
        self.elements: list[Element] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add an element."""
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self.open))
        self.elements.append(element)
        for above in self.open:
            above.inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """End the innermost element, which has to be this one."""
        if tag not in VOID:
            assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Add text to all open elements."""
        for element in self.open:
            element.text += data

    def all(
        self, tag: str, inside: Element | None = None, attributes: Mapping[str, str] | None = None
    ) -> list[Element]:
        """The elements of that tag with these attributes."""
        return [
            element
            for element in (self.elements if inside is None else inside.inside)
            if element.tag == tag
            and all(element.attributes.get(name) == value for name, value in (attributes or {}).items())
        ]


class Element:
    """One element of a page: those it is in and those in it."""

    def __init__(self, tag: str, attributes: dict[str, str], above: tuple[Element, ...]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.above = above
        self.inside: list[Element] = []
        self.text = ""


def read(report: Report, size: Size | None = None) -> Reader:
    """The page of a report without the library, read as HTML."""
    return Reader(document(report.title, [section(report, size=size)], assets=NO_ASSETS))


def rows_of(reader: Reader, table: Element) -> list[list[Element]]:
    """The cells of the body of a table, row by row."""
    (body,) = reader.all("tbody", table)
    rows = reader.all("tr", body)
    return [[element for element in row.inside if element.tag in ("th", "td")] for row in rows]


def tables_of(report: Report) -> list[Table]:
    """The tables of a report that a page shows; a summary with other columns is one of them."""
    found = []
    for part in report.tables:
        if part.shown is not None and not set(part.shown) <= set(part.table):
            found.append(part.shown)
        found.append(part.table)
    return found


def exact_texts(table: Table) -> list[list[str]]:
    """The rows of a table as a page writes them: as in other formats, with bytes as plain numbers."""
    bytes_columns = [column.name for column in table.columns if column.unit == "bytes"]
    texts = format_table(table)
    for name in bytes_columns:
        texts[name] = [UNKNOWN if value is None else f"{value:,}" for value in table[name]]
    rows = list(zip(*texts.values(), strict=True))[: len(table) - table.footer]
    return [[visible(text) for text in row] for row in rows]


def read_back(data: Any, rows: int) -> list[list[str]]:
    """The texts of a table from its JSON, as the script decodes it."""
    columns: list[list[str]] = []
    for column in data["columns"]:
        if "like" in column:
            columns.append(columns[column["like"]])
            continue
        texts = column.get("texts") or [f"{number:,}" for number in summed(column["integers"])]
        columns.append([texts[n] if n >= 0 else UNKNOWN if n == MISSING else "" for n in summed(column["steps"])])
    assert all(len(column) == rows for column in columns)
    return [list(row) for row in zip(*columns, strict=True)]


def summed(steps: list[int]) -> list[int]:
    """Numbers from the differences of neighbors."""
    numbers: list[int] = []
    for step in steps:
        numbers.append(step + (numbers[-1] if numbers else 0))
    return numbers


def test_the_page_equals_its_golden_file(golden: Callable[[str, str], None]) -> None:
    """The golden file holds the page without the library, the styles and the scripts."""
    report = REPORTS["partial"]
    golden("render/partial/page.html", document(report.title, [section(report)], assets=NO_ASSETS))


SLOW = ("alexnet", "alexnet-tree")

EVERY = [
    *(pytest.param(report, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, report in REPORTS.items()),
    pytest.param(hostile.report(), id="hostile"),
]


@pytest.mark.parametrize("report", EVERY)
def test_a_page_has_the_cells_of_every_table(report: Report) -> None:
    """Every row is in the HTML; a value that its text rounds is there with all its digits."""
    reader = read(report)
    tables = reader.all("table")
    shown = [table for table in tables_of(report) if len(table)]
    for element, table in zip(tables, shown, strict=True):
        rows = rows_of(reader, element)
        assert [[cell.text for cell in row] for row in rows] == exact_texts(table)
        for row, values in zip(rows, table.rows(), strict=False):
            for cell, value in zip(row, values, strict=True):
                exact = [data.attributes["value"] for data in reader.all("data", cell)]
                assert exact == ([repr(value)] if isinstance(value, float) and not is_missing(value) else [])


@pytest.mark.parametrize("report", [REPORTS["partial"], hostile.report()], ids=["partial", "hostile"])
def test_long_tables_are_data_that_reads_back(report: Report) -> None:
    """Where a page has the first rows only, its JSON has all of them, and all digits of rounded values."""
    reader = read(report, Size(whole=0, first=2))
    for section_, part in zip(reader.all("section", attributes={"class": "table"}), report.tables, strict=True):
        rows = len(part.table) - part.table.footer
        scripts = [json.loads(script.text) for script in reader.all("script", section_, {"class": "rows"})]
        assert len(scripts) == (rows > 2)
        for data in scripts:
            assert read_back(data, rows) == exact_texts(part.table)
            for column, values in zip(data["columns"], part.table.values, strict=True):
                floats = {value for value in values if isinstance(value, float) and not is_missing(value)}
                if "like" not in column:
                    assert {float(text) for text in column.get("values", ())} == floats


@pytest.mark.slow
def test_a_page_has_every_fact_and_note() -> None:
    """Warnings are first."""
    report = REPORTS["partial"]
    reader = read(report)
    text = " ".join(reader.all("main")[0].text.split())
    for fact in report.facts:
        assert f"{fact.label} {fact.value}" in text or f"{fact.label}{fact.value}" in text or fact.value in text
    notes = [text.index(" ".join(note.text.split())) for note in report.notes]
    assert min(notes) == notes[[note.kind for note in report.notes].index("warning")]


def test_totals_are_at_the_foot() -> None:
    """The whole network is the last row of the layers and does not move when they are sorted."""
    reader = read(REPORTS["partial"])
    feet = [reader.all("tr", foot) for foot in reader.all("tfoot")]
    cells = [[cell.text for cell in reader.all("th", row)] for rows in feet for row in rows]
    assert cells == [["total"], ["whole network"]]


def test_excluded_work_is_at_the_foot() -> None:
    """It is not one of the layers, modules, operations or parameters."""
    profile = nets.alexnet().excluding("classifier")
    for part in profile_report(profile).tables:
        names = list(part.table.values[0])
        if any("excluded" in name for name in names):
            assert "excluded" in names[-1]
            assert part.table.footer >= 1


def test_the_order_is_exact_beyond_the_integers_of_scripts() -> None:
    """Neighbors above 2⁵³ are in the right order, missing values are apart, and bytes have one unit."""
    columns = (Column("layer", "name"), Column("macs", "count"), Column("bytes", "bytes"))
    figures = [2**60 + 1, 2**60, None, 7, 2**60 + 2]
    table = Table.of("t", "T", columns, [(f"layer.{n}", value, 2**30) for n, value in enumerate(figures, 8)])
    names, macs, size = cell_columns(table)
    assert macs.rows == (2, 1, MISSING, 0, 3)
    assert macs.cell(0).text == f"{2**60 + 1:,}"
    assert macs.cell(2).text == UNKNOWN
    assert size.cell(0).text == "1,073,741,824"
    assert names.rows == (0, 1, 2, 3, 4)
    assert cell_columns(Table.of("t", "T", columns[:1], [("",)]))[0].rows == (EMPTY,)


def test_numbers_in_names_are_in_their_order() -> None:
    """Also numbers with more digits than Python reads."""
    names = ["a.10", "a.9", "a", "b.1", "a.9.z", f"a.{'9' * 5000}"]
    assert sorted(names, key=natural) == ["a", "a.9", "a.9.z", "a.10", f"a.{'9' * 5000}", "b.1"]


def scripts(text: str) -> list[str]:
    """The scripts of a page that a browser would run."""
    return [found[1] for found in re.finditer(r"<script>(.*?)</script>", text, re.DOTALL)]


def test_only_the_scripts_of_the_page_may_run() -> None:
    """The policy has the hash of each script, forbids everything else, and comes before the first script."""
    text = page(REPORTS["nothing"])
    reader = Reader(text)
    (policy,) = [
        meta.attributes["content"] for meta in reader.all("meta", attributes={"http-equiv": "Content-Security-Policy"})
    ]
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts(text)
    ]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(hashes),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert len(hashes) == 4
    assert text.index("Content-Security-Policy") < text.index("<style") < text.index("<script>")


def test_a_page_asks_for_nothing() -> None:
    """No element names another file, and no attribute is a script; the styles import nothing."""
    reader = Reader(page(REPORTS["partial"]))
    for element in reader.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name in ("src", "srcset", "action")]
        assert element.attributes.get("href", "#").startswith("#")
        assert element.tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
    assets = page_assets()
    for style in (assets.style, assets.library_style):
        assert not re.search(r"@import|url\((?!data:)", style)
    for script in assets.scripts:
        assert script.isascii()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp", script)


HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "]]><!--",
    "<!--<script>",
    'it\'s "quoted" & &amp;',
    "a|b",
    "line\nbreak",
    "\u202eright to left",
    "x" * 3000,
    "__proto__",
)
"""Names of modules that break careless pages."""


def hostile_profile() -> nets.Network:
    """A network whose modules have these names."""
    net = nets.Network("</title><script>alert(1)</script>", (1, 4))
    for number, name in enumerate(HOSTILE):
        net.linear(f"{name}", 4 + number)
    return net


@pytest.mark.parametrize("size", [Size(0, 1), pytest.param(Size(), marks=pytest.mark.slow)], ids=["data", "rows"])
def test_hostile_names_stay_text(size: Size) -> None:
    """No name adds an element or ends a script, whether it is in the HTML or in the data."""
    plain = nets.Network("plain", (1, 4))
    for number in range(len(HOSTILE)):
        plain.linear(f"fc{number}", 4 + number)
    readers = [read(profile_report(net.profile()), size) for net in (plain, hostile_profile())]
    counts = [[element.tag for element in reader.elements] for reader in readers]
    assert counts[0] == counts[1]
    for script in readers[1].all("script", attributes={"type": "application/json"}):
        assert "<" not in script.text
        json.loads(script.text)


def test_the_library_becomes_a_script() -> None:
    """Its exports get names, and nothing in it ends the element or begins a comment."""
    script = as_script('var a="<!--</script>\u20ac",b=2;export{a as default,b as other};\n/* license */')
    assert script == (
        '(()=>{"use strict";var a="<\\!--<\\/script>\\u20ac",b=2;window.dataTables={default:a,other:b};\n'
        "/* license */\n})();"
    )
    with pytest.raises(ProfilerError, match="found 0 export statements"):
        as_script("var a;")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    with pytest.raises(ProfilerError, match="install itables"):
        documents._library_file("html/dt_bundle.js")


def test_details_show_the_derivation() -> None:
    """The details of a convolution have its shapes, the terms with their counts, and its parameters."""
    details = module_details(nets.small())
    conv = details["modules"]["conv"]
    assert (conv["type"], conv["calls"]) == ("Conv2d", 1)
    assert conv["parameters"] == [["weight", "4×3×3×3", 4 * 3 * 3 * 3, ""], ["bias", "4", 4, ""]]
    ((number, times, phase),) = conv["runs"]
    subject, inputs, outputs, products, bias = details["calls"][number]
    assert details["subjects"][subject]["op"] == "aten::conv2d"
    assert (times, phase, inputs, outputs) == (1, "forward", "1×3×8×8, 4×3×3×3, 4", "1×4×6×6")
    results, k = 4 * 6 * 6, 3 * 3 * 3
    assert products == ["products", "(3·3·3)·(4·6·6)", [results * k, results * (k - 1), 0, 0, 0, results * k]]
    assert bias == ["bias", "4·6·6 adds", [0, results]]


def test_details_are_limited() -> None:
    """Of many different calls of one module, some are shown and the others are counted."""
    net = nets.Network("busy", (1, 4))
    for number in range(60):
        net.linear("fc", 4 + number)
    fc = module_details(net.profile())["modules"]["fc"]
    assert (len(fc["runs"]), fc["moreRuns"]) == (50, 10)
    assert (len(fc["parameters"]), fc["moreParameters"]) == (50, 2 * 60 - 50)


def test_the_tree_has_the_totals_of_the_modules() -> None:
    """Every module has its parent, and its figures with everything below it."""
    profile = nets.alexnet()
    tree = module_tree(profile, profile.tabulated("modules"))
    assert tree is not None
    places = {name: place for place, name in enumerate(tree["names"])}
    assert tree["parents"][places["features.conv1"]] == places["features"]
    assert tree["parents"][places["features"]] == places["(root)"] == 0
    multiplies = next(figure for figure in tree["figures"] if figure["label"] == "multiplies")
    assert multiplies["values"][places["features"]] == 655_566_528
    (macs,) = (figure for figure in tree["figures"] if figure["label"] == "MACs")
    assert tree["figures"][macs["like"]] == multiplies
    assert tree["kindNames"][tree["kinds"][places["features.conv1"]]] == "conv"
    assert module_tree(nets.nothing(), nets.nothing().tabulated("modules")) is None


@pytest.mark.slow
def test_many_reports_on_one_page() -> None:
    """The comparison is first, and the names in it lead to the networks; ids do not repeat."""
    profiles = [nets.partial(), nets.small()]
    text = pages_in_one("Two", [comparison_report(profiles), *map(profile_report, profiles)])
    reader = Reader(text)
    assert [element.text for element in reader.all("h1")] == ["Comparison of 2 networks"]
    ids = [element.attributes["id"] for element in reader.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    (comparison, *_) = reader.all("table")
    links = {link.text: link.attributes["href"] for link in reader.all("a", comparison)}
    assert links == {"partial": "#r2", "small": "#r3"}
    for element in reader.all("a"):
        assert element.attributes["href"].removeprefix("#") in ids
    for name in ("aria-labelledby", "data-opens", "data-view"):
        assert {element.attributes[name] for element in reader.elements if name in element.attributes} <= set(ids)


@pytest.mark.slow
def test_a_page_has_a_maximum_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last networks then keep their first table, and name the page that has the others."""
    profiles = [nets.alexnet(), nets.small()]
    reports = [comparison_report(profiles), *map(profile_report, profiles)]
    whole = pages_in_one("Two", reports)
    monkeypatch.setattr(pages, "MOST_BYTES", len(whole.encode()) - 1)
    text = pages_in_one("Two", reports, {"small": "small/report.html"})
    assert len(text.encode()) < len(whole.encode())
    reader = Reader(text)
    views = reader.all("article")
    assert [len(reader.all("table", view)) for view in views] == [1, 5, 1]
    (link,) = (link for link in reader.all("a", views[2]) if not link.attributes["href"].startswith("#"))
    assert link.attributes["href"] == "small/report.html"


def test_a_summary_with_other_columns_is_a_table_of_its_own() -> None:
    """The parts of a training step are shown before the table of all layers."""
    table = Table.of("training", "Training", (Column("layer", "name"), Column("macs", "count")), [("fc", 12)])
    parts = Table.of("training", "Training", (Column("part"), Column("flops", "count")), [("forward", 24)])
    reader = read(Report("net", (), (), (ReportTable(table, parts, ("A note.",)),)))
    assert [rows_of(reader, element)[0][0].text for element in reader.all("table")] == ["forward", "fc"]


def test_notes_on_what_a_summary_leaves_out_are_not_on_a_page() -> None:
    """A page has all layers."""
    assert "Left out" in str(find_format("markdown")(REPORTS["alexnet"])["summary.md"])
    assert "Left out" not in " ".join(note for table in section(REPORTS["alexnet"]).tables for note in table.notes)


def test_a_page_in_a_frame() -> None:
    """A notebook shows the page in a frame, whose attribute holds the whole page."""
    reader = Reader(frame(REPORTS["nothing"]))
    (element,) = reader.all("iframe")
    assert element.attributes["srcdoc"] == page(REPORTS["nothing"])


def test_doubtful_rows_have_a_state() -> None:
    """Colors repeat what the text of a cell says."""
    reader = read(profile_report(doubtful()))
    states = [
        (element.attributes["data-state"], element.text)
        for element in reader.elements
        if "data-state" in element.attributes
    ]
    assert ("partial", "partial") in states
    assert all(state == text for state, text in states)


def test_the_page_of_a_checked_profile_has_the_reasons() -> None:
    """The cross-check has the verdict of each counter and the reason of each difference."""
    text = page(profile_report(checked(nets.alexnet())))
    assert "fvcore 0.1.5: 8 of 9 layers equal, 1 explained, 0 unexplained." in text
    assert "fvcore counts adaptive average pooling, 1 an input element (+9,216)" in text


@pytest.mark.parametrize(("unit", "look"), [("count", "zero"), ("share", "zero"), ("name", "code"), ("text", "")])
def test_a_module_that_is_named_0_does_not_look_like_a_zero(unit: str, look: str) -> None:
    """Only figures are paler if they are 0."""
    assert looks(Cell("0", 0), unit) == look
    assert looks(Cell("", MISSING), unit) == "missing"


def test_the_screenshots_are_on_the_page_and_small() -> None:
    """Desktop, dark, phone, paper and a comparison; each has a text that says what it shows."""
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "html-report.md").read_text(encoding="utf-8")
    for shot in SHOTS:
        assert re.search(rf"!\[[^\]]{{10,}}\]\({re.escape(shot.file)}\)", text)
        assert (docs / shot.file).stat().st_size < 60_000
    assert {path.name for path in docs.glob("*.png")} == {shot.file for shot in SHOTS}
