"""Objects of frozen dataclasses that are made quickly are like any others."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import Any

import pytest

from profiler.quick_records import maker
from profiler.records import ModuleRecord, ParameterRecord

VALUES: dict[Any, tuple[Any, ...]] = {
    ParameterRecord: (("a.weight", "b.weight"), "a", (3, 4), "float32", 4, True),
    ModuleRecord: ("a", "Linear", 2, "a", (((1, 4),),), (((1, 3),),)),
}


@pytest.mark.parametrize("kind", VALUES)
def test_records_are_equal(kind: Any) -> None:
    """They have the same fields, defaults, class, hash and text, and survive pickling; nobody can change them."""
    usual, quick = kind(*VALUES[kind]), maker(kind)(*VALUES[kind])
    assert type(quick) is kind
    assert quick == usual
    assert (hash(quick), repr(quick)) == (hash(usual), repr(usual))
    assert pickle.loads(pickle.dumps(quick)) == usual
    last = fields(kind)[-1].name
    assert replace(quick, **{last: "x"}) == replace(usual, **{last: "x"}) != quick
    with pytest.raises(FrozenInstanceError):
        setattr(quick, last, "x")


@dataclass(frozen=True)
class WithoutSlots:
    """Its objects have a dictionary."""

    size: int


@dataclass(frozen=True, slots=True)
class WithMore:
    """Its objects are checked when they are made."""

    size: int

    def __post_init__(self) -> None:
        assert self.size > 0


@pytest.mark.parametrize("kind", [WithoutSlots, WithMore, int])
def test_other_classes_are_refused(kind: type) -> None:
    """A class whose objects are more than their fields has no maker."""
    with pytest.raises(TypeError):
        maker(kind)
