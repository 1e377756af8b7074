"""What a config may say of the network's inputs: tensors, plain values, lists and mappings of them, or a function."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from profiler.config.errors import expected, known
from profiler.config.section import Section, as_tuple
from profiler.config.sizes import WithoutValue, expression, first_without_value
from profiler.errors import did_you_mean, shown

FLOATING_DTYPES = (
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
)
INTEGER_DTYPES = {
    "int8": (-(2**7), 2**7),
    "int16": (-(2**15), 2**15),
    "int32": (-(2**31), 2**31),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8),
    "uint16": (0, 2**16),
    "uint32": (0, 2**32),
    "uint64": (0, 2**63 - 1),
}
"""The integer dtypes with their bounds of ``low`` and ``high``: what ``torch.randint`` can draw."""
DTYPES = (*FLOATING_DTYPES, "complex64", "complex128", *INTEGER_DTYPES, "bool")


def _check_constructor(text: str) -> str:
    source, colon, name = text.rpartition(":")
    if not (source.strip() and colon and name.strip()):
        raise expected("path/to/net.py:make_inputs or package.module:make_inputs")
    return text


def _flat(value: object) -> object:
    """The numbers in nested lists, in their order."""
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        if isinstance(value, int) and value.bit_length() > 64:
            raise expected("numbers of at most 64 bits; a floating one has a point, such as 1.0e+30")
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise expected("numbers, or lists of them")
    numbers: list[object] = []
    for item in value:
        flat = _flat(item)
        if not isinstance(flat, tuple):
            raise expected("numbers, or lists of them")
        numbers.extend(flat)
    return tuple(numbers)


MOST_DIMENSIONS = 64
"""The maximum number of dimensions of a torch tensor."""


def _shape_of(values: object, depth: int = 0) -> list[int]:
    """The length of nested lists at each level; all lists of a level have the same length."""
    if not isinstance(values, (list, tuple)):
        return []
    if depth == MOST_DIMENSIONS:
        raise expected(f"lists at most {MOST_DIMENSIONS} deep", found="values that are deeper")
    inner = [_shape_of(item, depth + 1) for item in values]
    if any(shape != inner[0] for shape in inner):
        lengths = "lists and numbers" if [] in inner else f"lists of {min(inner)[0]} and of {max(inner)[0]}"
        raise expected("lists of equal length, or a shape", found=f"values that hold {lengths} side by side")
    return [len(values), *(inner[0] if inner else [])]


MOST_ELEMENTS = 2**59
"""The maximum number of elements of a tensor: with 16 bytes each, torch can still count its bytes."""


def _check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > MOST_DIMENSIONS:
        raise expected(f"at most {MOST_DIMENSIONS} sizes", found=f"{len(shape)} sizes")
    if prod(shape) > MOST_ELEMENTS:
        raise expected("a shape of at most 2^59 elements")
    return shape


def _check_size(size: object) -> object:
    if isinstance(size, WithoutValue):
        raise expected(size.expected)
    if isinstance(size, str) and expression(size) is not None:
        raise expected("an integer, or a name with a value in sizes")
    return size


def _with_values(value: object) -> object:
    """The value, if every expression of sizes in it has a value."""
    bad = first_without_value(value)
    if bad is not None:
        raise expected(bad.expected, found=shown(str(bad)))
    return value


PlainSize = Annotated[int, Field(gt=0, le=MOST_ELEMENTS)]
Size = Annotated[PlainSize, BeforeValidator(_check_size)]
Kwarg = Annotated[Any, BeforeValidator(_with_values)]
Dtype = Annotated[str, known("a dtype", DTYPES)]
FloatingDtype = Annotated[str, known("a floating dtype", FLOATING_DTYPES)]


class InputSpec(Section):
    """One tensor among the inputs of the network.

    Without ``dtype`` it has the network's.  If a real run needs values, integers are drawn from ``low`` ≤ value <
    ``high`` (0 and 1 by default).  ``values`` fixes them: sizes, lengths and masks on which the work of the network
    depends.  Without a ``shape``, the tensor has the shape of the nested ``values``; with one,
    they may also be a flat list.
    """

    shape: Annotated[tuple[Size, ...], FailFast(), BeforeValidator(as_tuple), AfterValidator(_check_shape)]
    dtype: Dtype | None = None
    low: int | None = None
    high: int | None = None
    values: Annotated[tuple[int | float | bool, ...] | None, BeforeValidator(_flat)] = None

    @model_validator(mode="before")
    @classmethod
    def _shape_from_values(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("values") is None or "shape" in data:
            return data
        try:
            _flat(data["values"])
        except PydanticCustomError:
            return {**data, "shape": (1,)}  # the error is then about the key values
        return {**data, "shape": _shape_of(data["values"])}

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.values is None:
            return self
        if self.low is not None or self.high is not None:
            raise expected("either values or a range", found="values with low or high")
        if len(self.values) != prod(self.shape):
            raise expected(
                f"{prod(self.shape)} of them for shape {list(self.shape)}", found=f"{len(self.values)} values"
            )
        if self.dtype in INTEGER_DTYPES and not all(type(value) is int for value in self.values):
            raise expected("integers", found=f"values for dtype {self.dtype} that are not integers")
        least, most = self._bounds()
        beyond = next((value for value in self.values if value < least or value > most), None)
        if beyond is not None:
            dtype = self.dtype or "a floating dtype"
            raise expected(f"{shown(least)} to {shown(most)} for {dtype}", found=f"the value {shown(beyond)}")
        return self

    def _bounds(self) -> tuple[float, float]:
        """The least and the largest value that the dtype can hold; a floating-point dtype can hold infinity."""
        if self.dtype == "bool":
            return 0, 1
        if self.dtype not in INTEGER_DTYPES:
            return float("-inf"), float("inf")
        bits = int(self.dtype.lstrip("uint"))
        return (0, 2**bits - 1) if self.dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.low is None and self.high is None:
            return self
        if self.dtype not in INTEGER_DTYPES:
            found = f"low or high for dtype {self.dtype or '(none given)'}"
            raise expected(f"them with an integer dtype only ({', '.join(INTEGER_DTYPES)})", found=found)
        least, most = INTEGER_DTYPES[self.dtype]
        low, high = self.integer_range
        if low >= high:
            raise expected("low < high", found=f"low {low} and high {high}")
        if low < least or high > most:
            raise expected(f"{least} <= low and high <= {most} for {self.dtype}", found=f"low {low} and high {high}")
        return self

    @property
    def integer_range(self) -> tuple[int, int]:
        """``low`` and ``high``; values are less than ``high``."""
        low = 0 if self.low is None else self.low
        return low, low + 2 if self.high is None else self.high


def _scalar(value: object) -> object:
    _with_values(value)
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise expected("a tensor ({shape: ...}), a number, a string, true, false, null, a list or a mapping")
    return value


def _only_values(value: Mapping[str, object]) -> bool:
    """Whether it is a tensor without a shape, and not a mapping with an input called ``values``."""
    known = InputSpec.model_fields
    meant = all(key in known or did_you_mean(str(key), known) for key in value)
    return meant and isinstance(value.get("values"), (bool, int, float, list, tuple))


def _input_tag(value: object) -> str:
    if isinstance(value, InputSpec) or (isinstance(value, dict) and ("shape" in value or _only_values(value))):
        return "<tensor>"
    if isinstance(value, dict):
        return "<mapping>"
    return "<list>" if isinstance(value, (list, tuple)) else "<value>"


Scalar = Annotated[bool | int | float | str | None, BeforeValidator(_scalar)]
InputValue = TypeAliasType(
    "InputValue",
    Annotated[
        "Annotated[InputSpec, Tag('<tensor>')]"
        " | Annotated[tuple[InputValue, ...], BeforeValidator(as_tuple), Tag('<list>')]"
        " | Annotated[dict[str, InputValue], Tag('<mapping>')]"
        " | Annotated[Scalar, Tag('<value>')]",
        Discriminator(_input_tag),
    ],
)
"""A tensor, a plain value, or a list or mapping of such; a mapping with the key ``shape`` or ``values`` is a tensor."""


class InputsFrom(Section):
    """A function that makes the inputs: ``from`` names it, and it is called with the network and with ``kwargs``."""

    model_config = ConfigDict(populate_by_name=True)

    constructor: Annotated[str, AfterValidator(_check_constructor), Field(alias="from")]
    kwargs: dict[str, Kwarg] = Field(default_factory=dict)


class InputsOfCall(Section):
    """Positional and keyword arguments together: a list of inputs, and a mapping of names to inputs."""

    args: Annotated[tuple[InputValue, ...], BeforeValidator(as_tuple)]
    kwargs: dict[str, InputValue]


def _inputs_tag(value: object) -> str:
    if isinstance(value, InputsOfCall) or (isinstance(value, dict) and set(value) == set(InputsOfCall.model_fields)):
        return "<call>"
    if isinstance(value, InputsFrom) or (isinstance(value, dict) and "from" in value):
        return "<from>"
    return "<mapping>" if isinstance(value, dict) else "<list>"


def _check_inputs(value: object) -> object:
    if not isinstance(value, (list, tuple, dict, InputsFrom, InputsOfCall)):
        raise expected(
            "a list (positional arguments), a mapping (keyword arguments), {args: [...], kwargs: {...}}"
            " or {from: path/to/net.py:inputs}"
        )
    if isinstance(value, dict) and "shape" in value and set(value) <= set(InputSpec.model_fields):
        raise expected("a list of inputs ('- shape: ...', with a dash) or a mapping of names to inputs")
    return value


Inputs = Annotated[
    Annotated[tuple[InputValue, ...], BeforeValidator(as_tuple), Tag("<list>")]
    | Annotated[dict[str, InputValue], Tag("<mapping>")]
    | Annotated[InputsOfCall, Tag("<call>")]
    | Annotated[InputsFrom, Tag("<from>")],
    Discriminator(_inputs_tag),
    BeforeValidator(_check_inputs),
]
