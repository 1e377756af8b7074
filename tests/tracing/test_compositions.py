"""Transforms in any order over small networks cost the products that a plain run on the CPU sums."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

import profiler
from profiler.profiles import Profile
from tests.tracing import products

WIDTH = 4
ROWS = 3


class Attention(nn.Module):
    """Attention of two heads over the rows, followed by a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).view(x.shape[0], 3, 2, WIDTH // 2).permute(1, 2, 0, 3)
        return F.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(x.shape)


class Convolution(nn.Module):
    """A convolution along the rows, with the columns as channels and two groups, followed by a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.there = nn.Conv1d(WIDTH, 6, 3, padding=1, groups=2)
        self.back = nn.ConvTranspose1d(6, WIDTH, 3, padding=1)

    def forward(self, x: torch.Tensor) -> Any:
        return self.back(torch.tanh(self.there(x.t()[None])))[0].t()


class Gram(nn.Module):
    """The products of all pairs of rows weigh the rows; a parameter is added to a product."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x @ x.t(), x)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "layers": lambda: nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, WIDTH, bias=False)),
    "normed": lambda: nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU()),
    "attention": Attention,
    "convolution": Convolution,
    "gram": Gram,
}


def quick(*names: str, of: Iterable[str] = LAYERS) -> list[Any]:
    """The names of layers to parametrize by; all except ``names`` are marked slow."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in of]


Function = Callable[[torch.Tensor], torch.Tensor]


def _of_weights(inner: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The gradients for the weights, one for each row's network, summed to a number that scales ``x``."""
    state: dict[str, torch.Tensor] = dict(inner.named_parameters())

    def loss(state: dict[str, torch.Tensor], x: torch.Tensor) -> Any:
        return functional_call(inner, state, (x,)).square().sum()

    gradients = vmap(grad(loss), in_dims=(None, 0))(state, torch.stack([x, x + 1]))
    total: torch.Tensor = sum(gradient.sum() for gradient in gradients.values())
    return x * total


