"""Optimizer steps: operations on lists of tensors, and the fused updates.

An operation on lists costs the sum over their tensors; equal costs share a term, so that a
network of a hundred parameters is one term and not a hundred.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.activations import PER_ELEMENT as ACTIVATIONS
from profiler.rules.costs import size_of
from profiler.rules.elementwise import PER_ELEMENT, add, addcdiv, addcmul, div, mul, per_element, pow, reciprocal
from profiler.rules.elementwise import absolute as absolute_value
from profiler.rules.elementwise import round as rounded
from profiler.rules.reductions import extreme_along, power_sum, vector_norm
from profiler.rules.registry import CostRule, free, rule
from profiler.signatures import TensorSpec

Specs = Sequence[TensorSpec]

FROM_TABLES = (
    *("acos", "asin", "atan", "cos", "cosh", "erf", "erfc", "exp", "expm1", "frac", "lerp", "lgamma", "log", "log10"),
    *("log1p", "log2", "maximum", "minimum", "clamp_max", "clamp_min", "rsqrt", "sigmoid", "sin", "sinh", "sqrt"),
    *("tan", "tanh"),
)
"""Operations on lists whose element costs a fixed sum."""

FROM_RULES: dict[str, CostRule] = {
    "add": add,
    "sub": add,
    "mul": mul,
    "div": div,
    "pow": pow,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "reciprocal": reciprocal,
    "abs": absolute_value,
    "round": rounded,
    "norm": vector_norm,
    "powsum": power_sum,
    "max": extreme_along,
}
"""Operations on lists that have a rule of their own for one tensor."""

FREE = ("ceil", "clone", "copy", "floor", "neg", "sign", "trunc", "zero")
"""Operations on lists that are free on one tensor."""


def put_together(terms: Iterable[Term]) -> Iterator[Term]:
    """Terms of the same cost as one, over the sum of their numbers."""
    sizes: dict[tuple[str, OpCount], int] = {}
    for term in terms:
        key = (term.what, term.one)
        sizes[key] = sizes.get(key, 0) + size_of(term.how_many)
    for (what, one), size in sizes.items():
        yield Term(what, (size,), one)


def foreach(cost: CostRule) -> CostRule:
    """The rule for lists made from the rule for one tensor; other arguments are passed to each of the tensors."""

    def cost_of_lists(*operands: Any, out: Any = None, **options: Any) -> Iterator[Term]:
        tensors = next(operand for operand in operands if isinstance(operand, list | tuple))

        def terms() -> Iterator[Term]:
            for i, tensor in enumerate(tensors):
                one = [operand[i] if isinstance(operand, list | tuple) else operand for operand in operands]
                yield from cost(*one, out=tensor, **options)

        return put_together(terms())

    return cost_of_lists


for _op in FROM_TABLES:
    _one = PER_ELEMENT[_op] if _op in PER_ELEMENT else ACTIVATIONS[_op]
    rule(f"aten::_foreach_{_op}", kind="elementwise")(foreach(per_element(_op, _one)))
for _op, _cost in FROM_RULES.items():
    rule(f"aten::_foreach_{_op}", kind="reduction" if _op in ("norm", "powsum", "max") else "elementwise")(
        foreach(_cost)
    )
free(*(f"aten::_foreach_{_op}" for _op in FREE))


def updates(what: str, parameters: Specs, one: OpCount) -> Iterator[Term]:
    """``one`` for each element of ``parameters``."""
    return put_together(Term(what, parameter.shape, one) for parameter in parameters)


def prepared_gradients(parameters: Specs, weight_decay: float, grad_scale: Any) -> Iterator[Term]:
    """Gradients divided by the loss scale, with decay·parameter added, if either is requested."""
    if grad_scale is not None:
        yield from updates("unscaling", parameters, OpCount(divides=1))
    if weight_decay != 0:
        yield from updates("weight decay", parameters, OpCount(multiplies=1, adds=1))


@rule("aten::_fused_sgd", kind="elementwise")
def fused_sgd(
    parameters: Specs,
    *_: Any,
    weight_decay: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    is_first_step: bool,
    grad_scale: Any = None,
    out: Any = None,
    **__: Any,
) -> Iterator[Term]:
    """v ← μ·v + (1 − dampening)·g (v ← g at first); p ← p − lr·v, or with Nesterov p ← p − lr·(g + μ·v)."""
    yield from prepared_gradients(parameters, weight_decay, grad_scale)
    if momentum != 0:
        if not is_first_step:
            damped = int(dampening != 0)
            yield from updates("momentum", parameters, OpCount(multiplies=1 + damped, adds=1))
        if nesterov:
            yield from updates("look-ahead", parameters, OpCount(multiplies=1, adds=1))
    yield from updates("steps", parameters, OpCount(multiplies=1, adds=1))


def _adam(parameters: Specs, amsgrad: bool) -> Iterator[Term]:
    averages = OpCount(multiplies=1 + 3, adds=2 + 1)
    step = OpCount(multiplies=1, adds=1 + 1, divides=1 + 1, transcendentals=1)
    yield from updates("averages", parameters, averages)
    if amsgrad:
        yield from updates("maxima", parameters, OpCount(comparisons=1))
    yield each((len(parameters),), "bias corrections", adds=2, divides=1, transcendentals=3)
    yield from updates("steps", parameters, step)


@rule("aten::_fused_adam", kind="elementwise")
def fused_adam(
    parameters: Specs,
    *_: Any,
    weight_decay: float,
    amsgrad: bool,
    grad_scale: Any = None,
    out: Any = None,
    **__: Any,
) -> Iterator[Term]:
    """m ← m + (1 − β₁)·(g − m); v ← β₂·v + (1 − β₂)·g·g; p ← p − step·m / (√v/√c₂ + ε).

    step = lr/c₁ with c₁ = 1 − β₁ᵗ and c₂ = 1 − β₂ᵗ, once for each parameter; amsgrad takes the largest v.
    """
    yield from prepared_gradients(parameters, weight_decay, grad_scale)
    yield from _adam(parameters, amsgrad)


@rule("aten::_fused_adamw", kind="elementwise")
def fused_adamw(
    parameters: Specs,
    *_: Any,
    weight_decay: float,
    amsgrad: bool,
    grad_scale: Any = None,
    out: Any = None,
    **__: Any,
) -> Iterator[Term]:
    """As Adam, with the decay applied to the parameter: p ← (1 − lr·decay)·p."""
    yield from prepared_gradients(parameters, 0, grad_scale)
    if weight_decay != 0:
        yield from updates("weight decay", parameters, OpCount(multiplies=1))
    yield from _adam(parameters, amsgrad)


@rule("aten::_fused_adagrad", kind="elementwise")
def fused_adagrad(
    parameters: Specs, *_: Any, weight_decay: float, grad_scale: Any = None, out: Any = None, **__: Any
) -> Iterator[Term]:
    """s ← s + g²; p ← p − lr·g / (√s + ε)."""
    yield from prepared_gradients(parameters, weight_decay, grad_scale)
    yield from updates("sums of squares", parameters, OpCount(multiplies=1, adds=1))
    yield from updates("steps", parameters, OpCount(multiplies=1, adds=2, divides=1, transcendentals=1))


@rule("aten::_amp_foreach_non_finite_check_and_unscale", kind="elementwise")
def unscale(gradients: Specs, found_inf: Any, inv_scale: Any, *, out: Any = None) -> Iterator[Term]:
    """Each gradient times the inverse of the loss scale; the test for infinities is free."""
    return updates("unscaling", gradients, OpCount(multiplies=1))


@rule("aten::_amp_update_scale", kind="elementwise")
def update_scale(scale: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """The loss scale grows or shrinks by a factor."""
    yield each((), "scale", multiplies=1)
