"""The backward pass of attention costs the same fused and unfused, as much as what autograd runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import ZERO, OpCount
from profiler.records import Trace
from profiler.signatures import TensorSpec
from profiler.traces import trace, trace_for_real
from tests.rules.backward.test_contractions import Matrix, assert_same, into, multiply, transposed
from tests.rules.counting import Tally, assert_counted, spec, total
from tests.rules.real_tensors import real
from tests.rules.registered import count_of, terms_of
from tests.rules.tensors import values

FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu_backward"


class Attention(nn.Module):
    """Attention of its inputs; the fourth one is a mask."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *mask: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, *mask[:1], **self.options)  # type: ignore[arg-type]


def backward_of(result: Trace) -> OpCount:
    count = ZERO
    for call in result.calls:
        if call.phase == "backward":
            assert call.status != "uncounted", call.op
            count = count + call.count
    return count


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


def fresh(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Copies without the gradients of an earlier run, to which another run would add."""
    return tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)


QUERY, KEY, VALUE = drawn(2, 4, 5, 8), drawn(2, 4, 6, 8), drawn(2, 4, 6, 8)
MASK = torch.linspace(-1, 1, 30).reshape(5, 6)

CASES: dict[str, tuple[dict[str, Any], tuple[torch.Tensor, ...]]] = {
    "plain": ({}, (QUERY, KEY, VALUE)),
    "causal": ({"is_causal": True}, (QUERY, KEY, VALUE)),
    "scaled": ({"scale": 0.3}, (QUERY, KEY, VALUE)),
    "scaled by one": ({"scale": 1.0}, (QUERY, KEY, VALUE)),
    "of size one": ({}, (QUERY[..., :1], KEY[..., :1], VALUE[..., :1])),
    "floating mask": ({}, (QUERY, KEY, VALUE, MASK)),
    "boolean mask": ({}, (QUERY, KEY, VALUE, MASK > -0.9)),
    "grouped queries": ({"enable_gqa": True}, (QUERY, drawn(2, 2, 6, 8), drawn(2, 2, 6, 8))),
    "one key head": ({"enable_gqa": True}, (QUERY, drawn(2, 1, 6, 8), drawn(2, 1, 6, 8))),
}


@pytest.mark.parametrize("case", CASES)
def test_fused_and_unfused_cost_the_same(case: str) -> None:
    """Autograd runs products and a softmax on meta, and one kernel on the CPU; the counts are equal, kind by kind."""
    options, inputs = CASES[case]
    on_meta = trace(Attention(**options), fresh(inputs), "training")
    on_cpu = trace_for_real(Attention(**options), fresh(inputs), "training", reason="test")
    assert FUSED in {call.op for call in on_cpu.calls}
    assert FUSED not in {call.op for call in on_meta.calls}
    assert backward_of(on_meta) == backward_of(on_cpu)
    assert {call.kind for call in on_cpu.calls if call.op == FUSED} == {"attention"}


DEVICES = {
    "_scaled_dot_product_flash_attention_backward": (None, None, 5, 6),
    "_scaled_dot_product_cudnn_attention_backward": (*(None,) * 5, 5, 6),
    "_cudnn_attention_backward": (*(None,) * 5, 5, 6),
    "_flash_attention_backward": (None, None, 5, 6),
}
"""The arguments between the log-sum-exp and the dropout."""


@pytest.mark.parametrize("op", DEVICES)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_kernels_of_other_devices(op: str, dropout: float) -> None:
    """They cost what autograd runs unfused, with dropout; two kernels take rows before heads."""
    shapes = [(2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 8)]
    if op.startswith("_flash"):
        shapes = [(n, length, heads, d) for n, heads, length, d in shapes]
    q, k, v = (spec(*shape) for shape in shapes)
    on_meta = trace(Attention(dropout_p=dropout), fresh((QUERY, KEY, VALUE)), "training")
    found = count_of(op, q, q, k, v, q, spec(2, 4, 5), *DEVICES[op], dropout, False, out=(q, k, v))
    assert found == backward_of(on_meta)


@pytest.mark.parametrize("op", ["efficient", "efficient of rows", "overrideable"])
@pytest.mark.parametrize("bias_shape", [(2, 4, 5, 6), (1, 1, 5, 6)])
def test_kernels_with_a_gradient_for_the_bias(op: str, bias_shape: tuple[int, ...]) -> None:
    """The gradients of a broadcast bias are summed."""
    bias = drawn(*bias_shape)
    unfused = backward_of(trace(Attention(), fresh((QUERY, KEY, VALUE, bias)), "training"))
    q, k, v, b = spec(2, 4, 5, 8), spec(2, 4, 6, 8), spec(2, 4, 6, 8), spec(*bias_shape)
    wanted = (True, True, True, True)
    arguments: tuple[Any, ...]
    if op == "efficient":
        name, arguments = "_scaled_dot_product_efficient_attention_backward", (b, q, q, None, None, 0.0, wanted)
    elif op == "overrideable":
        name = "_scaled_dot_product_fused_attention_overrideable_backward"
        arguments = (b, wanted, q, q, None, None, 5, 6, 0.0, False, None, None)
    else:
        name, arguments = "_efficient_attention_backward", (b, q, None, None, 5, 6, q, 0.0, None, None, 0, True)
        q, k, v = spec(2, 5, 4, 8), spec(2, 6, 4, 8), spec(2, 6, 4, 8)
    assert count_of(name, q, q, k, v, *arguments, out=(q, k, v, b)) == unfused


def unfused_without(*which: int) -> OpCount:
    """What autograd runs if ``which`` of query, key and value need no gradient."""
    inputs = fresh((QUERY, KEY, VALUE))
    for index in which:
        inputs[index].requires_grad_(False)
    return backward_of(trace(Attention(), inputs, "training"))


@pytest.mark.parametrize("without", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_gradients_that_are_not_needed_are_not_counted(without: tuple[int, ...]) -> None:
    """They are not in the results, or not in the output mask."""
    q, k, v = spec(2, 4, 5, 8), spec(2, 4, 6, 8), spec(2, 4, 6, 8)
    mask = [index not in without for index in range(3)]
    out = tuple(each if wanted else None for each, wanted in zip((q, k, v), mask, strict=True))
    expected = unfused_without(*without)
    for_cpu = FUSED.removeprefix("aten::")
    assert count_of(for_cpu, q, q, k, v, q, spec(2, 4, 5), 0.0, False, out=out) == expected
    arguments = (None, q, q, None, None, 0.0, [*mask, False])
    name = "_scaled_dot_product_efficient_attention_backward"
    assert count_of(name, q, q, k, v, *arguments, out=(q, k, v, None)) == expected


@pytest.mark.parametrize("op", ["_flash_attention_backward", "_efficient_attention_backward"])
def test_packed_sequences_cost_the_sum_of_their_sequences(op: str) -> None:
    """Two and three queries meet four keys and one; the lengths are data."""
    heads, d = 4, 8
    one_by_one = ZERO
    for queries, keys in ((2, 4), (3, 1)):
        q, k = spec(1, heads, queries, d), spec(1, 2, keys, d)
        one_by_one += count_of(FUSED, q, q, k, k, q, spec(1, heads, queries), 0.5, False, out=(q, k, k))
    first = (1,) if op.startswith("_efficient") else ()
    q, k = spec(*first, 5, heads, d), spec(*first, 5, 2, d)

    def count(sums_q: TensorSpec, sums_k: TensorSpec) -> OpCount:
        if op.startswith("_efficient"):
            arguments = (None, q, sums_q, sums_k, 3, 4, q, 0.5, None, None, 0, False)
            return count_of(op, q, q, k, k, *arguments, out=(q, k, k, None))
        return count_of(op, q, q, k, k, q, q, sums_q, sums_k, 3, 4, 0.5, False, out=(q, k, k))

    assert count(real([0, 2, 5]), real([0, 4, 5])) == one_by_one
    with pytest.raises(DataDependentError):
        count(spec(3, dtype="int32"), spec(3, dtype="int32"))


def test_sequences_without_a_rule() -> None:
    """They are nested tensors, and packed sequences for operators that take heads first."""
    q, nested, lengths = spec(2, 4, 5, 8), spec(40, 8), spec(3, dtype="int32")
    with pytest.raises(UncountedError, match="nested"):
        terms_of(FUSED, nested, nested, nested, nested, nested, nested, 0.0, False, out=(nested, nested, nested))
    for op in ("_scaled_dot_product_flash_attention_backward", "_scaled_dot_product_cudnn_attention_backward"):
        flash = "flash" in op
        before = (q, q, q, q, q, q) if flash else (q, q, q, q, q, q, None, None, None)
        after = (5, 5, 0.0, False, None, None) if flash else (5, 5, 0.0, False)
        with pytest.raises(UncountedError, match="packed"):
            terms_of(op, *before, lengths, lengths, *after, out=(q, q, q))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_the_backward_pass_costs_its_definition(queries: int, keys: int, size: int, heads: int, groups: int) -> None:
    """Query heads share keys and values; both factors have the root of the scale; there is dropout."""
    draw, tally = Tally(), Tally()
    root = 0.7
    q = draw.array(groups * heads, queries, size)
    k, v = draw.array(groups, keys, size, seed=1), draw.array(groups, keys, size, seed=2)
    g, kept = draw.array(groups * heads, queries, size, seed=3), draw.array(groups * heads, queries, keys, seed=4)

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        k, v = (x.repeat_interleave(heads, 0) for x in (k, v))
        return (torch.softmax(root**2 * q @ k.transpose(-2, -1), -1) * values(kept)) @ v

    tensors = [values(x).requires_grad_() for x in (q, k, v)]
    expected = torch.autograd.grad(attention(*tensors), tensors, values(g))
    # The forward pass has kept both scaled factors, the weights, and the weights after dropout.
    softmax = torch.softmax(root**2 * values(q) @ values(k).repeat_interleave(heads, 0).transpose(-2, -1), -1)
    scaled_q, scaled_k = (numbers((root * values(x)).tolist(), tally) for x in (q, k))
    weights, dropped = (numbers(x.tolist(), tally) for x in (softmax, softmax * values(kept)))
    q, k, v, g, kept = (into(each, tally) for each in (q, k, v, g, kept))
    for_q: list[Any] = []
    for_k: list[Any] = [[] for _ in range(groups)]
    for_v: list[Any] = [[] for _ in range(groups)]
    for head in range(groups * heads):
        group = head // heads
        for_v[group].append(multiply(transposed(dropped[head]), g[head]))
        for_weights = [
            [a * b for a, b in zip(row, mask, strict=True)]
            for row, mask in zip(multiply(g[head], transposed(v[group])), kept[head], strict=True)
        ]
        for_scores = []
        for row, gradient in zip(weights[head], for_weights, strict=True):
            products = [a * b for a, b in zip(row, gradient, strict=True)]
            whole = total(products)
            for_scores.append([each - a * whole for each, a in zip(products, row, strict=True)])
        for_q.append([[x * root for x in row] for row in multiply(for_scores, scaled_k[group])])
        for_k[group].append([[x * root for x in row] for row in multiply(transposed(for_scores), scaled_q[head])])
    for_k, for_v = ([_sum_of_heads(group) for group in gradient] for gradient in (for_k, for_v))
    assert_same([for_q, for_k, for_v], expected)
    q_spec, k_spec = spec(1, groups * heads, queries, size), spec(1, groups, keys, size)
    arguments = (q_spec, q_spec, k_spec, k_spec, q_spec, spec(1, groups * heads, queries), 0.5, False)
    assert_counted(terms_of(FUSED, *arguments, scale=root**2, out=(q_spec, k_spec, k_spec)), tally)


def numbers(plain: Any, tally: Tally) -> Any:
    """Nested lists of plain numbers as counting numbers."""
    return [numbers(each, tally) for each in plain] if isinstance(plain, list) else tally.number(plain)


def _sum_of_heads(heads: list[Matrix]) -> Matrix:
    return [[total(places) for places in zip(*rows, strict=True)] for rows in zip(*heads, strict=True)]
