"""The bytes that operations move at least, computed by hand, and laws that they keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import profiler
from profiler.errors import ProfilerError
from profiler.rules import REGISTRY
from profiler.signatures import TensorSpec
from profiler.traffic import ALLOCATING, FILLING, GATHERING, OVERWRITING, PLACING, UNREAD, bits_of, bytes_of

Function = Callable[..., Any]


class Running(nn.Module):
    """Calls a function on its inputs."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def moved(function: Function, *inputs: torch.Tensor) -> tuple[int, int]:
    """The bytes read and written by all operations of a function."""
    found = profiler.profile(Running(function), inputs)
    return found.figure("bytes_read"), found.figure("bytes_written")


def f(*shape: int) -> torch.Tensor:
    """A float32 tensor on meta."""
    return torch.empty(shape, device="meta")


def i(*shape: int) -> torch.Tensor:
    """An int64 tensor on meta."""
    return torch.empty(shape, dtype=torch.long, device="meta")


def qkv(x: torch.Tensor) -> torch.Tensor:
    """Attention whose operands are parts of one tensor."""
    q, k, v = x.chunk(3, dim=-1)
    return F.scaled_dot_product_attention(q, k, v)


def cached(cache: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Write a part of a cache."""
    cache[:, 2:4] = x
    return cache


def put(x: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Write rows at indices."""
    return x.index_put_((rows,), values)


def grouped(x: torch.Tensor, matrices: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """Each group of rows times its matrix."""
    found: torch.Tensor = torch._grouped_mm(x, matrices, offs=ends)
    return found


def at(*ends: int) -> torch.Tensor:
    """The ends of the groups."""
    return torch.tensor(ends, dtype=torch.int32)


CASES: dict[str, tuple[Function, tuple[torch.Tensor, ...], int, int]] = {
    "add": (torch.add, (f(3, 5), f(3, 5)), 4 * (15 + 15), 4 * 15),
    "add of a row to each": (torch.add, (f(3, 5), f(5)), 4 * (15 + 5), 4 * 15),
    "add to itself": (lambda x: x + x, (f(3, 5),), 4 * 15, 4 * 15),
    "add of an expanded row": (lambda x, y: x + y.expand(3, 5), (f(3, 5), f(1, 5)), 4 * (15 + 5), 4 * 15),
    "add in place": (lambda x, y: x.add_(y), (f(3, 5), f(3, 5)), 4 * (15 + 15), 4 * 15),
    "square in place": (lambda x: (x * 1).mul_(2), (f(3, 5),), 4 * 15 * 2, 4 * 15 * 2),
    "view": (lambda x: x.view(15).view(5, 3).t(), (f(3, 5),), 0, 0),
    "expand": (lambda x: x.expand(100, 3, 5), (f(3, 5),), 0, 0),
    "slice": (lambda x: x[1:, ::2], (f(3, 5),), 0, 0),
    "relu of a slice": (lambda x: x[:, :2].relu(), (f(3, 5),), 4 * 6, 4 * 6),
    "contiguous of transposed": (lambda x: x.t().contiguous(), (f(3, 5),), 4 * 15, 4 * 15),
    "reshape of transposed": (lambda x: x.t().reshape(15), (f(3, 5),), 4 * 15, 4 * 15),
    "clone of an expanded row": (lambda x: x.expand(7, 5).clone(), (f(1, 5),), 4 * 5, 4 * 7 * 5),
    "repeat": (lambda x: x.repeat(4, 1), (f(3, 5),), 4 * 15, 4 * 60),
    "cast to half": (lambda x: x.half(), (f(3, 5),), 4 * 15, 2 * 15),
    "cast to the same": (lambda x: x.float(), (f(3, 5),), 0, 0),
    "cat": (lambda x, y: torch.cat([x, y]), (f(3, 5), f(2, 5)), 4 * 25, 4 * 25),
    "stack of one tensor twice": (lambda x: torch.stack([x, x]), (f(3, 5),), 4 * 15, 4 * 30),
    "copy into a part": (cached, (f(2, 6, 3), f(2, 2, 3)), 4 * 12, 4 * 12),
    "zeros": (lambda x: torch.zeros_like(x), (f(3, 5),), 0, 4 * 15),
    "empty": (lambda x: torch.empty_like(x), (f(3, 5),), 0, 0),
    "fill in place": (lambda x: x.fill_(1.0), (f(3, 5),), 0, 4 * 15),
    "gather": (lambda x, at: x.gather(0, at), (f(30, 5), i(2, 5)), 4 * 10 + 8 * 10, 4 * 10),
    "index select": (lambda x, at: x.index_select(0, at), (f(30, 5), i(2)), 4 * 10 + 8 * 2, 4 * 10),
    "indexing": (lambda x, at: x[at], (f(30, 5), i(2)), 4 * 10 + 8 * 2, 4 * 10),
    "index put": (put, (f(30, 5), i(2), f(2, 5)), 4 * 10 + 8 * 2, 4 * 10),
    "index add": (
        lambda x, at, y: x.index_add_(0, at, y),
        (f(30, 5), i(2), f(2, 5)),
        4 * (10 + 10) + 8 * 2,
        4 * 10,
    ),
    "scatter add": (
        lambda x, at, y: x.scatter_add_(0, at, y),
        (f(30, 5), i(2, 5), f(2, 5)),
        4 * (10 + 10) + 8 * 10,
        4 * 10,
    ),
    "embedding": (lambda at, table: F.embedding(at, table), (i(2, 3), f(100, 7)), 8 * 6 + 4 * 6 * 7, 4 * 6 * 7),
    "embedding of many": (lambda at, table: F.embedding(at, table), (i(9), f(4, 7)), 8 * 9 + 4 * 4 * 7, 4 * 9 * 7),
    "grouped product, two rows": (grouped, (f(2, 8), f(5, 8, 16), at(0, 1, 1, 2, 2)), 4 * (16 + 2 * 128 + 5), 4 * 32),
    "grouped product, nine rows": (grouped, (f(9, 8), f(5, 8, 16), at(1, 3, 5, 8, 9)), 4 * (72 + 5 * 128 + 5), 4 * 144),
    "matmul": (torch.matmul, (f(3, 5), f(5, 7)), 4 * (15 + 35), 4 * 21),
    "product with its transpose": (lambda x: x @ x.t(), (f(3, 5),), 4 * 15, 4 * 9),
    "einsum": (lambda x, y: torch.einsum("bij,bjk->bik", x, y), (f(2, 3, 5), f(2, 5, 7)), 4 * (30 + 70), 4 * 42),
    "conv": (F.conv2d, (f(2, 3, 8, 8), f(4, 3, 3, 3), f(4)), 4 * (2 * 3 * 64 + 4 * 27 + 4), 4 * 2 * 4 * 36),
    "softmax": (lambda x: x.softmax(-1), (f(3, 5),), 4 * 15, 4 * 15),
    "dropout in evaluation": (lambda x: F.dropout(x, 0.5, False), (f(3, 5),), 0, 0),
    "max pool": (lambda x: F.max_pool2d(x, 2), (f(1, 2, 8, 8),), 4 * 128, 4 * 32),
    "max pool with indices": (
        lambda x: F.max_pool2d(x, 2, return_indices=True),
        (f(1, 2, 8, 8),),
        4 * 128,
        (4 + 8) * 32,
    ),
    "windows that overlap": (lambda x: x.unfold(0, 3, 1).relu(), (f(10),), 4 * 10, 4 * 8 * 3),
    "attention": (
        F.scaled_dot_product_attention,
        (f(2, 4, 6, 8), f(2, 4, 9, 8), f(2, 4, 9, 5)),
        4 * 8 * (6 * 8 + 9 * 8 + 9 * 5),
        4 * 8 * 6 * 5,
    ),
    "attention with a mask": (
        lambda q, k, v, mask: F.scaled_dot_product_attention(q, k, v, mask),
        (f(2, 4, 6, 8), f(2, 4, 9, 8), f(2, 4, 9, 8), f(6, 9)),
        4 * (8 * (6 + 9 + 9) * 8 + 54),
        4 * 8 * 6 * 8,
    ),
    "attention with grouped queries": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (f(2, 8, 6, 8), f(2, 2, 9, 8), f(2, 2, 9, 8)),
        4 * (2 * 8 * 6 * 8 + 2 * 2 * 2 * 9 * 8),
        4 * 2 * 8 * 6 * 8,
    ),
    "attention on parts of one tensor": (qkv, (f(2, 4, 6, 24),), 4 * 8 * 6 * 24, 4 * 8 * 6 * 8),
}


@pytest.mark.parametrize("name", CASES)
def test_bytes_of_small_operations(name: str) -> None:
    """Bytes read and written are those of a computation by hand."""
    function, inputs, read, written = CASES[name]
    assert moved(function, *inputs) == (read, written)


def test_parameters_are_a_part_of_what_is_read() -> None:
    """A linear layer reads its input, its weight and its bias; the last two are parameters."""
    found = profiler.profile(nn.Linear(5, 7), input_size=(3, 5))
    row = found.tabulated("layers").records()[0]
    assert row["bytes_read"] == 4 * (3 * 5 + 5 * 7 + 7)
    assert row["parameter_bytes"] == 4 * (5 * 7 + 7)
    assert row["bytes_written"] == 4 * 3 * 7


def test_tied_parameters_are_read_by_each_operation() -> None:
    """A weight with two uses is read in each of them."""
    network = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    network[1].weight = network[0].weight
    found = profiler.profile(network, input_size=(3, 5))
    assert found.figure("parameter_bytes") == 2 * 4 * 25
    assert found.parameter_bytes == 4 * 25


@pytest.mark.parametrize("training", [False, True])
def test_batch_norm_updates_running_statistics_in_training(training: bool) -> None:
    """In training a batch norm also writes its running statistics."""
    layer = nn.BatchNorm1d(5)
    statistics = 4 * 2 * 5

    def run(x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, mean, var, weight, None, training, 0.1, layer.eps)

    read, written = moved(run, f(3, 5), f(5), f(5), f(5))
    assert read == 4 * 15 + statistics + 4 * 5
    assert written == 4 * 15 + (statistics if training else 0)


def test_a_step_of_an_optimizer_reads_and_writes_parameters_and_state() -> None:
    """SGD without momentum reads each parameter and its gradient, and writes the parameter."""
    found = profiler.profile(nn.Linear(5, 7), input_size=(3, 5), mode="training", optimizer="sgd")
    rows = [row for row in found.tabulated("operations").records() if row["phase"] == "optimizer"]
    size = 4 * (5 * 7 + 7)
    assert sum(row["bytes_read"] for row in rows) == 2 * size
    assert sum(row["bytes_written"] for row in rows) == size


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 5, 7), (128, 256, 64)])
def test_intensity_of_a_matrix_product(m: int, n: int, k: int) -> None:
    """It is the FLOPs, 2·m·n·k less the adds that K products do not need, per byte of the three matrices."""
    found = profiler.profile(Running(torch.matmul), (f(m, k), f(k, n)))
    flops = m * n * (2 * k - 1)
    row = found.tabulated("shares").records()[-1]
    assert row["intensity"] == flops / (4 * (m * k + k * n + m * n))


