"""Valid files → broken ones: mutations of a parsed tree and of the bytes, drawn by hypothesis."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

NAMES = ("../../evil", "/evil", "", ".", "..", "a/b", "a\\b", "a\x00b", "a\x1b[2Jb", "a\ud800b", "x" * 300, "C:evil")
NUMBERS = (-1, 0, 1, 5.5, 1.0, float("inf"), float("-inf"), float("nan"), True, False, 2**31, 2**63, 2**64, 10**30)
HUGE = (10**400, -(10**400), 1e308, 5e-324)
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    [[]],
    [None],
    {"": None},
    "1",
    "true",
    [1, [2, [3]]],
    {"shape": [1]},
    "scalar",
    "1x float32",
)
VALUES: tuple[Any, ...] = (*NAMES, *NUMBERS, *HUGE, *ODD)

Path = tuple[Any, ...]


def paths(tree: Any, here: Path = ()) -> list[Path]:
    """The path of every value in a tree of lists and mappings; the root's path is ``()``."""
    found: list[Path] = [here]
    if isinstance(tree, dict):
        for key, value in tree.items():
            found += paths(value, (*here, key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            found += paths(value, (*here, number))
    return found


def at(tree: Any, path: Path) -> Any:
    """The value at ``path``."""
    for step in path:
        tree = tree[step]
    return tree


def _put(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    at(tree, path[:-1])[path[-1]] = value
    return tree


@st.composite
def broken_trees(draw: st.DrawFn, tree: Any) -> Any:
    """``tree`` after one to three mutations: a value changed, moved, doubled, removed, or a key renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        path: Path = draw(st.sampled_from(paths(tree)))
        if draw(st.integers(0, 3)) == 0:  # a list has many similar values, so sometimes the path is drawn step by step
            path = ()
            while isinstance(here := at(tree, path), (dict, list)) and here and (not path or draw(st.integers(0, 5))):
                path = (*path, draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here)))))
        tree = _mutate(draw, tree, path)
    return tree


def _mutate(draw: st.DrawFn, tree: Any, path: Path) -> Any:
    here = at(tree, path)
    how = draw(
        st.sampled_from(
            ("value", "value", "near", "near", "near", "swap", "remove", "double", "rename", "extra", "deep")
        )
    )
    if how == "value" or not path:
        return _put(tree, path, copy.deepcopy(draw(st.sampled_from(VALUES) | st.text(max_size=20) | st.integers())))
    if how == "near":
        return _put(tree, path, _near(draw, here))
    if how == "swap":
        other = draw(st.sampled_from(paths(tree)[1:60]))
        return _put(tree, path, copy.deepcopy(at(tree, other)))
    if how == "deep":
        for _ in range(draw(st.sampled_from((3, 70, 150)))):
            here = [here]
        return _put(tree, path, here)
    parent, last = at(tree, path[:-1]), path[-1]
    if how == "remove":
        del parent[last]
    elif how == "double" and isinstance(parent, list):
        parent.insert(last, copy.deepcopy(here))
    elif how == "rename" and isinstance(parent, dict):
        parent[draw(st.sampled_from((f"{last}s", "", "shape", "\ud800", 1, None, True)))] = parent.pop(last)
    elif isinstance(parent, dict):
        parent[draw(st.text(max_size=8))] = here
    return tree


def _near(draw: st.DrawFn, value: Any) -> Any:
    """A value similar to ``value``."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        larger = (value + 1, value * 2, value * 2**31, value * 2**62)
        fractions = (float(value), value + 0.5) if abs(value) < 2**200 else ()
        return draw(st.sampled_from((*larger, *fractions, 0, value - 1, -value, str(value))))
    if isinstance(value, str):
        return draw(st.sampled_from((value[:-1], value + " ", value.upper(), value * 40, value + "\x00", value[::-1])))
    if isinstance(value, dict):
        return list(value.items())
    return {str(number): item for number, item in enumerate(value)} if isinstance(value, list) else 0


FRAGMENTS = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"[", b"]" * 3, b"{", b"}", b'"', b",", b":", b"-", b"\n", b"\t", b"\\",
    b"\\ud800",
    b"[" * 5000, b"[" * 100000, b'{"a":' * 5000, b"NaN", b"Infinity", b"-0", b"1e999", b"9" * 30, b"9" * 5000, b"null",
    b"true", b"&a ", b"*a", b"<<: ", b"!!python/object/apply:os.system [id]", b"!!binary aaa", b"!!set {a}", b"? ",
    b"- ", b"# ", b"--- ", b"...", b"%YAML 9.9\n", b"2001-01-01", b"0o17", b"1:30:00", b"0x" + b"f" * 5000, b".inf",
    b".nan", b"~", b"|", b">", b"'", b"@", b"`", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85", b"\x1b[2J",
)  # fmt: skip


@st.composite
def broken_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` after one to three mutations: cut, doubled, a bit flipped, something inserted, or a word changed."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(("insert", "insert", "replace", "cut", "drop", "double", "bit"))):
            case "insert":
                data = data[:start] + draw(st.sampled_from(FRAGMENTS)) + data[start:]
            case "replace":
                data = data[:start] + draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=8)) + data[end:]
            case "cut":
                data = data[:start]
            case "drop":
                data = data[:start] + data[end:]
            case "double":
                data = data[:end] + data[start:]
            case _ if start < len(data):
                data = data[:start] + bytes([data[start] ^ (1 << draw(st.integers(0, 7)))]) + data[start + 1 :]
            case _:
                pass
    return data


def as_json(tree: Any) -> bytes:
    """A tree as JSON; values that JSON does not have are written as by Python."""
    return json.dumps(tree, default=str).encode("utf-8", "replace")


@st.composite
def broken_files(draw: st.DrawFn, data: bytes, parse: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> bytes:
    """A valid file with an error in its content, in its bytes, or in both."""
    where = draw(st.sampled_from(("tree", "tree", "tree", "tree", "bytes", "both")))
    if where != "bytes":
        data = write(draw(broken_trees(parse(data))))
    return data if where == "tree" else draw(broken_bytes(data))
