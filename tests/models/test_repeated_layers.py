"""Layers that a builder asks for again: what is copied is what the constructor would have made."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from profiler.models.layer_states import LayerState
from profiler.models.placements import PLACEMENTS, Placement
from profiler.models.repeated_layers import KINDS, layers_repeated
from profiler.tracing.private import DispatchMode

ARGUMENTS: dict[type[nn.Module], tuple[Any, ...]] = {
    nn.Linear: (3, 4),
    nn.Embedding: (5, 4),
    nn.LayerNorm: ((3, 4),),
    nn.GroupNorm: (2, 4),
    nn.InstanceNorm1d: (4, 1e-5, 0.1, True, True),
    nn.InstanceNorm2d: (4, 1e-5, 0.1, True, True),
    nn.InstanceNorm3d: (4, 1e-5, 0.1, True, True),
    nn.BatchNorm1d: (4,),
    nn.BatchNorm2d: (4,),
    nn.BatchNorm3d: (4,),
}


def constructors() -> list[Any]:
    """The constructor of each class, and whether it is its own."""
    return [(kind, kind.__init__, "__init__" in vars(kind)) for kind in KINDS]


OF_TORCH = constructors()


def layer(kind: type[nn.Module]) -> nn.Module:
    """A small layer of a class."""
    return kind(*ARGUMENTS.get(kind, (4, 6, 3)))


def described(module: nn.Module) -> list[Any]:
    """All attributes of a module in their order, its tensors by everything but their numbers and device."""
    return described_state(vars(module))


def described_state(state: dict[str, Any]) -> list[Any]:
    """The same of attributes."""
    return [(name, type(value), _described(value)) for name, value in state.items()]


def _described(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        whole = value.untyped_storage().nbytes(), value.storage_offset(), value.stride(), dict(vars(value))
        return type(value), value.shape, value.dtype, value.requires_grad, value.is_leaf, value.is_inference(), whole
    if isinstance(value, (dict, OrderedDict)):
        return {key: _described(item) for key, item in value.items()}
    return repr(value)


@pytest.fixture
def constructed(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The convolutions whose constructor has run."""
    ran: list[nn.Module] = []
    before = nn.Conv2d.__init__

    def init(self: nn.Conv2d, *args: Any, **kwargs: Any) -> None:
        ran.append(self)
        before(self, *args, **kwargs)

    monkeypatch.setattr(nn.Conv2d, "__init__", init)
    return ran


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("place", PLACEMENTS[:2], ids=["all", "parameters"])
def test_a_layer_that_is_built_again_is_as_the_first_one(place: Placement, kind: type[nn.Module]) -> None:
    """Its attributes are those of the first one, in the same order; no tensor and no container is shared."""
    with place():
        first = layer(kind)
        expected = described(first)
        again = layer(kind)
    assert described(again) == expected
    held = [[*vars(it).values(), *it.parameters(), *it.buffers()] for it in (first, again)]
    mutable = [{id(value) for value in each if isinstance(value, (dict, list, set, torch.Tensor))} for each in held]
    assert mutable[0].isdisjoint(mutable[1])
    stored = [id(tensor.untyped_storage()) for it in (first, again) for tensor in (*it.parameters(), *it.buffers())]
    assert len(set(stored)) == len(stored)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_first_layer_is_as_torch_builds_it(kind: type[nn.Module]) -> None:
    """It has the same attributes, and the buffers that are not on meta have their numbers."""
    expected = layer(kind)
    with PLACEMENTS[0]():
        on_meta = layer(kind)
    with PLACEMENTS[1]():
        found = [layer(kind) for _ in range(2)]
    assert all(described(each) == described(expected) for each in (on_meta, *found))
    assert all(tensor.is_meta for tensor in (*on_meta.parameters(), *on_meta.buffers()))
    for each in found:
        assert all(parameter.is_meta for parameter in each.parameters())
        assert all(torch.equal(each.get_buffer(name), buffer) for name, buffer in expected.named_buffers())


