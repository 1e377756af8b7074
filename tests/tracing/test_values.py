"""Values that follow from constants and shapes are known on meta; values that depend on data are not."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from profiler import profile
from profiler.errors import NeedsDataError
from profiler.traces import trace

SQUARE = torch.empty(4, 4, device="meta")


class Branches(nn.Module):
    """Runs a matrix product if ``question(x)`` is true."""

    def __init__(self, question: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.question = question

    def forward(self, x: Tensor) -> Tensor:
        return x @ x if self.question(x) else x.relu()


def wide(x: Tensor) -> Tensor:
    """More elements than the constant propagation computes on the CPU."""
    return x.new_empty(2**12, 2**9)


def written_to(x: Tensor, value: Any) -> Tensor:
    mask = torch.zeros(4, dtype=torch.bool, device=x.device)
    mask[1:][:2] = value
    return mask


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (lambda x: torch.ones(x.shape[0], device=x.device).all(), True),
        (lambda x: torch.arange(4, device=x.device).sum() == 6, True),
        (lambda x: (torch.arange(4, device=x.device).diff() != 1).any(), False),
        (lambda x: torch.tensor([[4, 4]], device=x.device).prod(-1).sum().item() == x.numel(), True),
        (lambda x: torch.tensor([torch.arange(3, device=x.device).sum(), 2], device=x.device).sum() == 5, True),
        (lambda x: torch.as_tensor([(torch.ones((), device=x.device), 2)], device=x.device).numel() == 2, True),
        (lambda x: torch.arange(2, device=x.device).repeat_interleave(torch.tensor([3, 1])).shape == (4,), True),
        (lambda x: x[torch.arange(4, device=x.device) > 2].shape == (1, 4), True),
        (lambda x: x[:, torch.arange(4, device=x.device) > 1].shape == (4, 2), True),
        (lambda x: x.new_zeros(4).add_(x[0])[torch.arange(4, device=x.device) > 2].shape == (1,), True),
        (lambda x: x[torch.ones(4, 1, dtype=torch.bool, device=x.device).expand(4, 4)].shape == (16,), True),
        (lambda x: x[torch.ones(4, 1, dtype=torch.bool, device=x.device).expand_as(x)].shape == (16,), True),
        (lambda x: wide(x)[(torch.arange(2**12, device=x.device) > 2)[:, None].expand_as(wide(x))].dim() == 1, True),
        (lambda x: torch.arange(2, device=x.device).repeat_interleave(torch.tensor([3, 1])).sum() == 1, True),
        (lambda x: written_to(x, True).sum() == 2, True),
        (lambda x: written_to(x, False).any(), False),
        (lambda x: written_to(x, torch.tensor(True)).any(), True),
        (lambda x: written_to(x, True).nonzero().shape[0] == 2, True),
        (lambda x: torch.arange(3, device=x.device).tolist() == [0, 1, 2], True),
        (lambda x: (torch.ones(3, device=x.device).numpy() == 1).all(), True),
        (lambda x: x.new_zeros(3).cumsum(0)[-1].item() == 0, True),
    ],
)
def test_values_that_follow_from_constants_are_known(question: Callable[[Tensor], Any], answer: bool) -> None:
    """The forward takes the same branch as on any device: a product of 4·4·4 MACs or none."""
    assert bool(question(torch.zeros(4, 4))) is answer
    assert sum(call.count.macs for call in trace(Branches(question), SQUARE).calls) == (4 * 4 * 4 if answer else 0)


@pytest.mark.parametrize(
    "question",
    [
        lambda x: x.sum() > 0,
        lambda x: written_to(x, x[0, 0] > 0).any(),
        lambda x: torch.zeros(4, device=x.device).copy_(x[0]).any(),
        lambda x: x.sum(1).tolist()[0] > 0,
        lambda x: torch.rand(4, device=x.device).sum() > 0,
        lambda x: torch.empty(4, device=x.device).sum() > 0,
        lambda x: torch.ones(2**11, 2**11, device=x.device).all(),
    ],
)
def test_values_that_depend_on_data_are_not_known(question: Callable[[Tensor], Any]) -> None:
    """Data, tensors that data is written to, random numbers, uninitialized memory and large tensors are not known."""
    with pytest.raises(NeedsDataError):
        trace(Branches(question), SQUARE)


def test_integer_inputs_with_values_are_known() -> None:
    """A mask on the CPU decides the branch; a mask on meta cannot."""

    class Masked(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x @ x if mask.all() else x

    assert profile(Masked(), (SQUARE, torch.ones(4, dtype=torch.int64))).total.macs == 4 * 4 * 4
    with pytest.raises(NeedsDataError):
        trace(Masked(), (SQUARE, torch.ones(4, dtype=torch.int64, device="meta")))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("left", "right", "result"),
    [((6, 3), (2, 3, 5), (6, 5)), ((2, 6, 3), (2, 3, 5), (2, 6, 5)), ((6, 8), (8, 5), (2, 6, 5))],
)
def test_grouped_products_work_on_meta_for_any_dtype(left: Any, right: Any, result: Any, dtype: torch.dtype) -> None:
    """The result has the shape that the CPU gives it, whatever the alignment."""

    class Grouped(nn.Module):
        def forward(self, a: Tensor, b: Tensor, offs: Tensor | None) -> Tensor:
            out = nn.functional.grouped_mm(a, b, offs=offs)
            assert tuple(out.shape) == result
            assert out.dtype == dtype
            return out

    offs = None if len(left) == len(right) == 3 else torch.tensor([2, 6], dtype=torch.int32)
    inputs = (torch.empty(left, dtype=dtype, device="meta"), torch.empty(right, dtype=dtype, device="meta"), offs)
    assert profile(Grouped(), inputs).complete


def test_rules_may_read_values_that_are_known() -> None:
    """Packed sequences of lengths 3 and 4 have known sums, so no real run is needed."""

    class Packed(nn.Module):
        def forward(self, q: Tensor, sums: Tensor) -> Any:
            return torch.ops.aten._flash_attention_forward(q, q, q, sums, sums, 4, 4, 0.0, False, False)

    q, sums = torch.empty(7, 2, 8, device="meta", dtype=torch.float16), torch.tensor([0, 3, 7], dtype=torch.int32)
    found = profile(Packed(), (q, sums))
    assert (found.total.macs, found.trace.real_run) == (2 * (3 * 3 + 4 * 4) * (8 + 8), "")


def test_an_autograd_function_under_vmap_is_counted_once() -> None:
    """It is a higher-order operator, which calls the modes a second time."""

    class Twice(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any) -> Any:
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0] * 2

    class Uses(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return torch.vmap(Twice.apply)(x)

    assert profile(Uses(), SQUARE).total.multiplies == 16


@pytest.mark.parametrize(
    "make",
    [
        torch.zeros_like,
        torch.ones_like,
        lambda x: torch.full_like(x, 2),
        lambda x: x.new_zeros(3),
        lambda x: torch.zeros(3, device=x.device),
        lambda x: torch.arange(3, device=x.device),
        lambda x: torch.full((2, 2), 1.0, device=x.device),
    ],
)
def test_a_tensor_of_known_values_is_made_by_one_operation(make: Callable[[Tensor], Any]) -> None:
    """torch detaches a new tensor that somebody else holds, which would be another operation."""
    network = Branches(lambda x: make(x) is None)
    for _ in range(2):
        assert len(trace(network, SQUARE).calls) == 2


class Changes(nn.Module):
    """Reads a mask after the array that it was made of has changed, and after the default dtype has."""

    def forward(self, x: Tensor) -> Tensor:
        numbers = numpy.ones(4, dtype=numpy.int64)
        doubled = torch.as_tensor(numbers, device=x.device) * 2
        ones = torch.ones(4, dtype=torch.int64, device=x.device)
        halves = ones / 2
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        numbers[:] = 0
        ones.add_(x.sum().long())  # its values are not known from here on
        is_known = bool((halves.to(torch.float64) == 0.5).all()) and halves.dtype is torch.float32
        torch.set_default_dtype(before)
        return x @ x if is_known and int(doubled.sum()) == 2 * 4 else x


def test_values_are_those_of_the_time_at_which_the_operation_ran() -> None:
    """Whatever is written later to the memory that it read."""
    assert sum(call.count.macs for call in trace(Changes(), SQUARE).calls) == 4 * 4 * 4
    with pytest.raises(NeedsDataError):
        trace(Branches(lambda x: (x.new_zeros(4).add_(1).add_(x[0]) + 1).sum() > 0), SQUARE)


@pytest.mark.slow
def test_a_large_tensor_of_equal_elements_is_not_made() -> None:
    """Its values are not known, and neither are those of what is computed from it."""

    def question(x: Tensor) -> Any:
        return (x.new_full((2**14, 2**14), 1.0)[:1, :1] + 1).sum() > 0

    with pytest.raises(NeedsDataError):
        trace(Branches(question), SQUARE)
