"""The modules, parameters and buffers of a network, each found in one pass that takes time in their number.

The methods of modules with the same names pass each result through one generator a level, and yield the same in the
same order.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import torch
from torch import nn

Named = tuple[str, nn.Module]


def named_modules(model: nn.Module, *, repeated: bool = False) -> list[Named]:
    """Every module with its name; one that several modules hold once, or with ``repeated`` under each of its names.

    Raises :class:`RecursionError` if they are nested more deeply than Python can call them.
    """
    deepest = sys.getrecursionlimit()
    found: list[Named] = [("", model)]
    seen = {id(model)}
    waiting = [("", iter(model._modules.items()))]  # the modules whose own modules are being visited
    while waiting:
        prefix, inner = waiting[-1]
        for key, module in inner:
            if module is None:
                continue
            if not repeated:
                if id(module) in seen:
                    continue
                seen.add(id(module))
            name = prefix + key
            found.append((name, module))
            if module._modules:
                if len(waiting) > deepest:
                    raise RecursionError("modules are nested too deeply, or contain themselves")
                waiting.append((f"{name}.", iter(module._modules.items())))
                break
        else:
            waiting.pop()
    return found


def each_once(modules: Iterable[Named]) -> list[Named]:
    """``modules`` under their first names."""
    seen: set[int] = set()
    found: list[Named] = []
    for name, module in modules:
        if id(module) not in seen:
            seen.add(id(module))
            found.append((name, module))
    return found


def modules_of(model: nn.Module) -> list[nn.Module]:
    """Every module, once."""
    return [module for _, module in named_modules(model)]


def named_parameters(modules: Iterable[Named], *, repeated: bool = False) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters of ``modules`` with their names, each once, or with ``repeated`` under each of its names."""
    seen: set[int] = set()
    for prefix, module in modules:
        held = module._parameters
        for key, parameter in held.items() if held else ():
            if parameter is None or id(parameter) in seen:
                continue
            if not repeated:
                seen.add(id(parameter))
            yield f"{prefix}.{key}" if prefix else key, parameter


def named_buffers(modules: Iterable[Named], *, repeated: bool = False) -> Iterator[tuple[str, torch.Tensor]]:
    """The buffers of ``modules`` with their names, each once, or with ``repeated`` under each of its names."""
    seen: set[int] = set()
    for prefix, module in modules:
        held = module._buffers
        for key, buffer in held.items() if held else ():
            if buffer is None or id(buffer) in seen:
                continue
            if not repeated:
                seen.add(id(buffer))
            yield f"{prefix}.{key}" if prefix else key, buffer


def tensors_of(modules: Iterable[nn.Module]) -> list[torch.Tensor]:
    """The parameters and the buffers of ``modules``, each once, the parameters first."""
    parameters: dict[int, torch.Tensor] = {}
    buffers: dict[int, torch.Tensor] = {}
    for module in modules:
        for found, held in ((parameters, module._parameters), (buffers, module._buffers)):
            for tensor in held.values() if held else ():
                if tensor is not None:
                    found.setdefault(id(tensor), tensor)
    return [*parameters.values(), *buffers.values()]
