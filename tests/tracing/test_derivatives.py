"""Derivatives inside a forward work as they do without the profiler, and so do errors, whatever their messages say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from profiler import profile
from profiler.errors import TraceError
from profiler.records import Mode
from tests.tracing.test_running import image, work

derivatives: Any = torch.autograd.functional  # without annotations
forward_ad: Any = torch.autograd.forward_ad

ROWS, SIZE = 2, 4
ONE = ROWS * SIZE * SIZE
"""The MACs of one product of the layer below."""

Body = Callable[[nn.Module, torch.Tensor], Any]


class Layer(nn.Module):
    """One linear layer without a bias, with a forward that the test passes in."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.layer = nn.Linear(SIZE, SIZE, bias=False)
        self.body = body

    def forward(self, x: torch.Tensor) -> Any:
        return self.body(self.layer, x)


def curved(layer: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function with a second derivative."""
    return lambda x: torch.tanh(layer(x))


def summed(layer: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The sum of ``curved``."""
    return lambda x: torch.tanh(layer(x)).sum()


def if_a_gradient_is_required(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Takes its derivative only if autograd says that there is one."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = curved(layer)(x)
        if y.requires_grad:
            return torch.autograd.grad(y.sum(), x)[0]
    return y


def by_dual_numbers(layer: nn.Module, x: torch.Tensor) -> Any:
    """A directional derivative by forward-mode differentiation."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(curved(layer)(forward_ad.make_dual(x, torch.ones_like(x)))).tangent


def with_create_graph(layer: nn.Module, x: torch.Tensor) -> Any:
    """A second derivative; the first one is computed with ``create_graph`` while gradients are off."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = summed(layer)(x)
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    with torch.enable_grad():
        z = (slope * slope).sum()
    return torch.autograd.grad(z, x)[0]


def with_gradients_for_a_part(layer: nn.Module, x: torch.Tensor) -> Any:
    """Work with gradients between work without gradients."""
    x = layer(x)
    with torch.enable_grad():
        inner = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(summed(layer)(inner), inner)
    return layer(slope)


def backward_by_function(layer: nn.Module, x: torch.Tensor) -> Any:
    """A graph made with gradients on; ``torch.autograd.backward`` runs it and makes a graph itself."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = summed(layer)(x)
    torch.autograd.backward(y, create_graph=True, inputs=[x])
    return x.grad


PRODUCTS: dict[str, tuple[Body, int]] = {
    # the function, and its derivative for each of the results
    "jacobian": (lambda layer, x: derivatives.jacobian(curved(layer), x), 1 + ROWS * SIZE),
    "vjp": (lambda layer, x: derivatives.vjp(curved(layer), x, torch.ones_like(x)), 2),
    # the double-backward trick: the derivative of a derivative
    "jvp": (lambda layer, x: derivatives.jvp(curved(layer), x, torch.ones_like(x)), 3),
    # the function, its gradient, and two products for the gradient of each of those
    "hvp": (lambda layer, x: derivatives.hvp(summed(layer), x, torch.ones_like(x)), 6),
    "if a gradient is required": (if_a_gradient_is_required, 2),
    "by dual numbers": (by_dual_numbers, 3),
    "functional jvp": (lambda layer, x: torch.func.jvp(curved(layer), (x,), (torch.ones_like(x),)), 3),
    "functional gradient": (lambda layer, x: torch.func.grad(summed(layer))(x), 2),
    "with create_graph": (with_create_graph, 4),
    "with gradients for a part": (with_gradients_for_a_part, 1 + 2 + 1),
    "backward by function": (backward_by_function, 2),
}


class Products(TorchDispatchMode):
    """Counts the MACs of matrix products as they run, independently of the profiler."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            self.macs += args[0].numel() * args[1].shape[-1]
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True")
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_derivatives_in_a_forward_are_counted(name: str, device: str) -> None:
    """All products of a plain run without gradients are counted, in the layer that they belong to."""
    body, products = PRODUCTS[name]
    with torch.no_grad(), Products() as counter:
        Layer(body)(torch.rand(ROWS, SIZE))
    assert counter.macs == products * ONE
    found = profile(Layer(body), torch.rand(ROWS, SIZE).to(device))
    assert (found.total.macs, found.status) == (products * ONE, "complete")
    assert not found.trace.real_run


def gradient_without_enabling(layer: nn.Module, x: torch.Tensor) -> Any:
    """A derivative by a forward that relies on gradients being on."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(summed(layer)(x), x)[0]


def hooked(layer: nn.Module, x: torch.Tensor) -> Any:
    """A hook on a result, which is only called if there is a graph."""
    x = curved(layer)(x)
    x.register_hook(lambda gradient: gradient)  # type: ignore[no-untyped-call]
    return x


def backward_without_enabling(layer: nn.Module, x: torch.Tensor) -> Any:
    """A backward pass by a forward that relies on gradients being on, for its input and for the weight."""
    x = x.detach().requires_grad_()
    torch.autograd.backward(summed(layer)(x))
    return x.grad


@pytest.mark.parametrize(
    ("body", "products"),
    [(gradient_without_enabling, 2), (hooked, 1), (backward_without_enabling, 3)],
    ids=["grad", "hook", "all"],
)
def test_a_forward_that_cannot_do_without_gradients_runs_with_them(body: Body, products: int) -> None:
    """A forward that raises without gradients is run again with gradients, as a user would run it."""
    found = profile(Layer(body), image(ROWS, SIZE))
    assert (found.total.macs, found.status) == (products * ONE, "complete")


def test_operators_without_gradients_are_not_decomposed_beside_derivatives() -> None:
    """A derivative in one place does not change how the rest is recorded."""
    with_one = profile(Layer(with_gradients_for_a_part), image(ROWS, SIZE))
    ops = [call.op for call in with_one.trace.calls if call.count.macs]
    assert ops == ["aten::linear", "aten::linear", "aten::mm", "aten::linear"]


class Raising(nn.Module):
    """A forward that raises and counts its runs; the runs of a copy count for the first object."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.layer = nn.Linear(SIZE, SIZE)
        self.error = error
        self.runs: list[int] = []

    def __deepcopy__(self, memo: Any) -> Raising:
        copied = Raising(self.error)
        copied.layer = self.layer if not memo else nn.Linear(SIZE, SIZE, device="meta")
        copied.runs = self.runs
        return copied

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs.append(1)
        self.layer(x)
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("upgrade your checkpoint"),
        ValueError("no inference without a license"),
        RuntimeError("bad metadata field"),
        KeyError("storage"),
        NotImplementedError("this variant has no forward on meta tensors"),
    ],
    ids=str,
)
def test_words_in_a_message_cause_no_further_run(error: Exception) -> None:
    """A forward that raises its own error is run once, whatever the message says."""
    model = Raising(error)
    with pytest.raises(TraceError, match=type(error).__name__):
        profile(model, torch.rand(ROWS, SIZE))
    assert len(model.runs) == 1


