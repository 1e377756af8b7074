"""A target, which is the text that names a network → its builder.

``source:name`` is looked up in a registered source (``torchvision:resnet50``), ``path/to/net.py:Net`` loads a file,
and ``package.module:Net`` imports a module.  The last two run the code that they name.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from profiler.errors import FOREIGN_ERRORS, TargetError, did_you_mean
from profiler.models import zoo
from profiler.models.from_torchvision import without_download
from profiler.models.python_files import classes_in, import_named, load_file
from profiler.models.sources import SOURCES, Builder
from profiler.models.torchvision_ops import with_operators

# isort: split
# These register themselves, and come after torchvision in lists.
from profiler.models import from_timm, from_transformers  # noqa: F401


@dataclass(frozen=True, slots=True)
class KnownTarget:
    """A target that can be named, and the family that it is listed under."""

    target: str
    family: str


def list_targets(pattern: str | None = None) -> list[KnownTarget]:
    """Every target with a known name, those of the zoo first; with ``pattern``, those that match it.

    A source whose package is not installed has no targets.
    A pattern with ``*``, ``?`` or ``[`` has to match a whole target or the name after its colon; any other pattern
    matches anywhere in a target or its family.  Case is ignored.
    """
    known = [KnownTarget(f"{zoo.__name__}:{name}", "zoo") for name in zoo.__all__]
    for source, networks in SOURCES.items():
        if pattern is not None and not _may_match(source, pattern.lower()):
            continue
        with contextlib.suppress(TargetError):
            known += [KnownTarget(f"{source}:{name}", network.family) for name, network in networks(Path.cwd()).items()]
    return [entry for entry in known if pattern is None or _matches(entry, pattern.lower())]


def _may_match(source: str, pattern: str) -> bool:
    """Whether a target of ``source`` can match: a package that the pattern rules out is not imported."""
    before, colon, _ = pattern.partition(":")
    return not colon or any(character in before for character in "*?[") or source.endswith(before)


def _matches(entry: KnownTarget, pattern: str) -> bool:
    target = entry.target.lower()
    if any(character in pattern for character in "*?["):
        return any(fnmatch.fnmatchcase(text, pattern) for text in (target, target.partition(":")[2]))
    return pattern in target or pattern in entry.family


def find_builder(target: str, base: Path | None = None) -> Builder:
    """The function, class or network that ``target`` names, as a :class:`Builder`.

    A relative ``path/to/net.py`` starts from ``base`` (default: the current folder), and so does a path among
    the kwargs of a source's network.  Raises TargetError, which offers the nearest known names.
    """
    base = base or Path.cwd()
    place, colon, name = target.rpartition(":")
    if not (place and colon and name):
        raise TargetError(f"target {target!r}: expected {expected_for(target, base)}")
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


def expected_for(text: str, base: Path | None = None) -> str:
    """What to write in place of ``text``, which is not a target: the classes of a file, or the nearest known name."""
    path = (base or Path.cwd()) / text
    if text.endswith(".py"):
        if not path.is_file():
            return f"path/to/net.py:Class; there is no file {path}"
        classes = classes_in(path)
        held = f", which has {', '.join(classes[:SHOWN_CLASSES])}" if classes else ""
        more = ", …" if len(classes) > SHOWN_CLASSES else ""
        return f"{text}:{classes[0] if len(classes) == 1 else 'Class'}{held}{more}"
    names = {entry.target.partition(":")[2]: entry.target for entry in reversed(list_targets())}
    near = [names[name] for name in difflib.get_close_matches(text, names, n=1)]
    return f"source:name, {f'did you mean {near[0]!r}?' if near else 'such as torchvision:resnet50'}"


SHOWN_CLASSES = 10
"""The maximum number of classes of a file that a message lists."""


def reason(error: BaseException) -> str:
    """An exception as a part of a one-line message: its type and the first line of its text."""
    lines = str(error).strip().splitlines() or [""]
    text = lines[0] if len(lines[0]) <= 300 else f"{lines[0][:297]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load(target: str, place: str, base: Path) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    try:
        return with_operators(lambda: load_file(base / place) if is_file else import_named(place))
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
