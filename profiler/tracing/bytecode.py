"""What the bytecode of a function names: globals, attributes, imports, and whether it changes anything outside.

Only the bytecode counts: a source file may have changed since it was compiled.
"""

from __future__ import annotations

import dis
import re
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

CHANGES = frozenset(
    {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "DELETE_NAME", "DELETE_ATTR", "LOAD_BUILD_CLASS", "IMPORT_STAR"}
)
"""Instructions that change a namespace or an object, or define a class."""

UNCLEAR = frozenset(
    {
        *("LOAD_NAME", "LOAD_LOCALS", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"),
        "MATCH_CLASS",
    }
)
"""Instructions whose names are not followed: those of class bodies, of code that is executed by name, of patterns."""

ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})

BY_NAME = frozenset({"getattr", "hasattr"})
"""Builtin functions that take the name of an attribute."""

FORMATS = frozenset({"format", "format_map"})
"""Methods of strings that read the attributes which the string names."""

NAMES_ATTRIBUTES = re.compile(r"\{[^{}:!]*\.")

OF_CLASSES = frozenset({"__name__", "__qualname__", "__module__"})
"""Attributes of a class that only name it."""

CONSTRUCTORS = frozenset({"__init__", "__post_init__"})
"""Methods that fill the object that is their first argument, which is new."""


class OpenCodeError(Exception):
    """Code reads, or may change, something whose part in its work is not known."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a function and those inside it name.

    ``read`` are globals, each with the attributes that follow it immediately (``("torch", "nn", "functional")``).
    ``attributes`` are the names of all attributes.  ``imports`` are a level, a module, and a name taken from it.
    ``problem`` says why more than that may matter, and is empty if nothing does.
    """

    read: frozenset[tuple[str, ...]]
    attributes: frozenset[str]
    imports: frozenset[tuple[int, str, str]]
    problem: str = ""


@lru_cache(maxsize=4096)
def names_in(code: CodeType) -> Names:
    """What ``code`` names, with all functions inside it."""
    return _Reading(code).names()


class _Reading:
    def __init__(self, code: CodeType) -> None:
        self._read: set[tuple[str, ...]] = set()
        self._attributes: set[str] = set()
        self._imports: set[tuple[int, str, str]] = set()
        self._problem = ""
        self._of(code, code.co_freevars)

    def names(self) -> Names:
        """What was found."""
        return Names(frozenset(self._read), frozenset(self._attributes), frozenset(self._imports), self._problem)

    def _of(self, code: CodeType, outside: tuple[str, ...]) -> None:
        """Read one function; ``outside`` are the variables of the functions around the outermost one."""
        found = list(dis.get_instructions(code))
        for place, instruction in enumerate(found):
            name, value = instruction.opname, instruction.argval
            if name in CHANGES or name in UNCLEAR or (name in ("STORE_DEREF", "DELETE_DEREF") and value in outside):
                self._problem = self._problem or f"{code.co_qualname} has {name} {value or ''}".strip()
            elif name == "LOAD_GLOBAL":
                self._global(code, found, place)
            elif name in ATTRIBUTES:
                self._check_attribute(code, found[place - 1], value)
                if not (value == "__class__" and found[place + 1].argval in OF_CLASSES):
                    self._attributes.add(value)
            elif name == "STORE_FAST" and code.co_name in CONSTRUCTORS and value == code.co_varnames[0]:
                self._problem = self._problem or f"{code.co_qualname} sets {value}"
            elif name == "STORE_ATTR" and not (code.co_name in CONSTRUCTORS and _is_of_first(code, found[place - 1])):
                self._problem = self._problem or f"{code.co_qualname} sets the attribute {value}"
            elif name == "IMPORT_NAME":
                self._import(code, found, place)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._of(constant, outside)

    def _check_attribute(self, code: CodeType, before: dis.Instruction, name: str) -> None:
        """Note a problem with a method that fills an object that is not new, or reads attributes by their names."""
        if name in CONSTRUCTORS and code.co_name not in CONSTRUCTORS:
            self._problem = self._problem or f"{code.co_qualname} calls {name}"
        written = isinstance(before.argval, str) and before.opname == "LOAD_CONST"
        if name in FORMATS and not (written and NAMES_ATTRIBUTES.search(before.argval) is None):
            self._problem = self._problem or f"{code.co_qualname} formats attributes"

    def _global(self, code: CodeType, found: list[dis.Instruction], place: int) -> None:
        chain = [found[place].argval]
        for following in found[place + 1 :]:
            if following.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                break
            chain.append(following.argval)
        self._read.add(tuple(chain))
        if chain[0] in CONSTRUCTORS:
            self._problem = self._problem or f"{code.co_qualname} calls {chain[0]}"
        if chain[0] in BY_NAME:
            is_called = bool((found[place].arg or 0) & 1)
            given = _constant_name(found, place) if is_called else None
            if given is None:
                self._problem = self._problem or f"{code.co_qualname} finds an attribute by a name that it computes"
            else:
                self._attributes.add(given)

    def _import(self, code: CodeType, found: list[dis.Instruction], place: int) -> None:
        names = []
        for following in found[place + 1 :]:
            if following.opname == "IMPORT_FROM":
                names.append(following.argval)
            elif not following.opname.startswith("STORE_"):
                break
        level = found[place - 2].argval
        if names and isinstance(level, int):
            self._imports |= {(level, found[place].argval, name) for name in names}
        else:
            self._problem = self._problem or f"{code.co_qualname} imports {found[place].argval}"


def _is_of_first(code: CodeType, before: dis.Instruction) -> bool:
    """Whether the instruction before ``STORE_ATTR`` loads the first argument of the function."""
    loaded = before.argval[-1] if isinstance(before.argval, tuple) else before.argval
    return before.opname.startswith("LOAD_FAST") and code.co_argcount > 0 and loaded == code.co_varnames[0]


def _constant_name(found: list[dis.Instruction], place: int) -> str | None:
    """The second argument in ``getattr(a.b, "name")``; None unless it is written like this."""
    following = found[place + 1]
    if not following.opname.startswith("LOAD_FAST") or isinstance(following.argval, tuple):
        return None
    for instruction in found[place + 2 :]:
        if instruction.opname == "LOAD_CONST":
            return instruction.argval if isinstance(instruction.argval, str) else None
        if instruction.opname != "LOAD_ATTR":
            return None
    return None
