"""What a rule may know about a call: its operator, its arguments, its results.

A :class:`Signature` has only plain Python values.  It can be hashed and saved, so repeated calls are priced once, and a
saved profile can be priced again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from typing import Any, Literal

from profiler.errors import DataDependentError

IN_A_BYTE = {"quint4x2": 2, "quint2x4": 4}
"""The number of elements in a byte, for dtypes with more than one."""

LOOKUPS = frozenset(
    {
        *("aten::embedding", "aten::embedding_bag", "aten::_embedding_bag", "aten::_embedding_bag_forward_only"),
        *("aten::embedding_renorm", "aten::embedding_renorm_", "aten::index", "aten::_unsafe_index"),
        *("aten::index_select", "aten::gather", "aten::take", "aten::take_along_dim", "quantized::embedding_byte"),
        *("quantized::embedding_4bit", "quantized::embedding_bag_byte", "quantized::embedding_bag_4bit"),
        *("quantized::embedding_bag_byte_rowwise_offsets", "quantized::embedding_bag_4bit_rowwise_offsets"),
    }
)
"""Operators that read rows of a table; some also add up or rescale the rows."""

Shape = tuple[int, ...]

NO_VALUES = "the values of a tensor are only known in a real run, to a rule that names it in its reads"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a rule may know about a tensor.

    ``parameter`` is true for a parameter, a view of one, and a tensor that is computed from parameters alone (a cast or
    normalized weight).  ``stored`` is the number of elements that a sparse tensor stores, None for a dense one, and
    ``layout`` is the storage layout.
    """

    shape: Shape
    dtype: str = "float32"
    parameter: bool = False
    stored: int | None = None
    layout: str = "strided"

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    @property
    def is_arithmetic(self) -> bool:
        """Whether work on it is counted: floating-point, complex and quantized tensors, not integers and booleans."""
        return self.dtype.startswith(("float", "bfloat", "complex", "qint", "quint"))

    @property
    def zeros(self) -> tuple[tuple[int, int], ...]:
        """For each dimension, the numbers of zeros that explicit padding put before and after; empty if not known."""
        return ()

    @property
    def values(self) -> Any:
        """The numbers in a real tensor as nested lists, for a rule whose cost depends on them.

        Raises DataDependentError if they are not known, as on the meta device, and for a rule that does not name the
        argument in its ``reads``.
        """
        raise DataDependentError(NO_VALUES)

    @property
    def positions(self) -> tuple[Shape, ...]:
        """The positions of the stored elements of a real sparse tensor: for each dimension, the index of every element.

        Raises DataDependentError if they are not known.
        """
        raise DataDependentError("the positions of stored elements are only known in a real run")

    @property
    def plain(self) -> TensorSpec:
        """The spec for tables: with the sizes that ``vmap`` maps over, without further details."""
        return self


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a tensor: ``data`` is an array of ``shape``, whose items have the format of :mod:`struct`."""

    format: Literal["q", "d", "?"]
    shape: Shape
    data: bytes

    @property
    def nested(self) -> Any:
        """The numbers as nested lists; for a tensor without dimensions, the number itself."""
        items: list[Any] = memoryview(self.data).cast(self.format).tolist()
        return _nested(items, self.shape) if self.shape else items[0]


def _nested(items: list[Any], shape: Shape) -> list[Any]:
    if len(shape) == 1:
        return items
    row = prod(shape[1:])
    return [_nested(items[place * row : (place + 1) * row], shape[1:]) for place in range(shape[0])]


@dataclass(frozen=True, slots=True)
class DetailedSpec(TensorSpec):
    """The spec of a tensor with more information than its shape.

    ``samples`` are the sizes that ``vmap`` maps over, the outermost first; they are not in ``shape``.  ``nested`` is
    true for a nested tensor, whose ``parts`` are the shapes of the contained tensors, None if its lengths are not
    known.  ``numbers`` are its values and ``places`` the positions of its stored elements, if a rule reads them.
    """

    zeros: tuple[tuple[int, int], ...] = ()
    samples: Shape = ()
    nested: bool = False
    parts: tuple[Shape, ...] | None = None
    numbers: Numbers | None = None
    places: Numbers | None = None

    @property
    def values(self) -> Any:
        if self.numbers is None:
            raise DataDependentError(NO_VALUES)
        return self.numbers.nested

    @property
    def positions(self) -> tuple[Shape, ...]:
        if self.places is None:
            raise DataDependentError("the positions of stored elements are only known in a real run")
        return tuple(map(tuple, self.places.nested))

    @property
    def plain(self) -> TensorSpec:
        return TensorSpec((*self.samples, *self.shape), self.dtype, self.parameter, self.stored, self.layout)


@dataclass(frozen=True, slots=True)
class Packed:
    """The weights in an object that a kernel unpacks; ``type`` is its class; an unknown weight or bias is None."""

    type: str
    weight: TensorSpec | None = None
    bias: TensorSpec | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """An argument of which a rule only knows the class: a function, a generator."""

    type: str


Value = Any
"""A :class:`TensorSpec`, a number, a string, a boolean, None, :class:`Packed`, :class:`Opaque`, or a tuple of such.

