"""Asks the registry, as pricing does, what an operation costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from profiler.opcount import OpCount, Term, total
from profiler.pricing import answer
from profiler.records import Event, OpCall
from profiler.rules import REGISTRY
from profiler.signatures import Signature
from tests.rules.recorded import calls_of


def terms_of(op: str, *args: Any, out: Any, **kwargs: Any) -> tuple[Term, ...]:
    """The terms of ``aten::op`` (or of an operator with its full name) for these arguments; none if it is free."""
    op = op if "::" in op else f"aten::{op}"
    entry = REGISTRY.find(op)
    assert entry is not None, f"{op} is not registered"
    if entry.parameters is not None:
        return entry.of(signature_of(op, *args, out=out, **kwargs))[1]
    return entry.apply(*args, out=out, **kwargs)[1]


def call_of(op: str, *args: Any, out: Any, **kwargs: Any) -> OpCall:
    """A call of ``aten::op`` (or of an operator with its full name), with arguments named by the operator's schema."""
    op = op if "::" in op else f"aten::{op}"
    signature = signature_of(op, *args, out=out, **kwargs)
    answered = answer(signature, REGISTRY)
    return OpCall(Event(0, "", 1, "forward"), signature, answered, answered.kind)


def signature_of(op: str, *args: Any, out: Any, **kwargs: Any) -> Signature:
    """The signature that tracing would record for these arguments."""
    namespace, name = op.split("::")
    packet = getattr(getattr(torch.ops, namespace), name)
    schemas = [getattr(packet, overload)._schema.arguments for overload in packet.overloads()]
    names = next(
        [argument.name for argument in schema]
        for schema in schemas
        if len(args) <= sum(not argument.kwarg_only for argument in schema)
        and {argument.name for argument in schema}.issuperset(kwargs)
    )
    named = (*zip(names, map(frozen, args), strict=False), *((name, frozen(value)) for name, value in kwargs.items()))
    return Signature(op, named, frozen(out), len(args))


def frozen(value: Any) -> Any:
    """The value with its lists as tuples."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def count_of(op: str, *args: Any, out: Any, **kwargs: Any) -> OpCount:
    """The cost of ``op`` for these arguments."""
    return total(terms_of(op, *args, out=out, **kwargs))


def kind_of(op: str, *args: Any, out: Any, **kwargs: Any) -> str:
    """The kind of work of ``op`` for these arguments."""
    entry = REGISTRY.find(f"aten::{op}")
    assert entry is not None, f"{op} is not registered"
    return entry.apply(*args, out=out, **kwargs)[0]


def count_whole_and_decomposed(run: Callable[..., Any], *inputs: Any) -> tuple[OpCount, OpCount]:
    """The cost of ``run(*inputs)`` without gradients, and with gradients, where autograd decomposes composite
    operators.

    Each input that is a shape becomes a meta tensor of floats. Fails if an operator is uncounted.
    """
    counts = []
    for whole in (True, False):
        tensors = [
            torch.empty(each, device="meta", requires_grad=not whole) if isinstance(each, tuple) else each
            for each in inputs
        ]
        with torch.inference_mode() if whole else torch.enable_grad():
            _, calls = calls_of(run, *tensors)
        uncounted = sorted({call.op for call in calls if call.status == "uncounted"})
        assert not uncounted, f"uncounted: {', '.join(uncounted)}"
        counts.append(total(term for call in calls for term in call.terms))
    return counts[0], counts[1]


def assert_same_when_decomposed(run: Callable[..., Any], *inputs: Any) -> None:
    """Fail unless ``run(*inputs)`` costs the same whole and decomposed, and costs something."""
    whole, decomposed = count_whole_and_decomposed(run, *inputs)
    assert whole == decomposed
    assert whole
