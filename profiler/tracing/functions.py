"""Which function of torch is running: the kind of an operation depends on the function that calls it.

A dispatch mode sees the operations in a function and not the function.  With gradients on, attention arrives as two
matrix products and a softmax, an LSTM as linear layers.  This mode sees the function itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from profiler.tracing.causal_bias import attention_with_bias, is_causal_bias
from profiler.tracing.complex_convolutions import CONVOLUTIONS, convolve_as_real, is_complex_convolution
from profiler.tracing.devices import MOVES, TO, at_home
from profiler.tracing.failures import READS_VALUES
from profiler.tracing.gradients import DERIVES
from profiler.tracing.higher_order import CONTROL_FLOW, FLEX_ATTENTION, flex_attention
from profiler.tracing.private import (
    by_position,
    function_modes_are_active,
    is_higher_order,
    is_wrapped,
    operator_name,
    set_grad_enabled,
    without_modes,
)
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.tensors import PLAIN
from profiler.tracing.unseen import BLANK, READS_NUMBER

WHOLE: dict[Any, str] = {
    F.linear: "aten::linear",
    F.bilinear: "aten::bilinear",
    F.scaled_dot_product_attention: "aten::scaled_dot_product_attention",
    torch.linalg.vecdot: "aten::linalg_vecdot",
    **{
        getattr(torch, name): f"aten::{name}"
        for name in ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
    },
}
"""Functions that are recorded as one operation, although autograd decomposes them."""


def _dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> tuple[Any, ...]:
    return input, p, training


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> tuple[Any, ...]:
    return input, normalized_shape, weight, eps


WHOLE_BY_SIGNATURE: dict[Any, tuple[str, Callable[..., tuple[Any, ...]]]] = {
    F.dropout: ("aten::dropout", _dropout),
    F.rms_norm: ("aten::rms_norm", _rms_norm),
    **dict.fromkeys((F.dropout1d, F.dropout2d, F.dropout3d), ("aten::feature_dropout", _dropout)),
}
"""The same for functions whose arguments differ from those of the operation."""

DIVIDED_BY = (torch.Tensor.__rdiv__, torch.Tensor.__rtruediv__)
"""A number divided by a tensor, which torch computes as the number times a reciprocal."""

LOSSES = (
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
)

KINDS_WITHIN: dict[Any, str] = {
    F.multi_head_attention_forward: "attention",
    **{getattr(F, f"adaptive_avg_pool{n}d"): "pool" for n in (1, 2, 3)},
    **{getattr(F, name): "loss" for name in LOSSES},
}
"""Functions that set the kind of work of their parts; projections within attention stay ``linear``."""


def _without_calling_modes(func: Any) -> Any:
    """The same function without the call of active modes: they see the functions that it calls, and not itself."""
    if not isinstance(func, FunctionType):
        return func
    questions = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    names = {**func.__globals__, **dict.fromkeys(questions, lambda *_: False)}
    copied = FunctionType(func.__code__, names, func.__name__, func.__defaults__, func.__closure__)
    copied.__kwdefaults__ = func.__kwdefaults__
    return copied


def _is_nested(args: Any) -> bool:
    """Whether the first argument is a nested tensor, whose functions of torch are written in Python."""
    return bool(args) and isinstance(args[0], torch.Tensor) and args[0].is_nested


FROM_DATA = (torch.tensor, torch.as_tensor)
"""Functions that create a tensor from Python numbers."""

TO_DATA = (torch.Tensor.tolist, torch.Tensor.numpy)
"""Functions that read all numbers of a tensor."""

SPECIAL = frozenset(
    {
        *(*MOVES, *KINDS_WITHIN, *WHOLE, *WHOLE_BY_SIGNATURE, *DIVIDED_BY, *FROM_DATA, *TO_DATA),
        *(*READS_VALUES, *READS_NUMBER, *BLANK, *DERIVES, set_grad_enabled),
    }
)
"""Functions that the watcher treats in their own way, besides complex convolutions and higher-order operators."""


def _at_start(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor; one on meta that starts inside its memory is copied: torch reads its address, which is not zero."""
    plain = type(tensor) in PLAIN and tensor.is_meta and tensor.layout is torch.strided and not is_wrapped(tensor)
    if not plain or not tensor.storage_offset():
        return tensor
    with without_modes(), torch.no_grad():
        return tensor.clone()


