"""The arguments and results of operations ↔ JSON.

A tensor is a text, ``"1x3x224x224 float32"``, or a mapping if more is known about it.  JSON's numbers, booleans, null
and lists are written directly; a text is ``{"text": "same"}``.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from functools import lru_cache
from math import prod
from typing import Any, cast

from pydantic_core import PydanticCustomError

from profiler.signatures import DetailedSpec, Numbers, Opaque, Packed, Shape, TensorSpec, Value

SIZE_LIMIT = 2**63 - 1
"""The maximum size of a tensor."""

COUNT_LIMIT = 2**128
"""The maximum of a single figure: a product of two tensors of the maximum size costs less."""

DEPTH_LIMIT = 16
"""The maximum depth of nested lists of arguments."""

ITEM_BYTES = {"q": 8, "d": 8, "?": 1}
"""The formats of numbers that a file may have, with the bytes of each."""

SPEC_EXPECTED = "a shape and a dtype, such as '1x3x224x224 float32' or '64 float32 parameter'"
VALUE_EXPECTED = "a tensor, a number, a boolean, null, a list of these, or a mapping with a known key"

_SPEC = re.compile(
    r"(scalar|[0-9]+(?:x[0-9]+)*) ([a-z][a-z0-9_]*)( parameter)?(?: stored=([0-9]+))?(?: layout=([a-z_]+))?", re.ASCII
)


def expected(text: str, **context: str) -> PydanticCustomError:
    """The error for anything else."""
    return PydanticCustomError("expected", "{text}", {"text": text, **context})


def check_product(sizes: Any) -> None:
    """Raise if the product of ``sizes`` is too large for a count."""
    product = 0 if 0 in sizes else 1
    for size in sizes:
        product *= size
        if product > COUNT_LIMIT:
            raise expected("sizes whose product is at most 2^128")


@lru_cache(maxsize=4096)
def _read_spec(text: str) -> TensorSpec:
    match = _SPEC.fullmatch(text) if len(text) <= 2000 else None
    if match is None:
        raise expected(SPEC_EXPECTED)
    sizes, dtype, parameter, stored, layout = match.groups()
    shape = [] if sizes == "scalar" else [int(size) for size in sizes.split("x")]
    held = None if stored is None else int(stored)
    if max((*shape, held or 0)) > SIZE_LIMIT:
        raise expected("sizes of at most 2^63 - 1")
    check_product(shape)
    return TensorSpec(tuple(shape), dtype, parameter is not None, held, layout or "strided")


def read_spec(text: object) -> TensorSpec:
    """``1x3x224x224 float32`` as :func:`write_spec` wrote it."""
    if not isinstance(text, str):
        raise expected("a string")
    return _read_spec(text)


def write_spec(spec: TensorSpec) -> str:
    """``1x3x224x224 float32``, followed by ``parameter`` for a parameter, and ``stored=6`` for a sparse tensor."""
    words = ["x".join(map(str, spec.shape)) or "scalar", spec.dtype]
    words += ["parameter"] if spec.parameter else []
    words += [f"stored={spec.stored}"] if spec.stored is not None else []
    return " ".join([*words, f"layout={spec.layout}"] if spec.layout != "strided" else words)


def write_value(value: Value) -> Any:
    """An argument or a result in its JSON form."""
    if isinstance(value, TensorSpec):
        return _write_tensor(value)
    if isinstance(value, tuple):
        return [write_value(item) for item in value]
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, complex):
        return {"complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, Opaque):
        return {"object": value.type}
    if isinstance(value, Packed):
        held = {"weight": value.weight, "bias": value.bias}
        return {"packed": value.type, **{name: write_spec(spec) for name, spec in held.items() if spec is not None}}
    return value


def _write_tensor(spec: TensorSpec) -> Any:
    text = write_spec(spec)
    if not isinstance(spec, DetailedSpec):
        return text
    details: dict[str, Any] = {"tensor": text}
    if spec.zeros:
        details["zeros"] = [list(pair) for pair in spec.zeros]
    if spec.samples:
        details["samples"] = list(spec.samples)
    if spec.nested:
        details["parts"] = None if spec.parts is None else [list(shape) for shape in spec.parts]
    for name, numbers in (("numbers", spec.numbers), ("places", spec.places)):
        if numbers is not None:
            data = base64.b64encode(numbers.data).decode("ascii")
            details[name] = {"format": numbers.format, "shape": list(numbers.shape), "data": data}
    return details


def read_value(value: Any, depth: int = 0) -> Value:
    """What :func:`write_value` wrote.  Raises a pydantic error for anything else."""
    if isinstance(value, str):
        return _read_spec(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        if abs(value) > COUNT_LIMIT:
            raise expected("an integer of at most 2^128")
        return value
    if depth > DEPTH_LIMIT:
        raise expected(f"lists nested at most {DEPTH_LIMIT} deep")
    if isinstance(value, list):
        return tuple([read_value(item, depth + 1) for item in value])
    if isinstance(value, dict):
        for key, read in _MAPPINGS.items():
            if key in value:
                return read(value)
    raise expected(VALUE_EXPECTED)


def _one_text(key: str, value: dict[str, Any]) -> str:
    if len(value) != 1 or not isinstance(value[key], str):
        raise expected(f"a mapping with nothing but the key {key} and a text")
    return cast(str, value[key])


def _float(text: Any) -> float:
    try:
        return float(text) if isinstance(text, str) and len(text) < 40 else float("x")
    except ValueError:
        raise expected("a number as text, such as 'inf' or '-0.5'") from None


def _read_complex(value: dict[str, Any]) -> complex:
    parts = value["complex"]
    if len(value) != 1 or not isinstance(parts, list) or len(parts) != 2:
        raise expected("a mapping with nothing but the key complex and two numbers as text")
    return complex(*map(_float, parts))


def _read_packed(value: dict[str, Any]) -> Packed:
    if set(value) - {"packed", "weight", "bias"} or not isinstance(value["packed"], str):
        raise expected("a mapping with the keys packed, weight and bias")
    weight, bias = (None if name not in value else read_spec(value[name]) for name in ("weight", "bias"))
    return Packed(value["packed"], weight, bias)


def _read_tensor(value: dict[str, Any]) -> TensorSpec:
    unknown = set(value) - {"tensor", "zeros", "samples", "parts", "numbers", "places"}
    if unknown:
        raise expected("no keys but tensor, zeros, samples, parts, numbers and places")
    spec = read_spec(value["tensor"])
    zeros = tuple(_sizes(pair) for pair in _list(value.get("zeros", [])))
    if any(len(pair) != 2 for pair in zeros) or len(zeros) not in (0, len(spec.shape)):
        raise expected("two numbers of zeros for each dimension")
    if any(sum(pair) > size for pair, size in zip(zeros, spec.shape, strict=False)):
        raise expected("no more zeros than the size of the tensor")
    parts = value.get("parts")
    samples = _sizes(value.get("samples", []))
    check_product((*samples, *spec.shape))
    return DetailedSpec(
        spec.shape,
        spec.dtype,
        spec.parameter,
        spec.stored,
        spec.layout,
        zeros=cast(Any, zeros),
        samples=samples,
        nested="parts" in value,
        parts=None if parts is None else tuple(map(_sizes, _list(parts))),
        numbers=_numbers(value["numbers"]) if "numbers" in value else None,
        places=_numbers(value["places"]) if "places" in value else None,
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise expected("a list")
    return value


def _sizes(value: Any) -> Shape:
    if not all(type(size) is int and 0 <= size <= SIZE_LIMIT for size in _list(value)):
        raise expected("a list of integers of at least 0")
    check_product(value)
    return tuple(value)


def _numbers(value: Any) -> Numbers:
    if not isinstance(value, dict) or set(value) != {"format", "shape", "data"} or value["format"] not in ITEM_BYTES:
        raise expected("a mapping with the keys format (q, d or ?), shape and data")
    shape = _sizes(value["shape"])
    try:
        data = base64.b64decode(value["data"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise expected("data in base64") from None
    if len(data) != prod(shape) * ITEM_BYTES[value["format"]]:
        raise expected("as many numbers as the shape has elements")
    return Numbers(value["format"], shape, data)


_MAPPINGS = {
    "tensor": _read_tensor,
    "text": lambda value: _one_text("text", value),
    "object": lambda value: Opaque(_one_text("object", value)),
    "float": lambda value: _float(_one_text("float", value)),
    "complex": _read_complex,
    "packed": _read_packed,
}
"""The key that identifies a mapping, with the function that reads it."""
