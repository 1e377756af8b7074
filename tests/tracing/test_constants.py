"""Known values: computed once for the same operations on the same values, and right after every write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import NeedsDataError, TraceError
from profiler.rules import REGISTRY
from profiler.tracing import memo, record, values
from profiler.tracing.constants import Constant, Constants, Layout, Made, laid_out
from profiler.tracing.origins import Origins
from profiler.tracing.values import KnownValues


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts without remembered constants."""
    memo.clear()
    yield
    memo.clear()


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operators that run on real copies, in order."""
    ran: list[Any] = []
    original = values._on_cpu

    def on_cpu(func: Any, *rest: Any) -> Any:
        ran.append(func)
        return original(func, *rest)

    monkeypatch.setattr(values, "_on_cpu", on_cpu)
    return ran


class Reads(nn.Module):
    """Reads the values that ``make`` returns for an input."""

    def __init__(self, make: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.make = make
        self.read: list[Any] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.read.append([made.tolist() for made in self.make(x)])
        return x * 2


def read_on_meta(make: Callable[[torch.Tensor], Any], times: int = 1) -> list[Any]:
    """What a network on meta reads in each of several runs."""
    network = Reads(make)
    kept = network.read
    for _ in range(times):
        record(
            network,
            ((torch.empty(2, 3, device="meta"),), {}),
            operators=REGISTRY,
            prepare=lambda copy: _keep(copy, kept),
        )
    return kept


def _keep(copy: nn.Module, kept: list[Any]) -> None:
    copy.read = kept  # type: ignore[assignment]


def mask(x: torch.Tensor) -> list[torch.Tensor]:
    made = x.new_zeros((4, 4))
    for place, rows in enumerate((slice(0, -2), slice(-2, None))):
        made[rows, :2] = place
    by_row = made.view(2, 2, 4).permute(0, 2, 1).reshape(2, 8)
    apart = by_row.unsqueeze(1) - by_row.unsqueeze(2)
    return [apart.masked_fill(apart != 0, -100.0), made]


def written_through_a_view(x: torch.Tensor) -> list[torch.Tensor]:
    made = torch.zeros(2, 3, device=x.device)
    part, row = made.t()[1:], made[0]
    part += 3
    row.mul_(2)
    return [made, part, row]


def one_of_two_equal_ones(x: torch.Tensor) -> list[torch.Tensor]:
    first, second = torch.ones(4, device=x.device), torch.ones(4, device=x.device)
    first[1:] += second[:-1]
    first[2:].add_(first[2:])
    second[1:].add_(second[1:])
    third, fourth = torch.arange(4, device=x.device), torch.arange(4, device=x.device)
    third.add_(fourth)
    fourth.add_(fourth)
    return [first, second, third, fourth]


def where_a_mask_says(x: torch.Tensor) -> list[torch.Tensor]:
    made = torch.arange(4, device=x.device)
    same = made.view(2, 2)
    made[made > 1] = 7
    made.index_add_(0, torch.tensor([0], device=x.device), torch.tensor([5], device=x.device))
    return [made, same, same.t() + 1]


def of_another_type(x: torch.Tensor) -> list[torch.Tensor]:
    made = torch.ones(2, device=x.device)
    bits = made.view(torch.int32)
    bits.add_(2**23)
    return [made, bits, made.to(torch.int64), made > 1]


def in_other_orders(x: torch.Tensor) -> list[torch.Tensor]:
    rows = torch.arange(3, device=x.device)
    table = (rows.view(3, 1) * rows).expand(2, 3, 3)
    turned = table.permute(2, 0, 1).contiguous()
    return [
        table,
        turned + table.permute(1, 0, 2).reshape(3, 2, 3),
        torch.where(turned > 1, turned, 0),
        table.cumsum(0),
    ]


MAKING = (mask, written_through_a_view, one_of_two_equal_ones, where_a_mask_says, of_another_type, in_other_orders)


@pytest.mark.parametrize("make", MAKING)
@torch.no_grad()
def test_values_are_those_of_a_real_run(make: Callable[[torch.Tensor], Any]) -> None:
    """Also in later runs, which find the constants, and without the memo."""
    real = [made.tolist() for made in make(torch.ones(2, 3))]
    assert read_on_meta(make, times=3) == [real] * 3
    with memo.without_memo():
        assert read_on_meta(make) == [real]
    assert read_on_meta(make) == [real]


def test_the_same_constants_are_computed_once(computed: list[Any]) -> None:
    """A second mask of the same sizes, and a second run, compute nothing; one of other sizes is another constant."""
    read_on_meta(mask)
    once = len(computed)
    assert once > 5
    read_on_meta(lambda x: [*mask(x), *mask(x)], times=2)
    assert len(computed) == once
    read_on_meta(lambda x: [mask(x)[0] + 1])
    assert len(computed) == once + 1


def test_views_of_constants_compute_nothing(computed: list[Any]) -> None:
    """They see the values of the memory."""
    assert read_on_meta(lambda x: [torch.arange(6, device=x.device).view(2, 3).t()[1:]]) == [[[[1, 4], [2, 5]]]]
    assert len(computed) == 1


class Settings(nn.Module):
    """Makes constants, and reads them in a transform, under modes, and under another default dtype."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half, third, whole = (torch.ones(2, device=x.device) / 2 for _ in range(3))
        half, third = half + 1, third + 2
        whole = torch.arange(3, device=x.device) / 2
        read: list[Any] = []

        def question(row: torch.Tensor) -> torch.Tensor:
            read.append((third + half if len(read) else half).tolist())
            return (row * row).sum()

        torch.func.grad(question)(x)
        torch.vmap(question)(x)
        with torch.inference_mode():
            read.append((half + 1).tolist())
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        read += [whole.tolist(), torch.get_default_dtype()]
        torch.set_default_dtype(before)
        assert read == [[1.5] * 2, [4.0] * 2, [2.5] * 2, [0, 0.5, 1], torch.float64]
        assert (half + third).sum().item() == 8
        assert torch.get_default_dtype() is before
        return x @ x


