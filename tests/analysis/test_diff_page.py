"""docs/diff.md: its example is what the command prints, and its Python runs."""

from __future__ import annotations

import re
from pathlib import Path

from profiler.render import diff_report, render_files
from tests.sample_profiles import Network

PAGE = (Path(__file__).parents[2] / "docs" / "diff.md").read_text(encoding="utf-8")


def example() -> str:
    """A network with a wider layer, a removed dropout and a new block, as Markdown below a heading of the page."""
    before = Network("main", (1, 3, 8, 8)).conv("conv1", 4, 3, (6, 6)).relu("act1").conv("conv2", 8, 3, (4, 4))
    before.relu("act2").dropout("drop").linear("fc", 10)
    after = Network("wider", (1, 3, 8, 8)).conv("conv1", 4, 3, (6, 6)).relu("act1").conv("conv2", 16, 3, (4, 4))
    after.relu("act2").conv("extra.conv", 16, 1, (4, 4)).relu("extra.act").linear("head", 10)
    text = render_files(diff_report(before.profile(), after.profile()), ["summary"])["summary.md"]
    assert isinstance(text, str)
    return re.sub(r"^(#+) ", r"\1## ", text, flags=re.MULTILINE)


def test_the_example_on_the_page_is_the_output() -> None:
    """It is the whole Markdown summary, with its headings two levels lower."""
    assert example() in PAGE


def test_the_python_on_the_page_runs() -> None:
    """Its comments are true."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    *lines, last = code.strip().splitlines()
    exec(compile("\n".join(lines), "docs/diff.md", "exec"), names)
    found = names["diff"]
    assert eval(last.partition("#")[0], names) == ["2"]
    assert eval("diff.total('macs')", names) == (8 * 8, 8 * 16 + 16 * 2)
    assert "+ 2" in str(found)
