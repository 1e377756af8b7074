"""The domain of conditions: within it all of them hold."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from profiler.symbolic.conditions import domain_of, truth
from profiler.symbolic.expressions import floor_of, remainder_of, symbol

B, H, W = (symbol(name) for name in "BHW")
START = {"B": 2, "H": 224, "W": 224}


def test_bounds_are_solved() -> None:
    """Conditions on one name become bounds, and those that follow from others are left out."""
    conditions = {
        sympy.And(H + 4 >= 11, W + 4 >= 11): "a",
        sympy.Ge(floor_of(H - 7, 8), 1, evaluate=False): "b",
        sympy.Gt(B * floor_of(H - 7, 8), 0): "c",
        48 * W <= 48 * 1000: "d",
        2 * floor_of(H - 5, 4) < floor_of(H - 1, 2): "e",
    }
    domain = domain_of(START, conditions, 2)
    assert domain.words() == ["B ≥ 2", "H ≥ 15", "7 ≤ W ≤ 1000"]
    assert domain.violated({"B": 2, "H": 15, "W": 7}) == ""
    assert domain.violated({"B": 2, "H": 14, "W": 7}) == "H ≥ 15"
    assert domain.violated({"B": 2, "H": 15, "W": 1001}) == "W ≤ 1000"


def test_steps_and_fixed_sizes() -> None:
    """A remainder that has to be 0 is a multiple, and an equation fixes a size."""
    domain = domain_of(START, {sympy.Eq(remainder_of(H, 32), 0): "", sympy.Eq(W, 224): ""}, 2)
    assert domain.words() == ["B ≥ 2", "H ≥ 2", "W = 224", "H is a multiple of 32"]
    assert domain.violated({"B": 2, "H": 33, "W": 224}) == "H is a multiple of 32"
    assert [str(relation) for relation in domain.relations()][-1] == "Eq(Mod(H, 32), 0)"


def test_conditions_that_cannot_be_solved_stay() -> None:
    """A condition between two names stays a condition."""
    domain = domain_of(START, {sympy.Ne(floor_of(H, 32) * floor_of(W, 32), 1): "module pool: aten::mean"}, 2)
    assert domain.words()[-1] == "⌊H/32⌋·⌊W/32⌋ ≠ 1"
    assert domain.violated({"B": 2, "H": 32, "W": 32}) == "⌊H/32⌋·⌊W/32⌋ ≠ 1"
    assert domain.conditions[0].reason == "module pool: aten::mean"


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.integers(-5, 5), st.integers(1, 6), st.integers(-9, 9), st.integers(-40, 40), st.sampled_from("≥≠=<")
        ),
        min_size=1,
        max_size=3,
    ),
    st.integers(2, 60),
)
def test_within_the_domain_every_condition_holds(given_: list[tuple[int, int, int, int, str]], start: int) -> None:
    """Conditions that hold at the start hold at every size within, whatever they are."""
    conditions = {}
    for a, b, c, d, sign in given_:
        left = a * floor_of(H + c, b) + H
        relation = {
            "≥": sympy.Ge(left, d, evaluate=False),
            "≠": sympy.Ne(left, d),
            "=": sympy.Eq(remainder_of(H + c, b), (start + c) % b),
            "<": sympy.Lt(left, d, evaluate=False),
        }[sign]
        if relation not in (sympy.true, sympy.false) and truth(relation, {"H": start}):
            conditions[relation] = ""
    domain = domain_of({"H": start}, conditions, 2)
    assert domain.violated({"H": start}) == ""
    for size in range(2, 130):
        if not domain.violated({"H": size}):
            assert all(truth(relation, {"H": size}) for relation in conditions), (size, domain.words())
