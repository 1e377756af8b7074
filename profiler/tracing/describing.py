"""The arguments and the result of an operation → its :class:`~profiler.signatures.Signature`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import nn

from profiler.signatures import (
    DetailedSpec,
    Numbers,
    Opaque,
    Packed,
    Shape,
    Signature,
    TensorSpec,
    Value,
    specs_in,
)
from profiler.tracing import symbols
from profiler.tracing.origins import Memory
from profiler.tracing.packed import UNPACK
from profiler.tracing.private import nested_shapes, script_object_type, stored_positions, transforming, without_modes
from profiler.tracing.tensors import PLAIN, SPARSE, dtype_name, shape_of, stored_in
from profiler.tracing.transforms import batch_sizes, levels_of

ZeroSizes = tuple[tuple[int, int], ...]


class Operators(Protocol):
    """What tracing has to know about operators to record them."""

    def is_known(self, op: str) -> bool:
        """Whether it is recorded as one call, even if it is composite."""

    def read_by(self, op: str) -> frozenset[int | str]:
        """The arguments whose values are kept: their positions and names, and ``out`` for integer results.

        ``integers`` alone means all integer and boolean arguments with few elements.
        """

    def keeps_zeros(self, op: str, operands: int) -> bool:
        """Whether zeros in one of its ``operands`` tensor arguments may also be in its results."""


class EveryOperator:
    """Every operator is recorded as one call, and no values are kept: for a run whose costs are not needed."""

    def is_known(self, op: str) -> bool:
        return True

    def read_by(self, op: str) -> frozenset[int | str]:
        return frozenset()

    def keeps_zeros(self, op: str, operands: int) -> bool:
        return False


@dataclass(slots=True)
class Described:
    """The arguments of one call as pairs of name and value; the first ``positional`` are given by position.

    ``types`` are the types of the numbers among them, in order, since 1, True and 1.0 are equal.
    """

    arguments: tuple[tuple[str, Value], ...]
    positional: int
    types: list[type]


@dataclass(slots=True, eq=False)
class Signatures:
    """The signatures of a run without duplicates; threads share them.

    Those in ``known`` may be shared with other runs, and so may the ``specs`` of plain tensors.  Those with values of
    tensors, which may be large, are the run's ``own``.
    """

    known: dict[Any, Signature] = field(default_factory=dict)
    own: dict[Any, Signature] = field(default_factory=dict)
    specs: dict[Any, TensorSpec] = field(default_factory=dict)

    def of(self, op: str, overload: str, described: Described, result: Value, samples: Shape) -> Signature:
        """The signature of a call with these arguments and this result."""
        arguments, positional = described.arguments, described.positional
        key = (op, overload, arguments, positional, result, samples, *described.types)
        known = self.known.get(key) or self.own.get(key)
        if known is None:
            new = Signature(op, arguments, result, positional, overload, samples)
            values = tuple(value for _, value in arguments)
            has_values = any(map(_has_values, (*specs_in(values), *specs_in(result))))
            known = (self.own if has_values else self.known).setdefault(key, new)
        return known


def _has_values(spec: TensorSpec) -> bool:
    return isinstance(spec, DetailedSpec) and not (spec.numbers is None and spec.places is None)


MOST_SIGNATURES = 2**15
"""The number of signatures that runs share; a run that starts when there are more has a new collection."""

_shared = Signatures()


def shared_signatures() -> Signatures:
    """The signatures that the runs of this process share; a run with symbols has its own."""
    global _shared
    if symbols.ACTIVE.run is not None:
        return Signatures()
    if len(_shared.known) > MOST_SIGNATURES:
        _shared = Signatures()
    return _shared


class Describer:
    """Converts arguments and results to values, and tensors to specs.

    ``is_parameter`` says whether a tensor is computed from parameters alone, ``zeros_around`` returns the padding
    around it, and ``values_of`` a tensor with its values, if they are known.  ``specs`` may be shared with other runs.
    """

    def __init__(
        self,
        is_parameter: Callable[[torch.Tensor], bool],
        zeros_around: Callable[[torch.Tensor], ZeroSizes],
        values_of: Callable[[torch.Tensor], torch.Tensor | None],
        specs: dict[Any, TensorSpec] | None = None,
    ) -> None:
        self._is_parameter = is_parameter
        self._zeros_around = zeros_around
        self._values_of = values_of
        self._specs: dict[Any, TensorSpec] = {} if specs is None else specs

    def plain_arguments(
        self, names: Sequence[str], args: Any, kwargs: Any, tensors: Iterable[torch.Tensor], memories: Iterable[Memory]
    ) -> Described:
        """The same as :meth:`arguments` for dense tensors without zeros around them, none of whose values is kept.

        They are of torch's own classes, and no transform runs.  ``tensors`` are those among the arguments, in order,
        and ``memories`` what is known of theirs.
        """
        types: list[type] = []
        specs = iter(
            [
                self.plain_spec(tensor.shape, tensor.dtype, memory.is_parameter or tensor.__class__ is nn.Parameter)
                for tensor, memory in zip(tensors, memories, strict=True)
            ]
        )
        values = self._plain(args, types, specs)
        if len(values) > len(names):
            names = (*names, *map(str, range(len(names), len(values))))
        named = list(zip(names, values, strict=False))
        if kwargs:
            named += zip(kwargs, self._plain(kwargs.values(), types, specs), strict=True)
        return Described(tuple(named), len(values), types)

    def _plain(self, values: Iterable[Any], types: list[type], specs: Iterator[TensorSpec]) -> list[Value]:
        """Such arguments, whose tensors have these ``specs``; the types of numbers are appended to ``types``."""
        found: list[Value] = []
        for value in values:
            kind = value.__class__
            if kind in PLAIN:
                found.append(next(specs))
            elif kind is int or kind is bool or kind is float:
                types.append(kind)
                found.append(value)
            elif value is None or kind is str:
                found.append(value)
            elif isinstance(value, (list, tuple)):
                found.append(tuple(self._plain(value, types, specs)))
            else:
                found.append(self._other(value))
        return found

    def plain(self, leaf: Any, types: list[type]) -> Value:
        """A result of such arguments; the types of numbers are appended to ``types``."""
        kind = leaf.__class__
        if kind in PLAIN and leaf.layout is torch.strided and not leaf.is_nested:
            return self.plain_spec(leaf.shape, leaf.dtype, self._is_parameter(leaf))
        if isinstance(leaf, (list, tuple)):
            return tuple([self.plain(item, types) for item in leaf])
        return self.result(leaf, types, keep=False)

    def plain_spec(self, shape: Shape, dtype: torch.dtype, parameter: bool) -> TensorSpec:
        """The spec of a dense tensor, of which only that is known."""
        key = shape, dtype, parameter
        spec = self._specs.get(key)
        if spec is None:
            shape = tuple(shape)
            spec = self._specs[shape, dtype, parameter] = TensorSpec(shape, dtype_name(dtype), parameter)
        return spec

    def arguments(self, names: Sequence[str], args: Any, kwargs: Any, read: frozenset[int | str]) -> Described:
        """The arguments of a call; ``names`` are those of the positional ones, ``read`` those whose values are kept."""
        types: list[type] = []
        named = []
        integers = "integers" in read
        for place, value in enumerate(args):
            name = names[place] if place < len(names) else str(place)
            named.append((name, self.value(value, types, keep=place in read or name in read, integers=integers)))
        for name, value in kwargs.items():
            if name != "out":
                named.append((name, self.value(value, types, keep=name in read, integers=integers)))
        return Described(tuple(named), len(args), types)

    def result(self, value: Any, types: list[type], *, keep: bool) -> Value:
        """The result of a call, with the values of integers in it if ``keep``."""
        if isinstance(value, torch.Tensor):
            return self.spec(value, keep=keep and not (value.is_floating_point() or value.is_complex()), operand=False)
        if isinstance(value, (list, tuple)):
            return tuple([self.result(item, types, keep=keep) for item in value])
        return self.value(value, types)

    def value(self, leaf: Any, types: list[type], *, keep: bool = False, integers: bool = False) -> Value:
        """One argument, or a result; the types of numbers are appended to ``types``.

        The values of tensors are kept with ``keep``, and those of few integers with ``integers``.
        """
        if isinstance(leaf, torch.Tensor):
            return self.spec(leaf, keep=keep or (integers and _are_few_integers(leaf)))
        kind = type(leaf)
        if leaf is None or kind is str:
            return leaf
        if kind in (int, bool, float, complex):
            types.append(kind)
            return leaf
        if isinstance(leaf, (list, tuple)):
            return tuple([self.value(item, types, keep=keep, integers=integers) for item in leaf])
        return self._other(leaf)

    def _other(self, leaf: Any) -> Value:
        if symbols.ACTIVE.run is not None and isinstance(leaf, torch.SymInt):
            return symbols.ACTIVE.run.size(leaf)
        if isinstance(leaf, torch.device):
            return None
        if isinstance(leaf, torch.dtype):
            return dtype_name(leaf)
        if isinstance(leaf, (torch.layout, torch.memory_format)):
            return str(leaf).removeprefix("torch.")
        if isinstance(leaf, (int, float)):  # a subclass, such as an enumeration's or NumPy's
            return int(leaf) if isinstance(leaf, int) else float(leaf)
        packed = script_object_type(leaf)
        return Opaque(type(leaf).__name__) if packed is None else self._packed(packed, leaf)

    def _packed(self, name: str, leaf: Any) -> Packed:
        with without_modes():
            parts = dict(UNPACK[name](leaf)) if name in UNPACK else {}
        weight, bias = (
            None if tensor is None else TensorSpec(tuple(tensor.shape), dtype_name(tensor.dtype), True)
            for tensor in (parts.get("weight"), parts.get("bias"))
        )
        return Packed(name, weight, bias)

    def spec(self, tensor: torch.Tensor, *, keep: bool = False, operand: bool = True) -> TensorSpec:
        """The spec of a tensor, with its values if they are kept, and the zeros around it if it is an operand."""
        shape, parameter = shape_of(tensor), self._is_parameter(tensor)
        stored = stored_in(tensor)
        zeros = self._zeros_around(tensor) if operand and symbols.ACTIVE.run is None else ()
        samples = batch_sizes(tensor) if transforming() else ()
        if not (keep or zeros or samples or stored is not None or tensor.is_nested):
            return self.plain_spec(shape, tensor.dtype, parameter)
        layout = str(tensor.layout).removeprefix("torch.") if tensor.layout in SPARSE else "strided"
        real = self._values_of(tensor) if keep or stored is not None else None
        return DetailedSpec(
            shape,
            dtype_name(tensor.dtype),
            parameter,
            stored,
            layout,
            zeros=zeros,
            samples=samples,
            nested=tensor.is_nested,
            parts=_parts(tensor) if tensor.is_nested else None,
            numbers=_numbers(real) if keep and real is not None and stored is None else None,
            places=_numbers(_positions(real)) if stored is not None and real is not None else None,
        )


FEW = 2**16
"""The values of more integers than this are only kept if a rule names them."""


def _are_few_integers(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() <= FEW


def _parts(tensor: torch.Tensor) -> tuple[Shape, ...] | None:
    """The shapes of the tensors in a nested one, each as a batch of one, if they are known."""
    shapes = nested_shapes(tensor)
    return None if shapes is None else tuple((1, *shape) for shape in shapes)


def _positions(tensor: torch.Tensor) -> torch.Tensor:
    with without_modes():
        return stored_positions(tensor)


def _numbers(tensor: torch.Tensor) -> Numbers | None:
    """The numbers of a tensor on the CPU; None for dtypes without a Python equivalent."""
    if tensor.is_meta or tensor.is_nested or tensor.is_complex() or tensor.is_quantized:
        return None
    kind: Literal["d", "?", "q"] = "d" if tensor.is_floating_point() else "?" if tensor.dtype == torch.bool else "q"
    wide = {"d": torch.float64, "?": torch.bool, "q": torch.int64}[kind]
    with without_modes():
        return Numbers(kind, tuple(tensor.shape), tensor.detach().to(wide).cpu().numpy().tobytes())


def samples_of(tensors: Sequence[torch.Tensor]) -> Shape:
    """The sizes that running calls of ``vmap`` map over in any of ``tensors``."""
    return tuple(size for _, size in sorted(levels_of(tensors).items()))
