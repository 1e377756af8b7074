"""Objects of frozen dataclasses, made in a third of the usual time.

A frozen dataclass sets each of its fields by a call of ``object.__setattr__``.  A network has thousands of records, so
that is a noticeable part of a profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from typing import Any, TypeVar, cast

Kind = TypeVar("Kind")


def maker(kind: type[Kind]) -> Callable[..., Kind]:
    """A function of the fields of ``kind``, by position, that returns an object of it.

    ``kind`` is a frozen dataclass with slots, whose objects are nothing but their fields.  The object is made as one of
    a class with the same slots that is not frozen, and then becomes one of ``kind``.  Raises :class:`TypeError` for any
    other class.
    """
    of_kind: Any = kind
    names = tuple(each.name for each in fields(of_kind))
    if getattr(kind, "__slots__", None) != names or hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} is no dataclass with slots whose objects are nothing but their fields")
    same = [
        (each.name, each.type, field(default=each.default, default_factory=each.default_factory))
        for each in fields(of_kind)
    ]
    changeable = make_dataclass(kind.__name__, same, slots=True, eq=False, repr=False)

    def make(*values: object) -> Kind:
        made: Any = changeable(*values)
        made.__class__ = kind
        return cast(Kind, made)

    return make
