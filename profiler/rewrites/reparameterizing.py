"""Reparameterization: modules merge their branches by their own methods.

Networks such as RepVGG are trained with parallel branches and deployed as one convolution.  Their modules have a
method that merges the branches, in place or as a new module.  Source of the idea: X. Ding et al., "RepVGG: Making
VGG-style ConvNets Great Again", 2021, arXiv:2101.03697, section 3.3.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS, ProfilerError
from profiler.records import ROOT
from profiler.rewrites.registry import Change, Left, Rewritten, copied, described, register, replace_module, rewrite
from profiler.tracing import Inputs

NAME = "reparameterize"

METHODS = ("fuse", "reparameterize", "switch_to_deploy")
"""The names of such methods; the first one that a module has is called, without arguments."""


def reparameterize(model: nn.Module, inputs: Inputs | None = None) -> nn.Module:
    """A network whose modules have merged their branches, each by its own method; see ``METHODS``.

    A method changes its module in place, or returns a module that replaces it.  ``model`` is not changed.  It may be on
    meta.  Raises ProfilerError for a network in training mode, for one without such a module, and if a method raises.
    The methods are the network's own, so only the check of equivalence shows that they are right.
    """
    return rewrite(model, NAME, inputs).model


@register(NAME)
def reparameterized(model: nn.Module, inputs: Inputs | None = None) -> Rewritten:
    """The network with its branches merged, and the report; see :func:`reparameterize`."""
    if model.training:
        raise ProfilerError(
            f"{NAME}: {type(model).__name__} is in training mode, where batch norms use the statistics of their batch "
            "and branches cannot be merged; call model.eval() first"
        )
    merging = _Merging()
    on_meta = any(parameter.is_meta for parameter in model.parameters())
    # A method creates new layers, which belong on the device of the network.
    with torch.no_grad(), torch.device("meta") if on_meta else nullcontext():
        result = merging.run("", copied(model, NAME))
    if not merging.changes:
        raise ProfilerError(
            f"{NAME}: no module of {type(model).__name__} has something to merge by a method "
            f"{', '.join(f'{name}()' for name in METHODS)}"
        )
    return Rewritten(NAME, result.eval(), tuple(merging.changes), tuple(merging.left))


class _Merging:
    """Walks through a network from the outside in, calls the methods, and reports the changes."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.left: list[Left] = []
        self._seen: dict[int, nn.Module] = {}
        self._held: list[nn.Module] = []

    def run(self, name: str, module: nn.Module) -> nn.Module:
        """The module that replaces ``module``, with everything below it merged too."""
        if id(module) in self._seen:
            return self._seen[id(module)]
        self._held.append(module)  # kept, so that its id is not reused
        result = self._merged(name, module)
        self._seen[id(module)] = self._seen[id(result)] = result
        for child_name in [name for name, child in result._modules.items() if child is not None]:
            child = result.get_submodule(child_name)
            merged = self.run(f"{name}.{child_name}" if name else child_name, child)
            if merged is not child:
                replace_module(result, child_name, merged)
        return result

    def _merged(self, name: str, module: nn.Module) -> nn.Module:
        method = next((found for found in METHODS if inspect.ismethod(getattr(module, found, None))), None)
        if method is None:
            return module
        merge = getattr(module, method)
        if _needs_arguments(merge):
            self.left.append(Left(name or ROOT, type(module).__name__, f"its method {method} needs arguments"))
            return module
        before, text = _parts(module), described(module)
        try:
            result = merge()
        except FOREIGN_ERRORS as error:
            raise ProfilerError(
                f"{NAME}: {method}() of module {name or ROOT} ({type(module).__name__}) raised "
                f"{type(error).__name__}: {error}"
            ) from error
        result = result if isinstance(result, nn.Module) else module
        if result is not module or _parts(result) != before:
            after = f"{type(module).__name__}, merged in place" if result is module else described(result)
            self.changes.append(Change(name or ROOT, text, f"{after}, by {method}()"))
        return result


def _needs_arguments(method: Any) -> bool:
    """Whether it cannot be called without arguments: then it is not a merge of the module's branches."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(method).parameters.values()
    return any(one.default is inspect.Parameter.empty and one.kind not in kinds for one in parameters)


def _parts(module: nn.Module) -> tuple[Any, ...]:
    """The content of a module: types by name, and shapes by name."""
    types = tuple((name, type(part).__name__) for name, part in module.named_modules())
    return types, tuple((name, tuple(tensor.shape)) for name, tensor in module.named_parameters())
