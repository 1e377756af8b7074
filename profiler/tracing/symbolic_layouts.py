"""Results of common operators in a run with symbols, without torch's Python code for them.

That code makes thousands of comparisons of sizes to normalize a batch of images, or to add two tensors of one shape.
Here the result is made at once for the plain case: floating-point tensors with elements in order, whose shapes are the
same expressions of symbols.  No size is compared, so no condition is added.  Anything else is left to torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from profiler.tracing.layouts import FLOATS, PLAIN, given

META = torch.device("meta")


def _sizes(sizes: Sequence[Any]) -> tuple[Any, ...]:
    """Numbers, and the expressions of symbols."""
    return tuple([size if type(size) is int else size.node.expr for size in sizes])


def _in_order(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The strides of a new tensor of that shape."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def _are_plain(*tensors: Any) -> bool:
    """Whether all of them are dense floating-point tensors on meta of one dtype, with elements in order."""
    dtype = tensors[0].dtype if type(tensors[0]) in PLAIN else None
    return dtype in FLOATS and all(
        type(tensor) in PLAIN
        and tensor.dtype is dtype
        and tensor.is_meta
        and tensor.layout is torch.strided
        and not any(type(size) is int and size == 0 for size in tensor.shape)
        and _sizes(tensor.stride()) == _sizes(_in_order(tensor.shape))
        for tensor in tensors
    )


def _new(shape: Sequence[Any], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(tuple(shape), _in_order(shape), dtype=dtype, device=META)


def _fit(input: Any, *of_channels: Any) -> bool:
    """Whether a batch of some channels, whose number is no symbol, is plain, and all others are a number for each."""
    if not _are_plain(input, *of_channels) or input.dim() < 2 or type(input.shape[1]) is not int:
        return False
    return all(tuple(tensor.shape) == (input.shape[1],) for tensor in of_channels)


def _batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, *others: Any
) -> Any:
    """(batch, channels, …), which stays, with stored means and variances."""
    if training or running_mean is None or running_var is None:
        return None
    fits = _fit(input, running_mean, running_var, *given(weight, bias))
    return _new(input.shape, input.dtype) if fits else None


def _native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, *others: Any
) -> Any:
    """The result, and the mean and the reciprocal of the deviation of each channel."""
    held = given(weight, bias, running_mean, running_var)
    if not training or input.dtype not in (torch.float32, torch.float64) or not _fit(input, *held):
        return None
    channels = (input.shape[1],)
    return tuple(_new(shape, input.dtype) for shape in (input.shape, channels, channels))


def _native_batch_norm_backward(
    grad_out: Any,
    input: Any,
    weight: Any,
    running_mean: Any,
    running_var: Any,
    save_mean: Any,
    save_invstd: Any,
    train: bool,
    eps: float,
    output_mask: Sequence[bool],
) -> Any:
    """The gradients of the input, the weight and the bias."""
    held = given(weight, running_mean, running_var, save_mean, save_invstd)
    if not train or len(held) != 5 or not all(output_mask) or not _fit(input, *held) or not _are_plain(grad_out, input):
        return None
    if _sizes(grad_out.shape) != _sizes(input.shape):
        return None
    channels = (input.shape[1],)
    return tuple(_new(shape, input.dtype) for shape in (input.shape, channels, channels))


def _of_each(self: Any, *others: Any, **options: Any) -> Any:
    """A function of each element."""
    numbers = all(value is None or type(value) in (int, float, bool, str) for value in (*others, *options.values()))
    return _new(self.shape, self.dtype) if numbers and _are_plain(self) else None


def _of_two(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """A function of each element of one tensor and that of another at the same place, or a number."""
    if type(alpha) not in (int, float):
        return None
    if type(other) in (int, float):
        return _new(self.shape, self.dtype) if _are_plain(self) else None
    if not _are_plain(self, other) or not self.dim() or _sizes(self.shape) != _sizes(other.shape):
        return None
    return _new(self.shape, self.dtype)


def _in_place(self: Any, *others: Any, **options: Any) -> Any:
    """An operation on each element that writes to its first operand, and returns it."""
    of = _of_two if len(others) == 1 else _of_each
    return None if of(self, *others, **options) is None else self


RESULTS: dict[str, Callable[..., Any]] = {
    "aten::batch_norm": _batch_norm,
    "aten::native_batch_norm": _native_batch_norm,
    "aten::native_batch_norm_backward": _native_batch_norm_backward,
    **{f"aten::{name}": _of_each for name in ("relu", "gelu", "silu", "sigmoid", "hardswish", "hardsigmoid")},
    **{f"aten::{name}": _of_two for name in ("add", "sub", "mul")},
    **{f"aten::{name}_": _in_place for name in ("relu", "silu", "hardswish", "add", "sub", "mul")},
}
"""By the name of an operator, a function of its arguments: its result, or None if torch has to say."""


def symbolic_result(name: str, args: Any, kwargs: Any) -> Any:
    """The result of the operator ``name`` on tensors with symbols in their shapes; None if torch has to say."""
    made = RESULTS.get(name)
    if made is None or torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return None
    try:
        return made(*args, **kwargs)
    except TypeError:  # an argument that is not one of the plain case
        return None
