"""Elementwise operations cost what the definition of one element costs, for real and complex numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import UncountedError
from profiler.opcount import OpCount, total
from profiler.records import Mode
from profiler.rules.elementwise import COMPLEX_PER_ELEMENT, PER_ELEMENT, TRANSCENDENTAL_FUNCTIONS
from profiler.signatures import TensorSpec
from profiler.traces import trace
from tests.rules.counting import (
    Counting,
    Tally,
    assert_counted,
    cos,
    exp,
    log,
    maximum,
    sin,
    spec,
    sqrt,
    transcendental,
)
from tests.rules.registered import assert_same_when_decomposed, count_of, kind_of, terms_of

N = 6
X, Z = spec(2, 3), spec(2, 3, dtype="complex64")


def tally_of(definition: Callable[..., Any], *dtypes: str) -> Tally:
    """The tally of ``definition`` for N elements of one operand for each of ``dtypes``."""
    tally = Tally()
    operands = [tally.array(N, low=0.1, dtype=dtype, seed=seed) for seed, dtype in enumerate(dtypes)]
    for elements in zip(*operands, strict=True):
        definition(*elements)
    return tally


def logaddexp(a: Counting, b: Counting) -> Counting:
    largest = maximum(a, b)
    return largest + log(exp(a - largest) + exp(b - largest))


def truth(a: Counting) -> bool:
    return a != 0.0


BINARY: dict[str, Callable[[Counting, Counting], Any]] = {
    "eq": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "greater_equal": lambda a, b: a >= b,
    "maximum": lambda a, b: maximum(a, b),
    "fmin": lambda a, b: maximum(a, b),
    "clamp_min": lambda a, b: maximum(a, b),
    "logical_not": lambda a, b: not truth(a),
    "logical_and": lambda a, b: truth(a) & truth(b),
    "logical_xor": lambda a, b: truth(a) ^ truth(b),
    "frac": lambda a, b: a - float(math.floor(a)),
    "fmod": lambda a, b: a - float(math.floor(a / b)) * b,
    "remainder": lambda a, b: a - float(math.floor(a / b)) * b,
    "floor_divide": lambda a, b: math.floor(a / b),
    "hypot": lambda a, b: sqrt(a * a + b * b),
    "lerp": lambda a, b: a + 0.3 * (b - a),
    "xlogy": lambda a, b: a * log(b),
    "special_entr": lambda a, b: -a * log(a),
    "logaddexp": logaddexp,
    "deg2rad": lambda a, b: a * (math.pi / 180),
    "isclose": lambda a, b: abs(a - b) <= 1e-8 + 1e-5 * abs(b),
    "add": lambda a, b: a + b,
    "rsub": lambda a, b: b - a,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: transcendental(lambda value: value**b.value, a),
}


@pytest.mark.parametrize("op", BINARY)
def test_binary_operation(op: str) -> None:
    """One element of the result costs what the definition costs."""
    tally = tally_of(BINARY[op], "float32", "float32")
    assert_counted(terms_of(op, X, X, out=X), tally)
    assert kind_of(op, X, X, out=X) == "elementwise"


def test_sinc() -> None:
    """sin(πx) / (πx)."""

    def sinc(x: Counting) -> Counting:
        scaled = math.pi * x
        return sin(scaled) / scaled

    assert_counted(terms_of("sinc", X, out=X), tally_of(sinc, "float32"))


@pytest.mark.parametrize("op", TRANSCENDENTAL_FUNCTIONS)
def test_transcendental_functions(op: str) -> None:
    """One transcendental for each result."""
    assert count_of(op, X, out=X) == OpCount(transcendentals=2 * 3)


def test_aliases_cost_the_same() -> None:
    """An operator's other names have the same rule."""
    for op, alias in [("add", "sub"), ("add", "subtract"), ("mul", "multiply"), ("div", "true_divide")]:
        assert count_of(op, X, X, alpha=2, out=X) == count_of(alias, X, X, alpha=2, out=X) if op == "add" else True
        assert count_of(op, X, X, out=X) == count_of(alias, X, X, out=X)
    for op, alias in [("sinc", "special_sinc"), ("xlogy", "special_xlogy"), ("fmod", "remainder")]:
        assert PER_ELEMENT[op] == PER_ELEMENT[alias]


def test_broadcast_and_scalars_count_results() -> None:
    """(2, 3) · (3,) and (2, 3) · 2 are six products each."""
    assert count_of("mul", X, spec(3), out=X) == OpCount(multiplies=2 * 3)
    assert count_of("mul", X, 2, out=X) == OpCount(multiplies=2 * 3)
    assert count_of("div", spec(2, 1), spec(3), out=X) == OpCount(divides=2 * 3)


