"""``--vary B=1,2,4,8`` → an axis: the names that vary together, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from profiler.config import OPTIMIZERS, Config, with_options, with_sizes
from profiler.config.sizes import is_size_name
from profiler.errors import ConfigError, did_you_mean, shown
from profiler.yaml_files import yaml_value

SETTINGS = ("dtype", "mode", "optimizer", "cache", "method", "part")
"""The keys of a config that can vary, besides its sizes and kwargs; ``cache`` is the number of tokens in the cache."""

UNCHANGED = object()

KWARGS = "kwargs."
"""What the name of a varied argument of the builder begins with."""

_RANGE = re.compile(r"\s*(-?[0-9]+)?\s*:\s*(-?[0-9]+)?\s*(?::\s*(\*?)(-?[0-9]+)?\s*)?")
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Axis:
    """Names that vary together; each of ``parts`` gives their values one after the other.

    A part is a range of numbers, which all names have, or one value for each name.
    """

    names: tuple[str, ...]
    parts: tuple[range | tuple[Any, ...], ...]

    @property
    def count(self) -> int:
        """The number of its values; ``len`` of a range cannot be larger than a machine word."""
        return sum(_length(part) if isinstance(part, range) else 1 for part in self.parts)

    def values(self) -> Iterator[tuple[Any, ...]]:
        """One value for each of the names at a time."""
        for part in self.parts:
            if isinstance(part, range):
                yield from ((number,) * len(self.names) for number in part)
            else:
                yield part

    def __str__(self) -> str:
        return f"{','.join(self.names)}={','.join(map(_part_text, self.parts))}"


def _length(numbers: range) -> int:
    return max(0, (numbers.stop - numbers.start + numbers.step - (1 if numbers.step > 0 else -1)) // numbers.step)


def _part_text(part: range | tuple[Any, ...]) -> str:
    if isinstance(part, range):
        return f"{part.start}:{part[-1]}:{part.step}"
    return repr(part[0]) if len(set(map(repr, part))) == 1 else repr(list(part))


def parse_axis(text: str) -> Axis:
    """The axis that ``NAME=VALUE,…``, ``NAME=START:STOP:STEP`` or ``NAME,NAME=…`` names.

    STOP is included if a step meets it; ``START:STOP:*FACTOR`` multiplies.  A value is read as in YAML, and a list of
    as many values as there are names gives each name its own.  Raises ConfigError.
    """
    names, equals, values = text.partition("=")
    if not equals or not values.strip():
        raise ConfigError(f"--vary {text}: expected a name and values, such as B=1,2,4,8 or H,W=128:512:32")
    where = f"--vary {text}"
    named = tuple(name.strip() for name in names.split(","))
    parts: list[range | tuple[Any, ...]] = []
    for piece in _pieces(values):
        found = _range(piece, where)
        parts += found if found is not None else [_for_each(yaml_value(piece, where), len(named))]
    return _checked(Axis(named, tuple(parts)), where)


def axis_of(names: str | Sequence[str], values: Sequence[Any]) -> Axis:
    """The axis of names, ``"B"``, ``"H,W"`` or ``("H", "W")``, with these values.  Raises ConfigError."""
    named = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else tuple(names)
    where = f"vary {','.join(map(str, named))}"
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise ConfigError(f"{where}: found {shown(values)}, expected a list of values or a range")
    parts = (values,) if isinstance(values, range) else tuple(_for_each(value, len(named)) for value in values)
    return _checked(Axis(named, parts), where)


def _pieces(text: str) -> list[str]:
    """The text cut at its commas outside of brackets and quotes."""
    pieces, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth -= 1
        elif character == "," and not depth:
            pieces.append("")
            continue
        pieces[-1] += character
    return pieces


def _range(piece: str, where: str) -> list[range | tuple[Any, ...]] | None:
    """The numbers of ``START:STOP:STEP``; None if the text is not a range."""
    found = _RANGE.fullmatch(piece)
    if found is None:
        return None
    start, stop, factor, step = found.groups()
    if start is None or stop is None:
        end = "an end" if stop is None else "a beginning"
        raise ConfigError(f"{where}: found the range {piece.strip()} without {end}, expected START:STOP:STEP")
    if any(len(number) > _DIGITS for number in (start, stop, step or "")):
        raise ConfigError(f"{where}: found the range {shown(piece.strip())}, expected numbers below 10^{_DIGITS}")
    if piece.count(":") == 2 and step is None:
        raise ConfigError(f"{where}: found the range {piece.strip()} without a step, expected START:STOP:STEP")
    first, last, by = int(start), int(stop), int(step or 1)
    if factor:
        return _powers(first, last, by, f"{where}: found the range {piece.strip()}")
    if by == 0:
        raise ConfigError(f"{where}: found the range {piece.strip()} with step 0, expected another step")
    if (last - first) * by < 0:
        right = f"{last}:{first}:{by}" if by > 0 else f"{first}:{last}:{-by}"
        raise ConfigError(f"{where}: found the range {piece.strip()}, which never gets to {last}, expected {right}")
    return [range(first, last + (1 if by > 0 else -1), by)]


def _powers(first: int, last: int, factor: int, where: str) -> list[range | tuple[Any, ...]]:
    if factor < 2 or not 0 < first <= last:
        raise ConfigError(f"{where}, expected START:STOP:*FACTOR with 0 < START <= STOP and a factor of at least 2")
    numbers = []
    while first <= last:
        numbers.append(first)
        first *= factor
    return [range(number, number + 1) for number in numbers]


def _for_each(value: Any, names: int) -> tuple[Any, ...]:
    if names > 1 and isinstance(value, (list, tuple)) and len(value) == names:
        return tuple(value)
    return (value,) * names


def _checked(axis: Axis, where: str) -> Axis:
    for name in axis.names:
        if not (isinstance(name, str) and _is_known(name)):
            hint = did_you_mean(str(name), SETTINGS)
            raise ConfigError(
                f"{where}: found the name {shown(name)}, expected the name of a size, "
                f"{KWARGS}NAME or one of {', '.join(SETTINGS)}{hint}"
            )
        if axis.names.count(name) > 1:
            raise ConfigError(f"{where}: the name {name} is given twice")
    if not axis.count:
        raise ConfigError(f"{where}: found no values, expected at least one")
    return axis


def _is_known(name: str) -> bool:
    if name.startswith(KWARGS):
        return all(part.strip() for part in name.split("."))
    return name in SETTINGS or is_size_name(name)


def check_axes(axes: Sequence[Axis], columns: Sequence[str]) -> None:
    """Raise ConfigError for a name on two axes, a value given twice, a size that is no positive integer.

    ``columns`` are the columns that the table has anyway, whose names cannot be used again.
    """
    names = [name for axis in axes for name in axis.names]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--vary {name}: the name is given twice; names that vary together are one --vary")
        if name in columns:
            raise ConfigError(f"--vary {name}: the table has a column of that name; give the size another one")
    for axis in axes:
        seen = set()
        for values in axis.values():
            for name, value in zip(axis.names, values, strict=True):
                if is_size(name) and (type(value) is not int or value < 1):
                    raise ConfigError(f"--vary {name}: found {shown(value)}, expected positive integers")
            key = repr(values)
            if key in seen:
                raise ConfigError(f"--vary {','.join(axis.names)}: the value {shown(values[0])} is given twice")
            seen.add(key)


def is_size(name: str) -> bool:
    """Whether the name of an axis is that of a size of the config."""
    return not name.startswith(KWARGS) and name not in SETTINGS


def varied(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with these values of sizes, kwargs and settings.  Raises ConfigError."""
    varied = with_sizes(config, {name: value for name, value in values.items() if is_size(name)})
    options: dict[str, Any] = {}
    for name, value in values.items():
        if name.startswith(KWARGS):
            varied = _with_kwarg(varied, name.removeprefix(KWARGS).split("."), value)
        elif name == "cache":
            options["cache"] = None if value is None else {"length": value}
        elif name in SETTINGS:
            options[name] = value
    optimizer = options.pop("optimizer", UNCHANGED)
    if optimizer is UNCHANGED:
        if options.get("mode") == "inference":  # without a backward pass, the optimizer of the config takes no step
            varied = varied.model_copy(update={"optimizer": None})
        return with_options(varied, options)
    return _with_optimizer(with_options(varied, options), optimizer)


