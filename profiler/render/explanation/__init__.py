"""An explanation → text, Markdown or LaTeX, one file a format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.analysis.explaining.document import Explanation, Format


def written(explanation: Explanation, format: Format, width: int = 80) -> str:
    """The explanation in that format; lines of text have at most ``width`` characters where words allow it."""
    if format == "text":
        from profiler.render.explanation.text import render_text

        return render_text(explanation, width)
    if format == "markdown":
        from profiler.render.explanation.markdown import render_markdown

        return render_markdown(explanation)
    from profiler.render.explanation.latex import render_latex

    return render_latex(explanation)
