"""Formulas of named sizes: what is shown is what is computed."""

from __future__ import annotations

import pytest

from profiler.analysis.explaining.document import Equation, Multiple, Numbers, Product
from profiler.analysis.explaining.formulas import PLAIN, Formula, product_of
from profiler.render.explanation.mathematics import MATHEMATICS

SIZES = {"N": 2, "C_in": 6, "groups": 3, "K_h": 5, "L": 7, "H": 11}


@pytest.mark.parametrize(
    ("text", "names", "numbers", "latex", "value"),
    [
        ("N*K_h", "N·K_h", "2·5", r"N \cdot K_{h}", 2 * 5),
        ("C_in/groups*K_h", "C_in/groups·K_h", "6/3·5", r"\frac{C_{\text{in}}}{\text{groups}} \cdot K_{h}", 6 // 3 * 5),
        ("2*L - 1", "2·L − 1", "2·7 − 1", r"2 \cdot L - 1", 2 * 7 - 1),
        ("N*(L - 1)", "N·(L − 1)", "2·(7 − 1)", r"N \cdot (L - 1)", 2 * (7 - 1)),
        ("L - (N - 1)", "L − (N − 1)", "7 − (2 - 1)".replace("-", "−"), "L - (N - 1)", 7 - (2 - 1)),
        (
            "floor((H - K_h)/N) + 1",
            "⌊(H − K_h)/N⌋ + 1",
            "⌊(11 − 5)/2⌋ + 1",
            r"\left\lfloor \frac{H - K_{h}}{N} \right\rfloor + 1",
            (11 - 5) // 2 + 1,
        ),
        ("L**2", "L^2", "7^2", "L^{2}", 7 * 7),
        ("log2(L)", "⌈log2 L⌉", "⌈log2 7⌉", r"\lceil \log_2 L \rceil", 3),
        ("-1", "−1", "−1", "-1", -1),
    ],
)
def test_a_formula_is_written_and_computed(text: str, names: str, numbers: str, latex: str, value: int) -> None:
    """With names, with numbers, in LaTeX, and its value."""
    formula = Formula(text, SIZES)
    assert formula.written() == names
    assert formula.written(numbers=True) == numbers
    assert formula.written(MATHEMATICS) == latex
    assert formula.value == value


def test_a_division_with_a_rest_is_an_error() -> None:
    """A formula gives integers only."""
    with pytest.raises(ValueError, match="not an integer"):
        _ = Formula("L/N", SIZES).value


def test_a_size_without_a_number_is_an_error() -> None:
    """Names need numbers before a value is computed."""
    with pytest.raises(KeyError):
        _ = Formula("unknown", SIZES).value


def test_plain_numbers_leave_out_ones() -> None:
    """As the formulas of tables do; a zero makes the product zero."""
    assert product_of((1, 3, 1, 5)).written() == "3·5"
    assert product_of((1, 1)).written() == "1"
    assert product_of((4, 0)).written() == "0"


def test_equal_sides_are_shown_once() -> None:
    """A side that only differs by separators of thousands is not repeated."""
    many = Formula("n", {"n": 12345})
    equation = Equation(("adds",), (Product((many,)), Product((many,), numbers=True), Numbers((12345,))))
    assert equation.written() == ["n", "12,345"]


def test_numbers_are_added_with_their_signs() -> None:
    """A negative number is subtracted."""
    assert Numbers((10, -3, 4)).written(PLAIN) == "10 − 3 + 4"
    assert Numbers((10, -3, 4)).value == 10 - 3 + 4
    assert Multiple(3, 4000).written(PLAIN) == "3·4,000"
