"""Products of many tensors, evaluated pair by pair: Einstein sums, tensordot and chains of matrices.

A pair that shares a summed index is a contraction.  A summed index of only one operand is summed before the product.  A
pair without a summed index is multiplied element by element, which costs multiplies but no macs.  An index of size 1 is
ignored.  ``torch.einsum`` does the same steps, so an equation costs the sum of its steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from math import prod
from typing import Any

from profiler.opcount import Term, total
from profiler.rules.costs import product, sum_of
from profiler.rules.registry import rule
from profiler.rules.terms import factors_kind, linear_or_matmul, summed_products
from profiler.signatures import TensorSpec

Index = str | int
"""A letter, or the place of an ellipsis' dimension counted from the right: −1, −2, …"""

Indices = Mapping[Index, int]
"""The sizes of a tensor's indices, without those of size 1."""


def einsum_kind(equation: str, tensors: Sequence[TensorSpec], *, path: Any = None, out: TensorSpec) -> str:
    """``linear`` or ``matmul`` if something is contracted, else the kind of the remaining work."""
    count = total(einsum(equation, tensors, path=path, out=out))
    if count.macs:
        return linear_or_matmul(*tensors, out=out)
    if count.multiplies:
        return "elementwise"
    return "reduction" if count.adds else "movement"


@rule("aten::einsum", kind=einsum_kind, integers=True)
def einsum(
    equation: str, tensors: Sequence[TensorSpec], *, path: Sequence[int] | None = None, out: TensorSpec
) -> Iterator[Term]:
    """The sum of products in ``equation``, from left to right or in the order of ``path``.

    ``path`` names pairs of tensors by their positions among the remaining ones; the result of a pair is appended to
    these.  Diagonals (a repeated index) and permutations are free.
    """
    operands, kept = _parse(equation, [tensor.shape for tensor in tensors])
    if len(operands) == 1:
        yield from _sum(operands[0], [index for index in operands[0] if index not in kept], out)
        return
    for step in range(len(operands) - 1):
        places = sorted(path[2 * step : 2 * step + 2]) if path else [0, 1]
        right, left = (operands.pop(place) for place in reversed(places))
        wanted = kept.union(*operands)
        result = yield from _pair(left, right, wanted, out)
        operands.insert(len(operands) if path else 0, result)


def _parse(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[list[Indices], set[Index]]:
    """The indices of each operand with their sizes, and the indices that the result keeps."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    operands = [_read(term, len(shape)) for term, shape in zip(inputs.split(","), shapes, strict=True)]
    if arrow:
        most = max(
            len(shape) - len(term.replace("...", "")) for term, shape in zip(inputs.split(","), shapes, strict=True)
        )
        kept = set(_read(output, len(output.replace("...", "")) + (most if "..." in output else 0)))
    else:
        times = Counter(index for operand in operands for index in operand)
        kept = {index for index, number in times.items() if number == 1 or isinstance(index, int)}
    return [
        {index: size for index, size in zip(operand, shape, strict=True) if size != 1}
        for operand, shape in zip(operands, shapes, strict=True)
    ], kept


def _read(term: str, dims: int) -> list[Index]:
    """``bi...j`` of five dimensions → b, i, −2, −1, j."""
    before, dots, after = term.partition("...")
    hidden = dims - len(before) - len(after) if dots else 0
    return [*before, *range(-hidden, 0), *after]


def _pair(left: Indices, right: Indices, wanted: set[Index], out: TensorSpec) -> Generator[Term, None, Indices]:
    """Multiply two operands, and sum over the indices that are not needed any more; returns the remaining indices."""
    reduced = []
    for one, other in ((left, right), (right, left)):
        alone = [index for index in one if index not in other and index not in wanted]
        yield from _sum(one, alone, out)
        reduced.append({index: size for index, size in one.items() if index not in alone})
    union = reduced[0] | reduced[1]
    result = {index: size for index, size in union.items() if index in wanted}
    contracted = [size for index, size in union.items() if index not in wanted]
    if contracted:
        yield summed_products(tuple(result.values()), contracted, out)
    else:
        yield Term("products", tuple(result.values()), product(out, out))
    return result


def _sum(operand: Indices, over: Sequence[Index], out: TensorSpec) -> Iterator[Term]:
    """The sum of one operand over some of its indices, if any."""
    if over:
        rest = tuple(size for index, size in operand.items() if index not in over)
        yield Term("sums", rest, sum_of(prod(operand[index] for index in over), out))


@rule("aten::tensordot", kind=factors_kind, integers=True)
def tensordot(
    self: TensorSpec, other: TensorSpec, dims_self: Sequence[int], dims_other: Sequence[int], *, out: TensorSpec
) -> Iterator[Term]:
    """The dimensions ``dims_self`` of one and ``dims_other`` of the other are summed over, the rest are kept.

    If only one of a pair of dimensions has size 1, the other is summed before the product.  It is also a matrix product
    if no dimension is summed over.
    """
    contracted = []
    sizes = [dict(enumerate(self.shape)), dict(enumerate(other.shape))]
    for pair in zip(dims_self, dims_other, strict=True):
        dims = [dim % len(operand.shape) for dim, operand in zip(pair, (self, other), strict=True)]
        lengths = [operand[dim] for dim, operand in zip(dims, sizes, strict=True)]
        if lengths[0] - lengths[1] == 0:
            contracted.append(lengths[0])
            continue
        longer = 1 if lengths[0] == 1 else 0
        k = sizes[longer].pop(dims[longer])
        yield Term("sums", tuple(sizes[longer].values()), sum_of(k, out))
    yield summed_products(out.shape, contracted, out)


def _all_factors_kind(tensors: Sequence[TensorSpec], *, out: TensorSpec) -> str:
    return linear_or_matmul(*tensors, out=out)


@rule("aten::chain_matmul", "aten::linalg_multi_dot", kind=_all_factors_kind, integers=True)
def multi_dot(tensors: Sequence[TensorSpec], *, out: TensorSpec) -> Iterator[Term]:
    """(d₀×d₁), (d₁×d₂), …, (dₙ₋₁×dₙ) → (d₀×dₙ), in the order of fewest multiplies; vectors may end the chain.

    Orders with equal multiplies can differ in adds: among them, torch's order is used.
    """
    first, last = tensors[0].shape, tensors[-1].shape
    sizes = [*(first if len(first) == 2 else (1, *first)), *(tensor.shape[1] for tensor in tensors[1:-1])]
    if len(tensors) > 1:
        sizes.append(last[1] if len(last) == 2 else 1)
    for n, k, m in _cheapest_products(sizes):
        yield summed_products((n, m), (k,), out)


Products = list[tuple[int, int, int]]
"""Matrix products of n×k and k×m, each as (n, k, m)."""


def _cheapest_products(sizes: Sequence[int]) -> Products:
    """The products of the cheapest order for a chain of matrices sizes[i] × sizes[i + 1] (dynamic programming)."""
    count = len(sizes) - 1
    best: dict[tuple[int, int], tuple[int, Products]] = {(i, i + 1): (0, []) for i in range(count)}
    for length in range(2, count + 1):
        for i in range(count + 1 - length):
            j = i + length
            splits = range(i + 1, j)
            options = [
                (
                    best[i, k][0] + best[k, j][0] + sizes[i] * sizes[k] * sizes[j],
                    [*best[i, k][1], *best[k, j][1], (sizes[i], sizes[k], sizes[j])],
                )
                for k in (reversed(splits) if count == 3 else splits)  # of three, torch prefers (AB)C in a tie
            ]
            best[i, j] = min(options, key=lambda option: option[0])
    return best[0, count][1]
