"""Names and messages in Markdown: readers see them unchanged, whatever Markdown would make of them."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from profiler.formatting import format_table
from profiler.printable import visible
from profiler.render import profile_report
from profiler.render.formats.markdown import escape, markdown_table, summary
from tests import sample_profiles as nets
from tests.render import hostile

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

PLAIN = st.text(st.sampled_from("ab1_*`[]()<>|\\#-+.~&;!:$=x /"), max_size=12)


def shown(markdown: str) -> str:
    """The text that a reader sees of a Markdown text, with single spaces; raises if the text contains any markup."""
    rendered = MARKDOWN.render(markdown)
    tags = set(re.findall(r"</?([a-z0-9]+)", rendered)) - {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert not tags, rendered
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", rendered)).split())


@pytest.mark.parametrize(
    "text",
    [
        "__main__:Net",
        "__init__",
        "_private_",
        "a__b__c",
        "snake_case_name",
        "*args, **kwargs",
        "[0](x)",
        "<b>bold</b>",
        "a|b",
        "`code`",
        "a\\b\\",
        "# heading",
        "> quotation",
        "- item",
        "+ item",
        "1. first",
        "2) second",
        "---",
        "===",
        "~~gone~~",
        "&lt;&copy;&#35;",
        "<https://example.org>",
        "![image](x)",
        "$x_1$",
    ],
)
def test_text_is_shown_unchanged(text: str) -> None:
    """This holds in a paragraph and in a cell of a table."""
    assert shown(escape(text)) == text
    assert shown(f"| h |\n|:--|\n| {escape(text)} |") == f"h {text}"


@pytest.mark.slow
@given(PLAIN)
def test_any_text_is_shown_unchanged(text: str) -> None:
    """The text has all characters with a meaning in Markdown, in any order."""
    wanted = " ".join(text.split())
    assert shown(escape(text)) == wanted
    assert shown(f"| h |\n|:--|\n| x {escape(text)} |") == " ".join(f"h x {wanted}".split())


def test_the_check_can_fail() -> None:
    """Without escapes, the check sees emphasis."""
    with pytest.raises(AssertionError):
        shown("__main__:Net")


@pytest.mark.slow
def test_a_target_in_the_summary_is_not_italic() -> None:
    """A script's class has a target that begins with two underscores."""
    text = summary(profile_report(replace(nets.small(), name="__net__", target="__main__:Net")))
    rendered = MARKDOWN.render(text)
    assert "__main__:Net" in rendered
    assert "<h1>__net__</h1>" in rendered


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202e", "\x00", "\x7f"])
def test_no_control_character_is_written(character: str) -> None:
    """Other characters that act on a terminal are not written either."""
    name = f"fc{character}"
    text = summary(profile_report(nets.Network(f"n{character}", (1, 4)).linear(name, 2).profile()))
    assert character not in text
    assert visible(name) in text


def test_hostile_names_stay_in_their_cells() -> None:
    """Every text of a table has its cell; line breaks and control characters are shown as escapes."""
    found = hostile.table()
    rendered = MARKDOWN.render(markdown_table(found))
    cells = [
        html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", rendered, re.DOTALL)
    ]
    texts = format_table(found)
    expected = [visible(text) for row in zip(*(texts[name] for name in found), strict=True) for text in row]
    assert [" ".join(cell.split()) for cell in cells] == [" ".join(text.split()) for text in expected]
    assert "line\\x0abreak" in cells
