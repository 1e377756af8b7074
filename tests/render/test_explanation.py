"""Explanations as text, Markdown and LaTeX."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.analysis.explaining import FORMATS, explain
from profiler.render.explanation.latex import escape
from profiler.render.explanation.markdown import DOLLARS, render_markdown
from profiler.render.explanation.text import shortened
from tests import sample_profiles
from tests.analysis.explaining import networks
from tests.analysis.explaining.test_finding import HOSTILE, hostile

NAMES = {"alexnet-explained": None, "alexnet-conv1-explained": "features.conv1"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("format", FORMATS)
def test_golden(golden: Callable[[str, str], None], name: str, format: str) -> None:
    """Whole explanations."""
    explanation = explain(sample_profiles.alexnet(), NAMES[name])
    endings = {"text": "txt", "markdown": "md", "latex": "tex"}
    golden(f"render/{name}/explanation.{endings[format]}", explanation.written(format))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_text_fits_its_width(width: int) -> None:
    """No line is longer, whatever the names are."""
    for profile in (sample_profiles.alexnet(), hostile(), sample_profiles.many(3)):
        for name in (None, "*fc*", "linear"):
            lines = explain(profile, name).written("text", width).splitlines()
            assert max(map(len, lines)) <= width, max(lines, key=len)


def test_names_are_shortened_in_the_middle() -> None:
    """The end of a name says more than its beginning."""
    assert shortened("features.denseblock4.conv1", 15) == "feat…lock4.conv1"[:4] + "…" + "lock4.conv1"[-10:]
    assert shortened("short", 15) == "short"


def test_notebooks_get_dollar_signs() -> None:
    """They do not know GitHub's fence."""
    explanation = explain(sample_profiles.alexnet(), "features.conv1")
    assert "```math" in explanation.markdown
    assert explanation._repr_markdown_() == render_markdown(explanation, DOLLARS)
    assert "```" not in explanation._repr_markdown_()
    assert str(explanation) == explanation.text
    assert repr(explanation) == "<Explanation alexnet: features.conv1>"


def test_latex_shows_every_character() -> None:
    """Characters with an effect are escaped, and those without a glyph are shown as escapes."""
    assert escape("a_b&50%#{}$~^\\") == (r"a\_b\&50\%\#\{\}\$\textasciitilde{}\textasciicircum{}\textbackslash{}")
    assert escape("ü 語 \x1b") == r"ü \textbackslash{}u8a9e \textbackslash{}x1b"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(tmp_path: Path) -> None:
    """In a bare article, with hostile names, and without lines that leave the page."""
    profile = networks.families()
    explanations = {
        "hostile": explain(hostile()),
        "layer": explain(hostile(), HOSTILE),
        "alexnet": explain(sample_profiles.alexnet()),
        "conv": explain(sample_profiles.alexnet(), "conv"),
        "families": explain(profile, "(root)"),
        "lstm": explain(profile, "lstm"),
        "attention": explain(profile, "scaled_dot_product_attention"),
        "training": explain(networks.training(), "0"),
    }
    for name, explanation in explanations.items():
        (tmp_path / f"{name}.tex").write_text(explanation.latex, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert result.returncode == 0, (name, result.stdout[-2000:])
        wide = [line for line in result.stdout.splitlines() if line.startswith("Overfull") and _points(line) > 40]
        assert wide == [], name


def _points(line: str) -> float:
    """``Overfull \\hbox (4.6pt too wide)`` → 4.6."""
    return float(line.partition("(")[2].partition("pt")[0])
