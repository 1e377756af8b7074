"""The screenshots of docs/html-report.md: ``python -m tests.browser.screenshots`` takes them again.

Their pixels depend on the browser and its fonts, so no test compares them; they are looked at.
"""

from __future__ import annotations

import base64
import io
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from profiler.render import comparison_report, profile_report
from profiler.render.page.pages import page
from tests.browser.conftest import Browser, started
from tests.config_profiles import of_config

DOCS = Path(__file__).parents[2] / "docs"

COLORS = 48
"""The number of colors of a screenshot, which keeps its file small."""

COMPARED = ("alexnet", "vgg16", "resnet18", "resnet50", "mobilenet_v2", "vit_b_16")


@dataclass(frozen=True, slots=True)
class Shot:
    """One screenshot: its file, the page, the size of the window, what the reader does, and how it is taken."""

    file: str
    text: Callable[[], str]
    width: int
    height: int
    script: str = ""
    dark: bool = False
    paper: bool = False


def alexnet() -> str:
    """The page of AlexNet."""
    return page(profile_report(of_config("alexnet")))


def comparison() -> str:
    """The page of some networks side by side."""
    return page(comparison_report([of_config(name) for name in COMPARED]))


LAYERS = (
    "const section = document.querySelector('[data-name=layers]');"
    "section.scrollIntoView(); section.querySelector('button.open').click();"
)

TREE = "document.querySelector('section.tree').scrollIntoView();"

SHOTS = (
    Shot("html-report.png", alexnet, 1180, 1060),
    Shot("html-report-dark.png", alexnet, 1180, 640, LAYERS, dark=True),
    Shot("html-report-phone.png", alexnet, 360, 760, TREE),
    Shot("html-report-print.png", alexnet, 1180, 900, paper=True),
    Shot("html-report-comparison.png", comparison, 1180, 980),
)


def taken(browser: Browser, shot: Shot) -> Image.Image:
    """The picture of a page, or of its first sheet of paper."""
    browser.open(shot.text(), width=shot.width, dark=shot.dark)
    if shot.paper:
        browser.start_everything()
        content = browser.command("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "page.pdf")
            path.write_bytes(base64.b64decode(content))
            command = ["pdftoppm", "-png", "-r", "80", "-f", "1", "-l", "1", "-singlefile", str(path), f"{folder}/page"]
            subprocess.run(command, check=True)
            return Image.open(io.BytesIO(Path(folder, "page.png").read_bytes()))
    size = {"width": shot.width, "height": shot.height, "deviceScaleFactor": 1, "mobile": False}
    browser.command("Emulation.setDeviceMetricsOverride", **size)
    if shot.script:
        browser.start_everything()
        browser.run(shot.script)
    browser.run("return new Promise(done => setTimeout(done, 500))")
    return Image.open(io.BytesIO(browser.driver.get_screenshot_as_png()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, started(Path(place)) as opened:
        for each in SHOTS:
            small = taken(opened, each).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
            small.save(DOCS / each.file, optimize=True)
