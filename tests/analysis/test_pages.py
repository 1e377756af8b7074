"""docs/diff.md and docs/compare.md: the example is what the command prints, and the Python runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from profiler.analysis.compared import column_names
from profiler.render import diff_report, render_files
from tests.sample_profiles import Network

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "diff.md").read_text(encoding="utf-8")
COMPARE = (DOCS / "compare.md").read_text(encoding="utf-8")


def test_the_page_names_every_column() -> None:
    """Every fact, figure, ratio of figures and kind of work that `--columns` knows is on the page."""
    for names in column_names().values():
        assert [name for name in names if f"`{name}`" not in COMPARE] == []


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


def run(page: str) -> tuple[dict[str, object], dict[str, str]]:
    """The names that the Python on a page defines, and its expressions with a comment, each with the comment."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "page", "exec"), names)
    claims = re.findall(r"^(\S.*?)  # (.*)$", code, re.MULTILINE)
    return names, {line: comment for line, comment in claims if isinstance(ast.parse(line).body[0], ast.Expr)}


@pytest.mark.parametrize("page", [PAGE, COMPARE])
def test_the_python_on_the_page_runs(page: str) -> None:
    """The comments with values are true."""
    names, claims = run(page)
    values = {code: comment.partition(": ")[0] for code, comment in claims.items() if comment[:1] in "[("}
    assert values
    for code, value in values.items():
        assert eval(code, names) == ast.literal_eval(value), code


def test_a_wrong_comment_would_be_seen() -> None:
    """The check above is able to fail."""
    names, claims = run("```python\na = 1\n(a,)  # (2,)\n```\n")
    assert claims == {"(a,)": "(2,)"}
    assert eval("(a,)", names) != ast.literal_eval("(2,)")
