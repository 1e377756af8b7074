"""Results on meta that are made without torch's kernels are those that the kernels make."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from profiler.tracing.made_results import KNOWN, results_of
from profiler.tracing.memo import Answer
from profiler.tracing.private import named_operator


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


SHAPES = ((3,), (2, 3), (1, 1), (2, 1, 3), (1, 3, 5, 5), (2, 1, 4, 4), (3, 4, 1, 1), (2, 2, 3, 4, 5), (0, 3), ())


def strange(*shape: int) -> Iterator[torch.Tensor]:
    """Tensors of that shape which are not plain: strides, dtypes, devices, layouts."""
    yield meta(*shape, dtype=torch.int64)
    yield meta(*shape, dtype=torch.bfloat16)
    yield meta(*shape, dtype=torch.complex64)
    yield meta(*reversed(shape)).permute(list(reversed(range(len(shape)))))
    yield meta(*shape, 2)[..., 0]
    if len(shape) == 4:
        yield meta(*shape).to(memory_format=torch.channels_last)


def every(*shape: int) -> Iterator[torch.Tensor]:
    yield meta(*shape)
    yield from strange(*shape)


def of_each() -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES:
        yield from ((tensor,) for tensor in every(*shape))


def of_two() -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES:
        for left in every(*shape):
            yield from ((left, right) for right in (*every(*shape), meta(1), meta(3), 2, 1.5, 1j, True))


def linear() -> Iterator[tuple[Any, ...]]:
    for shape, out in itertools.product(SHAPES, (1, 4)):
        width = shape[-1] if shape else 1
        for x in (*every(*shape), *itertools.islice(laid_out(*shape), 30)):
            yield x, meta(out, width)
            yield x, meta(out, width), meta(out)
            yield x, meta(width, out).t(), meta(2 * out)[::2]
        yield meta(*shape), meta(width, out).t(), meta(out)
        yield meta(*shape), meta(out, width + 1)
        yield meta(*shape), meta(out, width), meta(out + 1)


def attentions() -> Iterator[tuple[Any, ...]]:
    for batch, n, m in itertools.product(((2, 3), (1, 2), (2,)), (1, 4), (3, 5)):
        queries, keys, values = (
            [*every(*batch, places, width), *laid_out(*batch, places, width)]
            for places, width in ((n, 8), (m, 8), (m, 4))
        )
        for place, query in enumerate(queries):
            key, value = keys[place * 5 % len(keys)], values[place * 7 % len(values)]
            yield query, keys[0], values[0]
            yield query, key, value
            yield query, queries[0], queries[-1]
            yield query, keys[0], values[0], meta(*batch, n, m, dtype=torch.bool)
            yield query, keys[0], values[0], meta(n, m)
            yield query, keys[0], values[0], meta(m)
            yield query, keys[0], values[0], meta(n, m + 1)
            yield query, keys[0], values[0], meta(n, m, dtype=torch.float64)
            yield query, keys[0], values[0], None, 0.0, True
            yield query, keys[0], values[0], meta(n, m), 0.0, True
        yield queries[0], keys[0], meta(*batch, m + 1, 4)
        yield queries[0], meta(*batch[1:], m, 8), values[0]
        yield queries[0], meta(*batch, m, 7), values[0]


def pooled_gradients(of_max: bool) -> Iterator[tuple[Any, ...]]:
    for x, kernel, stride, padding, step, ceil in some_pools():
        rest = (step * 2, ceil) if of_max else (ceil, True, None)
        if step == [1] or of_max:
            window = (kernel * 2, (stride or kernel) * 2, padding * 2, *rest)
            for height in (2, 3, 4):
                gradient = meta(2, 3, height, height)
                indices = (meta(2, 3, height, height, dtype=torch.int64),) if of_max else ()
                yield gradient, x, *window, *indices
                yield gradient.to(memory_format=torch.channels_last), x, *window, *indices


def put() -> Iterator[tuple[Any, ...]]:
    for x, indices in indexed():
        if indices[0] is None or len(indices) > 1:
            yield x, indices, meta(2), True
            continue
        shape = (*indices[0].shape, *x.shape[1:])
        for values in (meta(*shape), *itertools.islice(laid_out(*shape), 6), meta(1), meta(3, *shape)):
            yield from ((x, indices, values, accumulate) for accumulate in (False, True))


def convolutions(dims: int) -> Iterator[tuple[Any, ...]]:
    sides = (1, 2, 5)
    for side, kernel, stride, padding, dilation in itertools.product(sides, (1, 2, 3), (1, 2), (0, 1), (1, 2)):
        options = ([stride], [padding], [dilation])
        x, weight = meta(2, 4, *[side] * dims), meta(6, 4, *[kernel] * dims)
        yield x, weight, None, *options
        yield x, weight, meta(6), *options, 1
        yield x, meta(6, 2, *[kernel] * dims), meta(6), *options, 2
    for x in every(2, 4, *[5] * dims):
        for weight in every(6, 4, *[3] * dims):
            yield x, weight
            yield x, weight, meta(6)
    for x in laid_out(2, 4, *[5] * dims):
        yield x, meta(6, 4, *[3] * dims)
        yield x, meta(6, 1, *[3] * dims), meta(6), [1], [1], [1], 4
    yield meta(4, *[5] * dims), meta(6, 4, *[3] * dims)
    yield meta(2, 1, *[5] * dims), meta(6, 1, *[1] * dims)
    yield meta(2, 3, *[5] * dims), meta(6, 4, *[3] * dims)
    yield meta(2, 4, *[5] * dims), meta(6, 4, *[3] * dims), meta(5)
    yield meta(2, 4, *[5] * dims), meta(5, 2, *[3] * dims), None, [1], [0], [1], 2


def pools() -> Iterator[tuple[Any, ...]]:
    for side, kernel, stride, padding, dilation, ceil in itertools.product(
        (1, 4, 5, 7), (1, 2, 3), ([], [1], [2], [3]), (0, 1, 2), (1, 2), (False, True)
    ):
        yield meta(2, 3, side, side), [kernel], stride, [padding], [dilation], ceil
    for x in every(2, 3, 6, 5):
        yield x, [2, 3]
    yield meta(3, 6, 5), [2]


def some_pools() -> Iterator[tuple[Any, ...]]:
    return (case for case in pools() if len(case) == 6)


def adaptive() -> Iterator[tuple[Any, ...]]:
    images = [x for shape in ((2, 3, 6, 5), (2, 1, 3, 3), (1, 3, 1, 1), (1, 1, 2, 1)) for x in every(*shape)]
    images += [*laid_out(2, 3, 6, 5), *laid_out(1, 4, 2, 1), meta(3, 6, 5)]
    for size, x in itertools.product(([1, 1], [6, 2], [9, 9], [0, 1]), images):
        yield x, size


def norms(*end: Any) -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES:
        width = shape[1] if len(shape) > 1 else 1
        held = [meta(width) for _ in range(4)]
        for x in every(*shape):
            yield x, *held, False, 0.1, 1e-5, True
        yield meta(*shape), None, None, *held[2:], False, 0.1, 1e-5, True
        yield meta(*shape), *held, True, 0.1, 1e-5, True
        yield meta(*shape), *[meta(width + 1) for _ in range(4)], False, 0.1, 1e-5, True


def layer_norms() -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES[:-1]:
        for x in every(*shape):
            yield x, [shape[-1]], meta(shape[-1]), meta(shape[-1])
            yield x, list(shape), None, None
        for x in itertools.islice(laid_out(*shape), 30):
            yield x, [shape[-1]], meta(shape[-1]), meta(shape[-1])
        yield meta(*shape), [shape[-1] + 1]
        yield meta(*shape), [shape[-1]], meta(shape[-1] + 1)
        yield meta(*shape), [shape[-1]], meta(shape[-1], dtype=torch.float64)


def group_norms() -> Iterator[tuple[Any, ...]]:
    for shape, groups in itertools.product(SHAPES, (1, 2)):
        for x in every(*shape):
            width = shape[1] if len(shape) > 1 else 1
            yield x, groups, meta(width), meta(width)
            yield x, groups


def softmaxes() -> Iterator[tuple[Any, ...]]:
    for (x,), dim in itertools.product(of_each(), (0, -1, 2)):
        yield x, dim
    yield meta(2, 3), -1, torch.float64


def softmaxes_by_place() -> Iterator[tuple[Any, ...]]:
    return (case for case in softmaxes() if len(case) == 2)


def embeddings() -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES:
        yield meta(7, 5), meta(*shape, dtype=torch.int64)
        yield meta(7, 5), meta(*shape, dtype=torch.int32)
        yield meta(7, 5), meta(*shape)
        yield meta(7), meta(*shape, dtype=torch.int64)
    yield meta(5, 7).t(), meta(3, dtype=torch.int64)
    yield meta(7, 5), meta(3, 2, dtype=torch.int64).t()


def concatenated() -> Iterator[tuple[Any, ...]]:
    for shape, dim in itertools.product(SHAPES, (0, 1, -1, 3)):
        for x in every(*shape):
            yield [x], dim
            yield [x, meta(*shape), x], dim
            yield [x, meta(*shape, 1)], dim
        for x, other in itertools.product(itertools.islice(laid_out(*shape), 30), (*every(*shape), None)):
            yield [x, x if other is None else other], dim
        for place in range(len(shape)):
            yield [meta(*shape), meta(*shape[:place], 7, *shape[place + 1 :])], dim
    yield [meta(0), meta(2, 3)], 0
    yield [], 0


def rolled() -> Iterator[tuple[Any, ...]]:
    for shape, (shifts, dims) in itertools.product(
        SHAPES, (([1], [0]), ([1, -2], [1, 0]), ([1], []), ([2], [-1]), ([1, 2], [0]), ([9], [4]))
    ):
        yield from ((x, shifts, dims) for x in every(*shape))


def parts(*shape: int) -> Iterator[torch.Tensor]:
    """Tensors of that shape that are parts of larger ones."""
    for place, size in enumerate(shape):
        whole = meta(*shape[:place], size + 2, *shape[place + 1 :])
        yield whole.narrow(place, 1, size)


def laid_out(*shape: int) -> Iterator[torch.Tensor]:
    """Tensors of that shape in any order of strides, parts of larger ones, and expanded ones."""
    for order in itertools.permutations(range(len(shape))):
        yield meta(*[shape[dim] for dim in order]).permute([order.index(dim) for dim in range(len(shape))])
    yield from parts(*shape)
    for place in range(len(shape)):
        yield meta(*shape[:place], 1, *shape[place + 1 :]).expand(shape)


def of_two_or_parts() -> Iterator[tuple[Any, ...]]:
    yield from of_two()
    for shape in ((3, 4), (1, 4), (2, 1, 4), (2, 3, 4), (1, 3, 1), (2, 2, 2, 2), (1, 3, 2, 5), (2, 3, 1, 1)):
        every_layout = list(laid_out(*shape))
        some = every_layout if len(every_layout) < 10 else every_layout[::4]
        smaller = [
            meta(*[size if kept else 1 for size, kept in zip(shape, which, strict=True)])
            for which in itertools.product((False, True), repeat=len(shape))
        ]
        fewer = [meta(*shape[place:]) for place in range(1, len(shape) + 1)]
        yield from itertools.product(some, (*some, *smaller, *fewer, 2))
        yield from itertools.product((*smaller, *fewer), some)


def reduced() -> Iterator[tuple[Any, ...]]:
    for shape, kept in itertools.product(SHAPES, (False, True)):
        for x in (*every(*shape), *itertools.islice(laid_out(*shape), 30)):
            yield from ((x, dims, kept) for dims in ([0], [-1], [0, 1], [-1, -2], [2, 0], [0, 0], [4], []))


def matrices(*batch: int) -> Iterator[tuple[Any, ...]]:
    for n, k, m in itertools.product((1, 2), (1, 3), (1, 4)):
        lefts, rights = (*every(*batch, n, k), *laid_out(*batch, n, k)), (*every(*batch, k, m), *laid_out(*batch, k, m))
        yield from itertools.product(lefts[::2], rights[::2])
        yield lefts[0], meta(*batch, k + 1, m)
        yield lefts[0], meta(k, m)


def batches() -> Iterator[tuple[Any, ...]]:
    yield from matrices(2)
    yield from matrices(1)
    yield meta(2, 3, 4), meta(3, 4, 5)


def products_of_batches() -> Iterator[tuple[Any, ...]]:
    yield from batches()
    yield from matrices()
    yield from matrices(2, 3)


def gradients_of_slices() -> Iterator[tuple[Any, ...]]:
    for sizes, dim in (((2, 5, 3), 1), ((4,), 0), ((1, 2, 3, 4), 3), ((0, 2), 1)):
        for start, end, step in ((0, 2**63 - 1, 1), (1, 3, 1), (0, 2**63 - 1, 2), (1, 2**63 - 1, 3), (3, 1, 1)):
            part = meta(*sizes)[(slice(None),) * dim + (slice(start, end, step),)]
            yield from ((x, sizes, dim, start, end, step) for x in (*every(*part.shape), *laid_out(*part.shape)))
            yield meta(7), sizes, dim, start, end, step


def gradients_of_selections() -> Iterator[tuple[Any, ...]]:
    for sizes, dim, index in (((2, 5, 3), 1, 4), ((2, 5, 3), 0, 0), ((4,), 0, 1), ((1, 2, 3, 4), 3, 2), ((2, 3), 0, 2)):
        part = (*sizes[:dim], *sizes[dim + 1 :])
        yield from ((x, sizes, dim, index) for x in (*every(*part), *laid_out(*part), meta(7)))


def clones() -> Iterator[tuple[Any, ...]]:
    yield from ((x,) for shape in SHAPES for x in (*every(*shape), *itertools.islice(laid_out(*shape), 30)))


def training_batch_norms() -> Iterator[tuple[Any, ...]]:
    for shape in SHAPES:
        width = shape[1] if len(shape) > 1 else 1
        for x, training in itertools.product(every(*shape), (True, False)):
            yield x, *[meta(width) for _ in range(4)], training, 0.1, 1e-5
        yield meta(*shape), None, None, meta(width), meta(width), True, 0.1, 1e-5
        yield meta(*shape), *[meta(width + 1) for _ in range(4)], True, 0.1, 1e-5


def indexed() -> Iterator[tuple[Any, ...]]:
    for x, shape in itertools.product((*every(7, 5), *every(7), meta(7, 2, 3)), ((3,), (2, 3), (1,), ())):
        yield x, [meta(*shape, dtype=torch.int64)]
        yield x, [meta(*shape, dtype=torch.int32)]
    yield meta(7, 5), [meta(2, 3, dtype=torch.int64).t()]
    yield meta(7, 5), [None, meta(2, dtype=torch.int64)]
    yield meta(7, 5), [meta(2, dtype=torch.int64), meta(2, dtype=torch.int64)]


def gradients_of_each(*numbers: Any) -> Any:
    def cases() -> Iterator[tuple[Any, ...]]:
        for shape in SHAPES:
            for x in every(*shape):
                yield from ((gradient, x, *numbers) for gradient in (meta(*shape), x, meta(1), *parts(*shape)))

    return cases


def softmax_gradients() -> Iterator[tuple[Any, ...]]:
    for (x,), dim, dtype in itertools.product(of_each(), (0, -1, 2), (torch.float32, torch.float64)):
        yield meta(*x.shape), x, dim, dtype
        yield x, x, dim, dtype


def products() -> Iterator[tuple[Any, ...]]:
    for n, k, m in itertools.product((1, 2), (1, 3), (1, 4)):
        for x in every(n, k):
            for weight in (*every(k, m), meta(m, k).t()):
                yield from ((bias, x, weight) for bias in (meta(m), meta(n, m), meta(1), meta(m + 1)))


def plain_convolutions(dims: int) -> Iterator[tuple[Any, ...]]:
    for x, weight, *rest in convolutions(dims):
        given: list[Any] = [*rest, *(None, [1], [0], [1], 1)[len(rest) :]]
        bias, stride, padding, dilation, groups = given
        for transposed in (False, True):
            yield (
                *(x, weight, bias),
                *([option[0]] * dims for option in (stride, padding, dilation)),
                *(transposed, [0] * dims, groups),
            )


def every_convolution() -> Iterator[tuple[Any, ...]]:
    return itertools.chain.from_iterable(map(plain_convolutions, (1, 2, 3)))


def convolution_gradients() -> Iterator[tuple[Any, ...]]:
    for place, (x, weight, bias, *options) in enumerate(every_convolution()):
        mask = list(itertools.product((False, True), repeat=3))[place % 8]
        try:
            gradient = torch.ops.aten.convolution.default(x, weight, bias, *options)
        except (RuntimeError, TypeError):
            gradient = meta(2, 6, 3, 3)
        for each in (gradient, meta(*gradient.shape), *itertools.islice(laid_out(*gradient.shape), 1, 99, 7)):
            yield each, x, weight, None if bias is None else [weight.shape[0]], *options, list(mask)


def whole_layer_norms() -> Iterator[tuple[Any, ...]]:
    for x, shape, *held in layer_norms():
        yield x, shape, *(held or (None, None)), *(() if len(held) != 1 else (None,)), 1e-5


def layer_norm_gradients() -> Iterator[tuple[Any, ...]]:
    for place, (x, shape, weight, bias, eps) in enumerate(itertools.islice(whole_layer_norms(), 0, None, 4)):
        try:
            _, mean, rstd = torch.ops.aten.native_layer_norm.default(x, shape, weight, bias, eps)
        except RuntimeError:
            continue
        mask = list(itertools.product((False, True), repeat=3))[place % 8]
        for gradient in (meta(*x.shape), x, *itertools.islice(laid_out(*x.shape), 0, 30, 4)):
            yield gradient, x, shape, mean, rstd, weight, bias, list(mask)


def batch_norm_gradients() -> Iterator[tuple[Any, ...]]:
    masks = [[True, True, True], [False, True, True], [True, False, False]]
    for (x, *held, _, _, eps, _), mask in itertools.product(norms(), masks):
        width = x.shape[1] if x.dim() > 1 else 1
        for train, gradient in itertools.product((True, False), (meta(*x.shape), x, *parts(*x.shape))):
            yield gradient, x, held[0], *held[2:], meta(width), meta(width), train, eps, mask


def of_all_layouts() -> Iterator[torch.Tensor]:
    for shape in (*SHAPES, (2, 3, 4), (2, 3, 2, 2), (4, 1, 6)):
        yield from every(*shape)
        yield from itertools.islice(laid_out(*shape), 30)
        yield meta(*shape, 3)[..., ::2]
        yield meta(*(1 for _ in shape)).expand(shape)


def reshaped() -> Iterator[tuple[Any, ...]]:
    for x in of_all_layouts():
        size = x.numel()
        yield from (
            (x, sizes) for sizes in ([size], [-1], [1, size, 1], [2, -1], [-1, 3], [-1, 1, 2], [7, 7], [-1, -1])
        )
        shape = list(x.shape)
        yield from ((x, sizes) for sizes in (shape, shape[::-1], [*shape, 1], [1, *shape], []))
        for place in range(len(shape) - 1):
            yield x, [*shape[:place], -1, *shape[place + 2 :]]
            yield x, [*shape[:place], shape[place], 1, *shape[place + 1 :]]


def masked() -> Iterator[tuple[Any, ...]]:
    for shape, value in itertools.product(SHAPES, (0, -100.0, True, 1j)):
        mask = meta(*shape, dtype=torch.bool)
        yield from ((x, mask, value) for x in (*every(*shape), *itertools.islice(laid_out(*shape), 30)))
        yield from ((meta(*shape), other, value) for other in (meta(1, dtype=torch.bool), meta(*shape), mask[None]))
        yield from ((meta(*shape), part > 0, value) for part in itertools.islice(laid_out(*shape), 10))


def new_ones() -> Iterator[tuple[Any, ...]]:
    yield from itertools.product(of_all_layouts(), ([], [3], [2, 0, 3], [1, 4], [-1]))


def written() -> Iterator[tuple[Any, ...]]:
    for x in of_all_layouts():
        others = (meta(*x.shape), meta(*x.shape, dtype=torch.int64), meta(2, *x.shape), meta(1), meta(), meta(3))
        yield from ((x, other) for other in (*others, meta(*x.shape, dtype=torch.complex64)))


def filled() -> Iterator[tuple[Any, ...]]:
    yield from itertools.product(of_all_layouts(), (1, 0.5, True, 1j))


CASES: dict[str, Any] = {
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), of_two_or_parts),
    "reshape": reshaped,
    "masked_fill": masked,
    "contiguous": lambda: ((x,) for x in of_all_layouts()),
    **dict.fromkeys(("new_zeros", "new_ones", "new_empty"), new_ones),
    "scalar_tensor": lambda: ((number,) for number in (1, 0.5, True, 1j, -2)),
    "copy_": written,
    "fill_": filled,
    "zero_": lambda: ((x,) for x in of_all_layouts()),
    "linear": linear,
    "scaled_dot_product_attention": attentions,
    "max_pool2d_with_indices": pools,
    "max_pool2d_with_indices_backward": lambda: pooled_gradients(of_max=True),
    "avg_pool2d_backward": lambda: pooled_gradients(of_max=False),
    "index_put": put,
    "_softmax": lambda: ((x, dim, half) for x, dim in softmaxes_by_place() for half in (False, True)),
    "empty_like": clones,
    "conv1d": lambda: convolutions(1),
    "conv2d": lambda: convolutions(2),
    "conv3d": lambda: convolutions(3),
    "max_pool2d": pools,
    "avg_pool2d": lambda: (
        (x, kernel, stride, padding, ceil) for x, kernel, stride, padding, step, ceil in some_pools() if step == [1]
    ),
    "adaptive_avg_pool2d": adaptive,
    "batch_norm": norms,
    "layer_norm": layer_norms,
    "group_norm": group_norms,
    "softmax": softmaxes,
    "embedding": embeddings,
    "cat": concatenated,
    "roll": rolled,
    **dict.fromkeys(("add", "sub", "mul"), of_two_or_parts),
    **dict.fromkeys(("add_", "sub_", "mul_", "div_"), of_two_or_parts),
    **dict.fromkeys(("gelu_backward", "tanh_backward", "sigmoid_backward", "silu_backward"), gradients_of_each()),
    "hardswish_backward": gradients_of_each(),
    "threshold_backward": gradients_of_each(0),
    "hardtanh_backward": gradients_of_each(0.0, 6.0),
    "bernoulli_": lambda: (
        (x, p) for x in (*every(2, 3), *parts(2, 3), *every(3)) for p in (0.0, 0.5, 1.0, 2.0, meta(2, 3))
    ),
    "_softmax_backward_data": softmax_gradients,
    "addmm": products,
    "convolution": every_convolution,
    "convolution_backward": convolution_gradients,
    "div": lambda: ((x, 2) for (x,) in clones()),
    **dict.fromkeys(("sum", "mean"), reduced),
    "mm": matrices,
    "bmm": batches,
    "matmul": products_of_batches,
    "slice_backward": gradients_of_slices,
    "select_backward": gradients_of_selections,
    "clone": clones,
    "native_batch_norm": training_batch_norms,
    "_safe_softmax": softmaxes,
    "index": indexed,
    "native_layer_norm": whole_layer_norms,
    "native_layer_norm_backward": layer_norm_gradients,
    "native_batch_norm_backward": batch_norm_gradients,
}

OPTIONS: dict[str, dict[str, Any]] = {
    "clone": {"memory_format": torch.contiguous_format},
    "new_ones": {"dtype": torch.int64, "device": torch.device("meta"), "pin_memory": False},
    "scalar_tensor": {"dtype": torch.float64, "layout": torch.strided, "device": torch.device("meta")},
    "empty_like": {"dtype": torch.int64, "pin_memory": False},
}
"""Options that are given by name."""

OVERLOADED = (
    *("eq", "ne", "lt", "le", "gt", "ge", "masked_fill", "fill_"),
    *("add", "sub", "mul", "div", "sum", "mean", "softmax", "add_", "sub_", "mul_", "div_", "bernoulli_"),
)
"""Operators whose overload the arguments decide."""


def result_of(name: str, args: Any, kwargs: Any) -> Any:
    """The result that is made without a kernel; None if torch has to say."""
    known = results_of(name, args, kwargs)
    return None if known is None else Answer(*known).make(args)


def by_kernel(name: str, args: Any, options: Any) -> Any:
    """The result of torch's kernel, or None if it refuses the arguments."""
    operator = named_operator(f"aten::{name}") if name not in OVERLOADED else None
    function: Any = operator or getattr(torch.ops.aten, name)
    try:
        return function(*args, **options)
    except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError):
        return None