def test_alpha() -> None:
    """An alpha other than one multiplies the second operand."""
    assert count_of("add", X, X, alpha=1, out=X) == OpCount(adds=6)
    assert count_of("sub", X, X, alpha=2, out=X) == OpCount(adds=6, multiplies=6)


@pytest.mark.parametrize("exponent", [-3, -2, -1, 0, 1, 2, 3.0, 5, 0.5, -0.5, 1.7])
def test_powers(exponent: float) -> None:
    """Integer powers are repeated multiplication, negative ones with a reciprocal; others are transcendentals."""
    assert_counted(terms_of("pow", X, exponent, out=X), tally_of(lambda x: x**exponent, "float32"))
    assert_counted(terms_of("float_power", X, exponent, out=X), tally_of(lambda x: x**exponent, "float32"))


def test_a_power_of_a_constant_base_is_transcendental() -> None:
    """The example is 2^x for a tensor x."""
    assert count_of("pow", 2, X, out=X) == OpCount(transcendentals=6)


@pytest.mark.parametrize(("value", "multiplies"), [(1, 1), (0.5, 2)])
def test_addcmul_and_addcdiv(value: float, multiplies: int) -> None:
    """a + value·b·c and a + value·b/c; a value of one costs nothing."""
    product = count_of("addcmul", X, X, X, value=value, out=X)
    assert product == OpCount(multiplies=6 * multiplies, adds=6)
    ratio = count_of("addcdiv", X, X, X, value=value, out=X)
    assert ratio == OpCount(multiplies=6 * (multiplies - 1), adds=6, divides=6)


def test_clamp_counts_the_bounds_that_are_given() -> None:
    """One comparison for each bound, scalar or tensor."""
    assert count_of("clamp", X, 0, None, out=X) == OpCount(comparisons=6)
    assert count_of("clamp", X, None, 1, out=X) == OpCount(comparisons=6)
    assert count_of("clamp", X, X, X, out=X) == OpCount(comparisons=12)
    assert count_of("clip", X, max=1, out=X) == OpCount(comparisons=6)


def test_logit() -> None:
    """log(x / (1 − x)), clamped only if eps is given."""
    assert_counted(terms_of("logit", X, out=X), tally_of(lambda x: log(x / (1.0 - x)), "float32"))
    clamped = tally_of(lambda x: log(x / (1.0 - x)) if (x > 1e-6) & (x < 1 - 1e-6) else x, "float32")
    assert_counted(terms_of("logit", X, 1e-6, out=X), clamped)


def test_rounding_to_decimals_scales_twice() -> None:
    """round(x) is free, round(x, decimals=2) is not."""
    assert count_of("round", X, out=X) == OpCount()
    assert count_of("round", X, decimals=2, out=X) == OpCount(multiplies=6, divides=6)


COMPLEX: dict[str, Callable[[Counting, Counting], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "lerp": lambda a, b: a + b * (b - a),
}


@pytest.mark.parametrize("op", COMPLEX)
@pytest.mark.parametrize("dtypes", [("complex64", "complex64"), ("complex64", "float32"), ("float32", "complex64")])
def test_complex_arithmetic(op: str, dtypes: tuple[str, str]) -> None:
    """It is counted in real operations, for each pairing of real and complex operands."""
    if op == "lerp" and dtypes != ("complex64", "complex64"):
        pytest.skip("lerp takes operands of one dtype")
    operands = [TensorSpec((2, 3), dtype) for dtype in dtypes]
    extra = [Z] if op == "lerp" else []
    assert_counted(terms_of(op, *operands, *extra, out=Z), tally_of(COMPLEX[op], *dtypes))


def test_complex_functions() -> None:
    """exp, reciprocal, square, cube and modulus of complex numbers."""
    assert_counted(terms_of("exp", Z, out=Z), tally_of(exp, "complex64"))
    assert_counted(terms_of("reciprocal", Z, out=Z), tally_of(lambda z: 1.0 / z, "complex64"))
    assert_counted(terms_of("square", Z, out=Z), tally_of(lambda z: z * z, "complex64"))
    assert_counted(terms_of("pow", Z, 3, out=Z), tally_of(lambda z: z**3, "complex64"))
    assert_counted(terms_of("abs", Z, out=X), tally_of(abs, "complex64"))
    assert count_of("abs", X, out=X) == OpCount()


def test_complex_sine_and_logarithm() -> None:
    """sin(a + bi) = sin a·cosh b + i·cos a·sinh b; log z = log|z| + i·arg z."""

    def cosh(x: Counting) -> Counting:
        return transcendental(math.cosh, x)

    def sinh(x: Counting) -> Counting:
        return transcendental(math.sinh, x)

    def complex_sine(z: Counting) -> None:
        sin(z.real) * cosh(z.imag)
        cos(z.real) * sinh(z.imag)

    def complex_logarithm(z: Counting) -> None:
        log(abs(z))
        transcendental(math.atan, z.imag)  # in place of atan2(im, re)

    assert_counted(terms_of("sin", Z, out=Z), tally_of(complex_sine, "complex64"))
    assert_counted(terms_of("log", Z, out=Z), tally_of(complex_logarithm, "complex64"))
    assert {"sin", "cos", "sinh", "cosh"} <= set(COMPLEX_PER_ELEMENT)


def test_a_complex_function_without_a_rule_is_uncounted() -> None:
    """No complex count is invented for it."""
    with pytest.raises(UncountedError, match="aten::erf"):
        terms_of("erf", Z, out=Z)
    with pytest.raises(UncountedError, match="pow"):
        terms_of("pow", Z, 0.5, out=Z)


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x.square(),
        lambda x: x.float_power(3),
        lambda x: torch.true_divide(x, 3),
        lambda x: torch.where(x > 0, x, 0.0) * 2,
        lambda x: torch.special.xlogy(x, x),
        lambda x: torch.clip(x, 0, 1),
        lambda x: x.arctan2(x),
    ],
)
def test_decomposed_operators_cost_the_same(run: Any) -> None:
    """Operators cost the same whole and decomposed."""
    assert_same_when_decomposed(run, (2, 3))


