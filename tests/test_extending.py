"""A new figure is one file; so are a new format, convention, view, table and picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import forking

MEASURE = """
from profiler.measures import Measure

MEASURE = Measure(
    "elements_written", "elements written", "elements of all results", lambda call: sum(s.size for s in call.outputs)
)
"""

USE_MEASURE = """
import io
import pandas as pd
from rich.console import Console
from profiler.render import profile_report, render_files
from profiler.render.terminal import render_terminal
from tests import sample_profiles

profile = sample_profiles.small()  # a convolution of 4 x 6 x 6 results, and a linear layer of 10
report = profile_report(profile)
files = render_files(report, ("csv", "markdown"))
for name, column in (
    ("layers", "elements_written"), ("operations", "elements_written"), ("modules", "elements_written_total")
):
    assert list(profile.table(name)[column])[-2:] == [4 * 6 * 6, 10], name
    assert list(pd.read_csv(io.StringIO(files[f"{name}.csv"]))[column])[-2:] == [4 * 6 * 6, 10], name
    assert "FLOPs and elements written" in files[f"{name}.md"]
assert profile.modules["elements_written_total"][0] == 4 * 6 * 6 + 10
assert "elements written |" in files["summary.md"]
fact = next(fact for fact in report.facts if fact.label == "elements written")
assert fact.value == str(4 * 6 * 6 + 10)
wide, narrow = (render_terminal(report, Console(width=width, color_system=None)) for width in (240, 80))
assert "adds, MACs, FLOPs and elements written" in wide
row = next(line for line in wide.splitlines() if line.split()[:1] == ["conv"] and "1×3×8×8" in line)
assert row.split()[-1] == "144"
assert "elements written" in narrow[narrow.index("No room for", narrow.index("Layers")):]
tree = render_terminal(profile_report(profile, ["modules"], depth=1), Console(width=240, color_system=None))
assert "FLOPs and elements written" in tree
"""

FORMAT = """
def render(report):
    return {f"{report.title}.txt": "\\n".join(f"{table.name} {len(table.table)}" for table in report.tables) + "\\n"}
"""

USE_FORMAT = """
from pathlib import Path
from profiler import catalog
from profiler.config import load_config
from profiler.render import profile_report, render_files
from tests import sample_profiles

assert catalog.formats()[-1] == "plain"
(text,) = render_files(profile_report(sample_profiles.small(), ["layers"]), ("plain",)).values()
assert text == "layers 2\\n"
config = Path(folder) / "net.yaml"
config.write_text("model: {target: 'a:b'}\\nreport: {formats: [plain]}\\n", encoding="utf-8")
assert load_config(config).report.formats == ("plain",)
"""

CONVENTION = """
from profiler.conventions import own_figure

CONVENTION = own_figure("results", "one for each element of a result", lambda call: sum(s.size for s in call.outputs))
"""

USE_CONVENTION = """
from rich.console import Console
from profiler.render import comparison_report, profile_report
from profiler.render.terminal import render_terminal
from tests import sample_profiles

profile = sample_profiles.small().with_convention("results")
assert profile.headline == profile.layers["by_results"].sum() == 4 * 6 * 6 + 10
assert list(profile.shares["by_results_share"]) == [144 / 154, 10 / 154]
for report in (profile_report(profile), comparison_report([profile])):
    assert "by results" in render_terminal(report, Console(width=60, color_system=None))
"""

VIEW = """
def view(call):
    return "matmul" if call.kind == "linear" else call.kind
"""

USE_VIEW = """
from tests import sample_profiles

assert list(sample_profiles.small().with_views("linear_as_matmul").shares["kind"]) == ["conv", "matmul"]
"""

TABLE = """
from profiler.columns import FIRST, Column
from profiler.tabulate import Grouping, grouped, tabulate

GROUPING = Grouping("phases", "Phases", first=(Column("phase", priority=FIRST),), like="operations")


def table(work):
    groups = grouped(work.trace.calls, lambda call: call.phase)
    for phase, group in groups.items():
        group.cells = {"phase": phase}
    return tabulate(GROUPING, list(groups.values()), work)
