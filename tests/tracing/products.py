"""An independent count of the products that a plain run on real tensors sums, written from definitions.

It knows nothing of the profiler. Its own dispatch mode sees each operator that runs on the CPU, below all transforms,
and counts the multiply–accumulate pairs of the operators that sum products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

aten: Any = torch.ops.aten


def rows_by_columns(a: torch.Tensor, b: torch.Tensor) -> int:
    """(*, n, k) · (*, k, m): each of the n·m results of a matrix sums k products; a vector has no n or no m."""
    rows = a.shape[:-1] if a.dim() > 1 else ()
    columns = b.shape[-1:] if b.dim() > 1 else ()
    return prod((*rows, a.shape[-1], *columns))


def added_rows_by_columns(_: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *__: Any, **___: Any) -> int:
    """The products of ``rows_by_columns``; what is added to the result is not a product."""
    return rows_by_columns(a, b)


def window_by_window(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *_: Any,
) -> int:
    """Each weight of a kernel meets each position of the kernel once.

    A convolution has one position for each result; a transposed one has a position for each element of ``x``.
    ``weight`` is (out, in / groups, *kernel), or (in, out / groups, *kernel) if transposed.
    """
    if transposed:
        return prod((x.numel(), *weight.shape[1:]))
    places = [
        (size + 2 * pad - spread * (kernel - 1) - 1) // step + 1
        for size, kernel, step, pad, spread in zip(
            x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    return prod((x.shape[0], *places, weight.numel()))


def gradients_of_windows(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    _: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    __: Any,
    ___: Any,
    output_mask: Sequence[bool],
) -> int:
    """The gradients for the input and for the weight: each of them takes each product of the convolution once."""
    return sum(output_mask[:2]) * window_by_window(x, weight, None, stride, padding, dilation, transposed)


PRODUCTS: dict[Any, Callable[..., int]] = {
    **dict.fromkeys((aten.mm, aten.bmm, aten.mv, aten.dot, aten.matmul), rows_by_columns),
    **dict.fromkeys((aten.addmm, aten.baddbmm, aten.addmv), added_rows_by_columns),
    aten.convolution: window_by_window,
    aten.convolution_backward: gradients_of_windows,
}
"""The operators that sum products; each value gives the number of products from the arguments."""


class CountsProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products of what runs inside; ``definitions`` are :data:`PRODUCTS` unless a test changes one."""

    def __init__(self, definitions: dict[Any, Callable[..., int]] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._definitions = PRODUCTS if definitions is None else definitions
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        definition = self._definitions.get(func.overloadpacket)
        if definition is not None:
            self.products += definition(*args)
        return func(*args, **(kwargs or {}))


def products_of(
    function: Callable[[], torch.Tensor], *, training: bool, definitions: dict[Any, Callable[..., int]] | None = None
) -> tuple[int, int]:
    """The products of a forward pass, and in training those of its backward pass (0 otherwise).

    Attention is computed as its definition says, as two products.
    """
    with sdpa_kernel(SDPBackend.MATH):
        with torch.set_grad_enabled(training), CountsProducts(definitions) as forward:
            result = function()
        if not training:
            return forward.products, 0
        with CountsProducts(definitions) as backward:
            torch.autograd.backward(result, torch.ones_like(result))
    return forward.products, backward.products
