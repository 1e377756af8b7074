"""A YAML file, or a target on the command line → a :class:`Config`, or one line that says what is wrong and where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from profiler.config.errors import explain, shown_value
from profiler.config.inputs import DTYPES
from profiler.config.schema import Config, known_keys
from profiler.config.yaml_files import read_yaml
from profiler.errors import ConfigError, did_you_mean
from profiler.files import folder_name


def load_config(path: str | PathLike[str]) -> Config:
    """The config in the YAML file ``path``.

    Raises ConfigError; its one-line message names the file, the key, what was found and what was expected.
    """
    path = Path(path)
    data = read_yaml(path)
    if data is None:
        raise ConfigError(f"{path}: empty, expected a mapping with the keys model and inputs")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {shown_value(data)}, expected a mapping with the keys model and inputs")
    config = _validate({"name": path.stem, **data}, str(path))
    config._path = path
    return config


def quick_config(target: str, shapes: Iterable[str]) -> Config:
    """The config of ``target`` with one positional input for each of ``shapes``.

    A shape is written ``1x3x224x224``, or with a dtype ``1x128:int64``.  Without shapes, the target's source decides
    the inputs.  Raises ConfigError.
    """
    inputs = [_parse_shape(shape) for shape in shapes] or None
    name = folder_name(target.rpartition(":")[2])
    return _validate({"name": name, "model": {"target": target}, "inputs": inputs}, target)


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """The config with its keys replaced by those in ``options``.  Raises ConfigError, which names the option."""
    if not options:
        return config
    names = {"inputs": "inputs-from"}
    for key, value in options.items():
        try:
            part = Config.model_validate({"name": config.name, "model": config.model, key: value})
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            found, expected = shown_value(problem["input"]), problem["msg"].removeprefix("Input should be ")
            raise ConfigError(f"--{names.get(key, key)}: found {found}, expected {expected}") from error
        config = config.model_copy(update={key: getattr(part, key)})
    return config


def _parse_shape(text: str) -> dict[str, object]:
    sizes, colon, dtype = text.partition(":")
    if not re.fullmatch(r"0*[1-9][0-9]{0,18}(x0*[1-9][0-9]{0,18})*", sizes, re.ASCII) or (
        colon and dtype not in DTYPES
    ):
        hint = did_you_mean(dtype, DTYPES) if dtype else ""
        raise ConfigError(
            f"--input {text}: expected positive sizes joined by x, such as 1x3x224x224,"
            f" or with a dtype, such as 1x128:int64{hint}"
        )
    return {"shape": [int(size) for size in sizes.split("x")], "dtype": dtype or None}


def _validate(data: Mapping[str, Any], where: str) -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # A misspelled key causes a second error about a missing key; only the first error helps.
        problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {explain(problems[0], known_keys)}{more}") from error
