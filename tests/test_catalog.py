"""One list of names for configs, the command line and the things with these names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import pytest
import yaml

from profiler import catalog
from profiler.cli import cli
from profiler.config import load_config
from profiler.conventions import find_convention
from profiler.crosschecks import counters
from profiler.crosschecks.counter import find_counter
from profiler.errors import ConfigError
from profiler.measures import measures
from profiler.pictures import find_picture
from profiler.render.formats import find_format
from profiler.views import find_view

LISTS: dict[str, Callable[[], tuple[str, ...]]] = {
    "formats": catalog.formats,
    "measures": catalog.measures,
    "tables": catalog.tables,
    "conventions": catalog.conventions,
    "views": catalog.views,
    "counters": catalog.counters,
    "commands": catalog.commands,
    "pictures": catalog.pictures,
}

STANDS_FOR: dict[str, Iterable[str]] = {
    "formats": [name for name in catalog.formats() if callable(find_format(name))],
    "measures": [measure.name for measure in measures()],
    "tables": [name for name in catalog.tables() if callable(catalog.extension("profiler.tables", name, "table"))],
    "conventions": [find_convention(name).name for name in catalog.conventions()],
    "views": [name for name in catalog.views() if callable(find_view(name))],
    "counters": [name for name in catalog.counters() if find_counter(name).distribution],
    "commands": cli.list_commands(click.Context(cli)),
    "pictures": [name for name in catalog.pictures() if find_picture(name).title],
}

IN_CONFIGS: dict[str, Callable[[str], dict[str, object]]] = {
    "formats": lambda name: {"report": {"formats": [name]}},
    "tables": lambda name: {"report": {"tables": [name]}},
    "conventions": lambda name: {"convention": name},
    "views": lambda name: {"views": [name]},
    "counters": lambda name: {"crosscheck": [name]},
    "pictures": lambda name: {"report": {"pictures": [name]}},
}


@pytest.mark.parametrize("which", LISTS)
def test_each_name_has_a_thing_and_each_thing_a_name(which: str) -> None:
    """The catalog lists each thing once."""
    assert sorted(LISTS[which]()) == sorted(STANDS_FOR[which])


@pytest.mark.parametrize("which", IN_CONFIGS)
def test_a_config_takes_these_names_and_no_others(which: str, tmp_path: Path) -> None:
    """Each name of the catalog is accepted; the error about another name lists them all."""
    path = tmp_path / "net.yaml"
    for name in LISTS[which]():
        path.write_text(yaml.safe_dump({"model": {"target": "a:b"}, **IN_CONFIGS[which](name)}), encoding="utf-8")
        load_config(path)
    path.write_text(yaml.safe_dump({"model": {"target": "a:b"}, **IN_CONFIGS[which]("none")}), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"({', '.join(LISTS[which]())})" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "which"),
    [
        (["profile", "--output", "x", "--format"], "formats"),
        (["profile", "--convention"], "conventions"),
        (["crosscheck", "--against"], "counters"),
    ],
)
def test_the_command_line_takes_these_names_and_no_others(words: list[str], which: str) -> None:
    """Each name is accepted, one after another; the error about another name lists them all."""
    option = words[-1]
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    assert command is not None
    (parameter,) = (parameter for parameter in command.params if option in parameter.opts)
    for name in LISTS[which]():
        parameter.type.convert(name, parameter, context)
    with pytest.raises(click.BadParameter) as caught:
        parameter.type.convert("none", parameter, context)
    assert all(name in caught.value.message for name in LISTS[which]())


def test_a_new_file_is_a_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the last one if no order lists it; private modules are no names, and a deleted file is not either."""
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path)
    folder = tmp_path / "shelf"
    folder.mkdir(parents=True)
    for name in ("__init__", "_shared", "a_new", "json", "csv"):
        (folder / f"{name}.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    first = ("csv", "markdown", "json")
    assert catalog.names("profiler.shelf", first) == ("csv", "json", "a_new")
    assert catalog.names("profiler.shelf", first, dash=True) == ("csv", "json", "a-new")


def test_a_folder_on_the_path_of_a_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's files count beside those of the package."""
    (tmp_path / "of_my_own.py").write_text("raise AssertionError('imported')\n", encoding="utf-8")
    before = catalog.names("profiler.crosschecks.counters")
    monkeypatch.setattr(counters, "__path__", [*counters.__path__, str(tmp_path)])
    assert sorted(catalog.names("profiler.crosschecks.counters")) == sorted((*before, "of_my_own"))


@pytest.mark.slow
def test_a_list_of_names_imports_nothing() -> None:
    """It imports neither the listed modules nor their packages."""
    code = (
        "import sys\nfrom profiler import catalog\n"
        f"for which in {list(LISTS)!r}:\n    assert getattr(catalog, which)()\n"
        "print([name for name in sys.modules if name.startswith('profiler.')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['profiler.catalog']"


def written_out(source: str) -> list[tuple[str, int]]:
    """The lists of the catalog that a source repeats as a tuple, list or set, each with its line.

    What a package exports (``__all__``) is a list of modules and does not count.
    """
    found = []
    lists = {which: set(names()) for which, names in LISTS.items()}
    tree = ast.parse(source)
    exports = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(name, "id", "") == "__all__" for name in node.targets)
    ]
    for node in ast.walk(tree):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)) and node not in exports:
            words = {part.value for part in node.elts if isinstance(part, ast.Constant)}
            found += [(which, node.lineno) for which, names in lists.items() if words >= names]
    return found


@pytest.mark.slow
def test_nothing_else_lists_these_names() -> None:
    """No other module contains all names of one of these lists."""
    package = Path(catalog.__file__).parent
    others = [path for path in package.rglob("*.py") if path.name != "catalog.py"]
    assert [(path.name, *again) for path in others for again in written_out(path.read_text(encoding="utf-8"))] == []
    assert written_out(f"x = 1\ny = {tuple(reversed(catalog.formats()))}") == [("formats", 2)]
