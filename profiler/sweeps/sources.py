"""The sources of a sweep, as a person gives them → a grid of configs, or a stream of candidates."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from profiler.config import Config
from profiler.errors import FOREIGN_ERRORS, ConfigError, TargetError
from profiler.files import read_bytes
from profiler.printable import one_line
from profiler.sweeps.axes import Axis, check_axes
from profiler.sweeps.points import MAX_POINTS, Candidates, Grid, Points
from profiler.sweeps.tables import reserved_columns

STREAMS = ("Iterator", "Iterable", "Generator")
"""What a function that yields candidates says that it returns."""

BYTES_LIMIT = 8 * 2**20


def is_stream(source: str, base: Path | None = None) -> bool:
    """Whether ``path/to/search.py:candidates`` names a function that yields networks, not one that builds one.

    The file is read and not run: the function has a ``yield``, or says that it returns an iterator.
    """
    place, _, name = source.rpartition(":")
    if not place.endswith(".py"):
        return False
    try:
        tree = ast.parse(read_bytes((base or Path.cwd()) / place, BYTES_LIMIT))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False
    found = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    return found is not None and (_yields(found) or _returns_stream(found))


def _yields(function: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def _returns_stream(function: ast.FunctionDef) -> bool:
    node = function.returns
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.partition("[")[0].rpartition(".")[2] in STREAMS
    if isinstance(node, ast.Subscript):
        node = node.value
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in STREAMS


def stream_of(source: str, most: int = MAX_POINTS) -> Candidates:
    """The networks that the function in a file yields; the file is run.  Raises TargetError."""
    from profiler.models.python_files import load_file

    place, _, name = source.rpartition(":")
    path = Path.cwd() / place
    try:
        make: Callable[[], Iterable[Any]] = getattr(load_file(path), name)
    except FOREIGN_ERRORS as error:
        raise TargetError(f"{source}: cannot be imported: {type(error).__name__}: {one_line(str(error))}") from error
    return Candidates(source, make, path.parent, most, path)


def points_of(sources: Sequence[tuple[str, Config | str]], axes: Sequence[Axis], most: int = MAX_POINTS) -> Points:
    """The grid of these sources and axes, checked before anything is profiled.  Raises ConfigError."""
    grid = Grid(sources, axes, most)
    check_axes(axes, reserved_columns())
    names = [name for name, _ in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice}: the source is given twice")
    grid.check()
    return grid


def sizes_at_first(axes: Sequence[Axis]) -> Mapping[str, int]:
    """The first value of each size that varies, so that a source may name it without a value of its own."""
    from profiler.sweeps.axes import is_size

    found = {}
    for axis in axes:
        for name, value in zip(axis.names, next(axis.values()), strict=True):
            if is_size(name) and type(value) is int and value > 0:
                found[name] = value
    return found
