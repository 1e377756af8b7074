"""What an event says about memory: the storages that it reads, writes and makes, and those that nothing wrote to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from profiler.records import FILLED_OUTSIDE, Event, Trace
from profiler.traces import trace, trace_for_real

RUNS: dict[str, Callable[..., Trace]] = {"meta": trace, "real": partial(trace_for_real, reason="a test")}


class Calls(nn.Module):
    """A function with a weight of (3,), which is its second argument."""

    def __init__(self, function: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x, self.weight)


@pytest.fixture(params=list(RUNS))
def run(request: pytest.FixtureRequest) -> Callable[..., Trace]:
    """A run on meta, or a real run."""
    tracing = RUNS[request.param]
    return lambda function, mode="inference": tracing(Calls(function), (torch.ones(2, 3),), mode)


def events(found: Trace, op: str, phase: str = "forward") -> list[Event]:
    """The events of an operator; the name has no overload."""
    return [call.event for call in found.calls if call.op == f"aten::{op}" and call.phase == phase]


def event(found: Trace, op: str, phase: str = "forward") -> Event:
    """The only event of an operator."""
    (only,) = events(found, op, phase)
    return only


def test_a_result_has_new_memory(run: Callable[..., Trace]) -> None:
    """The inputs are read; later operations read the memory that was made."""
    found = run(lambda x, w: (x * w).exp())
    product, exponential = event(found, "mul"), event(found, "exp")
    assert len(set(product.reads)) == 2
    assert (len(product.makes), product.writes, product.blanks) == (1, (), ())
    assert product.makes[0] not in product.reads
    assert exponential.reads == product.makes
    assert exponential.makes not in (product.makes, ())


def test_a_view_makes_nothing(run: Callable[..., Trace]) -> None:
    """It reads the memory that it shares; its readers, and a view of the view, read the same memory."""
    found = run(lambda x, w: x.view(3, 2).t().exp())
    view, transposed, exponential = (event(found, op) for op in ("view", "t", "exp"))
    assert (view.makes, view.writes) == (transposed.makes, transposed.writes) == ((), ())
    assert view.reads == transposed.reads == exponential.reads
    assert len(view.reads) == len(exponential.makes) == 1


def test_several_views_of_one_memory_are_read_once(run: Callable[..., Trace]) -> None:
    """The parts of a tensor share one storage."""
    found = run(lambda x, w: torch.cat(x.split(1)))
    assert event(found, "cat").reads == event(found, "split").reads
    assert len(event(found, "cat").reads) == 1
    assert event(found, "split").makes == ()


def test_a_write_in_place_makes_no_memory(run: Callable[..., Trace]) -> None:
    """A write to a view is a write to the memory of its tensor."""
    found = run(lambda x, w: (x * w).add_(1.0)[0].mul_(w))
    product, plus, times = event(found, "mul"), event(found, "add_"), event(found, "mul_")
    assert plus.writes == plus.reads == times.writes == product.makes
    assert times.reads == (*product.makes, product.reads[1])
    assert plus.makes == times.makes == ()


def test_an_out_argument_is_written_to(run: Callable[..., Trace]) -> None:
    """The operation does not make the memory of ``out=``."""
    found = run(lambda x, w: torch.exp(x * 2.0, out=torch.zeros_like(x)))
    exponential = event(found, "exp")
    assert exponential.writes == event(found, "zeros_like").makes
    assert exponential.makes == ()
    assert set(event(found, "mul").makes) <= set(exponential.reads)


def test_each_of_several_results_has_new_memory(run: Callable[..., Trace]) -> None:
    """They do not share memory."""
    found = run(lambda x, w: x.sort())
    assert len(set(event(found, "sort").makes)) == 2


def test_memory_has_the_same_number_in_both_passes(run: Callable[..., Trace]) -> None:
    """The backward pass reads what the forward pass kept."""
    found = run(lambda x, w: (x.detach().clone() * w).exp(), "training")
    product, exponential = event(found, "mul"), event(found, "exp")
    gradients = events(found, "mul", "backward")
    of_exp, of_weight = gradients[0], gradients[1]
    assert exponential.makes[0] in of_exp.reads
    assert {*of_exp.makes, product.reads[0]} == set(of_weight.reads)


@pytest.mark.slow
def test_a_number_is_not_used_again(run: Callable[..., Trace]) -> None:
    """Memory that is freed and reused gets a new number."""

    def often(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        for _ in range(20):
            x = (x * w) + 1.0
        return x

    found = run(often, "training")
    made = [number for call in found.calls for number in call.event.makes]
    assert len(made) == len(set(made))


def test_uninitialized_memory_is_blank(run: Callable[..., Trace]) -> None:
    """It is blank until an operation writes to a part of it; a view is blank if its memory is."""

    def of_blanks(x: torch.Tensor, w: torch.Tensor) -> Any:
        filled, never = torch.empty(2, 3, device=x.device), torch.empty(3, device=x.device)
        filled[0].copy_(w)
        return filled.exp(), never[1:].sin(), (x * w).cos()

    found = run(of_blanks)
    assert event(found, "exp").blanks == event(found, "cos").blanks == event(found, "mul").blanks == ()
    assert event(found, "sin").blanks == event(found, "sin").reads
    assert len(event(found, "sin").blanks) == 1
    assert [item.reason for item in found.unseen] == [FILLED_OUTSIDE]


def test_a_gradient_names_the_forward_event_that_it_belongs_to(run: Callable[..., Trace]) -> None:
    """Its source is the number of that event; events of the forward pass have none."""
    found = run(lambda x, w: (x.detach().clone() * w).exp(), "training")
    operators = [call.op for call in found.calls]
    sources = [event.source for event in events(found, "mul", "backward")]
    assert [operators[source] for source in sources if source is not None] == ["aten::exp", "aten::mul"]
    assert {call.event.source for call in found.calls if call.phase == "forward"} == {None}


@pytest.mark.parametrize("tracing", RUNS.values(), ids=RUNS)
def test_the_parts_of_a_function_say_its_kind(tracing: Callable[..., Trace]) -> None:
    """All that attention runs is within attention; an operation after it is within nothing."""

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, x: torch.Tensor) -> Any:
            return self.attention(x, x, x)[0].exp()

    *inside, last = tracing(Attends(), (torch.ones(2, 3, 4),)).calls
    assert {call.event.within for call in inside} == {"attention"}
    assert (last.op, last.event.within) == ("aten::exp", None)
