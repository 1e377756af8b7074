"""What notebooks show of a profile: readable without scripts, interactive with them, safe with any name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import profiler
from profiler.profiles import Profile
from profiler.render import notebook
from profiler.render.notebook import MOST_ROWS, profile_html, table_html
from tests import sample_profiles
from tests.analysis.explaining.test_finding import HOSTILE, hostile
from tests.render import samples

CHROMIUM = Path("/usr/bin/chromium")


class Tags(HTMLParser):
    """The tags of a document, and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self._script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self._script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if not self._script:
            self.text += data


KNOWN_TAGS = {"p", "b", "div", "table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary", "script"}


def test_a_profile_is_readable_without_scripts() -> None:
    """The headline, the finding, the shares, the layers and the modules are plain HTML."""
    text = Tags(re.sub(r"<script.*?</script>", "", profile_html(sample_profiles.alexnet()), flags=re.DOTALL)).text
    for expected in (
        "714.2 M multiplies",
        "Linear layers hold 95.96 %",
        f"{55 * 55 * 64 * 363:,}",
        "classifier.fc1",
        "(64·5·5)·(192·27·27)",
    ):
        assert expected in text


@pytest.mark.slow
def test_the_html_is_small() -> None:
    """Also that of a network with many layers, which shows the costliest of them."""
    assert len(profile_html(sample_profiles.alexnet())) < 30_000
    large = profile_html(sample_profiles.many(500))
    assert len(large) < 100_000
    assert large.count("<code>blocks.") < 3 * MOST_ROWS


def test_the_html_does_not_change_from_run_to_run() -> None:
    """A notebook that is run again has the same output."""
    assert profile_html(sample_profiles.alexnet()) == profile_html(sample_profiles.alexnet())


def test_without_itables_and_plotly_there_is_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTML is all."""
    assert "<script" in profile_html(sample_profiles.alexnet())
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    assert "<script" not in profile_html(sample_profiles.alexnet())


def hostile_documents() -> Iterator[str]:
    profile = hostile()
    yield profile_html(replace(profile, name=HOSTILE))
    yield profiler.diff(profile, sample_profiles.small())._repr_html_()
    yield profile_html(profile.with_counters(sample_profiles.counter(profile)))


def test_names_do_not_become_markup() -> None:
    """A name with tags stays text, also in the data of scripts."""
    for text in hostile_documents():
        found = Tags(text)
        assert set(found.tags) <= KNOWN_TAGS
        assert "evil.<script>" in found.text
        assert "\x1b" not in text
        assert "\u202e" not in text
        for script in re.findall(r"<script type=\"module\">(.*?)</script>", text, flags=re.DOTALL):
            assert "<script" not in script


def test_a_crosscheck_is_shown() -> None:
    """The counters, and the layers that differ."""
    profile = sample_profiles.alexnet()
    text = Tags(profile_html(profile.with_counters(sample_profiles.counter(profile, {"classifier.fc1": 5})))).text
    assert "Cross-check" in text
    assert "unexplained" in text


def test_a_partial_profile_says_so() -> None:
    """The warning is shown, and lower bounds are marked."""
    text = Tags(profile_html(sample_profiles.partial())).text
    assert "Partial: no rule for mylib::odd" in text
    assert "≥" in text or "–" in text


def test_a_difference_is_shown() -> None:
    """Its totals and the modules that changed."""
    text = Tags(profiler.diff(sample_profiles.small(), sample_profiles.partial())._repr_html_()).text
    assert "small → partial" in text
    assert "odd" in text


def test_a_share_is_shown_only_with_its_figure() -> None:
    """Columns that do not fit are left out together."""
    table = notebook._narrow(sample_profiles.alexnet().tabulated("layers"))
    names = [column.name for column in table.columns]
    assert all(not column.of or column.of in names for column in table.columns)
    assert "status" not in names
    assert "status" in [
        column.name for column in notebook._narrow(sample_profiles.partial().tabulated("layers")).columns
    ]


def test_values_are_sorted_exactly() -> None:
    """Cells hold the exact value for the script; a missing one comes first."""
    text = table_html(sample_profiles.partial().tabulated("layers"), interactive=True)
    assert f'data-order="{4 * 6 * 6 * 27 * 2}"' in text
    assert 'data-order="-1"' in text


def page_of(profile: Profile) -> str:
    """A page as a notebook shows it, after ``itables.init_notebook_mode(connected=False)``."""
    from itables.javascript import generate_init_offline_itables_html
    from itables.utils import find_package_file

    bundle = find_package_file("html/dt_bundle.js")
    start = generate_init_offline_itables_html(bundle)
    return f"<!doctype html><meta charset='utf-8'><body>{start}{profile_html(profile)}"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium")
def test_tables_can_be_searched_in_a_browser(tmp_path: Path) -> None:
    """The script turns the plain table into one of DataTables, from the page alone."""
    pytest.importorskip("selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        for profile in (sample_profiles.alexnet(), hostile()):
            path = tmp_path / "page.html"
            path.write_text(page_of(profile), encoding="utf-8")
            driver.get(path.as_uri())
            driver.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")
            WebDriverWait(driver, 120).until(
                lambda page: page.execute_script("return !!document.querySelector('.dataTable')")
            )
            assert driver.execute_script("return document.querySelectorAll('input[type=search]').length") >= 1
            text = driver.execute_script("return document.body.innerText")
            assert profile.trace.calls[0].module.partition("\n")[0] in text
    finally:
        driver.quit()


def in_notebook(frame: Any) -> str:
    """What a notebook shows of a data frame."""
    text: str = frame._repr_html_()
    return text


def test_a_comparison_is_shown() -> None:
    """The networks are drawn, also without scripts, and their table is below; the frame is as any other otherwise."""
    networks = [sample_profiles.alexnet(), sample_profiles.small()]
    compared = profiler.compare(networks)
    assert isinstance(compared, pd.DataFrame)
    shown = in_notebook(compared)
    for expected in ("Comparison of 2 networks", "<svg", "61,100,840", "<code>small</code>"):
        assert expected in re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)
    assert {"plotly", "itables"} <= set(re.findall("plotly|itables", shown)) or "<script" in shown


def test_what_is_derived_from_a_comparison_is_a_plain_frame() -> None:
    """So is a copy and a pickle; a comparison that was changed shows what it now is."""
    compared = profiler.compare([sample_profiles.alexnet(), sample_profiles.small()])
    plain = (compared.copy(), compared[["network", "macs"]], compared.head(1), pickle.loads(pickle.dumps(compared)))
    assert {type(frame) for frame in plain} == {pd.DataFrame}
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(compared)), plain[0])
    compared["macs"] = 0
    assert "<svg" not in in_notebook(compared)
    assert "61100840" in in_notebook(compared)


def test_the_frame_of_a_crosscheck_shows_itself() -> None:
    """Each counter's total and the layers that differ; without counters it is a plain frame."""
    assert "equal" in in_notebook(samples.checked(sample_profiles.alexnet()).crosscheck)
    assert type(sample_profiles.alexnet().crosscheck) is pd.DataFrame


@pytest.mark.slow
def test_a_long_table_says_what_it_leaves_out() -> None:
    """The costliest of many layers are shown, and their number."""
    many = sample_profiles.many(500)
    assert f"The {MOST_ROWS} costliest of {len(many.layers):,} layers." in profile_html(many)
    assert "costliest of" not in profile_html(sample_profiles.alexnet())
