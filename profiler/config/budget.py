"""What a network may cost: the key ``budget`` of a config, or a file of budgets → limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic_core import PydanticCustomError

from profiler import catalog
from profiler.errors import ConfigError, did_you_mean, shown
from profiler.limits import Limit, parse_limit
from profiler.records import KINDS
from profiler.yaml_files import read_yaml

HEADLINE = "headline"
"""The figure of a share for which none is named: the headline by the network's convention."""


Scope = Literal["network", "modules", "share"]


OF_MEMORY = ("peak_activation_bytes", "memory_needed")
"""The figures of live memory, which is that of a whole network."""


def figures() -> tuple[str, ...]:
    """The figures that can be limited of the modules of a network, and of the whole."""
    return (*catalog.measures(), "trainable")


@dataclass(frozen=True, slots=True)
class FigureLimit:
    """The limit on one figure: of the whole network, of the modules that match ``of``, or the share of the kind ``of``.

    ``key`` is its place in the budget, ``place`` is the same for messages.
    """

    key: str
    place: str
    figure: str
    limit: Limit
    scope: Scope = "network"
    of: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost.

    ``complete`` says whether the profile has to be complete; False accepts the lower bounds of a partial one.
    """

    limits: tuple[FigureLimit, ...] = ()
    complete: bool | None = None

    @property
    def needs_memory(self) -> bool:
        """Whether a limit is one of live memory."""
        return any(limit.figure in OF_MEMORY for limit in self.limits)


@dataclass(frozen=True, slots=True)
class Budgets:
    """A file of budgets: the pattern that the name of a network has to match, and the budget of these networks."""

    place: str
    entries: tuple[tuple[str, Budget], ...]

    def of(self, name: str) -> list[Budget]:
        """The budgets of the network of that name; it has to keep to each of them."""
        return [budget for pattern, budget in self.entries if fnmatchcase(name, pattern)]

    def idle(self, names: list[str]) -> list[str]:
        """The patterns that match none of the networks of these names."""
        return [pattern for pattern, _ in self.entries if not any(fnmatchcase(name, pattern) for name in names)]


def load_budgets(path: str | PathLike[str]) -> Budgets:
    """The budgets in the YAML file ``path``: one for every network, or a mapping of names and patterns to budgets.

    Raises :class:`ConfigError`; its one-line message names the file, the key, what was found and what was expected.
    """
    data = read_yaml(Path(path))
    if _is_by_name(data):
        assert isinstance(data, Mapping)
        entries = [(name, parse_budget(budget, f"{path}: {_key(name)}", ".")) for name, budget in data.items()]
        return Budgets(str(path), tuple(entries))
    return Budgets(str(path), (("*", parse_budget(data, str(path), ": ")),))


def _is_by_name(data: object) -> bool:
    """Whether the mapping is one of networks to budgets: it has no key of a budget, and mappings as values."""
    if not isinstance(data, Mapping) or not data:
        return False
    return all(isinstance(key, str) and isinstance(value, Mapping) for key, value in data.items()) and not any(
        key in _keys() for key in data
    )


def _keys() -> tuple[str, ...]:
    return (*figures(), *OF_MEMORY, "complete", "modules", "shares")


def parse_budget(data: object, place: str, joint: str = ".") -> Budget:
    """The budget in a mapping; ``place`` is where it was found, and ``joint`` is written between it and a key.

    Raises :class:`ConfigError`.
    """
    known = _keys()
    found = _mapping(data, place, f"limits, such as macs: 4.1G ({', '.join(known)})")
    complete = found.get("complete")
    if complete is not None and not isinstance(complete, bool):
        raise ConfigError(f"{place}{joint}complete: found {shown(complete)}, expected true or false")
    limits: list[FigureLimit] = []
    for key, value in found.items():
        if key == "modules":
            limits += _of_modules(value, place, joint)
        elif key == "shares":
            limits += _of_shares(value, place, joint)
        elif key in (*figures(), *OF_MEMORY):
            limits.append(_limit(str(key), f"{place}{joint}{key}", str(key), value))
        elif key != "complete":
            raise _unknown(key, f"{place}{joint}{_key(key)}", known)
    return Budget(tuple(limits), complete)


def _of_modules(data: object, place: str, joint: str) -> Iterator[FigureLimit]:
    patterns = _mapping(
        data, f"{place}{joint}modules", 'patterns of names with limits, such as "backbone.*": {macs: 1G}'
    )
    for pattern, limits in patterns.items():
        own = f"modules.{_key(pattern)}"
        if not isinstance(pattern, str) or not pattern.strip():
            raise ConfigError(f"{place}{joint}{own}: found {shown(pattern)}, expected the name of modules as text")
        for figure, value in _mapping(limits, f"{place}{joint}{own}", "limits, such as {macs: 1G}").items():
            key = f"{own}.{_key(figure)}"
            if figure not in figures():
                raise _unknown(figure, f"{place}{joint}{key}", figures())
            yield _limit(key, f"{place}{joint}{key}", figure, value, "modules", pattern)


def _of_shares(data: object, place: str, joint: str) -> Iterator[FigureLimit]:
    kinds = _mapping(data, f"{place}{joint}shares", 'kinds of work with limits, such as attention: "<= 40 %"')
    for kind, value in kinds.items():
        own = f"shares.{_key(kind)}"
        if kind not in KINDS:
            raise _unknown(kind, f"{place}{joint}{own}", KINDS, "kind of work")
        if not isinstance(value, Mapping):
            yield _limit(own, f"{place}{joint}{own}", HEADLINE, value, "share", kind)
            continue
        known = catalog.measures()
        for figure, text in _mapping(value, f"{place}{joint}{own}", 'limits, such as {macs: "<= 40 %"}').items():
            key = f"{own}.{_key(figure)}"
            if figure not in known:
                raise _unknown(figure, f"{place}{joint}{key}", known)
            yield _limit(key, f"{place}{joint}{key}", figure, text, "share", kind)


def _limit(key: str, place: str, figure: str, value: object, scope: Scope = "network", of: str = "") -> FigureLimit:
    return FigureLimit(key, place, figure, parse_limit(value, place, share=scope == "share"), scope, of)


def _mapping(data: object, place: str, expected: str) -> Mapping[Any, Any]:
    if data is None or data == {}:
        raise ConfigError(f"{place}: empty, expected {expected}")
    if not isinstance(data, Mapping):
        raise ConfigError(f"{place}: found {shown(data)}, expected {expected}")
    return data


def _unknown(key: object, place: str, known: tuple[str, ...], what: str = "key") -> ConfigError:
    return ConfigError(f"{place}: unknown {what}{did_you_mean(str(key), known)} (expected one of {', '.join(known)})")


def _key(key: object) -> str:
    return key if isinstance(key, str) and key.isidentifier() else shown(key)


def check_section(data: object) -> object:
    """The key ``budget`` of a config, unchanged if it is a budget; the config then has plain values only.

    Raises an error of pydantic otherwise.
    """
    if data is None:  # the JSON of a config without a budget
        return None
    try:
        parse_budget(data, "budget")
    except ConfigError as error:
        raise PydanticCustomError("budget", "{text}", {"text": str(error)}) from error
    return data