def facts(result: Any, args: Any) -> list[Any]:
    """All that an operation decides of its results on meta."""
    found: list[Any] = [type(result)]
    for each in result if isinstance(result, tuple) else (result,):
        if each is None or each is args[0]:
            found.append(each)
        else:
            found.append((each.shape, each.stride(), each.dtype, each.device, each.storage_offset()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name.removeprefix("aten::") for name in KNOWN])
@torch.no_grad()
def test_results_are_those_of_the_kernels(name: str) -> None:
    """Shape, strides and dtype are equal where a result is made here, and some are made."""
    made = 0
    for args in CASES.get(name, of_each)():
        options = OPTIONS.get(name, {})
        found = result_of(f"aten::{name}", args, options)
        if found is None:
            continue
        made += 1
        expected = by_kernel(name, args, options)
        assert expected is not None, args
        assert facts(found, args) == facts(expected, args), args
    assert made >= 3


def test_what_is_not_plain_is_left_to_torch() -> None:
    """Other strides, dtypes and devices, a missing value, everything under autocast, and operators without a layout."""
    plain = meta(2, 3)
    other = [tensor for tensor in strange(2, 3) if tensor.dtype is not torch.bfloat16]
    assert len(other) == 4
    for tensor in (*other, torch.zeros(2, 3), None):
        assert result_of("aten::relu", (tensor,), {}) is None
    assert result_of("aten::relu", (plain,), {}) is not None
    with torch.autocast("cpu"):
        assert result_of("aten::relu", (plain,), {}) is None
    assert result_of("aten::cumsum", (plain, 0), {}) is None


PROFILE_OF_A_NETWORK = """
import sys
import torch
import profiler
from torch import nn

network = nn.Sequential(
    nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2),
    nn.Flatten(), nn.Dropout(), nn.Linear(16, 5),
)
profile = profiler.profile(network, torch.empty(1, 3, 9, 9, device="meta"))
assert profile.total.macs == 4 * 7 * 7 * 3 * 3 * 3 + 16 * 5
assert len(profile.tabulated("layers")) == 8
print(profile)
later = ("torch._dynamo", "torch._inductor", "sympy", "torch.fx.experimental.symbolic_shapes", "pandas", "torchvision")
print(sorted(set(later).intersection(sys.modules)))
"""


@pytest.mark.slow
def test_a_usual_network_is_profiled_without_the_compiler() -> None:
    """Its operators need no kernel of torch that imports sympy and the compiler; a printed profile needs no pandas."""
    command = [sys.executable, "-c", PROFILE_OF_A_NETWORK]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.stdout.splitlines()[-1] == "[]"
