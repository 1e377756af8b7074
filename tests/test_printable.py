"""Text of unknown origin, made safe for a terminal, an XML file and an ASCII stream."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from profiler.printable import INVISIBLE, html_in_ascii, in_ascii, json_in_ascii, one_line, visible
from profiler.profiles import Profile
from profiler.render import profile_report
from profiler.render.picture import svg_picture
from profiler.render.terminal import render_terminal
from tests import sample_profiles as nets

ANY_TEXT = st.text(st.characters(exclude_categories=()))

HOSTILE = "a\x1b]0;title\x07b\x9b31mc\u202ed\x00e\u2066f\x85g\u200fh\r\ni\u2028j\ufffek"


def hostile_profile() -> Profile:
    """A network whose name, target, modules and types contain control characters for a terminal."""
    net = nets.Network(HOSTILE, (1, 3, 8, 8)).conv(f"conv{HOSTILE}", 4, 3, (6, 6))
    net.layer(f"odd{HOSTILE}", HOSTILE, f"lib::{HOSTILE}", "uncounted", (1, 4, 6, 6), status="uncounted")
    return net.linear(f"fc{HOSTILE}", 10).idle(f"never{HOSTILE}", (7, 7)).profile()


@pytest.mark.slow
@given(ANY_TEXT)
def test_nothing_acts_on_a_terminal(text: str) -> None:
    """The shown text has no control characters and no change of direction, and can be encoded."""
    shown = visible(text)
    assert not INVISIBLE.search(shown)
    shown.encode("utf-8")
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "code", [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x061C, 0x200B, 0x2060, 0xD800, 0xFDD0, 0xFFFE]
)
def test_each_control_character_is_an_escape(code: int) -> None:
    """It is Python's escape, so that a reader can tell the character."""
    shown = visible(f"a{chr(code)}b")
    assert re.fullmatch(r"a\\[xu][0-9a-f]{2,4}b", shown)
    assert shown[1:-1].encode().decode("unicode_escape") == chr(code)


def test_other_characters_are_kept() -> None:
    """Letters of any script, symbols and emoji are no control characters."""
    text = "naïve Schicht × 层 слой שכבה 🙂 é"
    assert visible(text) == text


@given(ANY_TEXT)
def test_in_ascii_gives_ascii(text: str) -> None:
    """ASCII text does not change."""
    assert in_ascii(text).isascii()
    assert in_ascii("(3*11)\t~") == "(3*11)\t~"
    assert in_ascii("≥1×3 · é…") == ">=1x3 * e.."


@given(ANY_TEXT)
def test_json_stays_the_same_document(text: str) -> None:
    """A document in ASCII, read back, has the same text, also beyond the first 65,536 characters."""
    document = json.dumps({"name": text + "🙂"}, ensure_ascii=False)
    assert json.loads(json_in_ascii(document)) == {"name": text + "🙂"}
    assert json_in_ascii(document).isascii()


def test_a_message_is_one_line() -> None:
    """Line breaks become blanks, and other control characters become escapes."""
    assert one_line("a\nb \r c\x1b[2J") == "a b c\\x1b[2J"


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("depth", [None, 2])
def test_a_report_on_hostile_names_is_harmless(width: int, depth: int | None) -> None:
    """No name reaches the terminal raw, and no line is longer than the terminal."""
    report = profile_report(hostile_profile(), depth=depth)
    text = render_terminal(report, Console(width=width, color_system=None))
    assert not INVISIBLE.search(text.replace("\n", ""))
    assert "\\x1b" in text
    colored = render_terminal(report, Console(width=width, color_system="standard", force_terminal=True))
    assert not INVISIBLE.search(re.sub(r"\x1b\[[\d;]*m", "", colored).replace("\n", ""))


@pytest.mark.slow
def test_a_picture_of_hostile_names_is_xml() -> None:
    """XML 1.0 forbids control characters, so a picture with one would not open at all."""
    svg = svg_picture([profile_report(hostile_profile())])
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert "\\x1b" in svg


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80, 120])
def test_an_ascii_terminal_gets_ascii(width: int) -> None:
    """Bars, lines and multiplication signs are ASCII, and no line is too long."""
    report = profile_report(nets.alexnet(), depth=2)

    class AsciiConsole(Console):
        @property
        def encoding(self) -> str:
            return "ascii"

    text = render_terminal(report, AsciiConsole(width=width, color_system=None))
    assert text.isascii()
    assert "227" in text
    assert "----" in text
    assert max(map(len, text.splitlines())) <= width
    if width == 80:
        assert re.search(r"conv.*linear", text)
        assert re.search(r"#=====+", text)
        assert re.search(r"\|- ", text) or re.search(r"\|-", text)


def test_a_page_in_ascii() -> None:
    """Its data keeps the JSON of every character, and its text the reference; nothing else changes."""
    page = '<p>3×3 &amp; 層🙂</p>\n<script type="application/json" class="rows">["3×3"]</script><p>≥</p>\n'
    assert html_in_ascii(page) == (
        '<p>3&#215;3 &amp; &#23652;&#128578;</p>\n<script type="application/json" class="rows">["3\\u00d73"]</script>'
        "<p>&#8805;</p>\n"
    )