def test_views_move_nothing_at_any_size() -> None:
    """A batch of views moves as much as one view: nothing."""

    def views(x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2).unsqueeze(1).expand(-1, 4, -1, -1).detach()[:, 1]

    assert [moved(views, f(batch, 3, 5)) for batch in (1, 16)] == [(0, 0), (0, 0)]


def test_the_same_signature_differs_by_what_it_shares() -> None:
    """x + x and x + y have equal shapes and differ in what they read."""
    assert moved(lambda x, y: (x + x) + (x + y), f(3), f(3)) == (4 * 3 + 4 * 6 + 4 * 6, 4 * 9)


def test_an_intensity_without_bytes_is_missing() -> None:
    """A row that moves nothing has no intensity."""
    found = profiler.profile(Running(lambda x: x.t()), (f(3, 5),))
    assert found.tabulated("layers")["intensity"] == [None]


def test_uncounted_operations_have_bytes() -> None:
    """An operation without a rule has no FLOPs, but its tensors are known."""
    entry = REGISTRY.find("aten::erfinv")
    assert entry is not None
    REGISTRY.remove("aten::erfinv")
    try:
        found = profiler.profile(Running(torch.erfinv), (f(3, 5),))
    finally:
        REGISTRY.add(entry)
    row = found.tabulated("layers").records()[0]
    assert (row["flops"], row["bytes_read"], row["bytes_written"]) == (None, 4 * 15, 4 * 15)


