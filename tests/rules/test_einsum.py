"""Einstein sums and other products of many tensors: hand-computed cases and proofs by the counting number."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from itertools import product as positions
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.opcount import OpCount
from profiler.rules.einsum import einsum
from tests.rules.counting import Tally, assert_counted, mac, spec
from tests.rules.counting import total as summed
from tests.rules.registered import assert_same_when_decomposed, count_of, count_whole_and_decomposed, kind_of, terms_of
from tests.rules.tensors import specs, values

Tensors = Sequence[tuple[int, ...]]


def macs(number: int, adds: int) -> OpCount:
    """``number`` multiply–accumulate pairs, and ``adds`` adds."""
    return OpCount(multiplies=number, adds=adds, macs=number)


def count(equation: str, *shapes: tuple[int, ...], dtype: str = "float32") -> OpCount:
    """The cost of the equation for tensors of these shapes."""
    return count_of("einsum", equation, [spec(*shape, dtype=dtype) for shape in shapes], out=spec(dtype=dtype))


def test_matrix_product_by_hand() -> None:
    """bij,bjk->bik is a batched matrix product; so are the implicit form, and one with blanks."""
    b, i, j, k = 2, 3, 4, 5
    product = macs(b * i * k * j, b * i * k * (j - 1))
    assert count("bij,bjk->bik", (b, i, j), (b, j, k)) == product
    assert count(" b i j , b j k -> b i k ", (b, i, j), (b, j, k)) == product
    assert count("ij,jk", (i, j), (j, k)) == macs(i * k * j, i * k * (j - 1))
    assert count("...ij,...jk->...ik", (7, 1, i, j), (b, j, k)) == macs(7 * b * i * k * j, 7 * b * i * k * (j - 1))


def test_products_without_a_sum_have_no_macs() -> None:
    """Outer and elementwise products cost their multiplies only."""
    assert count("i,j->ij", (4,), (5,)) == OpCount(multiplies=4 * 5)
    assert count("ij,ij->ij", (4, 5), (4, 5)) == OpCount(multiplies=4 * 5)


def test_an_index_of_one_operand_is_summed_first() -> None:
    """Σ_jl a_ij·b_kl is (Σ_j a_ij)·(Σ_l b_kl)."""
    assert count("ij,kl->ik", (3, 4), (5, 6)) == OpCount(adds=3 * (4 - 1) + 5 * (6 - 1), multiplies=3 * 5)


def test_one_operand_is_summed_or_moved() -> None:
    """A sum costs its adds, a trace the adds of its diagonal, and a transposition nothing."""
    assert count("ij->i", (3, 4)) == OpCount(adds=3 * (4 - 1))
    assert count("ii->", (3, 3)) == OpCount(adds=3 - 1)
    assert count("ij->ji", (3, 4)) == OpCount()
    assert count("...ij->...", (2, 3, 4)) == OpCount(adds=2 * (3 * 4 - 1))


def test_operands_are_taken_from_left_to_right_or_along_a_path() -> None:
    """The order decides what three matrices cost."""
    a, b, c = (2, 30), (30, 4), (4, 50)
    from_left = macs(2 * 4 * 30, 2 * 4 * 29) + macs(2 * 50 * 4, 2 * 50 * 3)
    from_right = macs(30 * 50 * 4, 30 * 50 * 3) + macs(2 * 50 * 30, 2 * 50 * 29)
    tensors = [spec(*shape) for shape in (a, b, c)]
    assert count("ij,jk,kl->il", a, b, c) == from_left
    assert count_of("einsum", "ij,jk,kl->il", tensors, path=[0, 1, 0, 1], out=spec()) == from_left
    assert count_of("einsum", "ij,jk,kl->il", tensors, path=[1, 2, 0, 1], out=spec()) == from_right


def test_complex_products_are_four_real_ones() -> None:
    """Complex operands take 4 multiplies and 4 macs for each product."""
    assert count("ij,jk->ik", (3, 4), (4, 5), dtype="complex64") == macs(4 * 3 * 5 * 4, 3 * 5 * (4 * 4 - 2))
    assert count("i,i->i", (3,), (3,), dtype="complex64") == OpCount(multiplies=4 * 3, adds=2 * 3)


@pytest.mark.parametrize(
    ("equation", "shapes", "kind"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)], "matmul"),
        ("i,j->ij", [(3,), (4,)], "elementwise"),
        ("ij->i", [(3, 4)], "reduction"),
        ("ij->ji", [(3, 4)], "movement"),
    ],
)
def test_the_kind_depends_on_the_work(equation: str, shapes: Tensors, kind: str) -> None:
    """A contraction is a matmul, or linear with a parameter; other work keeps its own kind."""
    operands = [spec(*shape) for shape in shapes]
    assert kind_of("einsum", equation, operands, out=spec()) == kind
    parameters = [spec(*shape, parameter=True) for shape in shapes]
    assert kind_of("einsum", equation, parameters, out=spec()) == ("linear" if kind == "matmul" else kind)


def test_the_formula_shows_contracted_sizes_first() -> None:
    """The sizes of the result follow."""
    (term,) = einsum("bij,bjk->bik", [spec(2, 3, 4), spec(2, 4, 5)], out=spec(2, 3, 5))
    assert term.formula == "4·(2·3·5)"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    left=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    right=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    kept=st.sets(st.sampled_from("abc")),
    sizes=st.fixed_dictionaries({letter: st.integers(2, 3) for letter in "abc"}),
)
def test_a_pair_costs_what_its_loops_cost(
    left: list[str], right: list[str], kept: set[str], sizes: dict[str, int]
) -> None:
    """First sum the indices that only one operand has and the result does not; then Σ of products for each result."""
    kept &= {*left, *right}
    tally = Tally()
    operands = [tally.array(*(sizes[letter] for letter in letters)) for letters in (left, right)]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(sorted(kept))}"
    tensors = [values(operand) for operand in operands]
    expected = torch.einsum(equation, *tensors)

    def at(operand: Any, letters: list[str], where: dict[str, int]) -> Any:
        for letter in letters:
            operand = operand[where[letter]]
        return operand

    def everywhere(letters: list[str]) -> list[dict[str, int]]:
        return [dict(zip(letters, p, strict=True)) for p in positions(*(range(sizes[letter]) for letter in letters))]

    reduced = []
    for letters, other, operand in ((left, right, operands[0]), (right, left, operands[1])):
        alone = [letter for letter in letters if letter not in other and letter not in kept]
        rest = [letter for letter in letters if letter not in alone]
        table = {
            tuple(where.values()): summed(at(operand, letters, where | inner) for inner in everywhere(alone))
            for where in everywhere(rest)
        }
        reduced.append((rest, table))
    contracted = sorted((set(left) & set(right)) - kept)
    multiply = mac if contracted else operator.mul
    for where in everywhere(sorted(kept)):
        found = summed(
            multiply(
                left_table[tuple((where | inner)[letter] for letter in left_rest)],
                right_table[tuple((where | inner)[letter] for letter in right_rest)],
            )
            for (left_rest, left_table), (right_rest, right_table) in [reduced]
            for inner in everywhere(contracted)
        )
        assert abs(found.value - expected[tuple(where.values())].item()) < 1e-9
    assert_counted(terms_of("einsum", equation, specs(tensors), out=specs(expected)), tally)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    terms=st.lists(st.text("abcd", max_size=4), min_size=1, max_size=4),
    dots=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    sizes=st.fixed_dictionaries({letter: st.integers(1, 3) for letter in "abcd"}),
    explicit=st.booleans(),
    data=st.data(),
)
def test_an_equation_costs_what_its_steps_cost(
    terms: list[str], dots: list[int], sizes: dict[str, int], explicit: bool, data: st.DataObject
) -> None:
    """A random equation costs the same whole and decomposed into sums and products."""
    hidden = (2, 3)
    present = sorted({letter for term in terms for letter in term})
    shapes = [
        (*hidden[len(hidden) - dot :], *(sizes[letter] for letter in term))
        for term, dot in zip(terms, dots, strict=False)
    ]
    equation = ",".join(f"...{term}" for term in terms)
    if explicit:
        kept = data.draw(st.lists(st.sampled_from(present), unique=True)) if present else []
        equation += "->" + ("..." if data.draw(st.booleans()) else "") + "".join(kept)
    whole, decomposed = count_whole_and_decomposed(lambda *tensors: torch.einsum(equation, *tensors), *shapes)
    assert whole == decomposed


def test_a_path_costs_what_its_steps_cost() -> None:
    """The path that torch.einsum takes is followed, whole and decomposed."""
    shapes = [(2, 3), (3, 4), (4, 5), (5, 6)]
    costs = set()
    for path in ([0, 1, 0, 1, 0, 1], [2, 3, 1, 2, 0, 1], [0, 1, 2, 0, 1, 0], [3, 0, 0, 1, 0, 1]):
        whole, decomposed = count_whole_and_decomposed(
            lambda *tensors, path=path: torch._VF.einsum("ab,bc,cd,de->ae", tensors, path=path),  # type: ignore[attr-defined]
            *shapes,
        )
        assert whole == decomposed
        costs.add(whole)
    assert len(costs) == 4


def test_tensordot_by_hand() -> None:
    """The paired dimensions are summed; without any, the result is an outer product of macs with K = 1."""
    cost = count_of("tensordot", spec(2, 3, 4), spec(4, 3, 5), [1, 2], [1, 0], out=spec(2, 5))
    assert cost == macs(2 * 5 * 12, 2 * 5 * 11)
    assert count_of("tensordot", spec(2, 3), spec(4), [], [], out=spec(2, 3, 4)) == macs(2 * 3 * 4, 0)
    broadcast = count_of("tensordot", spec(2, 1), spec(4, 5), [-1], [0], out=spec(2, 5))
    assert broadcast == OpCount(adds=5 * 3) + macs(2 * 5, 0)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 3), min_size=3, max_size=6), ends=st.tuples(st.booleans(), st.booleans()))
def test_a_chain_costs_what_its_products_cost(sizes: list[int], ends: tuple[bool, bool]) -> None:
    """The order is the one that torch's multi_dot picks, with ties and with vectors at the ends."""
    shapes: list[tuple[int, ...]] = list(itertools.pairwise(sizes))
    if ends[0]:
        shapes[0] = shapes[0][1:]
    if ends[1]:
        shapes[-1] = shapes[-1][:-1]
    whole, decomposed = count_whole_and_decomposed(lambda *tensors: torch.linalg.multi_dot(tensors), *shapes)
    assert whole == decomposed
    assert whole.macs


