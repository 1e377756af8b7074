"""In evaluation the probability of a drop layer is no part of a make, unless code could find out what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import TraceError
from profiler.traces import trace
from profiler.tracing import memo
from profiler.tracing.layer_calls import NOT_ANSWERED, LayerCalls
from profiler.tracing.makes import MAKES

INPUT = torch.empty(2, 4, device="meta")


@pytest.fixture(scope="module", autouse=True)
def torchvision() -> ModuleType:
    """torchvision in the profiler's way."""
    return profiler.import_torchvision()


@pytest.fixture(autouse=True)
def empty() -> None:
    """Each test starts with an empty memo."""
    memo.clear()


def drop(probability: Any) -> nn.Module:
    """A drop layer of torchvision."""
    module: Any = sys.modules["torchvision.ops.stochastic_depth"]
    layer: nn.Module = module.StochasticDepth(probability, "row")
    return layer


class Block(nn.Module):
    """A residual block that may be dropped."""

    def __init__(self, probability: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.drop: Any = drop(probability)

    def forward(self, x: Any) -> Any:
        """``x`` with a change that may be dropped."""
        return x + self.drop(self.linear(x))


class Asks(Block):
    """A block whose own code reads the probability."""

    def forward(self, x: Any) -> Any:
        """More work for a larger probability."""
        return x + self.linear(x) if self.drop.p < 0.5 else self.linear(self.linear(x))


class AsksByName(Block):
    """A block whose own code reads the probability by its name."""

    def forward(self, x: Any) -> Any:
        """More work for a larger probability."""
        return x + self.linear(x) if getattr(self.drop, "p") < 0.5 else self.linear(self.linear(x))  # noqa: B009


class Shows(Block):
    """A block whose own code reads a text with the probability."""

    def forward(self, x: Any) -> Any:
        """More work for another text."""
        return x + self.linear(x) if "0.1" in repr(self.drop) else self.linear(self.linear(x))


def is_same(first: nn.Module, second: nn.Module, *, training: bool = False) -> bool:
    """Whether two networks have the same make."""
    return bool(MAKES.of(first, training=training).key == MAKES.of(second, training=training).key)


def test_probabilities_do_not_matter_in_evaluation() -> None:
    """In training they do."""
    assert is_same(Block(0.1), Block(0.2))
    assert not is_same(Block(0.1), Block(0.2), training=True)


@pytest.mark.parametrize("kind", [Asks, AsksByName, Shows])
def test_code_that_asks_for_the_probability(kind: type[Block]) -> None:
    """Then networks with different probabilities have different makes, and each its own counts."""
    assert not is_same(kind(0.1), kind(0.75))
    few, many = (trace(kind(probability), INPUT) for probability in (0.1, 0.75))
    assert sum(call.count.macs for call in many.calls) == 2 * sum(call.count.macs for call in few.calls)


@pytest.mark.parametrize("probability", [-0.1, 1.5, "0.1", None])
def test_what_is_no_probability(probability: Any) -> None:
    """torchvision refuses it in evaluation too."""
    trace(Block(0.1), INPUT)
    assert not is_same(Block(0.1), Block(probability))
    with pytest.raises(TraceError):
        trace(Block(probability), INPUT)


def test_in_training_each_probability_is_recorded() -> None:
    """The probability is a number among the arguments of an operation."""
    found = [
        {
            signature.arguments
            for signature in trace(Block(p), INPUT, "training").signatures
            if "bernoulli" in signature.op
        }
        for p in (0.25, 0.5)
    ]
    assert found[0]
    assert found[0] != found[1]


class Twice(nn.Module):
    """Gives more work to a larger probability; takes the place of a forward, or of a function."""

    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        """``x``, or twice ``x``."""
        return x if self.p < 0.5 else x * 2


def depth(input: torch.Tensor, p: float, mode: str, training: bool = True) -> torch.Tensor:
    """The same as a function."""
    return input if p < 0.5 else input * 2


PATCHES: dict[str, Callable[[pytest.MonkeyPatch, Any], None]] = {
    "forward": lambda patch, module: patch.setattr(module.StochasticDepth, "forward", Twice.forward),
    "function": lambda patch, module: patch.setattr(module, "stochastic_depth", depth),
}


@pytest.mark.parametrize("patched", PATCHES)
@pytest.mark.parametrize("before", [False, True], ids=["at first", "later"])
def test_library_that_was_changed(patched: str, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop layer is only known as it was in the library."""
    if before:
        assert is_same(Block(0.1), Block(0.75))
    PATCHES[patched](monkeypatch, sys.modules["torchvision.ops.stochastic_depth"])
    assert not is_same(Block(0.1), Block(0.75))
    few, many = (trace(Block(probability), INPUT) for probability in (0.1, 0.75))
    assert [signature.op for signature in many.signatures].count("aten::mul") == 1
    assert len(many.calls) == len(few.calls) + 1


def test_subclass_and_own_forward() -> None:
    """Their code reads the probability."""
    base: Any = type(drop(0.1))
    kind = type("StochasticDepth", (base,), {"forward": Twice.forward, "__module__": base.__module__})
    first, second = Block(0.1), Block(0.75)
    first.drop, second.drop = kind(0.1, "row"), kind(0.75, "row")
    assert not is_same(first, second)
    few, many = Block(0.1), Block(0.75)
    for block in (few, many):
        block.drop.forward = Twice.forward  # it needs self, and raises
    assert not is_same(few, many)


@pytest.mark.slow
def test_drop_path_of_timm() -> None:
    """Its probability has another name."""
    layers = pytest.importorskip("timm.layers.drop", reason="timm is not installed")
    first, second = (nn.Sequential(nn.Linear(4, 4), layers.DropPath(p)) for p in (0.1, 0.2))
    assert is_same(first, second)
    assert not is_same(first, second, training=True)
    assert trace(first, INPUT) is trace(second, INPUT)


def test_equal_blocks_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first of four blocks runs, and the recording is as if all had run."""
    network = nn.Sequential(*[Block(number / 10) for number in range(4)])
    with memo.without_memo():
        expected = trace(network, INPUT)
    answered: list[str] = []
    original = LayerCalls.answer

    def answer(self: LayerCalls, seen: Any, *args: Any) -> Any:
        result, key = original(self, seen, *args)
        answered.extend([] if result is NOT_ANSWERED else [seen.name])
        return result, key

    monkeypatch.setattr(LayerCalls, "answer", answer)
    assert trace(network, INPUT) == expected
    assert answered == ["1", "2", "3"]