def test_bytes_of_a_saved_profile(tmp_path: Path) -> None:
    """A saved profile has the same bytes; one of an earlier version does not know them."""
    found = profiler.profile(Running(lambda x, y: x + y.expand(3, 5)), (f(3, 5), f(1, 5)))
    path = tmp_path / "saved.json"
    found.save(path)
    assert profiler.load_profile(path).layers.equals(found.layers)
    path.write_text(path.read_text().replace('"version": 3', '"version": 2'))
    old = profiler.load_profile(path)
    assert old.tabulated("layers")["bytes_read"] == [None]
    assert old.tabulated("layers")["intensity"] == [None]
    assert old.tabulated("layers")["flops"] == found.tabulated("layers")["flops"]
    with pytest.raises(ProfilerError, match="bytes_read"):
        old.figure("bytes_read")
    again = tmp_path / "again.json"
    old.save(again)
    assert not profiler.load_profile(again).knows("bytes_read")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (TensorSpec((3, 5), "bfloat16"), 2 * 15),
        (TensorSpec((3, 5), "bool"), 15),
        (TensorSpec((3,), "complex64"), 8 * 3),
        (TensorSpec((3, 5), "quint4x2"), 8),
        (TensorSpec((4, 6), "float32", stored=5, layout="sparse_coo"), 4 * 5 + 8 * 2 * 5),
        (TensorSpec((4, 6), "float32", stored=5, layout="sparse_csr"), 4 * 5 + 8 * 5 + 8 * (4 + 1)),
    ],
)
def test_bytes_of_a_tensor(spec: TensorSpec, expected: int) -> None:
    """Elements of fewer than 8 bits are packed; a sparse tensor is what it stores, with the indices."""
    assert bytes_of(spec) == expected


