"""Imports go one way, and the reporting side works without torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

import profiler

PACKAGE = Path(__file__).parents[1] / "profiler"

LAYERS = (
    ("catalog", "columns", "errors", "garbage", "opcount", "printable", "quick_records"),
    ("schema", "signatures", "symbolic", "limits", "memory", "generations", "throughput"),
    ("records", "files", "frames", "streams"),
    ("events", "calls", "yaml_files"),
    ("config", "rules", "formatting", "excluding"),
    ("traffic", "devices"),
    ("roofline",),
    ("energy", "serving"),
    ("measures", "pricing"),
    ("ratios",),
    ("models", "tracing"),
    ("traces", "coverage", "environment"),
    ("crosschecks",),
    ("conventions", "views", "stored"),
    ("tabulate",),
    ("tables", "kept"),
    ("profiles",),
    ("analysis",),
    ("budgets",),
    ("rewrites",),
    ("subjects",),
    ("crosschecking", "generating"),
    ("render", "api", "recordings", "formulas"),
    ("deriving",),
    ("fitting",),
    ("pictures", "rewriting", "sweeps"),
    ("cli", "testing"),
    ("__main__", "__init__"),
)
"""From the ground up: a module imports from its own layer and from earlier ones."""

WITHOUT_TORCH = (
    "profiler",
    "profiler.crosschecks.counter",
    "profiler.crosschecks.tables",
    "profiler.analysis",
    "profiler.analysis.comparison",
    "profiler.analysis.diff_tables",
    "profiler.budgets.checking",
    "profiler.catalog",
    "profiler.cli",
    "profiler.config",
    "profiler.conventions",
    "profiler.files",
    "profiler.formatting",
    "profiler.measures",
    "profiler.opcount",
    "profiler.pictures",
    "profiler.pictures.landscape",
    "profiler.pricing",
    "profiler.printable",
    "profiler.profiles",
    "profiler.records",
    "profiler.render",
    "profiler.rules",
    "profiler.signatures",
    "profiler.stored",
    "profiler.streams",
    "profiler.tables.crosscheck",
    "profiler.tables.layers",
    "profiler.tabulate",
    "profiler.testing",
    "profiler.views",
    "profiler.yaml_files",
)


LATE = {
    ("profiles", "render"),
    ("profiles", "analysis"),
    ("analysis", "render"),
    ("profiles", "pictures"),
    ("formulas", "render"),
    ("deriving", "fitting"),
}
"""Imports from a higher layer at call time: ``print`` shows what a terminal does, and ``profile.plot`` draws."""


def level(part: str) -> int:
    """The layer that a part of the package belongs to."""
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def part_of(path: Path) -> str:
    """``profiler/rules/pooling.py`` → ``rules``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement of a body and of the bodies within it, without what is for type checking alone."""
    for node in body:
        yield node
        if isinstance(node, ast.Try):
            yield from statements([inner for handler in node.handlers for inner in handler.body])
        elif isinstance(node, ast.Match):
            yield from statements([inner for case in node.cases for inner in case.body])
        typing_only = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for field in ("orelse", "finalbody") if typing_only else ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, field, []))


@cache
def imported_parts(path: Path) -> frozenset[str]:
    """The parts of the package that a file imports when it runs, without those for type checking alone."""
    found = set[str]()
    for node in statements(ast.parse(path.read_text(encoding="utf-8")).body):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "profiler" else [f"profiler.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("profiler.")}
    return frozenset(found)


def wrong_arrows(path: Path) -> list[str]:
    """The imports of a file from a higher layer."""
    own = part_of(path)
    return [
        f"{path.relative_to(PACKAGE)} imports {part}"
        for part in imported_parts(path)
        if level(part) > level(own) and (own, part) not in LATE
    ]


@pytest.mark.slow
def test_imports_go_one_way() -> None:
    """No file imports from a layer above its own."""
    paths = list(PACKAGE.rglob("*.py"))
    assert len(paths) > 200
    assert [arrow for path in paths for arrow in wrong_arrows(path)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "unknown"), [("tracing", {"rules", "pricing", "tables"}), ("rules", {"tracing"}), ("pricing", {"tracing"})]
)
def test_a_step_does_not_import_what_it_must_not_know(part: str, unknown: set[str]) -> None:
    """Tracing knows nothing of costs, and pricing knows nothing of torch."""
    paths = [path for path in PACKAGE.rglob("*.py") if part_of(path) == part]
    assert paths
    assert [path.name for path in paths if imported_parts(path) & unknown] == []


def cycle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Parts that import each other in a cycle; empty if there are none."""
    left = {part: set(others) - {part} for part, others in arrows.items()}
    while True:
        read = {other for others in left.values() for other in others}
        free = [part for part, others in left.items() if not others & left.keys() or part not in read]
        if not free:
            return sorted(left)
        for part in free:
            del left[part]


def arrows_of(paths: Iterable[Path]) -> dict[str, set[str]]:
    """For each part of the package, the parts that it imports, without those of ``LATE``."""
    arrows: dict[str, set[str]] = {}
    for path in paths:
        part = part_of(path)
        arrows.setdefault(part, set()).update(other for other in imported_parts(path) if (part, other) not in LATE)
    return arrows


@pytest.mark.slow
def test_no_parts_import_each_other() -> None:
    """The imports are a partial order: not even parts of one layer form a cycle."""
    assert cycle(arrows_of(PACKAGE.rglob("*.py"))) == []


def test_a_cycle_is_seen() -> None:
    """The check above fails on a cycle."""
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]


def test_an_import_from_a_higher_layer_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above fails on such an import."""
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "opcount.py").write_text("def f():\n    from profiler.cli import main\n")
    assert wrong_arrows(tmp_path / "opcount.py") == ["opcount.py imports cli"]


def first_with_torch(modules: Sequence[str]) -> str:
    """The first of the modules that loads torch, if they are imported one after the other in a fresh interpreter."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n        print(name)\n        break\n"
    )
    command = [sys.executable, "-c", code, *modules]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
def test_the_reporting_side_never_imports_torch() -> None:
    """Importing it does not load torch; the first module that does is seen."""
    assert first_with_torch([*WITHOUT_TORCH, "profiler.api", "profiler.tables"]) == "profiler.api"


def test_only_tracing_and_building_use_dispatch_modes() -> None:
    """Only tracing, and building networks without random weights, intercept torch."""
    users = {
        part_of(path)
        for path in PACKAGE.rglob("*.py")
        if "DispatchMode" in (text := path.read_text(encoding="utf-8")) or "TorchFunctionMode" in text
    }
    assert users == {"tracing", "models"}


def test_the_page_names_every_part() -> None:
    """docs/architecture.md lists the parts of the package from the ground up, each once."""
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The parts, from the ground up")[2].partition("## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = [name for row in rows for name in re.findall("`([a-z_]+)`", row)]
    assert sorted(named) == sorted({part_of(path) for path in PACKAGE.rglob("*.py")} - {"__main__", "__init__"})
    levels = [level(name) for name in named]
    assert levels == sorted(levels)


@pytest.mark.slow
def test_the_numbers_on_the_page_are_true() -> None:
    """The numbers of events and signatures of ResNet-50 are measured."""
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = re.search(r"ResNet-50 in inference has (\d+) events and (\d+) signatures", page)
    assert found is not None
    models = profiler.import_torchvision().models
    trace = profiler.profile(models.resnet50(), input_size=(1, 3, 224, 224)).trace
    assert (str(len(trace.calls)), str(len(trace.signatures))) == found.groups()