def test_a_chain_by_hand() -> None:
    """(10×100)·(100×5)·(5×50): 7,500 multiplies from the left, not 75,000 from the right."""
    matrices = [spec(10, 100), spec(100, 5), spec(5, 50)]
    expected = macs(10 * 5 * 100, 10 * 5 * 99) + macs(10 * 50 * 5, 10 * 50 * 4)
    assert expected.macs == 7500
    assert count_of("linalg_multi_dot", matrices, out=spec(10, 50)) == expected
    assert count_of("chain_matmul", matrices[:1], out=matrices[0]) == OpCount()
    assert kind_of("chain_matmul", [*matrices[:2], spec(5, 50, parameter=True)], out=spec(10, 50)) == "linear"


def test_tensordot_costs_what_its_matrix_product_costs() -> None:
    """This holds whole and decomposed, with broadcast dimensions and without dimensions."""
    cases: list[tuple[Any, Tensors]] = [
        (([1, 2], [1, 0]), [(2, 3, 4), (4, 3, 5)]),
        (0, [(2, 3), (4, 5)]),
        (([1], [0]), [(2, 1), (4, 5)]),
        (([0, -1], [-1, 0]), [(3, 5, 4), (1, 7, 3)]),
    ]
    for dims, shapes in cases:
        assert_same_when_decomposed(lambda a, b, dims=dims: torch.tensordot(a, b, dims), *shapes)