Dtypes, layouts and memory formats are strings, such as ``"float32"``; a device is None.
"""


def map_value(value: Value, change: Callable[[Any], Any]) -> Value:
    """``value`` with ``change`` applied to everything in it that is not a tuple."""
    return tuple(map_value(item, change) for item in value) if isinstance(value, tuple) else change(value)


def specs_in(value: Value) -> Iterator[TensorSpec]:
    """The specs in ``value``, in order."""
    if isinstance(value, TensorSpec):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from specs_in(item)


@dataclass(frozen=True)
class Signature:
    """One operation on tensors of given shapes and dtypes, with all its arguments.

    ``arguments`` are pairs of a name in the operator's schema and a value; the first ``positional`` of them are given
    by position.  Omitted arguments, which have their defaults, are not included.  ``result`` is the result of the
    operation, with None for outputs that were not requested.  ``samples`` are the sizes that ``vmap`` maps over: the
    operation is done once for each.  ``overload`` is kept if other counters treat it as a different operator.
    ``whole`` is false if it was read from a profile of an earlier version, which only had the tensors.
    """

    op: str
    arguments: tuple[tuple[str, Value], ...]
    result: Value
    positional: int
    overload: str = ""
    samples: Shape = ()
    whole: bool = True

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors among the arguments, in order, with the sizes that ``vmap`` maps over."""
        return tuple(spec.plain for _, value in self.arguments for spec in specs_in(value))

    @cached_property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors in the result, in order, with the sizes that ``vmap`` maps over."""
        return tuple(spec.plain for spec in specs_in(self.result))

    @cached_property
    def args(self) -> tuple[Value, ...]:
        """The arguments that are given by position."""
        return tuple(value for _, value in self.arguments[: self.positional])

    @cached_property
    def kwargs(self) -> dict[str, Value]:
        """The arguments that are given by name."""
        return dict(self.arguments[self.positional :])

    def argument(self, name: str, default: Value = None) -> Value:
        """The argument of that name; ``default`` if it was not given."""
        return next((value for key, value in self.arguments if key == name), default)

    @property
    def specs(self) -> Iterator[TensorSpec]:
        """The specs of all tensors among arguments and results, as rules see them."""
        for _, value in self.arguments:
            yield from specs_in(value)
        yield from specs_in(self.result)

    @classmethod
    def of_tensors(
        cls, op: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], overload: str = ""
    ) -> Signature:
        """The signature of an operation of which only the tensors are known."""
        arguments = tuple((str(number), spec) for number, spec in enumerate(inputs))
        return cls(op, arguments, outputs, len(arguments), overload, whole=False)


def parts_of(signature: Signature) -> Iterator[Signature]:
    """One signature for each of the tensors in nested ones; the signature itself if there are none."""
    nested = next((spec for spec in signature.specs if isinstance(spec, DetailedSpec) and spec.nested), None)
    if nested is None:
        yield signature
        return
    for place in range(len(nested.parts or ())):
        part = partial(_part, place)
        arguments = tuple((name, map_value(value, part)) for name, value in signature.arguments)
        yield replace(signature, arguments=arguments, result=map_value(signature.result, part))


def _part(place: int, leaf: Value) -> Value:
    if not (isinstance(leaf, DetailedSpec) and leaf.nested and leaf.parts is not None):
        return leaf
    return TensorSpec(leaf.parts[place], leaf.dtype, leaf.parameter)