class FunctionWatcher(TorchFunctionMode):
    """Tells the recorder which function is running, and keeps all work on the device ``home``.

    Without a home, every function runs on the device that the code uses.  If operators do not skip autograd, functions
    have to be recorded as one operation; otherwise they arrive as one.
    """

    def __init__(self, recorder: OpRecorder, home: torch.device | None) -> None:
        super().__init__()
        self._recorder = recorder
        self._home = home
        self._autograd = recorder.autograd
        self._running: list[Any] = []
        self._ordinary: set[Any] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        autograd, recorder = self._autograd, self._recorder
        if not autograd.held:
            autograd.follow()
        kwargs = kwargs or {}
        if recorder.closed:
            return func(*args, **kwargs)
        try:
            known = func in self._ordinary and not kwargs  # nearly all calls
            if (known or self._is_ordinary(func, args, kwargs)) and not recorder.claims_nodes:
                if recorder.follows_nodes:
                    recorder.note_transforms()
                return func(*args, **kwargs)
            call = self._call if self._home is not None else partial(self._call_unchanged, bool(types))
            if self._recorder.claims_nodes:
                return self._recorder.claiming_nodes(call, func, args, kwargs)
            return call(func, args, kwargs)
        except Exception as error:
            self._recorder.note_failing_function(error, func, args)
            raise

    def _is_ordinary(self, func: Any, args: Any, kwargs: Any) -> bool:
        """Whether the watcher has nothing to do with a call of ``func``."""
        if kwargs and "device" in kwargs:
            return False
        if func in self._ordinary:
            return True
        if func in CONVOLUTIONS:
            return not is_complex_convolution(func, args, kwargs)
        if func is TO:
            return len(args) == 2 and isinstance(args[1], torch.dtype)
        if func in SPECIAL or is_higher_order(func):
            return False
        self._ordinary.add(func)
        return True

    def _call_unchanged(self, overridden: bool, func: Any, args: Any, kwargs: Any) -> Any:
        """The result of the function itself; ``overridden`` says whether a tensor subclass overrides it."""
        if func in KINDS_WITHIN and func not in self._running and (overridden or function_modes_are_active()):
            before, self._recorder.kind_within = self._recorder.kind_within, KINDS_WITHIN[func]
            try:
                return func(*args, **kwargs)
            finally:
                self._recorder.kind_within = before
        if is_complex_convolution(func, args, kwargs):
            return self._as_one(CONVOLUTIONS[func], by_position(CONVOLUTIONS[func], args, kwargs), func, args, kwargs)
        if func is F.scaled_dot_product_attention and any(map(is_causal_bias, (*args, *kwargs.values()))):
            return func(*args, **kwargs)
        if func in FROM_DATA:
            made = func(*args, **kwargs)
            self._recorder.note_made_of_data(made)
            return made
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        in_parts = self._recorder.note_transforms() or not self._autograd.skipped
        if self._home is not None and (func in MOVES or "device" in kwargs):
            func, args, kwargs = at_home(self._home, func, args, kwargs)
        if func is F.scaled_dot_product_attention and any(map(is_causal_bias, (*args, *kwargs.values()))):
            with self:
                return attention_with_bias(func, self._recorder.as_one, *args, **kwargs)
        if func in KINDS_WITHIN and func not in self._running:
            return self._within(KINDS_WITHIN[func], func, args, kwargs)
        if func is F.scaled_dot_product_attention and _is_nested(args):
            importlib.import_module("torch.utils.flop_counter")  # torch's own nested attention uses it unimported
        if func in WHOLE and (func is F.scaled_dot_product_attention if _is_nested(args) else in_parts):
            name = WHOLE[func]
            return self._as_one(name, by_position(name, args, kwargs), func, args, kwargs)
        if func in WHOLE_BY_SIGNATURE and in_parts:
            name, arguments = WHOLE_BY_SIGNATURE[func]
            return self._as_one(name, (arguments(*args, **kwargs), {}), func, args, kwargs)
        if func in DIVIDED_BY:
            return self._as_one("aten::div", ((args[1], args[0]), {}), func, args, kwargs)
        if is_complex_convolution(func, args, kwargs):
            args, kwargs = by_position(CONVOLUTIONS[func], args, kwargs)
            return self._as_one(CONVOLUTIONS[func], (args, kwargs), convolve_as_real, (func, *args), kwargs)
        if is_higher_order(func) and func not in self._running:
            return self._higher_order(operator_name(func), func, args, kwargs)
        if func in FROM_DATA:
            return self._with_values(func, args, kwargs)
        if func in TO_DATA:
            self._recorder.note_values_read(func, args[0])
            known = self._recorder.values_of(args[0]) if self._home is not None else None
            return func(_at_start(args[0]) if known is None else known, *args[1:], **kwargs)
        if func in READS_VALUES or func in READS_NUMBER:
            self._recorder.note_values_read(func, args[0])
        result = self._autograd.call(func, args, kwargs)
        if func in BLANK:
            self._recorder.unseen.made_blank(result)
        return result

    def _higher_order(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        if name == FLEX_ATTENTION:
            return flex_attention(self._recorder, *args, **kwargs)
        if name in CONTROL_FLOW:
            with self:
                return CONTROL_FLOW[name](*args)
        self._running.append(func)  # it calls the mode again
        try:
            with self:
                return func(*args, **kwargs)
        finally:
            self._running.pop()

    def _with_values(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A tensor from Python numbers: on meta it has no values, so the recorder gets them.

        torch reads tensors among the numbers directly, which no mode sees; meta tensors are replaced by their known
        values.
        """
        if args and isinstance(args[0], (list, tuple)):
            args = (self._with_known_values(args[0]), *args[1:])
        made = func(*args, **kwargs)
        self._recorder.note_made_of_data(made)
        if made.is_meta and not any(isinstance(value, torch.Tensor) for value in (*args, *kwargs.values())):
            with without_modes():
                real = func(*args, **{**kwargs, "device": "cpu"})
            self._recorder.note_values(made, real)
        return made

    def _with_known_values(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._with_known_values(item) for item in value]
        known = self._recorder.values_of(value) if isinstance(value, torch.Tensor) else None
        return value if known is None else known

    def _within(self, kind: str, func: Any, args: Any, kwargs: Any) -> Any:
        before, self._recorder.kind_within = self._recorder.kind_within, kind
        self._running.append(func)
        try:
            with self:
                return _without_calling_modes(func)(*args, **kwargs)
        finally:
            self._running.pop()
            self._recorder.kind_within = before

    def _as_one(self, name: str, arguments: tuple[Any, Any], func: Any, args: Any, kwargs: Any) -> Any:
        with self._recorder.as_one(name, *arguments) as give:
            result = self._recorder.replaced.get(func, func)(*args, **kwargs)
            give(result)
        return result
