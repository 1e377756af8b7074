"""Rules are ready for symbolic sizes: the ledger, its recording sizes, and rules that no other test calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from profiler.opcount import OpCount, Term, each
from profiler.rules import REGISTRY
from profiler.rules.registry import Entry
from profiler.rules.sizes import ceil_log2, is_positive, maximum, minimum
from profiler.signatures import Packed, TensorSpec
from tests.rules import ledger
from tests.rules.counting import spec
from tests.rules.recording_sizes import VERDICTS, Size, plain, verdict
from tests.rules.registered import count_of

READY = 0.95
"""The least share of rules that only do arithmetic with sizes, or also ask whether a size is more than 0."""


def as_size(value: int, notes: list[str]) -> Any:
    """A recording size, for functions that take numbers."""
    return Size(value, notes)


def test_most_rules_are_ready() -> None:
    """At least 95 % are clean or ask whether a size is more than 0; a rule without a test counts as not ready."""
    known = ledger.read()
    ready = [rule for rule in ledger.ours() if known.get(rule) in VERDICTS[:2]]
    assert len(ready) >= READY * len(ledger.ours())
    assert "fails" not in known.values()


def test_the_ledger_has_every_rule() -> None:
    """It has one line for each rule, and none for a rule that is gone."""
    lines = ledger.PATH.read_text(encoding="utf-8").removeprefix(ledger.HEAD).splitlines()
    assert [line.split(": ")[0] for line in lines] == ledger.ours()
    assert {line.split(": ")[1] for line in lines} <= {*VERDICTS, ledger.UNTESTED}


def range_over(n: Any) -> int:
    """A loop over a size."""
    return sum(1 for _ in range(n))


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda n, m: (n + m * 2 - 1) // 3 % 5, "clean"),
        (lambda n, m: minimum(n, m) + maximum(n, 1) + ceil_log2(m), "clean"),
        (lambda n, m: 1 if n > 0 else 0, "asks > 0"),
        (lambda n, m: 1 if m == 1 else 0, "asks > 0"),
        (lambda n, m: 2 if n else 0, "asks > 0"),
        (lambda n, m: 1 if is_positive(n - m) else 0, "asks > 0"),
        (lambda n, m: min(n, m), "compares"),
        (lambda n, m: 1 if n == 3 else 0, "compares"),
        (lambda n, m: len({n, m}), "compares"),
        (lambda n, m: range_over(n), "needs a number"),
        (lambda n, m: int(n), "needs a number"),
        (lambda n, m: len((0,) * n), "needs a number"),
        (lambda n, m: n.bit_length(), "fails"),
    ],
)
def test_the_worst_use_of_a_size_is_noted(work: Callable[[Any, Any], int], expected: str) -> None:
    """A rule that gives another cost for recording sizes than for numbers fails its test."""

    def cost(x: TensorSpec, *, out: TensorSpec) -> Iterator[Term]:
        yield each(out.shape, "work", adds=work(*x.shape))

    x = spec(3, 7)
    entry = Entry("test::work", "elementwise", cost)
    _, terms = entry.apply(x, out=x)
    assert verdict(entry, terms, (x,), x, {}) == expected
    with pytest.raises(AssertionError, match="another cost"):
        verdict(Entry("test::work", None, lambda x, *, out: [each((1,), "other", divides=1)]), terms, (x,), x, {})


@pytest.mark.parametrize("k", range(70))
def test_ceil_log2(k: int) -> None:
    """The smallest number of doublings of 1 that reaches k."""
    depth = ceil_log2(k)
    assert 2**depth >= k
    assert depth == 0 or 2 ** (depth - 1) < k
    assert plain(ceil_log2(as_size(k, []))) == depth


def test_helpers_return_recording_sizes() -> None:
    """The result is a recording size if any operand is one."""
    notes: list[str] = []
    three, seven = as_size(3, notes), as_size(7, notes)
    found: list[Any] = [minimum(three, 7), minimum(7, three), maximum(three, seven)]
    assert [size.value for size in found] == [3, 3, 7]
    assert notes == []


# Rules that no other test calls.


def test_gradients_of_windows() -> None:
    """The gradient of an average is divided and added at 27 places; the gradient of a copy is added at its source."""
    grad, x = spec(2, 3, 4, 4, 4), spec(2, 3, 12, 12, 12)
    assert count_of("avg_pool3d_backward", grad, x, [3, 3, 3], out=x) == OpCount(divides=1, adds=27) * (2 * 3 * 4**3)
    assert count_of("upsample_nearest1d_backward", spec(2, 3, 8), [8], [2, 3, 4], out=spec(2, 3, 4)) == OpCount(
        adds=2 * 3 * 8
    )


def test_kernels_of_all_libraries_cost_the_same() -> None:
    """Samples of a grid, affine grids, and masked softmax."""
    x, grid, y = spec(2, 3, 8, 9), spec(2, 5, 6, 2), spec(2, 3, 5, 6)
    assert count_of("cudnn_grid_sampler", x, grid, out=y) == count_of("grid_sampler", x, grid, 0, 0, True, out=y)
    both = (x, grid)
    assert count_of("cudnn_grid_sampler_backward", x, grid, y, out=both) == count_of(
        "grid_sampler_2d_backward", y, x, grid, 0, 0, True, out=both
    )
    theta = spec(2, 2, 3)
    assert count_of("cudnn_affine_grid_generator", theta, 2, 3, 5, 6, out=grid) == count_of(
        "affine_grid_generator", theta, [2, 3, 5, 6], True, out=grid
    )
    rows = spec(4, 7)
    assert count_of("_masked_softmax_backward", rows, rows, rows, out=rows) == count_of(
        "_softmax_backward_data", rows, rows, -1, "float32", out=rows
    )


def test_quantized_layers_by_hand() -> None:
    """Linear layers and convolutions cost what they cost in floats, also with bias and relu."""
    weight, bias, x, y = spec(5, 7, dtype="qint8"), spec(5), spec(3, 7, dtype="quint8"), spec(3, 5, dtype="quint8")
    products = OpCount(multiplies=7, adds=6, macs=7) * (3 * 5)
    assert count_of("quantized::linear", x, Packed("Linear", weight), 1.0, 0, out=y) == products
    with_bias = products + OpCount(adds=3 * 5)
    assert count_of("quantized::linear", x, Packed("Linear", weight, bias), 1.0, 0, out=y) == with_bias
    with_relu = with_bias + OpCount(comparisons=3 * 5)
    assert count_of("quantized::linear_relu", x, Packed("Linear", weight, bias), 1.0, 0, out=y) == with_relu
    kernel, image, result = (spec(*shape, dtype="quint8") for shape in ((4, 2, 3), (1, 2, 9), (1, 4, 7)))
    convolved = OpCount(multiplies=2 * 3, adds=2 * 3 - 1, macs=2 * 3) * (4 * 7)
    assert count_of("quantized::conv1d", image, Packed("Conv", kernel), 1.0, 0, out=result) == convolved
    with_relu = convolved + OpCount(comparisons=4 * 7)
    assert count_of("quantized::conv1d_relu", image, Packed("Conv", kernel), 1.0, 0, out=result) == with_relu


def test_quantized_embeddings_by_hand() -> None:
    """There is a multiply and an add for each number that is read; bags sum what they read."""
    indices = spec(6, dtype="int64")
    read = OpCount(multiplies=1, adds=1) * (6 * 8)
    assert count_of("quantized::embedding_byte", Packed("Embedding"), indices, out=spec(6, 8)) == read
    bags = count_of(
        "quantized::embedding_bag_byte", Packed("Embedding"), indices, spec(2, dtype="int64"), out=spec(2, 8)
    )
    assert bags == read + OpCount(adds=(6 - 2) * 8)


def test_every_rule_of_the_ledger_has_an_operator() -> None:
    """The registry has the names of all rules, also of those that functions make."""
    entry = REGISTRY.find("aten::sin")
    assert entry is not None
    assert ledger.rule_of(entry) == "elementwise.per_element"
