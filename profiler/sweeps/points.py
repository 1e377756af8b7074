"""Sources and axes, or a stream of candidates → the points of a sweep, one at a time."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

from profiler.config import Config
from profiler.config.reading import validated
from profiler.errors import FOREIGN_ERRORS, ConfigError, shown
from profiler.printable import one_line
from profiler.sweeps.axes import KWARGS, Axis, is_size, varied

MAX_POINTS = 1_000_000
"""The number of points that a sweep may have unless a person allows more."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point: the place of its row, its target, the values of what varies, and its config.

    A point that has no config has the reason as its ``error``.
    """

    number: int
    target: str
    values: tuple[Any, ...]
    config: Config | None
    error: str = ""

    def digest(self) -> bytes:
        """16 bytes that differ if anything differs that the figures depend on, files that the config names included."""
        named = {"target": self.target, "values": self.values, "error": self.error}
        content = named if self.config is None else {**named, **_content(self.config)}
        text = json.dumps(content, default=_stable, separators=(",", ":"))
        return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).digest()


COUNTED = ("model", "inputs", "cache", "method", "part", "exclude", "mode", "optimizer", "dtype", "views", "rewrites")
"""The keys of a config on which the figures of its network depend."""

_FILE = re.compile(r"(.+\.py):[^:]+")


def _content(config: Config) -> dict[str, Any]:
    dumped = config.model_dump(include=set(COUNTED), by_alias=True)
    files = [config.model.target]
    made = dumped["inputs"]
    if isinstance(made, dict) and isinstance(made.get("from"), str):
        files.append(made["from"])
    named = [config.base / found[1] for text in files if (found := _FILE.fullmatch(text))]
    return {**dumped, "files": [file_digest(path) for path in named]}


def _stable(value: object) -> str:
    """Text for a value that JSON does not have: without the address of an object, which differs from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


_DIGESTS: dict[tuple[str, int, int], str] = {}


def file_digest(path: Path) -> str:
    """The digest of a file's content, read again only if its time or size has changed; ``missing`` without a file."""
    try:
        about = path.stat()
        key = (str(path), about.st_mtime_ns, about.st_size)
        if key not in _DIGESTS:
            _DIGESTS[key] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        return _DIGESTS[key]
    except OSError:
        return "missing"


