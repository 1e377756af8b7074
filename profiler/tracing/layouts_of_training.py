"""The results on the meta device of the operators that training adds, for the plain case: see ``layouts``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from profiler.tracing.layouts import (
    META,
    PLAIN,
    Result,
    are_in_order,
    are_plain,
    are_strided,
    are_usual,
    avg_pool2d,
    convolution,
    given,
    index,
    is_made_contiguous,
    max_pool2d,
    pointwise,
)
from profiler.tracing.strides import (
    Shape,
    contiguous,
    expanded,
    is_channels_last,
    is_contiguous,
    of_elements,
    prefers_channels_last,
)

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
    if not are_strided(grad_output) or not are_plain(input, weight):
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
    if not shape or not are_strided(input, *held) or tuple(input.shape[-len(shape) :]) != shape:
        return None
    if input.dtype not in (torch.float32, torch.float64) or any(tuple(tensor.shape) != shape for tensor in held):
        return None
    if not is_made_contiguous(input):
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
    """The gradients of the input, the weight and the bias; torch computes them by the operators named here."""
    if weight is None or bias is None or not are_strided(grad_out, input, mean, rstd, weight, bias):
        return None
    shape, axis = tuple(input.shape), input.dim() - len(normalized_shape)
    of_weight = shape[axis:]
    groups = (*shape[:axis], *(1 for _ in of_weight))
    fits = grad_out.shape == input.shape and mean.shape == rstd.shape == groups and 0 < axis < input.dim()
    if not fits or input.dtype not in (torch.float32, torch.float64) or tuple(normalized_shape) != of_weight:
        return None
    if not weight.shape == bias.shape == of_weight or not (are_plain(weight, bias, mean, rstd)):
        return None
    of_out, of_input = [
        contiguous(shape) if prefers_channels_last(shape, tensor.stride()) else tensor.stride()  # torch copies it
        for tensor in (grad_out, input)
    ]
    of_group = expanded(groups, contiguous(groups), shape)
    scale = expanded(of_weight, contiguous(of_weight), shape)
    assert of_group is not None
    assert scale is not None
    scaled = of_elements(shape, of_out, scale)  # gradient · weight
    centered = of_elements(shape, of_elements(shape, of_input, of_group), of_group)  # (input − mean) · rstd
    difference = of_elements(shape, of_elements(shape, scaled), of_group)  # scaled · size − its sum
    inner = of_elements(shape, difference, of_elements(shape, centered, of_group))
    result = shape, input.dtype, of_elements(shape, of_group, inner)
    made: list[Result] = [result, (of_weight, input.dtype), (of_weight, input.dtype)]
    return [each if needed else None for each, needed in zip(made, output_mask, strict=True)]


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


def _of_two_in_place(self: Any, other: Any, *, alpha: Any = 1) -> torch.Tensor | None:
    """A function of the elements of two tensors that writes to the first one, and returns it."""
    if type(alpha) not in (int, float) or not are_strided(self):
        return None
    shape = tuple(self.shape)
    if not (is_contiguous(shape, self.stride()) or is_channels_last(shape, self.stride())):
        return None  # torch refuses one whose elements share memory
    if type(other) not in (int, float):
        fits = are_strided(self, other) and self.untyped_storage() is not other.untyped_storage()
        if not fits or expanded(tuple(other.shape), other.stride(), shape) is None:
            return None
    found: torch.Tensor = self
    return found


def _written(self: Any, *others: Any) -> torch.Tensor | None:
    """A tensor to which a number or another tensor is written, and which is returned."""
    if type(self) not in PLAIN or not self.is_meta or self.layout is not torch.strided or self.is_neg():
        return None
    shape, strides = tuple(self.shape), self.stride()
    if any(size > 1 and not stride for size, stride in zip(shape, strides, strict=True)):
        return None  # torch refuses one whose elements share memory
    for other in others:
        if type(other) in (int, float, bool):
            continue
        if type(other) not in PLAIN or not other.is_meta or other.layout is not torch.strided or other.is_neg():
            return None
        if other.dtype.is_complex or expanded(tuple(other.shape), other.stride(), shape) is None:
            return None
    return None if self.dtype.is_complex else self


def _of_number(self: Any, other: Any) -> Result | None:
    return pointwise(self) if type(other) in (int, float) else None


def _reduced(self: Any, dim: Any, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Result | None:
    """The sum or the mean over some dimensions."""
    if not dim or dtype is not None or not are_strided(self):
        return None
    if any(type(each) is not int or not -self.dim() <= each < self.dim() for each in dim):
        return None
    dims = {each % self.dim() for each in dim}
    if len(dims) < len(dim):
        return None
    if keepdim:
        return tuple([1 if place in dims else size for place, size in enumerate(self.shape)]), self.dtype
    return tuple([size for place, size in enumerate(self.shape) if place not in dims]), self.dtype


def _mm(self: Any, mat2: Any) -> Result | None:
    """(n, k), (k, m) → (n, m)."""
    if not are_strided(self, mat2) or self.dim() != 2 or mat2.dim() != 2 or self.shape[1] != mat2.shape[0]:
        return None
    return (self.shape[0], mat2.shape[1]), self.dtype


def _bmm(self: Any, mat2: Any) -> Result | None:
    """(batch, n, k), (batch, k, m) → (batch, n, m)."""
    if not are_strided(self, mat2) or self.dim() != 3 or mat2.dim() != 3:
        return None
    if self.shape[0] != mat2.shape[0] or self.shape[2] != mat2.shape[1]:
        return None
    return (*self.shape[:2], mat2.shape[2]), self.dtype


def _slice_backward(grad_output: Any, input_sizes: Any, dim: int, start: int, end: int, step: int) -> Result | None:
    """A tensor of ``input_sizes`` with the gradient of a part of it."""
    sizes = tuple(input_sizes)
    if not are_strided(grad_output) or 0 in sizes or not 0 <= dim < len(sizes) or start < 0 or end < 0 or step < 1:
        return None
    part = len(range(min(start, sizes[dim]), min(end, sizes[dim]), step))
    return (sizes, grad_output.dtype) if grad_output.shape == (*sizes[:dim], part, *sizes[dim + 1 :]) else None


def _select_backward(grad_output: Any, input_sizes: Any, dim: int, index: int) -> Result | None:
    """The same for a tensor at one place of a dimension."""
    sizes = tuple(input_sizes)
    if not are_strided(grad_output) or 0 in sizes or not 0 <= dim < len(sizes) or not 0 <= index < sizes[dim]:
        return None
    return (sizes, grad_output.dtype) if grad_output.shape == (*sizes[:dim], *sizes[dim + 1 :]) else None


def _clone(self: Any, *, memory_format: Any = None) -> Result | None:
    in_order = memory_format is torch.contiguous_format
    return (tuple(self.shape), self.dtype) if in_order and are_strided(self) else None


def _native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, *others: Any
) -> Results | None:
    """The result, and the mean and the reciprocal of the deviation of each channel."""
    held = given(weight, bias, running_mean, running_var)
    if not training or len(held) != 4 or not are_plain(input, *held) or input.dim() < 2:
        return None
    if input.numel() == input.shape[1]:  # one value has no deviation
        return None
    if input.dtype not in (torch.float32, torch.float64) or any(each.shape != input.shape[1:2] for each in held):
        return None
    channels = (input.shape[1],)
    return [(tuple(input.shape), input.dtype), (channels, input.dtype), (channels, input.dtype)]


def _safe_softmax(self: Any, dim: int, dtype: Any = None) -> Result | None:
    fits = dtype is None and are_plain(self) and -self.dim() <= dim < self.dim()
    return (tuple(self.shape), self.dtype) if fits else None


def _inner_softmax(self: Any, dim: int, half_to_float: bool) -> Result | None:
    return None if half_to_float else _safe_softmax(self, dim)


def _max_pool2d_with_indices(self: Any, *window: Any) -> Results | None:
    """The largest values, and their places."""
    layout = max_pool2d(self, *window)
    return None if layout is None else [layout, (layout[0], torch.int64)]


def _max_pool2d_backward(
    grad_output: Any,
    self: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: Any,
) -> Result | None:
    return _of_pooled(grad_output, self, max_pool2d(self, kernel_size, stride, padding, dilation, ceil_mode))


def _avg_pool2d_backward(grad_output: Any, self: Any, *window: Any) -> Result | None:
    return _of_pooled(grad_output, self, avg_pool2d(self, *window))


def _of_pooled(grad_output: Any, self: Any, layout: Result | None) -> Result | None:
    """The gradient of an image, from that of its pooled one, which has a ``layout``."""
    fits = layout is not None and are_plain(self, grad_output) and grad_output.shape == layout[0]
    return (tuple(self.shape), self.dtype) if fits else None


def _index_put(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Result | None:
    """A copy with ``values`` in some rows, or added to them."""
    layout = index(self, indices)
    fits = layout is not None and are_strided(self, values) and tuple(values.shape) == layout[0]
    return (tuple(self.shape), self.dtype) if fits else None


def _empty_like(
    self: Any, *, dtype: Any = None, device: Any = None, memory_format: Any = None, **options: Any
) -> Result | None:
    usual = memory_format in (None, torch.preserve_format, torch.contiguous_format) and are_usual(options)
    if not usual or device not in (None, META) or not are_plain(self):
        return None
    return tuple(self.shape), self.dtype if dtype is None else dtype


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
    **{f"aten::{name}_": _of_two_in_place for name in ("add", "sub", "mul", "div")},
    **{f"aten::{name}_": _in_place for name in ("relu", "silu", "hardswish")},
    **{f"aten::{name}": _written for name in ("copy_", "fill_", "zero_")},
    "aten::div": _of_number,
    **{f"aten::{name}": _reduced for name in ("sum", "mean")},
    "aten::mm": _mm,
    "aten::bmm": _bmm,
    "aten::slice_backward": _slice_backward,
    "aten::select_backward": _select_backward,
    "aten::clone": _clone,
    "aten::native_batch_norm": _native_batch_norm,
    "aten::_safe_softmax": _safe_softmax,
    "aten::bernoulli_": _bernoulli,
    "aten::_softmax": _inner_softmax,
    "aten::max_pool2d_with_indices": _max_pool2d_with_indices,
    "aten::max_pool2d_with_indices_backward": _max_pool2d_backward,
    "aten::avg_pool2d_backward": _avg_pool2d_backward,
    "aten::index_put": _index_put,
    "aten::empty_like": _empty_like,
}
"""The same as ``LAYOUTS`` for these operators.  One that returns its operand has the operand in place of a layout."""