def test_a_wrong_shape_is_an_error_and_causes_no_real_run() -> None:
    """An operation that refuses its shapes on every device is reported, and no real run is tried."""
    model = Raising(RuntimeError("not reached"))
    with pytest.raises(TraceError, match=r"aten::linear of 2×5, 4×4"):
        profile(model, torch.rand(ROWS, SIZE + 1))
    assert len(model.runs) == 1


def reads_a_number(x: torch.Tensor) -> Any:
    return x * x.sum().item()


def reads_and_explains(x: torch.Tensor) -> Any:
    """Raises its own exception in place of torch's."""
    try:
        return x * x.sum().item()
    except RuntimeError as error:
        raise ValueError("no total") from error


def reads_an_array(x: torch.Tensor) -> Any:
    return x * float(x.detach().numpy().sum() > 0)


@pytest.mark.parametrize("ask", [reads_a_number, reads_and_explains, reads_an_array, lambda x: x[x > 0]])
def test_operations_that_need_data_are_run_for_real(ask: Callable[[torch.Tensor], Any]) -> None:
    """A real run follows if an operation or a function fails because there is no data."""
    found = profile(Layer(lambda layer, x: ask(layer(x))), image(ROWS, SIZE))
    assert found.trace.real_run
    assert found.total.macs == ONE


@contextmanager
def double_precision() -> Iterator[None]:
    """Set the default dtype as a caller would."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


CALLERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "nothing": nullcontext,
    "no gradients": torch.no_grad,
    "gradients": torch.enable_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu"),
    "double precision": double_precision,
    "on meta": lambda: torch.device("meta"),
    "on an accelerator": lambda: torch.device("cuda"),
}


def makes_constants(layer: nn.Module, x: torch.Tensor) -> Any:
    steps = int(torch.tensor([2, 3]).sum())
    return layer(x) @ torch.ones(SIZE, SIZE, dtype=x.dtype) * steps


def decides_by_data(layer: nn.Module, x: torch.Tensor) -> Any:
    return layer(x) if x.sum() > -1e9 else x


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("body", [makes_constants, decides_by_data])
def test_settings_of_the_caller_change_no_count(body: Body, caller: str, mode: Mode) -> None:
    """Inference mode, grad mode, autocast and defaults around the call do not change the counts."""
    model, x = Layer(body), torch.rand(ROWS, SIZE)
    expected = profile(model, x, mode=mode)
    with CALLERS[caller]():
        before = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        if caller == "double precision":
            model, x = Layer(body), torch.rand(ROWS, SIZE)
        found = profile(model, x, mode=mode)
        assert (torch.is_inference_mode_enabled(), torch.is_grad_enabled()) == before
    assert (found.total, found.status) == (expected.total, "complete")
    assert work(found.trace) == work(expected.trace)


def test_a_network_made_in_inference_mode_can_be_trained() -> None:
    """Its parameters are inference tensors, which autograd refuses; their copies are not."""
    with torch.inference_mode():
        model, x = Layer(makes_constants), torch.rand(ROWS, SIZE)
        found = profile(model, x, mode="training")
        real = profile(Layer(decides_by_data), torch.rand(ROWS, SIZE), mode="training")
    # forward, the gradient of the weight, and the gradient for what came before the constant
    assert found.total.macs == 2 * ONE + 2 * ONE
    assert real.total.macs == ONE + ONE
