"""A network and inputs → the copies of both that one run is made on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from profiler.errors import NeedsDataError
from profiler.tracing import symbols
from profiler.tracing.callables import CallableNetwork, CallCopy, check_not_lazy
from profiler.tracing.calls import Inputs, call_arguments
from profiler.tracing.copying import copy_to_meta, deep_copy, to_meta
from profiler.tracing.makes import Make
from profiler.tracing.object_copies import Change, InputCopy, SharedMemory
from profiler.tracing.tensors import SPARSE
from profiler.tracing.tree_copies import copy_of_tree
from profiler.tracing.values import LARGEST
from profiler.tracing.walking import Named, modules_of


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way of running a network: copies of it and of its inputs, which the run may change.

    ``values`` are inputs on meta, each with its real integers; ``reached`` are tensors that a callable uses and that
    are not its arguments; ``copies`` gives the copies of all tensors.  ``named`` are the modules of the network under
    all their names when the run begins.  If the network was copied by its ``make``, they are all plain, and each is
    there once.
    """

    network: nn.Module
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    values: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    reached: Sequence[torch.Tensor] = ()
    copies: Callable[[], Sequence[torch.Tensor]] = tuple
    make: Make | None = None
    named: Sequence[Named] = ()


def attempt_on_meta(model: nn.Module, inputs: Inputs, make: Make | None = None) -> Attempt:
    """Copies of a network and of its inputs on the meta device; ``make`` is that of the network, if it is known."""
    memo: dict[int, Any] = {}
    if isinstance(model, CallableNetwork):
        check_not_lazy(model)
        memo[id(model.call)] = model.call
    modules = None if make is None else copy_of_tree(make, memo)
    network = copy_to_meta(model, memo) if modules is None else modules[0]
    (arguments, options), copied = _copied_with(model, network, inputs, _meta_input, memo)
    values = [(new, tensor.detach()) for tensor, new in copied.tensors if _may_be_known(tensor, new)]
    memory = SharedMemory(tensor for _, tensor in values)
    known = [(new, memory.placed(tensor, tensor.cpu().clone())) for new, tensor in values]
    attempt = Attempt(network, arguments, options, known, _reached(network, copied), partial(_copies, memo))
    if make is None or modules is None:
        return attempt
    named = [(name, module) for (name, _), module in zip(make.named, modules, strict=True)]
    return replace(attempt, make=make, named=named)


def set_training(attempt: Attempt, training: bool) -> None:
    """``network.train(training)``, at once for all modules if none of their classes has its own way."""
    modules = [module for _, module in attempt.named] if attempt.named else modules_of(attempt.network)
    if all(map(_has_usual_modes, set(map(type, modules)))):
        for module in modules:
            module.__dict__["training"] = training
    else:
        attempt.network.train(training)


def _has_usual_modes(kind: type[nn.Module]) -> bool:
    usual = ("train", "children", "named_children", "__setattr__", "training")
    return all(getattr(kind, name, None) is getattr(nn.Module, name, None) for name in usual)


def _copied_with(
    model: nn.Module, network: nn.Module, inputs: Inputs, change: Change, memo: dict[int, Any]
) -> tuple[tuple[tuple[Any, ...], dict[str, Any]], InputCopy]:
    """Copies of the arguments of ``model``, whose copy is ``network``.

    A callable gets a copy of what it calls, and the existing gradients.
    """
    if not isinstance(network, CallableNetwork):
        copied = InputCopy(call_arguments(inputs), change, memo)
        return copied.result, copied
    memo.pop(id(network.call), None)
    copied = CallCopy((call_arguments(inputs), network.call), change, memo)
    arguments, network.__dict__["call"] = copied.result
    network.__dict__["copies"] = copied  # alive, since some may be reached by weak references alone
    for parameter, new in zip(model.parameters(), network.parameters(), strict=True):
        copied.copy_gradient(parameter, new)
    for module in network.modules():
        copied.copy_methods(module)
    return arguments, copied


def _reached(network: nn.Module, copied: InputCopy) -> list[torch.Tensor]:
    """The tensors that a callable reaches and that are data: no leaves that a gradient is computed for."""
    if not isinstance(network, CallableNetwork):
        return []
    return [new for _, new in copied.tensors if not new.requires_grad]


def _copies(memo: dict[int, Any]) -> list[torch.Tensor]:
    return [new for new in memo.values() if isinstance(new, torch.Tensor)]


def _may_be_known(tensor: torch.Tensor, new: torch.Tensor) -> bool:
    """Whether the work of a network may depend on the values of an input: a few integers."""
    is_number = tensor.is_floating_point() or tensor.is_complex()
    return new.is_meta and not (tensor.is_meta or is_number or tensor.numel() > LARGEST)


def without_data(tensor: torch.Tensor) -> torch.Tensor:
    """An input on meta, or a copy of it if the work of a network may depend on its values."""
    new = _meta_input(tensor)
    return tensor.detach().cpu().clone() if _may_be_known(tensor, new) else new


def attempt_for_real(model: nn.Module, inputs: Inputs) -> Attempt:
    """Copies of a network with its real tensors and of real inputs."""
    memo: dict[int, Any] = {}
    if isinstance(model, CallableNetwork):
        check_not_lazy(model)
        memo[id(model.call)] = model.call
    network = deep_copy(model, memo)
    if isinstance(network, CallableNetwork):
        network.cpu()
    (arguments, options), copied = _copied_with(model, network, inputs, _real_input, memo)
    return Attempt(network, arguments, options, reached=_reached(network, copied), copies=partial(_copies, memo))


def _meta_input(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.layout in SPARSE:
        raise NeedsDataError("an input is sparse, and the positions of its elements are not known on the meta device")
    if tensor.is_nested and tensor.layout == torch.strided:
        raise NeedsDataError("the input is a nested tensor of strided layout, which the meta device does not support")
    symbolic = None if symbols.ACTIVE.run is None else symbols.ACTIVE.run.input(tensor)
    return (to_meta(tensor) if symbolic is None else symbolic).requires_grad_(tensor.requires_grad)


def _real_input(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().clone().requires_grad_(tensor.requires_grad)
