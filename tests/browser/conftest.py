"""One browser for all tests of pages; they are skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1280,900"),
)

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


class Browser:
    """Chromium with one page at a time: what it shows, and what went wrong."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def open(self, text: str, *, width: int = 1280, dark: bool = False, name: str = "page.html") -> None:
        """Show a page, as wide as that, and wait until its scripts have started."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.prefer_dark(dark)
        self.driver.get("about:blank")
        self.problems()
        self.requests()
        self.driver.get(path.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'yes'")

    def prefer_dark(self, dark: bool) -> None:
        """What the system of the reader prefers."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.command("Emulation.setEmulatedMedia", features=[theme, still])

    def command(self, name: str, **arguments: Any) -> Any:
        """A command of the protocol of Chromium's developer tools."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of a script on the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> None:
        """Wait until the script is true."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 120, 0.05).until(lambda driver: driver.execute_script(script, *arguments))

    def start_everything(self) -> None:
        """Start all tables and pictures of the shown view, as if the reader had seen them."""
        self.run(
            "for (const view of document.querySelectorAll('.view:not([hidden]) section.table'))"
            " profilerPage.start(view);"
        )
        self.run("document.querySelector('.view:not([hidden]) section.tree')?.scrollIntoView()")
        self.wait(
            "const trees = document.querySelectorAll('.view:not([hidden]) section.tree');"
            "return [...trees].every(tree => tree.querySelector('.node'))"
        )

    def find(self, selector: str) -> Any:
        """The first element that the selector selects."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        """All elements that the selector selects."""
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def press(self, *keys: str) -> None:
        """Press keys, on the element with the focus."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def problems(self) -> list[str]:
        """The messages of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the browser requested since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """Chromium, which opens pages that are written to ``folder``."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver, folder)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, started once."""
    pytest.importorskip("selenium.webdriver")
    if not (shutil.which(BROWSER) and shutil.which(DRIVER)):
        pytest.skip(f"{BROWSER} and {DRIVER} are needed: apt-get install chromium chromium-driver")
    with started(tmp_path_factory.mktemp("pages")) as found:
        yield found


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Browser]]:
    """``show(text)`` opens a page; after the test, the console is empty and nothing was requested but the page."""

    def opened(text: str, **how: Any) -> Browser:
        browser.open(text, **how)
        return browser

    yield opened
    assert browser.problems() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