def test_constants_that_nobody_reads_are_not_computed(computed: list[Any]) -> None:
    """Those that somebody reads are computed with all that they are made of, once, and seen by no mode or transform."""
    read_on_meta(lambda x: mask(x)[:0])
    assert computed == []
    read_on_meta(lambda x: [mask(x)[1]], times=2)
    names = sorted(map(str, computed))
    assert names == [*["aten.copy_.default"] * 2, "aten.new_zeros.default", *["aten.scalar_tensor.default"] * 2]
    for _ in range(2):
        found = record(Settings(), ((torch.empty(2, 2, device="meta"),), {}), operators=REGISTRY)
        names = [signature.op for signature in found.signatures]
        assert "aten::matmul" in names
        assert "aten::as_strided" not in names


def test_a_long_chain_of_constants_is_computed(computed: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's stack does not grow with the number of operations, and not more than a number of them wait."""
    monkeypatch.setattr(values, "DEEPEST", 150)

    def made(x: torch.Tensor) -> list[torch.Tensor]:
        numbers = torch.zeros(2, device=x.device)
        for _ in range(100):
            numbers = numbers + (numbers - numbers) + 1
        return [numbers]

    assert read_on_meta(made) == [[[100.0] * 2]]
    assert len(computed) == 301
    memo.clear()
    read_on_meta(lambda x: made(x)[:0])
    assert len(computed) == 301 + 151


def test_a_constant_that_cannot_be_computed_is_not_known() -> None:
    """A division of whole numbers by zero raises on the CPU, and so does what is made of its result."""
    known: list[bool] = []

    def make(x: torch.Tensor) -> list[torch.Tensor]:
        ones = torch.ones(3, dtype=torch.int64, device=x.device)
        limit = ones + 1
        wrong = torch.div(ones, ones - 1, rounding_mode="floor")
        ones += wrong
        known.extend(map(_is_known, (wrong, wrong + 1, ones, wrong.view(3, 1))))
        ones = torch.ones(3, dtype=torch.int64, device=x.device)
        ones += wrong
        ones.index_fill_(0, torch.tensor([0], device=x.device), 2)
        known.extend(map(_is_known, (ones, limit.clamp(min=wrong, max=limit))))
        return []

    read_on_meta(make, times=2)
    assert known == [False] * 12


def test_an_operation_that_refuses_values_runs_at_once() -> None:
    """As on any device, the network raises at the operation."""
    with pytest.raises(TraceError, match="out of bounds"):
        read_on_meta(lambda x: [torch.arange(3, device=x.device)[torch.arange(4, device=x.device)]][:0])


@pytest.mark.parametrize(
    "write",
    [
        lambda made, x: made.add_(x.sum()),
        lambda made, x: made[:1].copy_(x[0, :1]),
        lambda made, x: made.uniform_(),
    ],
    ids=["data", "part", "random"],
)
def test_what_unknown_values_are_written_to_is_forgotten(write: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    """Neither the tensor nor a view of it is known, and the constant of other memory is unchanged."""
    found: list[bool] = []

    def make(x: torch.Tensor) -> list[torch.Tensor]:
        made = torch.zeros(3, device=x.device)
        view = made.view(1, 3)
        write(made, x)
        found.extend(map(_is_known, (made, view)))
        return [torch.zeros(3, device=x.device)]

    assert read_on_meta(make, times=2) == [[[0.0] * 3]] * 2
    assert found == [False] * 4


def test_operands_that_share_memory_are_distinguished() -> None:
    """Torch refuses to write to memory that it reads at another place: what that would give is not known."""
    known: list[bool] = []

    def make(x: torch.Tensor) -> list[torch.Tensor]:
        first, second, third = (torch.ones(4, device=x.device) for _ in range(3))
        first[1:].add_(second[:-1])
        third[1:].add_(third[:-1])
        known.extend(map(_is_known, (first, third)))
        return []

    read_on_meta(make, times=2)
    assert known == [True, False] * 2


def _is_known(tensor: torch.Tensor) -> bool:
    try:
        tensor.tolist()
    except (NotImplementedError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("part", [slice(None), slice(1, None)], ids=["whole", "part"])
def test_reading_unknown_values_is_refused(part: slice) -> None:
    """Also those of a part that does not start where its memory starts: its address is not zero."""
    with pytest.raises(NeedsDataError):
        read_on_meta(lambda x: [x.long()[part]])


def test_a_result_is_laid_out_as_on_meta() -> None:
    """The constant of new memory has the strides of the tensor on meta, whatever those of the real one are."""
    real = torch.arange(6).view(2, 3)
    for on_meta in (torch.empty(2, 3, device="meta", dtype=torch.int64), torch.empty_like(real.t(), device="meta").t()):
        for tensor in (real, real.t().contiguous().t()):
            constant: Any = Constant(laid_out(tensor, Layout.of_new(on_meta)))
            assert constant.seen_by(Layout.of(on_meta)).tolist() == real.tolist()
            assert constant.seen_by(Layout.of(on_meta.t()[1:])).tolist() == real.t()[1:].tolist()
    assert laid_out(real, Layout.of(torch.empty(3, 2, device="meta", dtype=torch.int64))) is None
    assert laid_out(real, Layout.of(torch.empty(2, 3, device="meta"))) is None


def test_what_is_computed_apart_shares_no_memory_with_a_constant() -> None:
    """So writes to it do not change the constant."""
    origins = Origins()
    known = KnownValues(origins)
    tensor = torch.empty(3, device="meta")
    memory = origins.memory(tensor)
    memory.constant = Constant(torch.zeros(3))
    known.ids.add(id(tensor))
    view = known.run(torch.ops.aten.view.default, "aten::view", (tensor, [1, 3]), {}, [tensor])
    view += 1
    assert memory.constant.content.tolist() == [0, 0, 0]


def test_constants_are_bounded_in_number_and_size() -> None:
    """All are forgotten when there are too many, and one that is too large is not remembered."""
    few = Constants(largest=64, most=3)
    for number in range(3):
        few.learn(number, Made((Constant(torch.zeros(2)),)))
    assert len(few) == 3
    few.learn(3, Made())
    assert len(few) == 1
    few.learn(4, Made((Constant(torch.zeros(17)),)))
    assert few.find(4) is None
    for number in range(2):
        few.learn(number, Made((), ((0, Constant(torch.zeros(8))),)))
    assert few.find(0) is not None
    assert few.find(1) is not None
    few.learn(2, Made((Constant(torch.zeros(1)),)))
    assert len(few) == 1


def test_the_memo_forgets_constants_too(computed: list[Any]) -> None:
    """After ``memo.clear`` they are computed again."""
    read_on_meta(mask)
    once = len(computed)
    memo.clear()
    assert len(memo.MEMO.constants) == 0
    read_on_meta(mask)
    assert len(computed) == 2 * once
