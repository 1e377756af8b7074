"""A network and the name of one of its methods → a module whose call calls the method."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from profiler.errors import TraceError, did_you_mean


def calling(model: nn.Module, method: str) -> nn.Module:
    """A module whose call calls the method of ``model`` at the dotted path ``method``.

    It shares all submodules and parameters with ``model``, which is not changed.  If the method itself calls its module
    (as ``generate`` does), that call runs the module's own forward.  Raises :class:`TraceError` if there is no such
    method.
    """
    if method in ("forward", "__call__"):
        return model
    path, _, name = method.rpartition(".")
    owner = submodule(model, path, "method")
    if isinstance(owner, torch.jit.ScriptModule) or isinstance(model, torch.jit.ScriptModule):
        raise TraceError(
            f"method {method}: found a scripted module, expected one in Python: its other methods are not seen"
        )
    if name == "__call__":
        name = "forward"
    if name.startswith("__") or not _is_method(getattr(owner, name, None)):
        known = [key for key in dir(type(owner)) if not key.startswith("_") and key not in dir(nn.Module)]
        hint = did_you_mean(name, [*known, "forward"])
        raise TraceError(f"method {method}: {type(owner).__name__} has no method {name!r}{hint}")
    view = _view(owner)
    if name != "forward":
        view.__dict__["forward"] = _Entry(view, name)
    return _with_child(model, path, view) if path else view


def _is_method(value: Any) -> bool:
    """Whether it is callable, and neither a class nor a module."""
    return callable(value) and not isinstance(value, (type, nn.Module))


def submodule(model: nn.Module, path: str, what: str) -> nn.Module:
    """The module at the dotted ``path``.  Raises :class:`TraceError`, which offers similar names."""
    modules = dict(model.named_modules(remove_duplicate=False))
    if path not in modules:
        hint = did_you_mean(path, modules)
        raise TraceError(f"{what} {path}: {type(model).__name__} has no module {path!r}{hint}")
    found: nn.Module = modules[path]
    return found


def _view(module: nn.Module) -> nn.Module:
    """Another module with the same parameters, buffers and submodules; later attributes are not shared."""
    view: nn.Module = object.__new__(type(module))
    view.__dict__.update(module.__dict__)
    view.__dict__["_modules"] = dict(module._modules)
    return view


def _with_child(model: nn.Module, path: str, child: nn.Module) -> nn.Module:
    """A view of ``model`` with ``child`` at ``path``; calling the view calls ``child``."""
    names = path.split(".")
    root = parent = _view(model)
    for name in names[:-1]:
        inner = _view(parent._modules[name] or nn.Identity())
        parent._modules[name] = inner
        parent = inner
    parent._modules[names[-1]] = child
    root.__dict__["forward"] = _Entry(root, path)
    return root


class _Entry:
    """Replaces a module's forward: calls a method or submodule, and the original forward while that is running."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module
        self.name = name
        self.own = module.__dict__.get("forward")
        self.running = False

    @property
    def _wanted(self) -> Any:
        if self.running:
            return type(self.module).forward.__get__(self.module) if self.own is None else self.own
        found: Any = self.module
        for name in self.name.split("."):
            found = getattr(found, name)
        return found

    @property
    def __signature__(self) -> inspect.Signature:
        wanted = self._wanted
        return inspect.signature(wanted.forward if isinstance(wanted, nn.Module) else wanted)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        wanted = self._wanted
        if self.running:
            return wanted(*args, **kwargs)
        self.running = True
        try:
            return wanted(*args, **kwargs)
        finally:
            self.running = False
