"""Orthogonal polynomials cost what their recurrences cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import DataDependentError, UncountedError
from profiler.opcount import OpCount
from tests.rules.counting import Counting, Tally, assert_counted, spec
from tests.rules.real_tensors import real, recorded
from tests.rules.registered import count_of, kind_of, terms_of

Value = Counting | int
First = Callable[[Counting, Counting], Value]


def chebyshev(n: int, x: Counting, start: Callable[[Counting, Counting], Counting]) -> Value:
    """p₀ = 1, p₁ = start(x, 2·x), pₖ₊₁ = 2·x·pₖ − pₖ₋₁."""
    if n == 0:
        return 1
    if n == 1 and start is first_kind:
        return x
    twice = 2 * x
    before, last = 1, start(x, twice)
    for _ in range(1, n):
        before, last = last, twice * last - before  # type: ignore[assignment]
    return last


def first_kind(x: Counting, twice: Counting) -> Counting:
    return x


def second_kind(x: Counting, twice: Counting) -> Counting:
    return twice


def third_kind(x: Counting, twice: Counting) -> Counting:
    return twice - 1.0


def fourth_kind(x: Counting, twice: Counting) -> Counting:
    return twice + 1.0


def hermite_h(n: int, x: Counting) -> Value:
    if n == 0:
        return 1
    twice = 2 * x
    before: Value = 1
    last: Counting = twice
    for k in range(1, n):
        before, last = last, twice * last - 2.0 * k * before
    return last


def hermite_he(n: int, x: Counting) -> Value:
    before: Value = 1
    last: Counting = x
    for k in range(1, n):
        before, last = last, x * last - float(k) * before
    return last if n else 1


def laguerre(n: int, x: Counting) -> Value:
    if n == 0:
        return 1
    before: Value = 1
    last: Counting = 1.0 - x
    for k in range(1, n):
        before, last = last, ((2.0 * k + 1.0 - x) * last - float(k) * before) / float(k + 1)
    return last


def legendre(n: int, x: Counting) -> Value:
    before: Value = 1
    last: Counting = x
    for k in range(1, n):
        before, last = last, ((2.0 * k + 1.0) * x * last - float(k) * before) / float(k + 1)
    return last if n else 1


def shifted(of: Callable[[int, Counting], Value]) -> Callable[[int, Counting], Value]:
    """The polynomial at 2·x − 1."""
    return lambda n, x: of(n, 2.0 * x - 1.0) if n else 1


def of_kind(start: Callable[[Counting, Counting], Counting]) -> Callable[[int, Counting], Value]:
    return lambda n, x: chebyshev(n, x, start)


KINDS = {"t": first_kind, "u": second_kind, "v": third_kind, "w": fourth_kind}
POLYNOMIALS: dict[str, Callable[[int, Counting], Value]] = {
    **{f"chebyshev_polynomial_{kind}": of_kind(start) for kind, start in KINDS.items()},
    **{f"shifted_chebyshev_polynomial_{kind}": shifted(of_kind(start)) for kind, start in KINDS.items()},
    "hermite_polynomial_h": hermite_h,
    "hermite_polynomial_he": hermite_he,
    "laguerre_polynomial_l": laguerre,
    "legendre_polynomial_p": legendre,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", POLYNOMIALS)
@given(degrees=st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_polynomials(name: str, degrees: list[int]) -> None:
    """Each point runs the recurrence of its own degree, whose result equals that of torch."""
    tally = Tally()
    points = tally.array(len(degrees), low=1.1, high=2.0)
    found = [POLYNOMIALS[name](n, x) for n, x in zip(degrees, points, strict=True)]
    plain = [value.value if isinstance(value, Counting) else float(value) for value in found]
    x = torch.tensor([point.value for point in points], dtype=torch.float64)
    result, terms = recorded(getattr(torch.special, name), x, torch.tensor(degrees))
    assert torch.allclose(torch.tensor(plain, dtype=torch.float64), result)
    assert_counted(terms, tally)


def test_a_degree_that_is_a_number_needs_no_data() -> None:
    """T₃ = 2x·(2x·x − 1) − x at 6 points: 3 multiplies and 2 adds; broadcast degrees count for all their points."""
    expected = OpCount(multiplies=3, adds=2) * 6
    assert count_of("special_chebyshev_polynomial_t", spec(2, 3), 3, out=spec(2, 3)) == expected
    assert count_of("special_chebyshev_polynomial_t", spec(2, 3), 3.7, out=spec(2, 3)) == expected
    assert count_of("special_chebyshev_polynomial_t", spec(2, 3), real(3), out=spec(2, 3)) == expected
    assert count_of("special_chebyshev_polynomial_t", spec(2, 1), real([3, 3, 3]), out=spec(2, 3)) == expected
    assert kind_of("special_chebyshev_polynomial_t", spec(4), 3, out=spec(4)) == "elementwise"


def test_degrees_that_are_free_or_unknown() -> None:
    """Degree 0 is a constant, and a negative one gives 0; a degree in a tensor is data, and nan is no degree."""
    for degree in (0, -2):
        assert not terms_of("special_laguerre_polynomial_l", spec(4), degree, out=spec(4))
    with pytest.raises(DataDependentError):
        terms_of("special_laguerre_polynomial_l", spec(4), spec(4), out=spec(4))
    with pytest.raises(UncountedError):
        terms_of("special_laguerre_polynomial_l", spec(4), float("nan"), out=spec(4))
