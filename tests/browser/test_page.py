"""Pages in a browser: what a reader sees and does, and what the page's own numbers are."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from profiler.columns import Column
from profiler.formatting import engineering
from profiler.opcount import OpCount, Term
from profiler.profiles import Profile
from profiler.render import Report, ReportTable, comparison_report, profile_report
from profiler.render.collection import collection_page
from profiler.render.diffs import diff_report
from profiler.render.page.content import Size, section
from profiler.render.page.document import document
from profiler.render.page.pages import page
from profiler.schema import Table
from tests import sample_profiles as nets
from tests.browser.conftest import Browser
from tests.render import hostile
from tests.render.samples import REPORTS, doubtful
from tests.render.test_page import HOSTILE, exact_texts, hostile_profile, tables_of

pytestmark = pytest.mark.slow

Show = Callable[..., Browser]

READ_TABLES = """
return [...document.querySelectorAll('.view:not([hidden]) section.table')].map(section => {
  const table = section.querySelector('table');
  if (!table) return [];
  return [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent));
});
"""
"""The texts of all cells of the shown view, table by table."""

SHOW_EVERYTHING = """
for (const [section, api] of profilerPage.started) {
  api.columns().visible(true);
  api.search.fixed('differences', null).draw();
  if (api.page.len() !== -1) api.page.len(-1).draw();
}
"""

TOO_WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def whole(profile: Profile) -> Report:
    """The report with all tables."""
    return profile_report(profile)


def read_tables(browser: Browser) -> list[list[list[str]]]:
    """The texts of the tables of the page, with all columns and all rows."""
    browser.start_everything()
    browser.run(SHOW_EVERYTHING)
    found: list[list[list[str]]] = browser.run(READ_TABLES)
    return found


@pytest.mark.parametrize("report", [*REPORTS.values(), hostile.report()], ids=[*REPORTS, "hostile"])
def test_the_numbers_of_the_page_are_those_of_the_report(show: Show, report: Report) -> None:
    """Every cell of every table, as a reader sees it once all columns are shown."""
    browser = show(page(report))
    assert read_tables(browser) == [exact_texts(table) for table in tables_of(report)]


def test_the_numbers_of_long_tables_are_those_of_the_report(show: Show) -> None:
    """A script makes their rows from data; exact values have all digits."""
    report = whole(doubtful())
    browser = show(document(report.title, [section(report, size=Size(0, 1))]))
    assert read_tables(browser) == [exact_texts(part.table) for part in report.tables]
    exact = browser.run("return [...document.querySelectorAll('tbody data')].map(data => Number(data.value))")
    values = [value for part in report.tables for column in part.table.values for value in column]
    assert set(exact) <= {value for value in values if isinstance(value, float)}
    (bound,) = doubtful().tabulated("uncounted")["bound_share"]
    assert bound in exact


def test_integers_beyond_those_of_scripts_are_exact(show: Show) -> None:
    """In tables, in the details of a module and in the tree, which sorts and adds them exactly."""
    net = nets.Network("wide", (1,))
    for number in (2, 0, 1):
        term = Term("products", (2**60 + number,), OpCount(multiplies=1))
        net.layer(f"part.scale{number}", "Scale", "aten::mul", "elementwise", (1,), (term,))
    report = whole(net.profile())
    browser = show(document(report.title, [section(report, size=Size(0, 1))]))
    browser.start_everything()
    multiplies = heading(browser, "layers", "multiplies")
    multiplies.click()
    assert first_column(browser, "layers") == ["part.scale2", "part.scale1", "part.scale0"]
    browser.find("section[data-name=layers] button.open").click()
    assert f"{2**60 + 2:,} multiplies" in browser.find("tr.details").text
    total = 3 * 2**60 + 3
    assert f"{total:,}" in browser.find(".readout").text


def heading(browser: Browser, table: str, text: str) -> Any:
    """The button that sorts by the column with this heading."""
    for element in browser.all(f"section[data-name={table}] thead th"):
        if element.text == text:
            return element.find_element("css selector", ".dt-column-order")
    raise AssertionError(f"no column {text}")


def first_column(browser: Browser, table: str) -> list[str]:
    """The names in the shown rows of a table, in their order."""
    cells = f"document.querySelectorAll('section[data-name={table}] tbody th')"
    names: list[str] = browser.run(f"return [...{cells}].map(cell => cell.innerText.trim())")
    return names


def check_first_column(browser: Browser, table: str, expected: list[str]) -> None:
    """Fail unless the shown rows become those: a table is drawn again soon after a click."""
    until = time.monotonic() + 10
    while first_column(browser, table) != expected and time.monotonic() < until:
        time.sleep(0.05)
    assert first_column(browser, table) == expected


def test_tables_are_sorted_with_missing_values_last(show: Show) -> None:
    """By their values, in both directions, by mouse and by keyboard; the third time as in the report."""
    browser = show(page(whole(doubtful())))
    browser.start_everything()
    order = {"largest": ["conv", "fc", "odd"], "smallest": ["fc", "conv", "odd"], "as made": ["conv", "odd", "fc"]}
    heading(browser, "layers", "MACs").click()
    check_first_column(browser, "layers", order["largest"])
    heading(browser, "layers", "MACs").click()
    check_first_column(browser, "layers", order["smallest"])
    browser.run("arguments[0].focus()", heading(browser, "layers", "MACs"))
    browser.press("\ue007")
    check_first_column(browser, "layers", order["as made"])
    browser.press("\ue007")
    check_first_column(browser, "layers", order["largest"])
    assert browser.find("section[data-name=layers] tfoot th").text == "whole network"


def test_tables_are_searched(show: Show) -> None:
    """Only rows with the text stay, also in a long table, and the number of rows is stated."""
    for size in (Size(), Size(0, 1)):
        report = whole(nets.alexnet())
        browser = show(document(report.title, [section(report, size=size)]))
        browser.start_everything()
        browser.find("section[data-name=layers] input[type=search]").send_keys("classifier.fc")
        check_first_column(browser, "layers", ["classifier.fc1", "classifier.fc2", "classifier.fc3"])
        assert browser.find("section[data-name=layers] .dt-info").text == "Rows 1 to 3 of 3 (of 21)"


def test_columns_are_shown_on_request(show: Show) -> None:
    """The list of columns is opened, used and closed by keyboard."""
    browser = show(page(whole(nets.alexnet())))
    browser.start_everything()
    shown = "return [...document.querySelectorAll('section[data-name=layers] thead th')].map(th => th.innerText.trim())"
    assert "transcendentals" not in browser.run(shown)
    browser.run("document.querySelector('section[data-name=layers] .columns summary').focus()")
    browser.press("\ue007")
    (box,) = (
        label.find_element("tag name", "input")
        for label in browser.all("section[data-name=layers] .columns label")
        if label.text == "transcendentals"
    )
    browser.run("arguments[0].focus()", box)
    browser.press(" ")
    assert "transcendentals" in browser.run(shown)
    browser.press("\ue00c")
    assert not browser.run("return document.querySelector('section[data-name=layers] .columns').open")


def test_details_of_a_layer(show: Show) -> None:
    """A button opens and closes the terms, shapes and parameters of a layer."""
    browser = show(page(whole(nets.alexnet())))
    browser.start_everything()
    opener = browser.find("section[data-name=layers] button.open")
    assert opener.get_attribute("aria-label") == "Details of features.conv1"
    browser.run("arguments[0].focus()", opener)
    browser.press("\ue007")
    text = browser.find("tr.details").text
    results, k = 64 * 55 * 55, 3 * 11 * 11
    assert "1×3×227×227, 64×3×11×11, 64 → 1×64×55×55" in text
    assert (
        f"(3·11·11)·(64·55·55) = {results * k:,} multiplies, {results * (k - 1):,} adds; {results * k:,} MACs" in text
    )
    assert f"weight: 64×3×11×11 = {64 * 3 * 11 * 11:,} elements" in text
    assert opener.get_attribute("aria-expanded") == "true"
    browser.press("\ue007")
    assert browser.all("tr.details") == []


def drawn(browser: Browser) -> list[str]:
    """The names on the picture of the tree."""
    return [str(name) for name in browser.run("return [...document.querySelectorAll('.node')].map(n => n.textContent)")]


def test_the_tree_is_zoomed_by_mouse(show: Show) -> None:
    """A click shows one module over the whole width; a button goes back."""
    browser = show(page(whole(nets.alexnet())))
    browser.start_everything()
    assert {"(root)", "features", "classifier", "conv1", "fc1"} <= set(drawn(browser))
    (classifier,) = (node for node in browser.all(".node") if node.text == "classifier")
    classifier.click()
    assert "features" not in drawn(browser)
    assert browser.find(".readout").text == ("classifier (Sequential): 117,243,904 FLOPs, 8.21 % of the network")
    width = browser.run("return document.querySelector('.node[data-node=\"1\"]')?.offsetWidth ?? 0")
    assert width == 0
    (back,) = (button for button in browser.all(".zoom button") if button.text == "Whole network")
    back.click()
    assert "features" in drawn(browser)


def test_the_tree_switches_between_figures(show: Show) -> None:
    """By parameters, the classifier is wide; the widths are the shares of the figure."""
    profile = nets.alexnet()
    browser = show(page(whole(profile)))
    browser.start_everything()
    labels = [label.text for label in browser.all(".controls label")]
    assert {"parameters", "multiplies", "adds", "MACs", "FLOPs"} <= set(labels)
    widths = (
        "const all = document.querySelector('.node').offsetWidth;"
        "return Object.fromEntries([...document.querySelectorAll('.node')].map("
        "n => [n.textContent, n.getBoundingClientRect().width / all]))"
    )
    modules = {row["module"]: row for row in profile.tabulated("modules").records()}
    whole_network = modules["(root)"]
    for label, column in (("parameters", "parameters_total"), ("MACs", "macs_total"), ("adds", "adds_total")):
        next(element for element in browser.all(".controls label") if element.text == label).click()
        found = browser.run(widths)
        for name in ("features", "classifier"):
            assert found[name] == pytest.approx(modules[name][column] / whole_network[column], abs=0.01)
        assert f"{whole_network[column]:,} {label}" in browser.find(".readout").text


def test_the_tree_is_used_by_keyboard(show: Show) -> None:
    """The arrow keys move, Enter zooms in, Escape out; the module with the focus is described."""
    browser = show(page(whole(nets.alexnet())))
    browser.start_everything()
    browser.run("document.querySelector('.node').focus()")
    focus = "return document.activeElement.getAttribute('aria-label').split(' ')[0]"
    down, right, up, left = "\ue015", "\ue014", "\ue013", "\ue012"
    path = [(down, "features"), (right, "classifier"), (left, "features"), (right, "classifier")]
    path += [(down, "classifier.fc1"), (up, "classifier")]
    for key, name in path:
        browser.press(key)
        assert browser.run(focus) == name
        assert browser.find(".readout").text.startswith(name)
    browser.press("\ue007")
    assert "features" not in drawn(browser)
    assert browser.run(focus) == "classifier"
    browser.press("\ue00c")
    assert "features" in drawn(browser)
    assert browser.run("return document.querySelectorAll('.node[tabindex=\"0\"]').length") == 1


def test_light_and_dark(show: Show) -> None:
    """The page follows the system until the reader chooses, and remembers the choice."""
    color = "return getComputedStyle(document.body).backgroundColor"
    browser = show(page(REPORTS["nothing"]), dark=True)
    dark = browser.run(color)
    browser.prefer_dark(False)
    light = browser.run(color)
    assert dark != light
    assert light == "rgb(255, 255, 255)"
    browser.run("document.getElementById('theme').focus()")
    browser.press("\ue007")
    assert browser.run(color) == dark
    assert browser.find("#theme").text == "Light colors"
    browser.driver.refresh()
    assert browser.run(color) == dark
    browser.run("localStorage.clear()")


def test_every_control_shows_its_focus(show: Show) -> None:
    """The tabulator key reaches every control, and each has an outline."""
    browser = show(page(whole(nets.small())))
    browser.start_everything()
    browser.run("scrollTo(0, 0); document.body.tabIndex = -1; document.body.focus()")  # the tabulator starts at the top
    seen: list[str] = []
    for _ in range(60):
        browser.press("\ue004")
        tag, outline, text = browser.run(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.tagName, s.outlineStyle, (e.getAttribute('aria-label') || e.textContent || e.name).trim()]"
        )
        if tag == "BODY":
            break
        assert outline != "none", text
        seen.append(text)
    assert {"Skip to the content", "Dark colors", "Layers", "Zoom out"} <= set(seen) | {"Zoom out"}
    assert "Details of conv" in seen


@pytest.mark.parametrize("name", ["alexnet", "comparison", "partial", "hostile"])
def test_a_phone_needs_no_scrolling_to_the_side(show: Show, name: str) -> None:
    """At 360 pixels only tables scroll within themselves, also with details open."""
    report = hostile.report() if name == "hostile" else REPORTS[name]
    browser = show(page(report), width=360)
    browser.start_everything()
    for opener in browser.all("button.open")[:2]:
        browser.run("arguments[0].click()", opener)
    assert browser.run(TOO_WIDE) == 0
    browser.run("document.querySelector('.columns summary')?.click()")
    assert browser.run(TOO_WIDE) == 0


@pytest.mark.parametrize("size", [Size(), Size(0, 1)], ids=["rows", "data"])
def test_hostile_names_stay_text(show: Show, size: Size) -> None:
    """Names with markup are shown as they are spelled: in tables, details, the tree and the title."""
    report = whole(hostile_profile().profile())
    browser = show(document(report.title, [section(report, size=size)]), width=360)
    browser.run("window.alert = () => { window.alerted = true; }")
    browser.start_everything()
    assert browser.driver.title == "</title><script>alert(1)</script>"
    assert set(first_column(browser, "layers")) == {
        name.replace("\n", "\\x0a").replace("\u202e", "\\u202e") for name in HOSTILE
    }
    for opener in browser.all("section[data-name=layers] button.open"):
        browser.run("arguments[0].click()", opener)
    assert len(browser.all("tr.details")) == len(HOSTILE)
    assert all("aten::linear" in details.text for details in browser.all("tr.details"))
    assert browser.all("img") == []
    assert browser.run("return window.alerted") is None
    assert browser.run(TOO_WIDE) == 0


def test_a_folder_on_one_page(show: Show) -> None:
    """The comparison comes first; its names and the list of networks lead to each network, and back."""
    profiles = [nets.alexnet(), doubtful(), nets.nothing()]
    reports = [profile_report(profile) for profile in profiles]
    comparison = comparison_report(profiles)
    browser = show(collection_page(comparison, reports, [REPORTS["alexnet-crosscheck"]]))
    visible_titles = (
        "const views = [...document.querySelectorAll('.view')].filter(view => !view.hidden);"
        "return views.map(view => view.querySelector('.title').textContent)"
    )
    assert browser.run(visible_titles) == ["Comparison of 3 networks"]
    assert read_tables(browser) == [exact_texts(part.table) for part in comparison.tables]
    for report in reports:
        next(link for link in browser.all("nav.views a") if link.text == report.title).click()
        assert browser.run(visible_titles) == [report.title]
        assert read_tables(browser) == [exact_texts(part.table) for part in report.tables]
        assert browser.find("nav.views a[aria-current=page]").text == report.title
    browser.driver.back()
    browser.wait("return location.hash === '#r3'")
    next(link for link in browser.all("nav.views a") if link.text == comparison.title).click()
    browser.find("tbody a[href='#r2']").click()
    assert browser.run(visible_titles) == ["alexnet"]
    assert browser.run(TOO_WIDE) == 0


def test_a_comparison_is_drawn(show: Show) -> None:
    """Each network with parameters and MACs is a point with its figures, in the order of both, and a link."""
    profiles = [nets.alexnet(), doubtful(), nets.small(), nets.nothing()]
    browser = show(collection_page(comparison_report(profiles), [profile_report(profile) for profile in profiles]))
    drawn = browser.run(
        "return [...document.querySelectorAll('.scatter :is(circle, polygon)')].map(point => {"
        " const box = point.getBBox();"
        " return [point.textContent, box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    shown = [profile for profile in profiles if profile.total.macs and profile.parameters_total]
    assert len(shown) >= 2
    expected = {
        profile.name: (
            f"{'' if profile.complete else '≥'}{engineering(profile.total.macs, 'MACs')}, "
            f"{engineering(profile.parameters_total, 'parameters')}"
        )
        for profile in shown
    }
    assert dict(text.split(": ") for text, _, _ in drawn) == expected
    at = {text.split(": ")[0]: (x, -y) for text, x, y in drawn}
    for one, other in permutations(shown, 2):
        if one.total.macs < other.total.macs:
            assert at[one.name][0] < at[other.name][0]
        if one.parameters_total < other.parameters_total:
            assert at[one.name][1] < at[other.name][1]
    browser.run("document.querySelector('.scatter a[href=\"#r2\"]').dispatchEvent(new MouseEvent('click'))")
    assert browser.run("return location.hash") == "#r2"


def test_paper_has_all_rows(show: Show) -> None:
    """Before printing, a long table shows all its rows; after it, pages again."""
    profile = nets.many(160)  # each layer has two parameters
    browser = show(page(profile_report(profile, ["parameters"])))
    browser.start_everything()
    assert len(browser.all("tbody tr")) == 100
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert len(browser.all("tbody tr")) == 320
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert len(browser.all("tbody tr")) == 100
    assert browser.command("Page.printToPDF", preferCSSPageSize=True)["data"]


def test_a_diff_shows_what_differs(show: Show) -> None:
    """Modules that are the same are hidden until the reader asks for them; colors repeat the status of a row."""
    before = nets.Network("net", (1, 8)).linear("first", 8).relu("act").linear("last", 4).profile()
    after = nets.Network("net", (1, 8)).linear("first", 8).relu("act").linear("last", 5).linear("more", 2).profile()
    browser = show(page(diff_report(before, after)))
    browser.start_everything()
    states = "return [...document.querySelectorAll('[data-name=diff] tbody [data-state]')].map(e => e.dataset.state)"
    assert browser.run(states) == ["changed", "changed", "added"]  # the network, its last layer, one more
    browser.find("[data-name=diff] .filter input").click()
    assert sorted(set(browser.run(states))) == ["added", "changed", "same"]
    color = (
        "return getComputedStyle(document.querySelector(`[data-name=diff] tr:has([data-state=${arguments[0]}]) td`))"
    )
    assert len({browser.run(f"{color}.backgroundColor", state) for state in ("added", "changed", "same")}) == 3
    assert browser.find("[data-name=diff] tfoot th").text == "total"


AXE = "const done = arguments[arguments.length - 1]; axe.run(document).then(done);"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_serious_fault(show: Show, dark: bool) -> None:
    """In a doubtful profile and in a folder, with details and lists of columns open."""
    axe_core = pytest.importorskip("axe_core_python.base")
    script = axe_core.AXE_FILE_PATH.read_text(encoding="utf-8")
    texts = [page(whole(doubtful()))]
    if not dark:
        texts.append(
            collection_page(comparison_report([nets.small(), doubtful(), nets.nothing()]), [whole(nets.small())])
        )
    for text in texts:
        browser = show(text, dark=dark)
        browser.start_everything()
        for selector in ("button.open", ".columns summary", ".meanings summary"):
            for element in browser.all(f".view:not([hidden]) {selector}")[:2]:
                browser.run("arguments[0].click()", element)
        browser.run(script)
        found = browser.driver.execute_async_script(AXE)
        faults = [
            (fault["id"], fault["impact"], [node["html"][:200] for node in fault["nodes"][:3]])
            for fault in found["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert faults == []
        assert len(found["passes"]) > 15


def look_at(browser: Browser, record: Callable[[str, object], None], load: Callable[[], object]) -> None:
    """Load a page with a long table of layers, start it and sort it; ``record`` gets the seconds of each."""
    begin = time.perf_counter()
    load()
    record("seconds to load", round(time.perf_counter() - begin, 2))
    begin = time.perf_counter()
    browser.start_everything()
    record("seconds to start", round(time.perf_counter() - begin, 2))
    assert len(browser.all("section[data-name=layers] tbody tr")) == 100
    begin = time.perf_counter()
    heading(browser, "layers", "FLOPs").click()
    record("seconds to sort", round(time.perf_counter() - begin, 2))


def test_five_thousand_rows(show: Show, browser: Browser, record_property: Callable[[str, object], None]) -> None:
    """Rows are made when they are looked at, and sorted all together."""
    columns = [
        Column("layer", "name"),
        Column("macs", "count", heading="MACs"),
        Column("flops", "count", heading="FLOPs"),
    ]
    rows = [(f"blocks.{number}.fc", number, number * number) for number in range(5000)]
    text = page(Report("many", (), (), (ReportTable(Table.of("layers", "Layers", columns, rows)),)))
    look_at(browser, record_property, lambda: show(text))
    assert first_column(browser, "layers")[0] == "blocks.4999.fc"


@pytest.mark.exhaustive
def test_five_thousand_different_layers(
    show: Show, browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    """The page with all tables of 10,001 modules has at most 6 MB; the tree says that it does not show all of them."""
    text = page(whole(nets.many(5000)))
    assert len(text.encode()) <= 6_000_000
    look_at(browser, record_property, lambda: show(text))
    assert "too narrow" in browser.find("section.tree").text