def test_less_common_functions() -> None:
    """Multivariate log-gamma, ldexp, polar, isclose of every element, relu of a sum and scaled normal numbers."""
    tally = tally_of(lambda x: sum((transcendental(math.lgamma, x + 1.0) for _ in range(3)), start=0) + 0.5, "float32")
    assert_counted(terms_of("mvlgamma", X, 3, out=X), tally)
    assert count_of("ldexp", X, X, out=X) == OpCount(multiplies=6, transcendentals=6)
    assert count_of("polar", X, X, out=Z) == OpCount(multiplies=2 * 6, transcendentals=2 * 6)
    assert count_of("allclose", X, X, out=True) == count_of("isclose", X, X, out=X)
    assert count_of("_add_relu", X, X, out=X) == OpCount(adds=6, comparisons=6)
    assert count_of("normal", X, X, out=X) == OpCount(multiplies=6, adds=6)
    assert count_of("normal", X, 2.0, out=X) == OpCount(adds=6)
    assert count_of("normal_", X, 0.0, 2.0, out=X) == OpCount()


class Applied(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "forward"),
    [
        (lambda x: 1 / x, OpCount(divides=2 * 3)),
        (lambda x: 2.5 / x, OpCount(divides=2 * 3)),
        (lambda x: x.__rtruediv__(1.0), OpCount(divides=2 * 3)),
        (lambda x: torch.reciprocal(x), OpCount(divides=2 * 3)),
        (lambda x: x**-1, OpCount(divides=2 * 3)),
        (lambda x: x**-2, OpCount(multiplies=2 * 3, divides=2 * 3)),
        (lambda x: 1 - x, OpCount(adds=2 * 3)),
        (lambda x: 2 * x, OpCount(multiplies=2 * 3)),
        (lambda x: 1 * x, OpCount()),
        (lambda x: x * 1.0, OpCount()),
        (lambda x: x / 1, OpCount()),
        (lambda x: x**1, OpCount()),
        (lambda x: 2**x, OpCount(transcendentals=2 * 3)),
    ],
)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_operators_with_a_number_cost_their_definition(
    mode: Mode, function: Callable[..., Any], forward: OpCount
) -> None:
    """A number divided by a tensor is a divide for each element, though torch takes a reciprocal; 1 is free."""
    calls = trace(Applied(function), torch.zeros(2, 3, requires_grad=True), mode).calls
    assert total(term for call in calls if call.phase == "forward" for term in call.terms) == forward


def test_the_gradient_of_a_quotient_has_autograds_products() -> None:
    """−g·c·r·r with r = 1/x: two products for each element, and a third one if c is not 1."""
    for number, products in ((1, 2), (2.5, 3)):
        network = Applied(lambda x, number=number: number / x)
        calls = trace(network, torch.zeros(2, 3, requires_grad=True), "training").calls
        backward = total(term for call in calls if call.phase == "backward" for term in call.terms)
        assert backward == OpCount(multiplies=products * 2 * 3)


def test_a_complex_quotient_of_a_number() -> None:
    """c·z̄ / |z|² needs no further product."""
    tally = tally_of(lambda z: 2.5 / z, "complex64")
    calls = trace(Applied(lambda z: 2.5 / z), torch.zeros(2, 3, dtype=torch.complex64)).calls
    assert_counted([term for call in calls for term in call.terms], tally)


def test_a_tensor_of_one_is_an_operand() -> None:
    """Only a number is known to be 1."""
    assert count_of("mul", X, spec(), out=X) == OpCount(multiplies=2 * 3)
    assert count_of("mul", X, True, out=X) == OpCount()
    assert count_of("_foreach_mul", [X, X], 1.0, out=None) == OpCount()