class Points(Protocol):
    """The points of a sweep.

    ``names`` are what varies, ``total`` is the number of points if it is known.  ``identity`` says by which sources
    and values the points are made: a sweep can be resumed only if it is the same.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def total(self) -> int | None: ...

    def identity(self) -> dict[str, Any]:
        """What must not change if the sweep is resumed, by the word for it in messages."""

    def __iter__(self) -> Iterator[Point]: ...


class Grid:
    """Every source at every combination of the values of the axes.

    Points come in an order in which those of the same network follow each other: what changes the network changes
    slowest.  Their numbers are those of the order in which sources and axes were given, the last axis changing fastest.
    """

    def __init__(
        self, sources: Sequence[tuple[str, Config | str]], axes: Sequence[Axis], most: int = MAX_POINTS
    ) -> None:
        self.sources = tuple(sources)
        self.axes = tuple(axes)
        self.total = len(self.sources) * prod(axis.count for axis in self.axes)
        if self.total > most:
            raise ConfigError(
                f"--vary: found a grid of {self.total:,} points, expected at most {most:,}; "
                f"allow more by --max-points {self.total}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for axis in self.axes for name in axis.names)

    def identity(self) -> dict[str, Any]:
        contents = [config if isinstance(config, str) else _content(config) for _, config in self.sources]
        written = json.dumps(contents, default=_stable)
        return {
            "sources": [name for name, _ in self.sources],
            "the content of the sources": hashlib.blake2b(written.encode(), digest_size=16).hexdigest(),
            "grid": [str(axis) for axis in self.axes],
        }

    def __iter__(self) -> Iterator[Point]:
        values = [list(axis.values()) for axis in self.axes]
        steps = [prod(map(len, values[place + 1 :])) for place in range(len(values))]
        whole = prod(map(len, values))
        for place, (name, config) in enumerate(self.sources):
            order = sorted(range(len(values)), key=lambda axis: not _changes_network(self.axes[axis], config))
            for indices in itertools.product(*(range(len(values[axis])) for axis in order)):
                at = dict(zip(order, indices, strict=True))
                number = place * whole + sum(index * steps[axis] for axis, index in at.items())
                yield self._point(number, name, config, [values[axis][at[axis]] for axis in range(len(values))])

    def _point(self, number: int, name: str, config: Config | str, values: Sequence[tuple[Any, ...]]) -> Point:
        flat = tuple(itertools.chain.from_iterable(values))
        if isinstance(config, str):
            return Point(number, name, flat, None, config)
        try:
            return Point(number, name, flat, varied(config, dict(zip(self.names, flat, strict=True))))
        except ConfigError as error:
            return Point(number, name, flat, None, one_line(str(error)))

    def check(self) -> None:
        """Raise ConfigError for a name or a setting that a source does not accept, before anything is profiled."""
        for _, config in self.sources:
            if isinstance(config, str):
                continue
            first = {name: value for axis in self.axes for name, value in _first(axis)}
            varied(config, {name: value for name, value in first.items() if is_size(name)})
            for axis in self.axes:
                for values in axis.values() if not any(map(is_size, axis.names)) else ():
                    settings = dict(zip(axis.names, values, strict=True))
                    mode = {"mode": "training"} if "optimizer" in settings and "mode" not in settings else {}
                    varied(config, {**mode, **settings})


def _first(axis: Axis) -> Iterable[tuple[str, Any]]:
    return zip(axis.names, next(iter(axis.values())), strict=True)


def _changes_network(axis: Axis, config: Config | str) -> bool:
    """Whether another value on the axis is another network, and not the same one with other inputs."""
    if isinstance(config, str):
        return False
    in_kwargs = config.written.kwargs_names(config.sizes)
    return any(name.startswith(KWARGS) or name == "dtype" or name in in_kwargs for name in axis.names)


class Candidates:
    """The networks that a function yields, one at a time: configs, or mappings with the keys of one."""

    names: tuple[str, ...] = ()
    total: int | None = None

    def __init__(
        self,
        name: str,
        make: Callable[[], Iterable[Config | Mapping[str, Any]]],
        base: Path,
        most: int = MAX_POINTS,
        file: Path | None = None,
    ) -> None:
        self.name = name
        self.make = make
        self.base = base
        self.most = most
        self.file = file

    def identity(self) -> dict[str, Any]:
        content = "" if self.file is None else file_digest(self.file)
        return {"sources": [self.name], "the content of the sources": content, "grid": []}

    def __iter__(self) -> Iterator[Point]:
        for number, candidate in enumerate(self._made()):
            if number >= self.most:
                raise ConfigError(
                    f"{self.name}: found more than {self.most:,} candidates; allow more by --max-points NUMBER"
                )
            yield self._point(number, candidate)

    def _made(self) -> Iterator[object]:
        """What the function yields.  Raises ConfigError for an error in it."""
        made: Iterator[object] | None = None
        while True:
            try:
                made = iter(self.make()) if made is None else made
                candidate = next(made)
            except StopIteration:
                return
            except FOREIGN_ERRORS as error:
                raise ConfigError(f"{self.name}: it raised {type(error).__name__}: {one_line(str(error))}") from error
            yield candidate

    def _point(self, number: int, candidate: object) -> Point:
        name = f"candidate_{number}"
        try:
            config = self._config(name, candidate)
        except ConfigError as error:
            return Point(number, name, (), None, one_line(str(error)))
        return Point(number, config.name, (), config)

    def _config(self, name: str, candidate: object) -> Config:
        if isinstance(candidate, Config):
            return candidate
        if not isinstance(candidate, Mapping):
            raise ConfigError(
                f"{self.name}: found {shown(candidate)}, expected a Config or a mapping with the keys of one"
            )
        config = validated({"name": name, **candidate}, f"{self.name}, {name}")
        config._path = self.base / "candidates.yaml"
        return config


def kwargs_text(config: Config | None) -> str:
    """The kwargs of a candidate as one line of JSON."""
    return "" if config is None else json.dumps(config.model.kwargs, default=_stable, ensure_ascii=False)