def _ensemble(inner: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Three networks with stacked weights."""
    stacked = {name: torch.stack([value] * 3) for name, value in inner.named_parameters()}
    result: torch.Tensor = vmap(lambda state: functional_call(inner, state, (x,)))(stacked).sum(0)
    return result


def _in_a_thread(inner: nn.Module, x: torch.Tensor) -> torch.Tensor:
    results: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: results.append(inner(x)))
    thread.start()
    thread.join()
    return results[0]


def _vjp(inner: Function, x: torch.Tensor) -> torch.Tensor:
    result, pull_back, *_ = vjp(inner, x)
    pulled: torch.Tensor = pull_back(result)[0]
    return pulled


TRANSFORMS: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "vmap": lambda inner, x: vmap(inner)(torch.stack([x, 2 * x])).sum(0),
    "vmap over columns": lambda inner, x: vmap(inner, in_dims=2, out_dims=1)(torch.stack([x, 2 * x], 2)).sum(1),
    "vmap in chunks": lambda inner, x: vmap(inner, chunk_size=2)(torch.stack([x, 2 * x, x])).sum(0),
    "vmap of vmap": lambda inner, x: vmap(vmap(inner))(x.expand(2, 3, *x.shape)).sum((0, 1)),
    "jvp": lambda inner, x: sum(jvp(inner, (x,), (x,))),
    "grad": lambda inner, x: grad(lambda x: inner(x).square().sum())(x),
    "vjp": _vjp,
    "jacrev": lambda inner, x: jacrev(lambda x: inner(x).sum(0))(x).sum(0),
    "jacfwd": lambda inner, x: jacfwd(lambda s: inner(x * s))(x.new_ones(2, 1, 1).mean()),
    "hessian": lambda inner, x: x * hessian(lambda s: inner(x * s).sum())(x.new_ones(1).sum()),
    "per-sample gradients": lambda inner, x: vmap(grad(lambda x: inner(x).sum()))(torch.stack([x, x + 1])).sum(0),
    "gradients of weights": _of_weights,
    "ensemble": _ensemble,
    "functional call": lambda inner, x: functional_call(inner, {n: p * 2 for n, p in inner.named_parameters()}, (x,)),
}
"""The transforms that may surround a network, in any order."""

WITHOUT_DERIVATIVES = {name for name in TRANSFORMS if name.startswith("vmap")} | {"ensemble", "functional call"}


def possible(names: list[str]) -> bool:
    """Whether torch survives this nesting of transforms: third derivatives with zeros end its process."""
    return "hessian" not in names or set(names) <= {"hessian"} | WITHOUT_DERIVATIVES


OUTSIDE: dict[str, Callable[[nn.Module, torch.Tensor], Any]] = {
    "checkpoint": lambda inner, x: torch.utils.checkpoint.checkpoint(inner, x, use_reentrant=False),
    "twice": lambda inner, x: inner(x) + inner(x + 1),
}
"""What may surround all of that; the transforms of ``torch.func`` refuse it inside of them."""


class Transformed(nn.Module):
    """A network within a transform."""

    def __init__(self, name: str, inner: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return {**TRANSFORMS, **OUTSIDE}[self.name](self.inner, x)

    def extra_repr(self) -> str:
        return self.name


class Threaded(nn.Module):
    """A network that runs in its own thread. The independent count sees one thread, so it runs the network without
    one.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.in_a_thread = True

    def forward(self, x: torch.Tensor) -> Any:
        return _in_a_thread(self.inner, x) if self.in_a_thread else self.inner(x)


@st.composite
def networks(draw: Callable[..., Any]) -> nn.Module:
    """One or two layers within up to two transforms, then a layer that training needs, within something from
    ``OUTSIDE``.
    """
    layers = draw(st.lists(st.sampled_from(list(LAYERS)), min_size=1, max_size=2))
    network: nn.Module = nn.Sequential(*(LAYERS[name]() for name in layers))
    transforms = st.lists(st.sampled_from(list(TRANSFORMS)), min_size=1, max_size=2, unique=True)
    for name in draw(transforms.filter(possible)):
        network = Transformed(name, network)
    for name in draw(st.lists(st.sampled_from(list(OUTSIDE)), max_size=1)):
        network = Transformed(name, network)
    if draw(st.booleans()):
        network = Threaded(network)
    return nn.Sequential(network, nn.Linear(WIDTH, 2))


def plainly(network: nn.Module, x: torch.Tensor, *, training: bool, **options: Any) -> tuple[int, int]:
    """The products of a plain run of a copy of the network on the CPU, forward and backward."""
    network = copy.deepcopy(network).train(training)
    for module in network.modules():
        if isinstance(module, Threaded):
            module.in_a_thread = False
    x = x.detach().clone().requires_grad_(x.requires_grad and training)
    return products.products_of(lambda: network(x), training=training, **options)


def profiled(profile: Profile) -> tuple[int, int]:
    """The MACs of the forward pass, and the other MACs."""
    forward = sum(call.count.macs for call in profile.trace.calls if call.phase == "forward")
    return forward, profile.total.macs - forward


def compare(network: nn.Module, x: torch.Tensor, **options: Any) -> None:
    """Compare both modes with the plain run."""
    for training in (False, True):
        expected = plainly(network, x, training=training, **options)
        profile = profiler.profile(network, x, mode="training" if training else "inference")
        assert (profiled(profile), profile.status) == (expected, "complete"), f"training={training}: {network}"


def refused(network: nn.Module, x: torch.Tensor) -> bool:
    """Whether torch itself cannot run it: some transforms cannot be nested in others."""
    try:
        plainly(network, x, training=True)
    except (RuntimeError, NotImplementedError):
        return True
    return False


def rows(*, gradient: bool = False) -> torch.Tensor:
    return torch.linspace(-1, 1, ROWS * WIDTH).view(ROWS, WIDTH).requires_grad_(gradient)


SETTINGS = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def compare_random(examples: int) -> None:
    """Compare ``examples`` random networks that torch can run, with and without a gradient for the input."""
    compared = 0

    @settings(SETTINGS, max_examples=examples)
    @given(networks(), st.booleans())
    def compare_one(network: nn.Module, gradient: bool) -> None:
        nonlocal compared
        assume(not refused(network, rows()))
        compare(network, rows(gradient=gradient))
        compared += 1

    compare_one()
    assert compared > examples // 2


@pytest.mark.slow
def test_compositions_cost_as_much_as_in_a_plain_run() -> None:
    """Random networks agree with the plain run, forward and backward, in both modes."""
    compare_random(6)


@pytest.mark.parametrize(
    "examples", [pytest.param(20, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.exhaustive)]
)
def test_many_compositions_cost_as_much_as_in_a_plain_run(examples: int) -> None:
    """More random networks agree with the plain run."""
    compare_random(examples)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_costs_as_much_as_in_a_plain_run(layer: str) -> None:
    """Each layer agrees with the plain run without any transform."""
    compare(nn.Sequential(LAYERS[layer](), nn.Linear(WIDTH, 2)), rows(gradient=True))


@pytest.mark.slow
@pytest.mark.parametrize("transform", [*TRANSFORMS, *OUTSIDE])
def test_a_transform_costs_as_much_as_in_a_plain_run(transform: str) -> None:
    """Each transform agrees with the plain run, around two layers."""
    network = nn.Sequential(Transformed(transform, LAYERS["layers"]()), nn.Linear(WIDTH, 2))
    compare(network, rows(gradient=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "transform", ["vmap", "jvp", "jacrev", "gradients of weights", "checkpoint", "functional call"]
)
def test_a_transform_in_a_thread_costs_as_much_as_in_a_plain_run(transform: str) -> None:
    """Torch keeps the state of a transform for each thread, so the transform starts and ends within one thread."""
    network = Threaded(Transformed(transform, LAYERS["layers"]()))
    assert network.in_a_thread
    compare(nn.Sequential(network, nn.Linear(WIDTH, 2)), rows(gradient=True))


@pytest.mark.slow
@pytest.mark.parametrize("layer", quick("linear", "gram"))
def test_second_derivatives_cost_as_much_as_in_a_plain_run(layer: str) -> None:
    """So do those of many samples, for which torch holds the factor 2 as a tensor; training needs third derivatives."""
    network = Transformed("hessian", Transformed("vmap", LAYERS[layer]()))
    compare(nn.Sequential(network, nn.Linear(WIDTH, 2)), rows(gradient=True))


class Linearized(nn.Module):
    """The tangent of a network for its input, computed by the function that ``linearize`` returns."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return linearize(self.inner, x)[1](x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@pytest.mark.parametrize("layer", quick("linear", of=("linear", "layers", "attention", "convolution")))
def test_a_linearized_network_costs_as_much_as_in_a_plain_run(layer: str) -> None:
    """The operations that ``linearize`` traces run once, and what it traced runs again for each tangent."""
    compare(nn.Sequential(Linearized(LAYERS[layer]()), nn.Linear(WIDTH, 2)), rows(gradient=True))


def test_the_independent_count_is_right_for_known_products() -> None:
    """A product of matrices (2·3·4), a batch of 5, a dot product of 3, windows, and the gradients of all."""
    cases: list[tuple[Callable[[], torch.Tensor], int, int]] = [
        (lambda: requiring_grad(2, 3) @ torch.ones(3, 4), 2 * 3 * 4, 2 * 3 * 4),
        (lambda: requiring_grad(2, 3) @ requiring_grad(3, 4), 2 * 3 * 4, 2 * (2 * 3 * 4)),
        (lambda: torch.bmm(requiring_grad(5, 2, 3), torch.ones(5, 3, 4)), 5 * 2 * 3 * 4, 5 * 2 * 3 * 4),
        (lambda: torch.dot(requiring_grad(3), torch.ones(3)), 3, 0),
        (lambda: torch.mv(requiring_grad(2, 3), torch.ones(3)), 2 * 3, 0),
        (lambda: F.linear(requiring_grad(2, 3), torch.ones(4, 3), torch.ones(4)), 2 * 3 * 4, 2 * 3 * 4),
        (lambda: F.conv2d(requiring_grad(1, 2, 5, 5), requiring_grad(6, 2, 3, 3)), 6 * 9 * 2 * 9, 2 * (6 * 9 * 2 * 9)),
        (lambda: F.conv2d(requiring_grad(1, 2, 5, 5), torch.ones(6, 1, 3, 3), groups=2), 6 * 9 * 9, 6 * 9 * 9),
        (lambda: F.conv1d(requiring_grad(1, 2, 9), torch.ones(6, 2, 3), None, 2, 1, 2), 6 * 4 * 2 * 3, 6 * 4 * 2 * 3),
        (lambda: F.conv_transpose1d(requiring_grad(1, 2, 5), torch.ones(2, 6, 3)), 2 * 5 * 6 * 3, 2 * 5 * 6 * 3),
        (
            lambda: F.scaled_dot_product_attention(requiring_grad(7, 4), torch.ones(6, 4), torch.ones(6, 5)),
            7 * 6 * 9,
            7 * 6 * 9,
        ),
        (lambda: requiring_grad(2, 3) * 2, 0, 0),
    ]
    for function, forward, backward in cases:
        assert products.products_of(function, training=True) == (forward, backward)


def requiring_grad(*shape: int) -> torch.Tensor:
    return torch.ones(shape, requires_grad=True)


def test_the_comparison_sees_a_wrong_value() -> None:
    """It fails if the plain count leaves a product out or has one too many."""
    network = nn.Sequential(Transformed("vmap", LAYERS["layers"]()), nn.Linear(WIDTH, 2))
    aten: Any = torch.ops.aten
    lacking = {packet: definition for packet, definition in products.PRODUCTS.items() if packet is not aten.mm}
    doubled = {**products.PRODUCTS, aten.addmm: lambda *args: 2 * products.added_rows_by_columns(*args)}
    for broken in (lacking, doubled):
        with pytest.raises(AssertionError, match="training="):
            compare(network, rows(gradient=True), definitions=broken)
