"""Python files and modules that a target names → imported modules, or the classes in their source text.

A file is run as a separate module, or, if it imports from its own package, as a part of that package.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


def load_file(path: Path) -> ModuleType:
    """Run a Python file as a separate module, once for each version of its text.

    Its folder is on the import path while it runs, so that it can import files next to it.  These imports are then
    removed, since another network's folder may have files of the same name.  A file in a package that uses relative
    imports is run as a part of the package.
    """
    path = path.resolve()
    text = path.read_bytes()
    if (path.parent / "__init__.py").is_file() and _imports_relatively(text):
        return _load_in_package(path, text)
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + text).hexdigest()[:12]}"
    if name in sys.modules:  # run once: it may register rules, which can be registered once
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"{path.name} is not a Python file")
    code = compile(text, str(path), "exec")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    try:
        with _importable(path.parent):
            exec(code, vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within it, modules in ``folder`` can be imported; they are removed from ``sys.modules`` at the end."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))
        new = set(sys.modules) - before
        tops = {name for name in {name.partition(".")[0] for name in new} & new if not _is_ordinary(name)}
        for name in new:
            if name.partition(".")[0] in tops:
                sys.modules.pop(name, None)


def _is_ordinary(name: str) -> bool:
    """Whether ``import name`` would find the module that is imported under that name now."""
    imported = getattr(sys.modules[name], "__spec__", None)
    if imported is None:  # created by a program, not found on the path
        return True
    specs = (finder.find_spec(name, None) for finder in sys.meta_path)
    found = next((spec for spec in specs if spec is not None), None)
    return found is not None and _place(found) == _place(imported)


def _place(spec: ModuleSpec) -> tuple[str | None, list[str]]:
    return spec.origin, list(spec.submodule_search_locations or ())


def _load_in_package(path: Path, text: bytes) -> ModuleType:
    """Run a file as a part of its package, under a unique name of the package, once for each version of its text."""
    root = path.parent
    while (root.parent / "__init__.py").is_file():
        root = root.parent
    package = f"{root.name}_{hashlib.sha256(str(path).encode() + text).hexdigest()[:12]}"
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(package, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{root.name} is not a Python package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    try:
        with _importable(root.parent):
            spec.loader.exec_module(module)
            return importlib.import_module(name)
    except BaseException:
        for part in [part for part in sys.modules if f"{part}.".startswith(f"{package}.")]:
            del sys.modules[part]
        raise


def _imports_relatively(text: bytes) -> bool:
    """Whether there is a ``from . import …`` anywhere in the text; false if the text is not Python."""
    with contextlib.suppress(SyntaxError, ValueError):
        return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(text)))
    return False


_from_current_folder: dict[str, Path] = {}
"""The top-level modules that were imported from the folder that was then the current one."""


def import_named(name: str) -> ModuleType:
    """The module of that name; the current folder is searched first, as with ``python -m``.

    The folder is on the path while the module is imported, and only if it contains a module of that name.
    """
    top, folder = name.partition(".")[0], Path.cwd()
    if not ((folder / f"{top}.py").is_file() or (folder / top).is_dir()):
        if _from_current_folder.pop(top, None) is not None:
            _forget(top)
        return importlib.import_module(name)
    if _from_current_folder.get(top, folder) != folder:
        _forget(top)
    if top not in sys.modules:
        _from_current_folder[top] = folder
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _forget(top: str) -> None:
    for part in [part for part in sys.modules if f"{part}.".startswith(f"{top}.")]:
        del sys.modules[part]


def classes_in(path: Path) -> list[str]:
    """The top-level classes of a Python file, in order, from its text alone; none if it is not Python."""
    with contextlib.suppress(SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return [node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.ClassDef)]
    return []
