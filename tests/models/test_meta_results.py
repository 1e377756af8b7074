"""Functions that a builder calls again on meta: what is returned is what torch returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from profiler.models.meta_results import REPEATED, MetaResults
from profiler.models.placements import PLACEMENTS
from profiler.tracing.private import DispatchMode


def on_meta(*shape: int, **kwargs: Any) -> torch.Tensor:
    """A tensor without data."""
    return torch.empty(shape, device="meta", **kwargs)


CALLS: dict[str, Callable[[], Any]] = {
    "arange": lambda: torch.arange(7),
    "arange of floats": lambda: torch.arange(0.0, 7.0),
    "arange by steps": lambda: torch.arange(start=0, end=9, step=2, dtype=torch.int32),
    "stack": lambda: torch.stack([on_meta(3, 4), on_meta(3, 4).expand(3, 4)]),
    "stack of others": lambda: torch.stack([on_meta(3, 4), on_meta(3, 4)], -1),
    "product": lambda: on_meta(3, 4) * 0.5,
    "product of integers": lambda: on_meta(3, 4, dtype=torch.int64) * 0.5,
    "product of integers by one": lambda: on_meta(3, 4, dtype=torch.int64) * 2,
    "product by true": lambda: on_meta(3, 4, dtype=torch.int64) * True,
    "transposed": lambda: on_meta(4, 3).t() * 0.5,
    "broadcast difference": lambda: on_meta(2, 5)[:, :, None] - on_meta(2, 5)[:, None, :],
    "quotient": lambda: torch.log2(on_meta(3) + 1.0) / 3,
    "sum": lambda: on_meta(3, 4, dtype=torch.int32).sum(-1),
    "sum of all": lambda: on_meta(3, 4).sum(),
    "absolute": lambda: torch.abs(on_meta(6, 8)[::2]),
    "power": lambda: 2 ** on_meta(3),
}


def described(tensor: torch.Tensor) -> Any:
    """All that is known of a tensor without data."""
    storage = tensor.untyped_storage().nbytes(), tensor.storage_offset()
    return type(tensor), tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.requires_grad, storage


@pytest.mark.slow  # the first kernel imports sympy
def test_repeated_results_are_as_torch_makes_them() -> None:
    """The same layout each time, and memory of their own; calls that differ in anything have results of their own."""
    with torch.device("meta"):
        expected = {name: described(call()) for name, call in CALLS.items()}
    with PLACEMENTS[0]():
        first, second = ({name: call() for name, call in CALLS.items()} for _ in range(2))
    assert {name: described(result) for name, result in first.items()} == expected
    assert {name: described(result) for name, result in second.items()} == expected
    held = [result.untyped_storage()._cdata for results in (first, second) for result in results.values()]
    assert len(set(held)) == len(held)


def runs_of(func: Callable[..., Any], *args: Any, **kwargs: Any) -> int:
    """How often a function runs of two calls with the same arguments, which return the same."""
    results, ran = MetaResults(), []

    def run() -> Any:
        ran.append(func)
        return func(*args, **kwargs)

    first, second = (results.call(func, args, kwargs, run) for _ in range(2))
    assert described(first) == described(second)
    return len(ran)


def test_a_function_runs_once() -> None:
    """Its second result is made from the layout of the first one."""
    assert torch.arange in REPEATED
    assert runs_of(torch.arange, 7, device="meta") == 1
    assert runs_of(torch.Tensor.mul, on_meta(3, 4), 0.5) == 1
    assert runs_of(torch.stack, [on_meta(3), on_meta(3)], dim=0) == 1


def test_other_results_are_made_each_time() -> None:
    """A result with data or a gradient, one that shares memory with an argument, and one of unknown arguments."""
    weight = nn.Parameter(on_meta(3, 4))
    assert runs_of(torch.arange, 7, device="cpu") == 2
    assert runs_of(torch.arange, 7, device=torch.device("cpu")) == 2
    assert runs_of(torch.Tensor.mul, torch.ones(3), 2) == 2
    assert runs_of(torch.Tensor.mul, weight, 2) == 2
    assert runs_of(torch.arange, 7.0, device="meta", requires_grad=True) == 2
    assert runs_of(torch.arange, 7, out=on_meta(7, dtype=torch.int64)) == 2
    assert runs_of(torch.Tensor.contiguous, on_meta(3)) == 2
    assert runs_of(torch.Tensor.view, on_meta(3), 3) == 2
    assert runs_of(torch.Tensor.mul, on_meta(3, dtype=torch.complex64), 2) == 2


def test_settings_are_part_of_what_is_known() -> None:
    """Another default dtype gives results of another dtype, and inference mode gives results of its own."""
    with PLACEMENTS[0]():
        torch.arange(0.0, 7.0)
        torch.set_default_dtype(torch.float64)
        try:
            assert torch.arange(0.0, 7.0).dtype is torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        with torch.inference_mode():
            assert torch.arange(7).is_inference()
        assert not torch.arange(7).is_inference()


def test_names_of_arguments_are_part_of_what_is_known() -> None:
    """The same values for other arguments."""
    with PLACEMENTS[0]():
        assert torch.arange(start=1, end=5, step=2).shape == (2,)
        assert torch.arange(start=1, step=5, end=2).shape == (1,)


class SeesOperators(DispatchMode):
    """A mode of somebody else, which has to see every operator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


class SeesFunctions(TorchFunctionMode):
    """A mode of somebody else, which has to see every function."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_a_mode_of_others_sees_every_call() -> None:
    """While it is active, nothing is answered."""
    with PLACEMENTS[0]():
        torch.arange(7)
        with SeesOperators() as mode:
            torch.arange(7)
            torch.arange(7)
    assert mode.seen == [torch.ops.aten.arange.default] * 2
    with SeesFunctions():
        assert runs_of(torch.arange, 7, device="meta") == 2


def test_a_transform_sees_every_call() -> None:
    """Within ``vmap`` a tensor has fewer dimensions than its data."""
    with PLACEMENTS[0]():
        tensor = torch.empty(3, 4)
        assert torch.vmap(lambda row: row * 2.0)(tensor).shape == (3, 4)
        assert torch.vmap(lambda row: row * 2.0)(torch.empty(5, 4)).shape == (5, 4)
