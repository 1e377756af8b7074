"""Higher-order operators: operators that take functions and run them.

Control flow (``torch.cond``, ``while_loop``, ``scan``, ``map``) is run as equivalent plain Python, so that the
operations in it are recorded like all others.  A condition on the meta device has no value: such a network needs a real
run.  Flex attention is recorded as one operation, and its ``score_mod`` and ``mask_mod`` by the operations in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from profiler.tracing.private import flex_attention_results
from profiler.tracing.recorder import OpRecorder

FLEX_ATTENTION = "higher_order::flex_attention"


def _cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any]) -> Any:
    return (true_fn if pred else false_fn)(*operands)


def _while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried: Sequence[Any], additional: Sequence[Any]
) -> Any:
    while cond_fn(*carried, *additional):
        carried = body_fn(*carried, *additional)
    return tuple(carried)


def _scan(combine_fn: Callable[..., Any], init: Sequence[Any], xs: Sequence[Any], additional: Sequence[Any]) -> Any:
    carry, rows = list(init), []
    for inputs in zip(*(x.unbind(0) for x in xs), strict=True):
        results = combine_fn(*carry, *inputs, *additional)
        carry = list(results[: len(carry)])
        rows.append(tuple(results[len(carry) :]))
    return (*carry, *_stacked(rows))


def _map(function: Callable[..., Any], xs: Sequence[Any], additional: Sequence[Any]) -> Any:
    return _stacked([function(*inputs, *additional) for inputs in zip(*(x.unbind(0) for x in xs), strict=True)])


def _stacked(rows: Sequence[Any]) -> Any:
    """The tensors at the same place of all rows (nested lists and tuples), stacked; a place may be None."""
    if isinstance(rows[0], torch.Tensor):
        return torch.stack(list(rows))
    if isinstance(rows[0], (list, tuple)):
        return type(rows[0])(_stacked(column) for column in zip(*rows, strict=True))
    return rows[0]


def _invoke_subgraph(function: Callable[..., Any], identifier: Any, *operands: Any) -> Any:
    return function(*operands)


CONTROL_FLOW: dict[str, Callable[..., Any]] = {
    "higher_order::cond": _cond,
    "higher_order::while_loop": _while_loop,
    "higher_order::scan": _scan,
    "higher_order::map_impl": _map,
    "higher_order::invoke_subgraph": _invoke_subgraph,
}
"""Higher-order operators by name, each with the Python function that does the same.

Newer releases of torch pass more keyword arguments (which arguments are mutated), which do not matter here.
"""


class _IndexedByTensors(TorchFunctionMode):
    """``table[h]`` as an operation, which ``vmap`` supports if ``h`` is a batched number."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__:
            table, index = args
            indices = index if isinstance(index, tuple) else (index,)
            if all(isinstance(part, torch.Tensor) for part in indices):
                return torch.ops.aten.index(table, list(indices))
        return func(*args, **(kwargs or {}))


def _place(dimension: int, scores: torch.Tensor) -> torch.Tensor:
    """The index of each score along a dimension: integers of the same shape."""
    place = torch.arange(scores.shape[dimension], device=scores.device)
    return place.view([-1 if other == dimension else 1 for other in range(scores.dim())]).expand(scores.shape)


def _for_each_score(
    function: Callable[..., Any], scores: torch.Tensor, given: tuple[torch.Tensor, ...], buffers: tuple[Any, ...]
) -> Any:
    """``function(*given, b, h, q, k, *buffers)`` for each of the scores (B, H, L_q, L_k); ``given`` have their shape.

    The indices have the shape of the scores too, so that work that depends on an index is done once for each score, as
    in a kernel.
    """
    places = [_place(dimension, scores) for dimension in range(4)]
    for _ in range(4):
        function = torch.vmap(function, in_dims=(*(0 for _ in (*given, *places)), *(None for _ in buffers)))
    with _IndexedByTensors():
        return function(*given, *places, *buffers)


def flex_attention(
    recorder: OpRecorder,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    score_mod: Callable[..., Any],
    block_mask: tuple[Any, ...],
    scale: float,
    kernel_options: Any,
    score_buffers: tuple[Any, ...] = (),
    mask_buffers: tuple[Any, ...] = (),
) -> Any:
    """Record attention (B, H, L_q, d), (B, H or fewer, L_k, d) twice → (B, H, L_q, d), and its functions of a score.

    It is computed from its definition, which autograd can differentiate.  Returns what the operator returns: the
    result, the log-sum-exp of the scores to base 2, and the largest scores.
    """
    arguments = (query, key, value, score_mod, block_mask, scale, kernel_options, score_buffers, mask_buffers)
    with recorder.as_one(FLEX_ATTENTION, arguments, {}) as give:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.transpose(-2, -1) * scale
        with recorder.apart("attention"):
            scores = _for_each_score(score_mod, scores, (scores,), score_buffers)
            shown = _for_each_score(block_mask[-1], scores, (), mask_buffers)
        scores = scores.masked_fill(~shown, -math.inf)
        result = torch.ops.aten._safe_softmax(scores, -1).to(value.dtype) @ value
        results = (result, scores.logsumexp(-1) / math.log(2), scores.amax(-1) / math.log(2))
        give(results)
    return results[: flex_attention_results()]
