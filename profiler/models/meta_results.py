"""What functions of torch return on meta while a network is built, so that equal calls run once.

Constructors compute tables, such as the relative positions of all pixels in a window, again for each block.  On meta
only shapes are computed, but mostly in Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import empty_strided

from profiler.models.layer_states import META
from profiler.tracing.memo import add_to_key, is_new
from profiler.tracing.private import number_of_function_modes, settings_of_kernels, transforming

NAMES = (
    *("arange", "linspace", "stack", "cat", "sum", "mean", "cumsum", "where", "outer"),
    *("add", "sub", "mul", "div", "pow", "remainder", "floor_divide", "maximum", "minimum"),
    *("abs", "sign", "neg", "floor", "ceil", "round", "exp", "log", "log2", "sqrt", "rsqrt", "sin", "cos", "clamp"),
)

REPEATED = frozenset(getattr(owner, name) for owner in (torch, torch.Tensor) for name in NAMES if hasattr(owner, name))
"""Functions whose result on meta has a layout that follows from the metadata of their arguments."""

_has_names: Callable[[torch.Tensor], bool] = getattr(torch.Tensor, "has_names", lambda tensor: False)
"""Whether the dimensions of a tensor have names; newer releases of torch have no such tensors."""


class MetaResults:
    """The layouts of results by function and arguments, of those functions that returned a new tensor."""

    def __init__(self) -> None:
        self._layouts: dict[Any, Any] = {}

    def call(self, func: Callable[..., Any], args: Any, kwargs: dict[str, Any], run: Callable[[], Any]) -> Any:
        """What ``run``, which calls ``func`` with these arguments, returns; it is only called if that is not known.

        It has to be called in a function mode that sees the function last.
        """
        tensors: list[torch.Tensor] = []
        key = None if number_of_function_modes() or transforming() else _key(func, args, kwargs, tensors)
        if key is None:
            return run()
        layout = self._layouts.get(key)
        if layout is not None:
            shape, strides, dtype = layout
            return empty_strided(shape, strides, dtype=dtype, device=META)
        result = run()
        if is_new(result, {id(tensor.untyped_storage()) for tensor in tensors}) and not _has_names(result):
            self._layouts[key] = result.shape, result.stride(), result.dtype
        return result


def _key(func: Callable[..., Any], args: Any, kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
    """All that the layout depends on; None if that is not known.  The tensors are appended to ``tensors``."""
    settings = settings_of_kernels()
    parts: list[Any] = [func, settings, *kwargs]
    if settings is None or not add_to_key(args, parts, tensors) or not add_to_key(kwargs.values(), parts, tensors):
        return None
    return None if any(map(_has_names, tensors)) else tuple(parts)