def test_every_dtype_of_torch_has_its_size() -> None:
    """The bits of a dtype follow from its name, as torch has them; packed elements are smaller than a byte."""
    dtypes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    packed = {"quint4x2", "quint2x4"}
    names = {str(dtype).removeprefix("torch."): dtype.itemsize for dtype in dtypes}
    assert {name: bits_of(name) // 8 for name in names if name not in packed} == {
        name: size for name, size in names.items() if name not in packed
    }


def test_named_operators_exist() -> None:
    """Each operator with a rule of its own for bytes is one that is known, so no name is misspelled."""
    named = ALLOCATING | FILLING | OVERWRITING | {*UNREAD, *GATHERING, *PLACING}
    assert sorted(name for name in named if REGISTRY.find(name) is None) == []


def _returns_only_views(op: str) -> bool:
    """Whether the schemas of an operator say that all its results are views, as far as torch has it."""
    packet = getattr(torch.ops.aten, op.removeprefix("aten::"), None)
    if packet is None:
        return False
    schemas = [getattr(packet, overload)._schema for overload in packet.overloads()]
    return bool(schemas) and all(
        schema.returns
        and all(value.alias_info is not None and not value.alias_info.is_write for value in schema.returns)
        for schema in schemas
    )


def test_operators_that_write_without_reading_return_no_views() -> None:
    """By torch's schemas, no free operator that fills memory returns a view of its operand."""
    free = {entry.op for entry in REGISTRY if entry.cost is None}
    views = {op for op in free if op.startswith("aten::") and _returns_only_views(op)}
    assert len(views) > 40
    assert not views & (FILLING | OVERWRITING)
