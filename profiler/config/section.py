"""What every section of a config is, and what its lists have in common."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from profiler.config.errors import expected

T = TypeVar("T")


class Section(BaseModel):
    """A frozen mapping with these keys and no others; values are not converted to the declared types."""

    # A config is passed to another process as JSON, where infinity is a value like any other.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")


def as_tuple(value: object) -> object:
    """YAML has lists only; a frozen config holds tuples."""
    return tuple(value) if isinstance(value, list) else value


def unique(values: tuple[T, ...]) -> tuple[T, ...]:
    """Each value once, at its first place."""
    return tuple(dict.fromkeys(values))


def at_least_one(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values; an empty list is an error."""
    if not values:
        raise expected("at least one of them; leave the key out for all")
    return values
