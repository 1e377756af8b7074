"""The shorter ways to make modules and to give them attributes: each does what torch's own method does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from profiler.models.quick_modules import quick_modules, set_attribute


class Plain(nn.Module):
    """A module whose class defines nothing else."""

    weight: Any
    mark = "of the class"


class WithProperty(nn.Module):
    """A class that keeps an attribute of all modules elsewhere."""

    @property
    def training(self) -> Any:
        """Whether it is in train mode, twice."""
        return self.__dict__["twice"] // 2

    @training.setter
    def training(self, value: Any) -> None:
        self.__dict__["twice"] = 2 * value


class Recorder:
    """A base that sees which attributes an object gets."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("seen", []).append(name)
        super().__setattr__(name, value)


class Recorded(nn.Module, Recorder):
    """A module whose attributes are set by another base."""


class Base:
    """A base whose constructor takes arguments."""

    def __init__(self, width: int = 3) -> None:
        self.width = width


class Cooperative(nn.Module, Base):
    """A module whose other base is constructed too."""

    call_super_init = True


class Answering(nn.Module):
    """A module that has attributes of any name."""

    def __getattr__(self, name: str) -> Any:
        return name if name.startswith("any") else super().__getattr__(name)


def _with_tensors(kind: type[nn.Module] = Plain) -> Any:
    module: Any = kind()
    module.register_parameter("weight", nn.Parameter(torch.ones(2)))
    module.register_parameter("bias", None)
    module.register_buffer("mean", torch.zeros(3))
    module.register_buffer("kept", torch.zeros(3), persistent=False)
    module.add_module("inner", nn.ReLU())
    module.add_module("none", None)
    module._non_persistent_buffers_set.add("new")
    module.__dict__["number"] = 5
    return module


VALUES: dict[str, Callable[[], Any]] = {
    "number": lambda: 7,
    "none": lambda: None,
    "list": lambda: [1],
    "tensor": lambda: torch.ones(4),
    "parameter": lambda: nn.Parameter(torch.ones(4)),
    "buffer": lambda: nn.Buffer(torch.ones(4)),
    "module": nn.Sigmoid,
}

NAMES = ("new", "weight", "bias", "mean", "kept", "inner", "none", "number", "mark", "forward", "training", "_modules")

OTHER_NAMES = ("", "a.b", "_parameters", 3)

SITUATIONS: dict[str, Callable[[], Any]] = {
    "with tensors": _with_tensors,
    "another base": lambda: _with_tensors(Recorded),
    "answering": lambda: _with_tensors(Answering),
    "before its constructor": lambda: Plain.__new__(Plain),
    "without buffers": lambda: _without("_buffers"),
}


def _without(name: str) -> Any:
    module = _with_tensors()
    del module.__dict__[name]
    return module


def described(value: Any) -> Any:
    """A value by its type, its items and attributes in their order."""
    if isinstance(value, nn.Module):
        return type(value), described(vars(value))
    if isinstance(value, dict):
        return type(value), [(name, described(item)) for name, item in value.items()]
    if isinstance(value, torch.Tensor):
        return type(value), value.tolist(), value.requires_grad
    return type(value), repr(value)


def outcome(action: Callable[[Any], Any], module: Any) -> Any:
    """What the module is afterwards, or the error."""
    try:
        action(module)
    except Exception as error:
        return type(error), str(error), described(vars(module))
    return described(module)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_attributes_are_set_as_by_torch(situation: str, value: str) -> None:
    """A value of any kind under any name: the same module, or the same error."""
    make = SITUATIONS[situation]
    for name in NAMES:
        of_torch = outcome(lambda module: setattr(module, name, VALUES[value]()), make())  # noqa: B023
        quick = outcome(lambda module: set_attribute(module, name, VALUES[value]()), make())  # noqa: B023
        assert quick == of_torch, name


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_modules_are_added_as_by_torch(situation: str, value: str) -> None:
    """A module, or another object, under any name: the same module, or the same error."""
    make = SITUATIONS[situation]
    for name in (*NAMES, *OTHER_NAMES, "any"):

        def add(module: Any, name: Any = name) -> None:
            module.add_module(name, VALUES[value]())

        of_torch = outcome(add, make())
        with quick_modules():
            quick = outcome(add, make())
        assert quick == of_torch, name


@pytest.mark.parametrize("kind", [Plain, WithProperty, Recorded, Cooperative, Answering, nn.Sequential])
@pytest.mark.parametrize("args", [(), (4,)])
def test_modules_are_made_as_by_torch(kind: type[nn.Module], args: tuple[Any, ...]) -> None:
    """Any class of modules: the same attributes in the same order, or the same error."""

    def init(module: nn.Module) -> None:
        nn.Module.__init__(module, *args)

    of_torch = outcome(init, kind.__new__(kind))
    with quick_modules():
        quick = outcome(init, kind.__new__(kind))
    assert quick == of_torch


def test_modules_share_nothing() -> None:
    """Each module has its own containers."""
    with quick_modules():
        first, second = nn.Module(), nn.Module()
    held = [{id(value) for value in vars(it).values() if isinstance(value, (dict, set))} for it in (first, second)]
    assert len(held[0]) > 10
    assert held[0].isdisjoint(held[1])


def test_hooks_see_every_module() -> None:
    """A hook on the registration of modules is called, and its result is taken."""
    hook: Any = lambda *_: nn.Tanh()  # noqa: E731
    with quick_modules(), register_module_module_registration_hook(hook):
        module = nn.Module()
        module.add_module("added", nn.ReLU())
        set_attribute(module, "inner", nn.ReLU())
    assert isinstance(module.added, nn.Tanh)
    assert isinstance(module.inner, nn.Tanh)


def test_methods_that_others_have_replaced_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who replaces a method before a network is built sees each call of it."""
    added: list[str] = []
    of_torch = nn.Module.add_module

    def add(self: nn.Module, name: str, module: nn.Module | None) -> None:
        added.append(name)
        of_torch(self, name, module)

    monkeypatch.setattr(nn.Module, "add_module", add)
    with quick_modules():
        nn.Sequential(nn.ReLU(), nn.ReLU())
    assert added == ["0", "1"]
    assert nn.Module.add_module is add


def test_a_class_that_has_changed_is_looked_at_again() -> None:
    """What is known of a class is forgotten before the next network."""

    class Own(nn.Module):
        pass

    with quick_modules():
        Own()
    Own.training = WithProperty.training  # type: ignore[assignment]
    with quick_modules():
        assert "twice" in vars(Own())
