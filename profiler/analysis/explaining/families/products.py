"""Linear layers, matrix products and Einstein sums."""

from __future__ import annotations

from collections.abc import Sequence

from profiler.analysis.explaining.document import Definition
from profiler.analysis.explaining.words import Size, TermWords, Words
from profiler.records import OpCall
from profiler.signatures import Shape, TensorSpec

DOT = "Each result is a dot product"
BIAS = TermWords("", one={"adds": "1"}, about="The bias is added to each result")


def rows(shape: Shape) -> list[Size]:
    """The sizes of everything but the features; whether the first is that of a batch, shapes do not say."""
    if len(shape) == 1:
        return [Size("n", shape[0], "rows")]
    return [Size(f"n_{place}", size, f"rows, dimension {place}") for place, size in enumerate(shape, 1)]


def _times(sizes: Sequence[Size]) -> str:
    return "*".join(size.name for size in sizes) or "1"


def linear(call: OpCall) -> Words:
    """x·Wᵀ + b."""
    weight, out = call.inputs[1].shape, call.outputs[0].shape
    leading = rows(out[:-1] if len(weight) == 2 else out)
    features = [Size("d_out", weight[0], "output features")] if len(weight) == 2 else []
    sizes = [*leading, Size("d_in", weight[-1], "input features"), *features]
    many = _times([*leading, *features])
    bias = len(call.inputs) > 2
    return Words(
        "linear layer",
        sizes,
        {
            "products": TermWords(many, "d_in", about=DOT + " of an input vector and a row of the weight"),
            "bias": TermWords(many, one={"adds": "1"}, about=BIAS.about),
        },
        Definition(
            f"y[o] = {'b[o] + ' if bias else ''}Σ_i w[o, i] · x[i]",
            rf"y_o = {'b_o + ' if bias else ''}\sum_i w_{{o,i}} \, x_i",
        ),
        uses=_times(leading),
    )


def product(call: OpCall) -> Words | None:
    """A product of matrices, of a matrix and a vector, or of many matrices."""
    a, b = (spec.shape for spec in call.inputs[-2:])
    return _product(a, b, call.outputs[0].shape, "matrix product")


def added_product(call: OpCall) -> Words | None:
    """beta·input + alpha·(a @ b)."""
    given = [call.signature.argument(name) for name in ("mat1", "mat2")]
    if not all(isinstance(spec, TensorSpec) for spec in given):
        given = list(call.inputs[1:3])
    return _product(given[0].shape, given[1].shape, call.outputs[0].shape, "matrix product with a summand")


def _product(a: Shape, b: Shape, out: Shape, title: str) -> Words | None:
    if len(a) < 2 or len(b) < 2 or len(out) < 2:
        return None
    batch = out[:-2]
    leading = [Size(f"b_{place}" if len(batch) > 1 else "b", size, "products") for place, size in enumerate(batch, 1)]
    sizes = [
        *leading,
        Size("n", a[-2], "rows of the first factor"),
        Size("k", a[-1], "columns of the first factor, rows of the second"),
        Size("m", b[-1], "columns of the second factor"),
    ]
    many = "*".join([*(size.name for size in sizes[: len(batch)]), "n", "m"])
    each: dict[str | int, TermWords] = {
        what: TermWords(many, about=about)
        for what, about in (
            ("bias", "The summand is added to each result"),
            ("alpha", "The product is scaled"),
            ("beta", "The summand is scaled"),
        )
    }
    return Words(
        title,
        sizes,
        {"products": TermWords(many, "k", about=DOT + " of a row and a column"), **each},
        Definition("C[i, j] = Σ_l A[i, l] · B[l, j]", r"C_{i,j} = \sum_l A_{i,l} \, B_{l,j}"),
    )


def einsum(call: OpCall) -> Words | None:
    """An equation of two operands without dots: its letters are the sizes."""
    equation = call.signature.argument("equation")
    if not isinstance(equation, str) or "." in equation or equation.count(",") != 1 or "->" not in equation:
        return None
    left, _, right = equation.replace(" ", "").partition("->")
    letters: dict[str, int] = {}
    for operand, spec in zip(left.split(","), call.inputs, strict=True):
        letters.update(zip(operand, spec.shape, strict=True))
    kept = [letter for letter in letters if letter in right]
    summed = [letter for letter in letters if letter not in right]
    return Words(
        "Einstein sum",
        [Size(letter, size, "kept" if letter in right else "summed over") for letter, size in letters.items()],
        {"products": TermWords("*".join(kept) or "1", "*".join(summed), about="Each result is a sum of products")},
        Definition(equation, rf"\text{{{equation.replace('->', ' → ')}}}".replace("→", r"$\to$")),
    )


FAMILIES = {
    linear: ("aten::linear",),
    product: ("aten::matmul", "aten::mm", "aten::bmm"),
    added_product: ("aten::addmm", "aten::baddbmm"),
    einsum: ("aten::einsum",),
}
