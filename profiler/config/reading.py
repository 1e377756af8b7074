"""A YAML file, or a target on the command line → a :class:`Config`, or one line that says what is wrong and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from profiler.config.errors import explain, shown_value
from profiler.config.inputs import DTYPES
from profiler.config.schema import Config, known_keys
from profiler.config.sizes import is_size_name, unknown_size
from profiler.errors import ConfigError, did_you_mean
from profiler.files import folder_name
from profiler.yaml_files import read_yaml


def load_config(path: str | PathLike[str], sizes: Mapping[str, int] | None = None) -> Config:
    """The config in the YAML file ``path``; ``sizes`` replace or add to those of the file.

    Raises ConfigError; its one-line message names the file, the key, what was found and what was expected.
    """
    path = Path(path)
    data = read_yaml(path)
    if data is None:
        raise ConfigError(f"{path}: empty, expected a mapping with the keys model and inputs")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {shown_value(data)}, expected a mapping with the keys model and inputs")
    sizes = sizes or {}
    if sizes and isinstance(data.get("sizes", {}), dict):
        data = {**data, "sizes": {**data.get("sizes", {}), **sizes}}
    config = validated({"name": path.stem, **data}, str(path))
    config._path = path
    _check_known(config, sizes, str(path))
    return config


def quick_config(target: str, shapes: Iterable[str], sizes: Mapping[str, int] | None = None) -> Config:
    """The config of ``target`` with one positional input for each of ``shapes``.

    A shape is written ``1x3x224x224``, or with a dtype ``1x128:int64``, or with names of ``sizes`` ``Bx3xHxW``.
    Without shapes, the target's source decides the inputs.  Raises ConfigError.
    """
    sizes = sizes or {}
    inputs = [_parse_shape(shape, sizes) for shape in shapes] or None
    name = folder_name(target.rpartition(":")[2])
    data = {"name": name, "model": {"target": target}, "inputs": inputs, "sizes": dict(sizes)}
    config = validated(data, target)
    _check_known(config, sizes, target)
    return config


def with_sizes(config: Config, sizes: Mapping[str, int]) -> Config:
    """The config at other values of its sizes, with plain numbers in its shapes, kwargs and cache.

    A size that is not in ``sizes`` keeps its value.  Raises ConfigError, which names the file, the key and the value,
    also for a name that no part of the config has.
    """
    where = str(config.path or config.model.target)
    _check_known(config, sizes, where)
    if not sizes:
        return config
    written = config.written
    model = {"target": config.model.target, "kwargs": config.model.kwargs if written.kwargs is None else written.kwargs}
    data = {"name": config.name, "model": model, "sizes": {**config.sizes, **sizes}, "inputs": written.inputs}
    at = validated({**data, "cache": written.cache}, where)
    update = {key: getattr(at, key) for key in ("model", "sizes")}
    update |= {key: getattr(at, key) for key in ("inputs", "cache") if getattr(written, key) is not None}
    return config.model_copy(update=update)


def _check_known(config: Config, sizes: Mapping[str, int], where: str) -> None:
    known = config.written.names(config.sizes)
    for name in sizes:
        if name not in known:
            raise ConfigError(f"{where}: size {unknown_size(name, known)}")


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """The config with its keys replaced by those in ``options``.  Raises ConfigError, which names the option."""
    if not options:
        return config
    names = {"inputs": "inputs-from"}
    for key, value in options.items():
        try:
            part = Config.model_validate(
                {"name": config.name, "model": config.model, **_context(config, key), key: value}
            )
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            found, expected = shown_value(problem["input"]), problem["msg"].removeprefix("Input should be ")
            raise ConfigError(f"--{names.get(key, key)}: found {found}, expected {expected}") from error
        config = config.model_copy(update={key: getattr(part, key)})
        if key == "generate":  # it makes its own inputs
            config = config.model_copy(update={"inputs": None, "cache": None})
        if key in ("inputs", "cache"):  # a plain value now, without names of sizes
            config._written = replace(config.written, **{key: None})
    return config


def _context(config: Config, key: str) -> dict[str, Any]:
    """The keys of the config that an option for ``key`` must agree with."""
    names = ("mode", "method", "part", "rewrites") if key == "generate" else ()
    return {name: getattr(config, name) for name in names}


def _parse_shape(text: str, known: Mapping[str, int]) -> dict[str, object]:
    sizes, colon, dtype = text.partition(":")
    found = [_parse_size(size) for size in sizes.split("x")]
    if None in found or (colon and dtype not in DTYPES):
        hint = did_you_mean(dtype, DTYPES) if dtype else ""
        raise ConfigError(
            f"--input {text}: expected positive sizes joined by x, such as 1x3x224x224,"
            f" or with a dtype, such as 1x128:int64{hint}"
        )
    for name in found:
        if isinstance(name, str) and name not in known:
            more = f"; the names with values are {', '.join(known)}{did_you_mean(name, known)}" if known else ""
            raise ConfigError(f"--input {text}: {name} has no value, expected --size {name}=NUMBER{more}")
    return {"shape": found, "dtype": dtype or None}


def _parse_size(text: str) -> int | str | None:
    """One size of a shape: a positive number, or a name; None if it is neither."""
    if re.fullmatch(r"0*[1-9][0-9]{0,18}", text, re.ASCII):
        return int(text)
    return text if is_size_name(text) else None


def validated(data: Mapping[str, Any], where: str) -> Config:
    """The config with these keys; ``where`` begins the message of a ConfigError."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # A misspelled key causes a second error about a missing key; only the first error helps.
        problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {explain(problems[0], known_keys)}{more}") from error
