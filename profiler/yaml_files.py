"""A YAML file → plain values, within limits: mappings, lists, strings, numbers, true, false and null.

A config file may come from anywhere.  Other parts of YAML (dates, tags, octal and base-60 numbers, values that
contain themselves) are refused; the message has the line and column.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from profiler.errors import ConfigError, shown
from profiler.files import read_bytes

BYTES_LIMIT = 8 * 2**20
"""A file with more bytes is not read."""

VALUES_LIMIT = 1_000_000
"""The maximum number of values in a file; an alias counts as often as it is used."""

DEPTH_LIMIT = 100
"""The maximum depth of nested lists and mappings."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_ODD_BASE = re.compile(r"[-+]?(0[0-7_]+|[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_DIGITS_LIMIT = 4000


def read_yaml(path: Path) -> object:
    """The single document in ``path``; None if it is empty.

    Raises ConfigError; its one-line message names the file, the place in it and what was expected.
    """
    return _loaded(_read(path), str(path), "a config file in YAML")


def yaml_value(text: str, where: str) -> object:
    """The value that ``text`` is in YAML, such as ``64``, ``[1, 2]`` or ``relu``.  Raises ConfigError."""
    return _loaded(text, where, "a value in YAML")


def _loaded(text: str, path: str, expected: str) -> object:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = ", ".join(_cut(part) for part in (error.context, error.problem) if part)
        raise ConfigError(f"{path}: {place}{problem}; expected valid YAML") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise ConfigError(f"{path}: line {line}, column {column}: {error.reason}; expected valid YAML") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply; expected {expected}") from error
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # PyYAML's scanner does not catch some errors, such as "\UFFFFFFFF", which is not a character.
        raise ConfigError(
            f"{path}: found something that cannot be read ({_cut(str(error))}), expected valid YAML"
        ) from error


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def _read(path: Path) -> str:
    try:
        return read_bytes(path, BYTES_LIMIT).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file, expected a config file in YAML") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: found a folder, expected a config file in YAML") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}), expected a config file in YAML") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read ({reason}), expected a config file in YAML") from error


def _error(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, restricted to plain values; every error has a line and column."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count(node, {}, 0)
        return node

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level > DEPTH_LIMIT:  # the scanner takes quadratic time in the depth
            problem = f"found more than {DEPTH_LIMIT} nested lists and mappings, expected no more"
            raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in _PLAIN and node.tag.startswith(_TAG):
            name = node.tag.removeprefix(_TAG)
            if name == "timestamp":
                raise _error(node, f"found the date {shown(node.value)}, expected quotes around it if it is text")
            raise _error(node, f"found a value of the type !!{_cut(name)}, expected a plain value")
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # such as !!int x
            kind = node.tag.removeprefix(_TAG)
            raise _error(node, f"found {shown(node.value)}, expected a value of the type !!{kind}") from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            merges = key_node.tag == f"{_TAG}merge"
            key = ("merge",) if merges else self.construct_object(key_node)
            if key in seen:
                raise _error(key_node, f"the key {'<<' if merges else shown(key)} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _check_scalar(node: yaml.ScalarNode) -> None:
    text: str = node.value
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _error(node, f"found {shown(text)}, expected text without unpaired surrogates")
    if node.tag not in (f"{_TAG}int", f"{_TAG}float"):
        return
    if len(text) > _DIGITS_LIMIT:
        raise _error(node, f"found a number of {len(text)} digits, expected at most {_DIGITS_LIMIT}")
    if _ODD_BASE.fullmatch(text):
        base = "a number of base 60" if ":" in text else "octal"
        raise _error(node, f"found {shown(text)}, which YAML reads as {base}; expected a decimal number, or quotes")


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """The number of values in a node; an alias counts as often as it is used.  Raises ConstructorError above limits."""
    if depth > DEPTH_LIMIT:
        raise _error(node, f"found more than {DEPTH_LIMIT} nested lists and mappings, expected no more")
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if not known[id(node)]:
            raise _error(node, "found a list or mapping that contains itself, expected one that does not")
        return known[id(node)]
    known[id(node)] = 0  # until its content is counted
    inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    number = 1 + sum(_count(part, known, depth + 1) for part in inner)
    if number > VALUES_LIMIT:
        raise _error(node, f"found {number:,} values, after expanding aliases; expected at most {VALUES_LIMIT:,}")
    known[id(node)] = number
    return number
