"""Element-by-element arithmetic, comparisons and mathematical functions; n is the number of results.

Rounding (floor, ceil, round, trunc), negation, sign, absolute value of real numbers, selection and tests for
nan and infinity are none of the five kinds of scalar operation, so they are free (see ``movement``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from profiler.opcount import OpCount, Term, each
from profiler.rules.costs import addition, first, is_complex, power, product, quotient, require_real
from profiler.rules.registry import CostRule, rule
from profiler.signatures import TensorSpec

ADD, MULTIPLY, DIVIDE = OpCount(adds=1), OpCount(multiplies=1), OpCount(divides=1)
COMPARE, TRANSCENDENTAL = OpCount(comparisons=1), OpCount(transcendentals=1)

TRANSCENDENTAL_FUNCTIONS = (
    *("sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "arcsin", "arccos", "arctan", "arctan2"),
    *("sinh", "cosh", "asinh", "acosh", "atanh", "arcsinh", "arccosh", "arctanh"),
    *("erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma", "igamma", "igammac", "i0"),
    *("special_erf", "special_erfc", "special_erfcx", "special_erfinv", "special_exp2", "special_expm1"),
    *("special_log1p", "special_gammaln", "special_digamma", "special_psi", "special_polygamma"),
    *("special_gammainc", "special_gammaincc", "special_i0", "special_i0e", "special_i1", "special_i1e"),
    *("special_bessel_j0", "special_bessel_j1", "special_bessel_y0", "special_bessel_y1"),
    *("special_modified_bessel_i0", "special_modified_bessel_i1"),
    *("special_modified_bessel_k0", "special_modified_bessel_k1"),
    *("special_scaled_modified_bessel_k0", "special_scaled_modified_bessel_k1"),
    *("special_spherical_bessel_j0", "special_airy_ai", "special_zeta", "special_ndtri", "special_log_ndtr"),
    "special_ndtr",
)
"""One transcendental for each result."""

COMPARISONS = (
    *("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("maximum", "minimum", "fmax", "fmin", "clamp_min", "clamp_max", "heaviside", "logical_not"),
)
"""One comparison for each result."""

PER_ELEMENT = {
    **dict.fromkeys(TRANSCENDENTAL_FUNCTIONS, TRANSCENDENTAL),
    **dict.fromkeys(COMPARISONS, COMPARE),
    "logical_and": COMPARE * 2,  # each operand against zero
    "logical_or": COMPARE * 2,
    "logical_xor": COMPARE * 2,
    "frac": ADD,  # x − trunc(x)
    "fmod": OpCount(divides=1, multiplies=1, adds=1),  # x − trunc(x/y)·y
    "remainder": OpCount(divides=1, multiplies=1, adds=1),  # x − floor(x/y)·y
    "floor_divide": DIVIDE,
    "hypot": OpCount(multiplies=2, adds=1, transcendentals=1),
    "lerp": OpCount(multiplies=1, adds=2),  # a + w·(b − a)
    "xlogy": OpCount(multiplies=1, transcendentals=1),
    "special_xlogy": OpCount(multiplies=1, transcendentals=1),
    "special_xlog1py": OpCount(multiplies=1, transcendentals=1),
    "special_entr": OpCount(multiplies=1, transcendentals=1),  # −x·log x
    "sinc": OpCount(multiplies=1, divides=1, transcendentals=1),  # sin(πx) / (πx)
    "special_sinc": OpCount(multiplies=1, divides=1, transcendentals=1),
    "logaddexp": OpCount(comparisons=1, adds=4, transcendentals=3),  # m + log(exp(a − m) + exp(b − m))
    "logaddexp2": OpCount(comparisons=1, adds=4, transcendentals=3),
    "deg2rad": MULTIPLY,
    "rad2deg": MULTIPLY,
    "ldexp": OpCount(multiplies=1, transcendentals=1),  # x · 2ʸ
    "angle": TRANSCENDENTAL,
    "polar": OpCount(multiplies=2, transcendentals=2),  # r·cos φ + i·r·sin φ
    "_masked_scale": OpCount(multiplies=2),  # x · mask · scale
    "isclose": OpCount(adds=2, multiplies=1, comparisons=1),  # |a − b| ≤ atol + rtol·|b|
}
"""What one element of the result costs."""

COMPLEX_PER_ELEMENT = {
    "exp": OpCount(multiplies=2, transcendentals=3),  # eᵃ·(cos b + i·sin b)
    "log": OpCount(multiplies=2, adds=1, transcendentals=3),  # log|z| + i·arg z
    "sin": OpCount(multiplies=2, transcendentals=4),  # sin a·cosh b + i·cos a·sinh b
    "cos": OpCount(multiplies=2, transcendentals=4),
    "sinh": OpCount(multiplies=2, transcendentals=4),
    "cosh": OpCount(multiplies=2, transcendentals=4),
    "angle": TRANSCENDENTAL,
    "eq": COMPARE * 2,
    "ne": COMPARE * 2,
    "not_equal": COMPARE * 2,
    "lerp": OpCount(multiplies=4, adds=6),
}
"""The same where an operand is complex; what is not named here is uncounted then."""


def per_element(op: str, one: OpCount) -> CostRule:
    """A rule that charges ``one`` for each element of the result of ``op``."""

    def cost(*operands: Any, out: Any, **_: Any) -> Iterator[Term]:
        if any(is_complex(operand) for operand in operands):
            if op not in COMPLEX_PER_ELEMENT:
                require_real(f"aten::{op}", operands)
            yield Term(op, first(out).shape, COMPLEX_PER_ELEMENT[op])
        else:
            yield Term(op, first(out).shape, one)

    return cost


for _op, _one in PER_ELEMENT.items():
    rule(f"aten::{_op}", kind="elementwise")(per_element(_op, _one))


@rule("aten::add", "aten::sub", "aten::subtract", "aten::rsub", kind="elementwise")
def add(input: Any, other: Any, alpha: Any = 1, *, out: TensorSpec) -> Iterator[Term]:
    """input ± alpha·other; alpha multiplies ``input`` instead in rsub, at the same cost."""
    yield Term("sums", out.shape, addition(input, other))
    if alpha != 1:
        yield Term("alpha", out.shape, product(alpha, other))


def _is_one(operand: Any) -> bool:
    """Whether it is a number, not a tensor, that is 1."""
    return not isinstance(operand, TensorSpec) and bool(operand == 1)


@rule("aten::mul", "aten::multiply", kind="elementwise")
def mul(input: Any, other: Any, *, out: TensorSpec) -> Iterator[Term]:
    """input · other; free where one of them is the number 1."""
    if not (_is_one(input) or _is_one(other)):
        yield Term("products", out.shape, product(input, other))


@rule("aten::div", "aten::divide", "aten::true_divide", kind="elementwise")
def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: TensorSpec) -> Iterator[Term]:
    """input / other; free where ``other`` is the number 1, as is rounding the quotient."""
    if not _is_one(other):
        yield Term("quotients", out.shape, quotient(input, other))


@rule("aten::reciprocal", kind="elementwise")
def reciprocal(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """1 / input."""
    yield Term("reciprocals", out.shape, quotient(1.0, input))


@rule("aten::square", kind="elementwise")
def square(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """input · input."""
    yield Term("squares", out.shape, product(input, input))


@rule("aten::pow", "aten::float_power", kind="elementwise")
def pow(base: Any, exponent: Any, *, out: TensorSpec) -> Iterator[Term]:
    """An integer power p is p − 1 multiplies; another number, or a tensor of exponents, is a transcendental."""
    if isinstance(exponent, int | float):
        yield Term("powers", out.shape, power(base, exponent))
    else:
        require_real("aten::pow with a tensor of exponents", (base, exponent))
        yield each(out.shape, "powers", transcendentals=1)


@rule("aten::addcmul", kind="elementwise")
def addcmul(
    input: TensorSpec, tensor1: TensorSpec, tensor2: TensorSpec, value: Any = 1, *, out: TensorSpec
) -> Iterator[Term]:
    """input + value·tensor1·tensor2."""
    yield Term("products", out.shape, product(tensor1, tensor2))
    yield Term("sums", out.shape, addition(input, out))
    if value != 1:
        yield Term("value", out.shape, product(value, out))


@rule("aten::addcdiv", kind="elementwise")
def addcdiv(
    input: TensorSpec, tensor1: TensorSpec, tensor2: TensorSpec, value: Any = 1, *, out: TensorSpec
) -> Iterator[Term]:
    """input + value·tensor1/tensor2."""
    yield Term("quotients", out.shape, quotient(tensor1, tensor2))
    yield Term("sums", out.shape, addition(input, out))
    if value != 1:
        yield Term("value", out.shape, product(value, out))


@rule("aten::clamp", "aten::clip", kind="elementwise")
def clamp(input: TensorSpec, min: Any = None, max: Any = None, *, out: TensorSpec) -> Iterator[Term]:
    """One comparison for each bound that is given."""
    yield each(out.shape, "bounds", comparisons=(min is not None) + (max is not None))


@rule("aten::abs", "aten::absolute", kind="elementwise")
def absolute(input: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
    """Free for real numbers; √(re² + im²) for complex ones."""
    if input.is_complex:
        yield each(out.shape, "moduli", multiplies=2, adds=1, transcendentals=1)


@rule("aten::logit", "aten::special_logit", kind="elementwise")
def logit(input: TensorSpec, eps: float | None = None, *, out: TensorSpec) -> Iterator[Term]:
    """log(x / (1 − x)), after a clamp to [eps, 1 − eps] where eps is given."""
    yield each(out.shape, "logit", adds=1, divides=1, transcendentals=1)
    if eps is not None:
        yield each(out.shape, "bounds", comparisons=2)


@rule("aten::round", "aten::special_round", kind="elementwise")
def round(input: TensorSpec, *, decimals: int = 0, out: TensorSpec) -> Iterator[Term]:
    """Free; to d decimals it is round(x·10ᵈ) / 10ᵈ."""
    if decimals != 0:
        yield each(out.shape, "scaling", multiplies=1, divides=1)


@rule("aten::allclose", kind="elementwise")
def allclose(input: TensorSpec, other: TensorSpec, *_: Any, out: Any) -> Iterator[Term]:
    """isclose of every element."""
    yield Term("isclose", input.shape, PER_ELEMENT["isclose"])


@rule("aten::mvlgamma", "aten::special_multigammaln", kind="elementwise")
def mvlgamma(input: TensorSpec, p: int, *, out: TensorSpec) -> Iterator[Term]:
    """log π·p(p − 1)/4 + Σ lgamma(x − j/2) for j = 0 … p − 1; the first is a constant."""
    yield each(out.shape, "multivariate log-gamma", adds=p + (p - 1) + 1, transcendentals=p)


@rule("aten::normal", kind="elementwise")
def normal(mean: Any, std: Any = 1.0, *_: Any, out: TensorSpec, **__: Any) -> Iterator[Term]:
    """mean + std·z: a multiply where std is a tensor, an add where mean is one; drawing z is free."""
    if isinstance(std, TensorSpec):
        yield each(out.shape, "scaled", multiplies=1)
    if isinstance(mean, TensorSpec):
        yield each(out.shape, "shifted", adds=1)


@rule("aten::_add_relu", kind="elementwise")
def add_relu(input: Any, other: Any, alpha: Any = 1, *, out: TensorSpec) -> Iterator[Term]:
    """max(0, input + alpha·other)."""
    yield from add(input, other, alpha, out=out)
    yield each(out.shape, "relu", comparisons=1)
