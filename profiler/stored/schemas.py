"""What a value in a saved profile may be, as schemas of pydantic's validator.

The schemas are made here, and not by pydantic from annotations: importing pydantic takes longer than reading a file.
Values are not converted, so True is not an integer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from pydantic_core import CoreConfig, CoreSchema, core_schema
from pydantic_core.core_schema import TypedDictField

from profiler.errors import did_you_mean
from profiler.stored.values import COUNT_LIMIT, SIZE_LIMIT, expected

_STRICT = CoreConfig(strict=True, extra_fields_behavior="forbid")

TEXT = core_schema.str_schema()
BOOL = core_schema.bool_schema()
FLOAT = core_schema.float_schema()
INTEGER = core_schema.int_schema()
NUMBERS_BY_NAME = core_schema.dict_schema(TEXT, FLOAT)


def integer(least: int, most: int) -> CoreSchema:
    """An integer from ``least`` to ``most``."""
    return core_schema.int_schema(ge=least, le=most)


SIZE = integer(0, SIZE_LIMIT)
ORDINAL = integer(1, SIZE_LIMIT)
COUNT = integer(0, COUNT_LIMIT)
SIGNED_COUNT = integer(-COUNT_LIMIT, COUNT_LIMIT)


def checked(schema: CoreSchema, check: Callable[[Any], Any]) -> CoreSchema:
    """A value of that schema for which ``check`` returns it, and does not raise an error of pydantic."""
    return core_schema.no_info_after_validator_function(check, schema)


def read_by(read: Callable[[Any], Any]) -> CoreSchema:
    """Any value for which ``read`` does not raise an error of pydantic; what it returns is the value from then on."""
    return core_schema.no_info_plain_validator_function(read)


def list_of(schema: CoreSchema, least: int | None = None, most: int | None = None) -> CoreSchema:
    """A list, of which only the first error is reported: a hostile file could have millions."""
    return core_schema.list_schema(schema, min_length=least, max_length=most, fail_fast=True)


def literal(type_: Any) -> CoreSchema:
    """One of the values of a Literal type."""
    return core_schema.literal_schema(list(get_args(type_)))


def one_of(what: str, names: tuple[str, ...]) -> CoreSchema:
    """One of the names; for another one, the error has the nearest."""
    known = frozenset(names)

    def check(name: str) -> str:
        if name not in known:
            raise expected(f"{what} ({', '.join(names)}){did_you_mean(name, names)}")
        return name

    return checked(TEXT, check)


def optional(schema: CoreSchema) -> TypedDictField:
    """The schema of a key that a mapping may lack."""
    return core_schema.typed_dict_field(schema, required=False)


Keys = Mapping[str, CoreSchema | TypedDictField]
"""The keys of a mapping, each with the schema of its value."""


def mapping(keys: Keys) -> CoreSchema:
    """A mapping with these keys and no others."""
    fields = {key: _field(value) for key, value in keys.items()}
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid", config=_STRICT)


def _field(value: CoreSchema | TypedDictField) -> TypedDictField:
    if value["type"] == "typed-dict-field":
        return cast(TypedDictField, value)
    return core_schema.typed_dict_field(value, required=True)