@pytest.mark.parametrize("method", ["reset_parameters", "reset_running_stats"])
def test_a_replaced_method_of_the_first_layer_runs(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own method only fills tensors; another one may do anything."""
    ran: list[nn.Module] = []
    monkeypatch.setattr(nn.BatchNorm2d, method, lambda self: ran.append(self))
    with PLACEMENTS[0]():
        nn.BatchNorm2d(4)
    assert ran


def test_every_empty_layer_gives_torch_s_warning() -> None:
    """Torch warns that it cannot initialize a layer without elements; such a layer is not copied."""
    with PLACEMENTS[0]():
        for _ in range(2):
            with pytest.warns(UserWarning, match="zero-element"):
                nn.Linear(0, 3)


def test_numbers_on_the_cpu_are_initialized() -> None:
    """A parameter that its builder wants on the CPU has numbers there."""
    with PLACEMENTS[0]():
        layers = nn.GroupNorm(2, 4, device="cpu"), nn.GroupNorm(2, 4, 1e-5, True, "cpu")
    assert all(torch.equal(layer.weight, torch.ones(4)) for layer in layers)


def test_a_replaced_constructor_runs_on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that it makes besides those of torch are on meta too."""
    before = nn.Linear.__init__

    def init(self: nn.Linear, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)
        self.register_buffer("scale", torch.ones(3))

    monkeypatch.setattr(nn.Linear, "__init__", init)
    with PLACEMENTS[0]():
        layers = [nn.Linear(3, 4) for _ in range(2)]
    assert all(layer.get_buffer("scale").is_meta for layer in layers)


@pytest.mark.parametrize("base", [nn.modules.conv._ConvNd, nn.Module])
def test_a_replaced_constructor_of_a_base_runs(base: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """It may do anything, so each layer is built, and what it makes is on meta."""
    ran: list[torch.Tensor] = []
    before = base.__init__

    def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        ran.append(torch.ones(3))
        before(self, *args, **kwargs)

    monkeypatch.setattr(base, "__init__", init)
    with PLACEMENTS[0]():
        nn.Conv2d(4, 6, 3)
        nn.Conv2d(4, 6, 3)
    assert [tensor.is_meta for tensor in ran] == [True, True]


class SeesFunctions(TorchFunctionMode):
    """A mode of somebody else, which has to see the functions of every constructor."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("inside", [False, True])
def test_a_mode_of_others_sees_the_functions_of_a_constructor(inside: bool) -> None:
    """Whether it was there before the builder or not, it sees those of a first layer."""
    mode = SeesFunctions()
    with ExitStack() as stack:
        for context in (PLACEMENTS[0](), mode) if inside else (mode, PLACEMENTS[0]()):
            stack.enter_context(context)
        nn.Linear(3, 4)
    assert mode.seen.count("empty") == 2


@pytest.mark.parametrize("place", PLACEMENTS[:2], ids=["all", "parameters"])
def test_the_constructor_runs_once(place: Placement, constructed: list[nn.Module]) -> None:
    """Of three equal layers the constructor runs for the first one; another one is built as any."""
    with place():
        for width in (6, 6, 8, 6):
            nn.Conv2d(4, width, 3)
    assert len(constructed) == 2


def test_changes_of_the_first_layer_are_not_copied() -> None:
    """What a builder changes of a layer is not in the next one."""
    with PLACEMENTS[0]():
        first = nn.Conv2d(4, 6, 3, padding="same")
        expected = described(first)
        first.stride = (2, 2)
        first._reversed_padding_repeated_twice[0] = 7
        first.weight.requires_grad_(False)
        first.weight.origin = "elsewhere"  # type: ignore[attr-defined]
        first.weight = nn.Parameter(torch.empty(1))
        first.register_buffer("more", torch.empty(2))
        first.register_forward_hook(lambda *_: None)
        assert described(nn.Conv2d(4, 6, 3, padding="same")) == expected


def test_arguments_that_are_equal_but_of_other_types() -> None:
    """1 and True are equal, and the layers that have them differ."""
    with PLACEMENTS[0]():
        nn.BatchNorm2d(4, 1, 0.5)
        assert type(nn.BatchNorm2d(4, True, 0.5).eps) is bool
        nn.LayerNorm((3, 4), 0.0)
        assert str(nn.LayerNorm((3, 4), -0.0).eps) == "-0.0"


@contextmanager
def hook_on_parameters() -> Iterator[None]:
    """Every parameter that a module gets is frozen."""
    handle = register_module_parameter_registration_hook(lambda _m, _n, parameter: parameter.requires_grad_(False))
    with handle:
        yield


@contextmanager
def hook_on_buffers() -> Iterator[None]:
    """A hook on buffers."""
    with register_module_buffer_registration_hook(lambda *_: None):
        yield


@contextmanager
def default_dtype() -> Iterator[None]:
    """New tensors have double precision."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def other_initialization() -> Iterator[None]:
    """Somebody replaces a method that the constructor calls."""
    with pytest.MonkeyPatch.context() as patch:  # which leaves nothing in a class that inherits the method
        patch.setattr(nn.Conv2d, "reset_parameters", lambda self: setattr(self, "reset", True))
        yield


class SeesOperators(DispatchMode):
    """A mode of somebody else, which has to see the operators of every constructor."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


SURROUNDINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "device": lambda: torch.device("cpu"),
    "dispatch mode": SeesOperators,
    "inference mode": torch.inference_mode,
    "hook on parameters": hook_on_parameters,
    "hook on buffers": hook_on_buffers,
    "default dtype": default_dtype,
    "replaced method": other_initialization,
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_layer_in_other_surroundings_is_built(name: str, constructed: list[nn.Module]) -> None:
    """What changes the result of a constructor, or sees it, has its effect: the constructor runs."""
    around = SURROUNDINGS[name]
    with around():
        expected = nn.Conv2d(4, 6, 3)
    constructed.clear()
    with PLACEMENTS[0]():
        nn.Conv2d(4, 6, 3)
        with around():
            found = nn.Conv2d(4, 6, 3)
    assert described(found) == described(expected)
    assert found.weight.is_meta == (name != "device")
    assert constructed == [constructed[0], found]


@pytest.mark.parametrize("name", ["hook on parameters", "hook on buffers"])
def test_a_hook_that_was_there_before_sees_every_layer(name: str, constructed: list[nn.Module]) -> None:
    """With hooks of others on the registration of tensors, nothing is copied from the start."""
    with SURROUNDINGS[name](), PLACEMENTS[0]():
        nn.Conv2d(4, 6, 3)
        nn.Conv2d(4, 6, 3)
    assert len(constructed) == 2


def test_a_subclass_is_built(constructed: list[nn.Module]) -> None:
    """A subclass may do anything in its constructor, and in the methods that this one calls."""

    class Own(nn.Conv2d):
        pass

    with PLACEMENTS[0]():
        Own(4, 6, 3)
        Own(4, 6, 3)
    assert len(constructed) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: setattr(layer.weight, "origin", "here"),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.empty(9, 4, device="meta")[:6])),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.empty(4, 6, device="meta").t())),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.empty(4, 6))),
        lambda layer: layer.register_buffer("same", layer.weight.detach()),
        lambda layer: layer.register_buffer("large", torch.empty(2**19)),
        lambda layer: setattr(layer, "lock", threading.Lock()),
        lambda layer: setattr(layer, "table", {1: 2}),
        lambda layer: setattr(layer, "lists", [[1]]),
        lambda layer: setattr(layer, "inner", nn.ReLU()),
    ],
)
def test_a_state_that_cannot_be_copied(change: Callable[[Any], Any]) -> None:
    """Tensors with attributes, with others' memory or in other orders, and objects that can change."""
    layer: Any = nn.Linear(4, 6, device="meta")
    assert described_state(LayerState(vars(layer)).copy()) == described_state(vars(layer))
    change(layer)
    with pytest.raises(ValueError, match=r"copied|new tensors"):
        LayerState(vars(layer))


def test_buffers_on_the_cpu_are_copied_with_their_numbers() -> None:
    """A change of one of them is not one of others."""
    with PLACEMENTS[1]():
        layers = []
        for _ in range(3):
            layers.append(nn.BatchNorm2d(4))
            layers[-1].get_buffer("running_var").mul_(0)
            assert [layer.get_buffer("running_var").sum() for layer in layers] == [0] * len(layers)
        assert torch.equal(nn.BatchNorm2d(4).get_buffer("running_var"), torch.ones(4))


class SetsDtype(TorchFunctionMode):
    """A mode that changes the default dtype while the first constructor runs."""

    done = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.empty and not self.done:
            torch.set_default_dtype(torch.float64)
            self.done = True
        return func(*args, **(kwargs or {}))


def test_a_layer_of_other_settings_is_not_copied() -> None:
    """If a setting changes while a layer is built, and is restored, the next layer is built."""
    try:
        with SetsDtype(), PLACEMENTS[0]():
            assert nn.GroupNorm(2, 4).weight.dtype is torch.float64
            torch.set_default_dtype(torch.float32)
            assert nn.GroupNorm(2, 4).weight.dtype is torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_another_thread_is_not_affected(constructed: list[nn.Module]) -> None:
    """While one thread builds, the constructor runs for each layer of another one."""
    with layers_repeated():
        nn.Conv2d(4, 6, 3, device="meta")
        thread = threading.Thread(target=lambda: nn.Conv2d(4, 6, 3, device="meta"))
        thread.start()
        thread.join()
        assert len(constructed) == 2
        nn.Conv2d(4, 6, 3, device="meta")
        assert len(constructed) == 2


def test_the_constructors_are_those_of_torch_afterwards() -> None:
    """Also after an error, and after one of two builders that run at the same time has ended."""
    with pytest.raises(ValueError, match="divisible"), PLACEMENTS[0](), layers_repeated():
        nn.GroupNorm(3, 4)
    assert constructors() == OF_TORCH


def test_a_constructor_that_a_builder_replaces_stays_replaced() -> None:
    """A builder may replace a constructor for good, and every layer is then built by the new one."""
    original, built = nn.Embedding.__init__, []

    def init(self: nn.Embedding, *args: Any) -> None:
        built.append(self)
        original(self, *args)

    try:
        with PLACEMENTS[0]():
            nn.Embedding(5, 4)
            nn.Embedding.__init__ = init  # type: ignore[method-assign, assignment]
            nn.Embedding(5, 4)
            nn.Embedding(5, 4)
        assert nn.Embedding.__init__ is init
    finally:
        nn.Embedding.__init__ = original  # type: ignore[method-assign]
    assert len(built) == 2