def _with_optimizer(config: Config, optimizer: Any) -> Config:
    if optimizer is None:
        return config.model_copy(update={"optimizer": None})
    if optimizer not in OPTIMIZERS:
        raise ConfigError(
            f"--vary optimizer: found {shown(optimizer)}, expected one of {', '.join(OPTIMIZERS)}"
            f"{did_you_mean(str(optimizer), OPTIMIZERS)}"
        )
    if config.mode != "training":
        raise ConfigError(f"--vary optimizer: found {optimizer} in mode inference, expected mode training")
    return config.model_copy(update={"optimizer": optimizer})


def _with_kwarg(config: Config, path: Sequence[str], value: Any) -> Config:
    kwargs = _with_value(config.model.kwargs, path, value)
    changed = config.model_copy(update={"model": config.model.model_copy(update={"kwargs": kwargs})})
    if config.written.kwargs is not None:  # a plain value now, at other sizes too
        changed._written = replace(config.written, kwargs=_with_value(config.written.kwargs, path, value))
    return changed


def _with_value(kwargs: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    changed = dict(kwargs)
    inner = changed
    for key in path[:-1]:
        below = inner.get(key, {})
        if not isinstance(below, Mapping):
            raise ConfigError(
                f"--vary {KWARGS}{'.'.join(path)}: found {key}: {shown(below)}, expected a mapping of kwargs"
            )
        inner[key] = dict(below)
        inner = inner[key]
    inner[path[-1]] = value
    return changed
