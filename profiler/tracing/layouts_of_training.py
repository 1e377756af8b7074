"""The results on the meta device of the operators that training adds, for the plain case: see ``layouts``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from profiler.tracing.layouts import Result, Shape, are_in_order, are_plain, convolution, given

Results = list[Result | None]
"""The results of an operator with several; None for a gradient that is not needed."""

OF_DIMS = {dims: convolution(dims) for dims in (1, 2, 3)}


def _like(self: Any, *others: Any, approximate: str = "none") -> Result | None:
    """A function of the elements of tensors of one shape at the same place, and of numbers."""
    tensors = [value for value in (self, *others) if isinstance(value, torch.Tensor)]
    numbers = [value for value in others if not isinstance(value, torch.Tensor)]
    if approximate not in ("none", "tanh") or not are_plain(*tensors):
        return None
    fits = self.dim() and all(tensor.shape == self.shape for tensor in tensors)
    return (tuple(self.shape), self.dtype) if fits and all(type(each) in (int, float) for each in numbers) else None


def _softmax_backward(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Result | None:
    if not are_plain(grad_output, output) or grad_output.shape != output.shape or input_dtype is not output.dtype:
        return None
    return (tuple(output.shape), output.dtype) if -output.dim() <= dim < output.dim() else None


def _addmm(self: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Result | None:
    """(m), (n, k), (k, m) → (n, m), where the last operand may be transposed."""
    if type(mat2) not in (torch.Tensor, torch.nn.Parameter) or not mat2.is_meta or mat2.layout is not torch.strided:
        return None
    if not are_in_order(self, mat1) or mat2.dtype is not mat1.dtype or 0 in mat2.shape or beta != 1 or alpha != 1:
        return None
    if self.dim() != 1 or mat1.dim() != 2 or mat2.dim() != 2 or mat1.shape[1] != mat2.shape[0]:
        return None
    return ((mat1.shape[0], mat2.shape[1]), mat1.dtype) if self.shape == mat2.shape[1:] else None


def _convolution(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Result | None:
    if transposed or type(input) is not torch.Tensor or input.dim() - 2 not in OF_DIMS:
        return None
    return OF_DIMS[input.dim() - 2](input, weight, bias, stride, padding, dilation, groups)


def _convolution_backward(
    grad_output: Any,
    input: Any,
    weight: Any,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
) -> Results | None:
    """The gradients of the input, the weight and the bias, in their shapes."""
    if not are_plain(grad_output):
        return None
    made = _convolution(input, weight, None, stride, padding, dilation, transposed, output_padding, groups)
    if made is None or made != (tuple(grad_output.shape), grad_output.dtype):
        return None
    return _masked(input.dtype, (tuple(input.shape), tuple(weight.shape), (weight.shape[0],)), output_mask)


def _masked(dtype: torch.dtype, shapes: Sequence[Shape], mask: Sequence[bool]) -> Results:
    return [(shape, dtype) if needed else None for shape, needed in zip(shapes, mask, strict=True)]


def _native_layer_norm(input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Results | None:
    """The result, and the mean and the reciprocal of the deviation of each group."""
    shape, held = tuple(normalized_shape), given(weight, bias)
    if not shape or not are_plain(input, *held) or tuple(input.shape[-len(shape) :]) != shape:
        return None
    if input.dtype not in (torch.float32, torch.float64) or any(tuple(tensor.shape) != shape for tensor in held):
        return None
    groups = (*input.shape[: -len(shape)], *(1 for _ in shape))
    return [(tuple(input.shape), input.dtype), (groups, input.dtype), (groups, input.dtype)]


def _native_layer_norm_backward(
    grad_out: Any,
    input: Any,
    normalized_shape: Any,
    mean: Any,
    rstd: Any,
    weight: Any,
    bias: Any,
    output_mask: Sequence[bool],
) -> Results | None:
    if weight is None or bias is None or not are_plain(grad_out, mean, rstd) or grad_out.shape != input.shape:
        return None
    made = _native_layer_norm(input, normalized_shape, weight, bias, 0.0)
    if made is None or made[1] != (tuple(mean.shape), mean.dtype) or grad_out.dtype is not input.dtype:
        return None
    if mean.shape != rstd.shape or len(normalized_shape) == input.dim():
        return None
    of_weight = tuple(weight.shape)
    return _masked(input.dtype, (tuple(input.shape), of_weight, of_weight), output_mask)


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
) -> Results | None:
    held = given(weight, running_mean, running_var, save_mean, save_invstd)
    if not train or len(held) != 5 or not are_plain(grad_out, input, *held) or input.dim() < 2:
        return None
    if not all(output_mask):  # some kernels compute what is not needed
        return None
    if grad_out.shape != input.shape or any(tensor.shape != input.shape[1:2] for tensor in held):
        return None
    channels = (input.shape[1],)
    return _masked(input.dtype, (tuple(input.shape), channels, channels), output_mask)


def _in_place(self: Any, *others: Any) -> torch.Tensor | None:
    """An operation that writes to its first operand, and returns it."""
    return None if _like(self, *others) is None else self


def _bernoulli(self: Any, p: Any = 0.5) -> torch.Tensor | None:
    return self if type(p) is float and 0 <= p <= 1 and are_plain(self) else None


OF_TRAINING: dict[str, Callable[..., Result | Results | torch.Tensor | None]] = {
    "aten::_softmax_backward_data": _softmax_backward,
    "aten::addmm": _addmm,
    "aten::convolution": _convolution,
    "aten::convolution_backward": _convolution_backward,
    "aten::native_layer_norm": _native_layer_norm,
    "aten::native_layer_norm_backward": _native_layer_norm_backward,
    "aten::native_batch_norm_backward": _native_batch_norm_backward,
    **{f"aten::{name}": _like for name in ("gelu_backward", "tanh_backward", "sigmoid_backward", "silu_backward")},
    **{f"aten::{name}": _like for name in ("threshold_backward", "hardswish_backward", "hardtanh_backward")},
    **{f"aten::{name}_": _in_place for name in ("add", "sub", "mul", "div", "relu", "silu", "hardswish")},
    "aten::bernoulli_": _bernoulli,
}
"""The same as ``LAYOUTS`` for these operators.  One that returns its operand has the operand in place of a layout."""
