"""What a saved profile may hold, for each version of the file."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeVar

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from profiler import catalog
from profiler.files import DOTTED_EXPECTED, NAME_EXPECTED, is_dotted_name, is_folder_name
from profiler.opcount import Role
from profiler.records import KINDS, Direction, Mode, Phase, Status
from profiler.stored.generation import GENERATION
from profiler.stored.machines import DEVICE, ENERGY_MODEL
from profiler.stored.memory import MEMORY
from profiler.stored.schemas import (
    BOOL,
    COUNT,
    INTEGER,
    ORDINAL,
    SIGNED_COUNT,
    SIZE,
    TEXT,
    Keys,
    checked,
    integer,
    list_of,
    literal,
    mapping,
    one_of,
    optional,
    read_by,
)
from profiler.stored.values import SIZE_LIMIT, check_product, expected, read_spec, read_value

T = TypeVar("T")


def _check_dotted(name: str) -> str:
    if not is_dotted_name(name):
        raise expected(DOTTED_EXPECTED)
    return name


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise expected(NAME_EXPECTED)
    return name


def _check_word(text: str) -> str:
    if not text.strip():
        raise expected("a name")
    return text


def _not_empty(values: list[T]) -> list[T]:
    if not values:
        raise expected("at least one of them")
    return values


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise expected("each of them once")
    return values


def _check_sizes(sizes: list[int]) -> list[int]:
    check_product(sizes)
    return sizes


_WORD = checked(TEXT, _check_word)
"""The name of an operation, a type or a dtype."""

_DOTTED = checked(TEXT, _check_dotted)
_KIND = one_of("a kind", KINDS)
_SIZES = checked(list_of(SIZE), _check_sizes)
_SPEC = read_by(read_spec)
_VALUE = read_by(read_value)

_TOUCHED = core_schema.nullable_schema(core_schema.list_schema(integer(-1, SIZE_LIMIT)))
"""The number of elements of each operand that are read, or −1 for all of them."""

_OP_COUNT = mapping(
    {
        # A term may be negative to correct an earlier one.
        **dict.fromkeys(("multiplies", "adds", "divides", "comparisons", "transcendentals"), optional(SIGNED_COUNT)),
        "macs": optional(COUNT),
    }
)

_TERM_KEYS: Keys = {
    "what": TEXT,
    "how_many": _SIZES,
    "one": _OP_COUNT,
    "contracted": optional(_SIZES),
    "role": optional(literal(Role)),
}

_ANSWER = mapping(
    {
        "kind": _KIND,
        "status": literal(Status),
        "terms": list_of(mapping(_TERM_KEYS)),
        "reason": optional(TEXT),
        "data_dependent": optional(BOOL),
        "figures": optional(core_schema.dict_schema(TEXT, COUNT)),
        "direction": optional(literal(Direction)),
    }
)

_SIGNATURE = mapping(
    {
        "op": _WORD,
        "arguments": core_schema.dict_schema(TEXT, _VALUE),
        "positional": SIZE,
        "result": _VALUE,
        "overload": optional(TEXT),
        "samples": optional(_SIZES),
        "whole": optional(BOOL),
        "answer": _ANSWER,
    }
)

_EVENT = mapping(
    {
        "signature": SIZE,
        "kind": optional(_KIND),
        "module": TEXT,
        "module_call": ORDINAL,
        "phase": literal(Phase),
        "within": optional(_KIND),
        "source": optional(SIZE),
        "part_of": optional(SIZE),
        "parameters": optional(list_of(TEXT)),
        "blanks": optional(list_of(SIZE)),
        "reads": optional(list_of(SIZE)),
        "writes": optional(list_of(SIZE)),
        "makes": optional(list_of(SIZE)),
        "touched": optional(_TOUCHED),
    }
)

_MODULE = mapping(
    {
        "name": TEXT,
        "type": _WORD,
        "calls": SIZE,
        "first_name": optional(TEXT),
        "input_shapes": optional(list_of(list_of(_SIZES))),
        "output_shapes": optional(list_of(list_of(_SIZES))),
    }
)

_PARAMETER = mapping(
    {
        "names": checked(list_of(TEXT), _not_empty),
        "module": TEXT,
        "shape": _SIZES,
        "dtype": _WORD,
        "itemsize": SIZE,
        "trainable": BOOL,
        "buffer": optional(BOOL),
        "use": optional(_KIND),
    }
)

_COUNTER_FIGURE = mapping({"module": TEXT, "op": TEXT, "figure": COUNT})

_COUNTER = mapping(
    {
        "counter": one_of("a counter", catalog.counters()),
        "version": TEXT,
        "status": literal(Literal["ok", "skipped", "failed"]),
        "message": optional(TEXT),
        "figures": optional(list_of(_COUNTER_FIGURE)),
        "unsupported": optional(list_of(_COUNTER_FIGURE)),
        "uncalled": optional(list_of(TEXT)),
        "seen": optional(list_of(_COUNTER_FIGURE)),
        "factor": optional(ORDINAL),
    }
)

_OF_ANY_VERSION: Keys = {
    "schema": TEXT,
    "version": INTEGER,
    "name": checked(TEXT, _folder_name),
    "target": TEXT,
    "mode": literal(Mode),
    "environment": core_schema.dict_schema(TEXT, TEXT),
    "real_run": TEXT,
    "convention": one_of("a convention", catalog.conventions()),
    "views": checked(list_of(one_of("a view", catalog.views())), _unique),
    "exclude": optional(checked(list_of(TEXT), _unique)),
    "unseen": optional(list_of(mapping({"module": TEXT, "reason": TEXT}))),
    "method": optional(_DOTTED),
    "part": optional(_DOTTED),
    "part_calls": optional(ORDINAL),
    "cache": optional(ORDINAL),
    "modules": checked(list_of(_MODULE), _not_empty),
    "parameters": list_of(_PARAMETER),
    "counters": list_of(_COUNTER),
}

_OF_THIS_VERSION: Keys = {
    **_OF_ANY_VERSION,
    "memory": optional(MEMORY),
    "generation": optional(GENERATION),
    "throughput": optional(core_schema.dict_schema(TEXT, core_schema.union_schema([INTEGER, TEXT]))),
    "device": optional(DEVICE),
    "energy_model": optional(ENERGY_MODEL),
    "signatures": list_of(_SIGNATURE),
    "calls": list_of(_EVENT),
}


def _of_version_1() -> CoreSchema:
    term = mapping({**_TERM_KEYS, "on_padding": optional(COUNT), "masked": optional(COUNT)})
    call = mapping(
        {
            "op": _WORD,
            "kind": _KIND,
            "status": literal(Status),
            "module": TEXT,
            "module_call": ORDINAL,
            "phase": literal(Phase),
            "inputs": list_of(_SPEC),
            "outputs": list_of(_SPEC),
            "terms": list_of(term),
            "overload": optional(TEXT),
        }
    )
    return mapping({**_OF_ANY_VERSION, "calls": list_of(call)})


VERSIONS = (1, 2, 3)
"""The versions of the file that can be read."""


@cache
def validator(version: int) -> SchemaValidator:
    """What checks the content of a file of that version."""
    return SchemaValidator(_of_version_1() if version == 1 else mapping(_OF_THIS_VERSION))
