"""Activations and other work on single elements: what one element costs, and why."""

from __future__ import annotations

from collections.abc import Mapping

from profiler.analysis.explaining.document import Definition
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall

DEFINITIONS: Mapping[str, tuple[str, str, str]] = {
    "relu": ("y = max(0, x)", r"y = \max(0, x)", "1 comparison"),
    "relu6": ("y = min(max(0, x), 6)", r"y = \min(\max(0, x), 6)", "2 comparisons, one for each bound"),
    "hardtanh": ("y = min(max(a, x), b)", r"y = \min(\max(a, x), b)", "2 comparisons, one for each bound"),
    "leaky_relu": (
        "y = x where x > 0, else a·x",
        r"y = x \text{ where } x > 0, \text{ else } a x",
        "the test and the multiply",
    ),
    "sigmoid": ("y = 1 / (1 + exp(−x))", r"y = \frac{1}{1 + e^{-x}}", "exp, an add, a divide"),
    "tanh": ("y = tanh(x)", r"y = \tanh x", "1 transcendental"),
    "silu": (
        "y = x / (1 + exp(−x))",
        r"y = x \cdot \frac{1}{1 + e^{-x}}",
        "a sigmoid (exp, add, divide) and a multiply",
    ),
    "gelu": (
        "y = x · ½ · (1 + erf(x / √2))",
        r"y = x \cdot \tfrac12 \left(1 + \operatorname{erf}\frac{x}{\sqrt 2}\right)",
        "erf, an add, and 3 multiplies (by constants, and by x)",
    ),
    "hardsigmoid": ("y = relu6(x + 3) / 6", r"y = \operatorname{relu6}(x + 3) / 6", "an add, 2 comparisons, a divide"),
    "hardswish": (
        "y = x · relu6(x + 3) / 6",
        r"y = x \cdot \operatorname{relu6}(x + 3) / 6",
        "an add, 2 comparisons, a multiply, a divide",
    ),
    "add": ("y = a + b", "y = a + b", "1 add"),
    "sub": ("y = a − b", "y = a - b", "1 add (a subtraction counts as one)"),
    "mul": ("y = a · b", r"y = a \cdot b", "1 multiply"),
    "div": ("y = a / b", "y = a / b", "1 divide"),
    "exp": ("y = exp(x)", "y = e^x", "1 transcendental"),
    "sqrt": ("y = √x", r"y = \sqrt x", "1 transcendental"),
    "rsqrt": ("y = 1 / √x", r"y = 1 / \sqrt x", "1 transcendental"),
    "dropout": ("y = x · mask · scale", r"y = x \cdot m \cdot s", "the mask and the scale"),
}
"""For each operator its definition as text and as LaTeX, and what an element costs."""

CAUTIOUS = frozenset({"gelu", "add", "sub"})
"""Operators whose cost depends on an option: the remark is only made for the usual cost."""

USUAL = {"gelu": "multiplies=3, adds=1, transcendentals=1", "add": "adds=1", "sub": "adds=1"}


def _elements(call: OpCall) -> Size:
    shape = call.outputs[0].shape
    computed = "*".join(map(str, shape)) if len(shape) > 1 else ""
    return Size("n", call.outputs[0].size, "elements of the result", computed)


def per_element(call: OpCall) -> Words | None:
    """n elements that cost the same."""
    name = call.op.removeprefix("aten::").removesuffix("_")
    plain, latex, about = DEFINITIONS[name]
    one = call.terms[0].one
    cost = ", ".join(
        f"{kind}={number}" for kind in ("multiplies", "adds", "transcendentals") if (number := getattr(one, kind))
    )
    if name in CAUTIOUS and (cost != USUAL[name] or len(call.terms) > 1):
        about = ""
    words: dict[str | int, TermWords] = {
        place: TermWords("n", about=f"Each element: {about}" if about and len(call.terms) == 1 else "")
        for place in range(len(call.terms))
    }
    return Words(name, [_elements(call)], words, Definition(plain, latex))


FAMILIES = {per_element: tuple(f"aten::{name}" for name in DEFINITIONS)}
