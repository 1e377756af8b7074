"""Results that a run with symbols makes itself are those that torch's own code gives, and ask nothing of a size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.symbolic.sizes import Guards
from profiler.tracing import symbols
from profiler.tracing.private import python_kernels
from profiler.tracing.symbolic_layouts import RESULTS, symbolic_result
from profiler.tracing.symbols import SymbolicRun

pytestmark = pytest.mark.slow

aten = torch.ops.aten


@pytest.fixture(name="run")
def active_run() -> Iterator[SymbolicRun]:
    """A run with symbols B and H, which is active."""
    run = SymbolicRun({"B": 4, "H": 12}, {}, Guards())
    with run.active():
        yield run


def image(run: SymbolicRun, *, channels: int = 3, shift: int = 0) -> torch.Tensor:
    """(B, channels, H + shift, 2·H)."""
    model_input = torch.empty(4, channels, 12 + shift, 24, device="meta")
    run.dimensions = {id(model_input): ((0, {"B": 1}), (channels, {}), (shift, {"H": 1}), (0, {"H": 2}))}
    made = run.input(model_input)
    assert made is not None
    return made


def vectors(number: int) -> list[torch.Tensor]:
    """Vectors with a number for each of 3 channels."""
    return [torch.empty(3, device="meta") for _ in range(number)]


CASES: dict[str, tuple[Any, Callable[[torch.Tensor], tuple[Any, ...]]]] = {
    "aten::batch_norm": (aten.batch_norm.default, lambda x: (x, *vectors(4), False, 0.1, 1e-5, True)),
    "aten::native_batch_norm": (aten.native_batch_norm.default, lambda x: (x, *vectors(4), True, 0.1, 1e-5)),
    "aten::native_batch_norm_backward": (
        aten.native_batch_norm_backward.default,
        lambda x: (torch.empty_like(x), x, *vectors(5), True, 1e-5, [True, True, True]),
    ),
    **{
        f"aten::{name}{ending}": (getattr(aten, name + ending).default, lambda x: (x,))
        for name, ending in (
            *(("relu", ""), ("gelu", ""), ("silu", ""), ("sigmoid", ""), ("hardswish", ""), ("hardsigmoid", "")),
            *(("relu", "_"), ("silu", "_"), ("hardswish", "_")),
        )
    },
    **{
        f"aten::{name}": (getattr(aten, name).Tensor, lambda x: (x, torch.empty_like(x)))
        for name in ("add", "sub", "mul", "add_", "sub_", "mul_")
    },
}
"""An operator and its arguments in the plain case, which are made from an image."""


def layouts(result: Any, run: SymbolicRun) -> list[Any]:
    """The shape, strides and dtype of each tensor."""
    tensors = result if isinstance(result, tuple) else (result,)
    return [([run.size(size) for size in (*each.shape, *each.stride())], each.dtype, each.device) for each in tensors]


@pytest.mark.parametrize("name", CASES)
def test_the_results_are_those_of_torch(name: str, run: SymbolicRun) -> None:
    """Shape, strides and dtype are the same, and no condition is added."""
    operator, arguments = CASES[name]
    image_of_batch = image(run)
    with python_kernels():
        given = arguments(image_of_batch)
        before = run.conditions()
        made = symbolic_result(name, given, {})
        assert made is not None
        assert run.conditions() == before
        expected = operator(*given)
    assert layouts(made, run) == layouts(expected, run)
    assert (made is given[0]) == name.endswith("_")


def test_every_operator_has_a_case() -> None:
    """The cases are of the operators that the module knows."""
    assert set(CASES) == set(RESULTS)


def test_anything_else_is_left_to_torch(run: SymbolicRun) -> None:
    """Shapes that broadcast, elements in another order, other numbers of channels, and other dtypes."""
    batch = image(run)
    with python_kernels():
        expanded = torch.empty(1, 3, 1, 1, device="meta").expand(batch.shape)
        turned = batch.permute(0, 2, 3, 1)
        taller = image(run, shift=1)
        of_four = torch.empty(4, device="meta")
        assert symbolic_result("aten::add", (batch, expanded), {}) is None
        assert symbolic_result("aten::add", (batch, taller), {}) is None
        assert symbolic_result("aten::add", (batch, torch.empty(3, 1, 1, device="meta")), {}) is None
        assert symbolic_result("aten::add", (batch, torch.empty_like(batch, dtype=torch.float64)), {}) is None
        assert symbolic_result("aten::relu", (turned,), {}) is None
        assert symbolic_result("aten::batch_norm", (batch, of_four, *vectors(3), False, 0.1, 1e-5, True), {}) is None
        assert symbolic_result("aten::batch_norm", (batch, None, None, None, None, True, 0.1, 1e-5, True), {}) is None
        assert symbolic_result("aten::relu", (batch.long(),), {}) is None
        assert symbolic_result("aten::tanh", (batch,), {}) is None


def test_another_thread_has_no_symbols(run: SymbolicRun) -> None:
    """A profile in another thread works with numbers while a formula is derived."""
    found: list[Any] = []

    def other() -> None:
        found.append(symbols.ACTIVE.run)
        found.append(profiler.profile(nn.Linear(6, 4), torch.empty(5, 6, device="meta")).total.macs)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [None, 5 * 6 * 4]
    assert symbols.ACTIVE.run is run


class InThread(nn.Module):
    """Its layer runs in a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 6) → (B, 4)."""
        made: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: made.append(self.layer(x)))
        thread.start()
        thread.join()
        return made[0]


def test_a_thread_of_the_network_has_the_symbols_of_its_run() -> None:
    """The formula is that of the layer, and derived from one run."""
    found = profiler.formula(InThread(), ("B", 6), sizes={"B": 3})
    assert (found.text(), found.fitted) == (f"{6 * 4}·B", ())