"""

USE_TABLE = """
from profiler.render import profile_report, render_files
from tests import sample_profiles

files = render_files(profile_report(sample_profiles.small(), ["phases"]), ("csv", "markdown"))
assert files["phases.csv"].splitlines()[0].startswith("phase,multiplies,adds,divides,")
assert files["phases.csv"].splitlines()[1].startswith(f"forward,{4 * 36 * 27 + 10 * 144},")
assert "Phases" in files["phases.md"]
"""

CHECK_FORMAT = """
def render(results):
    return {"verdicts.txt": "".join(f"{result.name} {result.passed}\\n" for result in results)}
"""

USE_CHECK_FORMAT = """
from profiler import catalog
from profiler.budgets.checking import check_profile
from profiler.cli.commands import check
from profiler.config.budget import parse_budget
from profiler.render.checks import check_files
from tests import sample_profiles

assert catalog.check_formats()[-1] == "verdicts"
assert "verdicts" in check.FORMATS
result = check_profile(sample_profiles.small(), [parse_budget({"macs": 1}, "budget")])
assert check_files([result], ("verdicts",)) == {"verdicts.txt": "small False\\n"}
"""

PICTURE = """
from profiler.pictures import Picture
from profiler.pictures._drawing import Sheet


def draw(profiles, measure, ax):
    ax.bar([0], [profiles[0].figure(measure.name)])


PICTURE = Picture(
    "one bar", draw, lambda profiles, measure: Sheet("bar"), lambda profiles, measure: "One bar.", figures=("adds",)
)
"""

USE_PICTURE = """
from pathlib import Path
from click.testing import CliRunner
from profiler.cli import cli
from profiler.config import load_config
from tests import sample_profiles

profile = sample_profiles.small()
(bar,) = profile.plot("one_bar").axes[0].patches
assert bar.get_height() == 4 * 6 * 6 * 27 + 10 * 144
profile.save(Path(folder) / "small.json")
path = Path(folder) / "x-one_bar.pdf"
result = CliRunner().invoke(cli, ["profile", str(Path(folder) / "small.json"), "-q", "--picture", str(path)])
assert (result.exit_code, path.read_bytes()[:4]) == (0, b"%PDF")
config = Path(folder) / "net.yaml"
config.write_text("model: {target: 'a:b'}\\nreport: {pictures: [one_bar]}\\n", encoding="utf-8")
assert load_config(config).report.pictures == ("one_bar",)
"""

EXTENSIONS = {
    "measure": ("profiler.measures", "elements_written", MEASURE, USE_MEASURE),
    "format of a check": ("profiler.render.checks", "verdicts", CHECK_FORMAT, USE_CHECK_FORMAT),
    "format": ("profiler.render.formats", "plain", FORMAT, USE_FORMAT),
    "convention": ("profiler.conventions", "results", CONVENTION, USE_CONVENTION),
    "view": ("profiler.views", "linear_as_matmul", VIEW, USE_VIEW),
    "picture": ("profiler.pictures", "one_bar", PICTURE, USE_PICTURE),
    "table": ("profiler.tables", "phases", TABLE, USE_TABLE),
}


def run(folder: Path, package: str, use: str) -> subprocess.CompletedProcess[str]:
    """Run ``use`` with ``folder`` as a part of ``package``."""
    code = f"import {package}\nfolder = {str(folder)!r}\n{package}.__path__.append(folder)\n{use}"
    root = Path(__file__).parents[1]
    return forking.run([sys.executable, "-c", code], cwd=root, fresh=True)


@pytest.mark.slow
@pytest.mark.parametrize("what", EXTENSIONS)
def test_one_file_is_enough(what: str, tmp_path: Path) -> None:
    """With the file in its package's path, it is in tables, files, headings and the terminal; without it, it is not."""
    package, name, text, use = EXTENSIONS[what]
    assert run(tmp_path, package, use).returncode == 1
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    result = run(tmp_path, package, use)
    assert (result.returncode, result.stderr) == (0, "")
