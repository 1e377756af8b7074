"""A target, the text that names a network, → what builds it.

``source:name`` asks a registered source (``torchvision:resnet50``), ``path/to/net.py:Net`` loads a file,
and ``package.module:Net`` imports a module.  The last two run the code that they name.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from profiler.errors import FOREIGN_ERRORS, TargetError, did_you_mean
from profiler.models import zoo
from profiler.models.from_torchvision import without_download
from profiler.models.sources import SOURCES, Builder
from profiler.models.torchvision_ops import with_operators

# isort: split
# These register themselves, and are listed after torchvision's.
from profiler.models import from_timm, from_transformers  # noqa: F401


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """A target that can be named, and the family that it is listed under."""

    target: str
    family: str


def list_targets(pattern: str | None = None) -> list[KnownTarget]:
    """Every target with a known name, those of the zoo first; with ``pattern``, those that match it.

    A source whose package is not installed has none.
    A pattern with ``*``, ``?`` or ``[`` has to match a whole target or the name after its colon; any other
    matches anywhere in a target or its family.  Upper and lower case are the same.
    """
    known = [KnownTarget(f"{zoo.__name__}:{name}", "zoo") for name in zoo.__all__]
    for source, networks in SOURCES.items():
        with contextlib.suppress(TargetError):
            known += [KnownTarget(f"{source}:{name}", network.family) for name, network in networks(Path.cwd()).items()]
    return [entry for entry in known if pattern is None or _matches(entry, pattern.lower())]


def _matches(entry: KnownTarget, pattern: str) -> bool:
    target = entry.target.lower()
    if any(character in pattern for character in "*?["):
        return any(fnmatch.fnmatchcase(text, pattern) for text in (target, target.partition(":")[2]))
    return pattern in target or pattern in entry.family


def find_builder(target: str, base: Path | None = None) -> Builder:
    """What ``target`` names: a function or class that builds a network, or a network, as a :class:`Builder`.

    A relative ``path/to/net.py`` starts from ``base`` (default: the current folder), and so does a path among
    the kwargs of a source's network.  Raises TargetError, which offers the nearest known names.
    """
    base = base or Path.cwd()
    place, colon, name = target.rpartition(":")
    if not (place and colon and name):
        names = {entry.target.partition(":")[2]: entry.target for entry in reversed(list_targets())}
        near = [names[name] for name in difflib.get_close_matches(target, names, n=1)]
        example = f"did you mean {near[0]!r}?" if near else "such as torchvision:resnet50"
        raise TargetError(f"target {target!r}: expected source:name, {example}")
    if place in SOURCES:
        networks = SOURCES[place](base)
        if name not in networks:
            hint = did_you_mean(name, networks)
            raise TargetError(f"target {target}: {place} has no network {name!r}{hint}; see: profiler models")
        return networks[name]
    module = _load(target, place, base)
    found = _attribute(target, module, name)
    if not callable(found):
        raise TargetError(f"target {target}: {name} is a {type(found).__name__}, expected a class or function")
    return Builder(place, without_download(found))


def reason(error: BaseException) -> str:
    """An exception as part of a one-line message: its type and the first line of what it says."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if len(lines[0]) <= 300 else f"{lines[0][:297]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load(target: str, place: str, base: Path) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    try:
        return with_operators(lambda: _load_file(base / place) if is_file else importlib.import_module(place))
    except FileNotFoundError as error:
        if is_file and not (base / place).is_file():
            raise TargetError(f"target {target}: no such file {base / place}") from error
        raise TargetError(f"target {target}: {place} cannot be imported: {reason(error)}") from error
    except ModuleNotFoundError as error:
        if is_file or error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise TargetError(f"target {target}: {place} cannot be imported: {reason(error)}") from error
        hint = did_you_mean(place, (*SOURCES, zoo.__name__))
        raise TargetError(f"target {target}: no source or module {place!r}{hint}; see: profiler models") from error
    except FOREIGN_ERRORS as error:
        raise TargetError(f"target {target}: {place} cannot be imported: {reason(error)}") from error


def _attribute(target: str, module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, (key for key, value in vars(found).items() if callable(value)))
            raise TargetError(f"target {target}: {getattr(found, '__name__', found)} has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def _load_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own, once for each text that it has had.

    Its folder is importable while it runs, so that it may import its neighbours.  They are forgotten
    afterwards, since another network's folder may hold others of the same name.
    """
    path = path.resolve()
    text = path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(str(path).encode() + text).hexdigest()[:12]}"
    if name in sys.modules:  # once only: what it registers, such as a rule, can be registered once
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(f"{path.name} is not a Python file")
    code = compile(text, str(path), "exec")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        with _importable(path.parent):
            exec(code, vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Modules in ``folder`` can be imported inside; those that only this made importable are forgotten."""
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
    """Whether ``import name`` would find what is imported under that name now."""
    imported = getattr(sys.modules[name], "__spec__", None)
    if imported is None:  # made by hand, not found anywhere
        return True
    specs = (finder.find_spec(name, None) for finder in sys.meta_path)
    found = next((spec for spec in specs if spec is not None), None)
    return found is not None and _place(found) == _place(imported)


def _place(spec: ModuleSpec) -> tuple[str | None, list[str]]:
    return spec.origin, list(spec.submodule_search_locations or ())
