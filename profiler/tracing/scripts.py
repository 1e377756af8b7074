"""Scripted and traced modules (``torch.jit``) → copies that mark, while they run, which of their submodules is running.

TorchScript runs a module and all its submodules in one interpreter, which calls no Python hook.  A copy that was saved
and loaded shares no compiled code with the user's module, so its graphs may be changed: markers, custom operators that
compute nothing, are inserted around each call of a submodule.  The recorder sees the markers among the operations.
Markers are also put around the reciprocal and the product into which TorchScript converts a number divided by a tensor.
"""

from __future__ import annotations

import copy
import functools
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn

from profiler.errors import TraceError
from profiler.tracing.private import (
    compiled_further,
    divisions,
    graph_constants,
    graph_nodes,
    inline_forks,
    insert_call,
    is_frozen,
    method_graphs,
    script_tensors,
    set_script_tensor,
    submodule_called,
)
from profiler.tracing.walking import Named

ENTER = "static_flop_profiler::enter"
LEAVE = "static_flop_profiler::leave"
DIVIDE = "static_flop_profiler::divide"
DIVIDED = "static_flop_profiler::divided"


@functools.cache  # A library that is garbage-collected takes its operators with it.
def _declare_markers() -> torch.library.Library:
    """Declare the markers; torch keeps unknown operators, and their order."""
    library: Any = torch.library.Library(ENTER.partition("::")[0], "DEF")  # type: ignore[no-untyped-call]
    library.define("enter(str name, Tensor[] inputs) -> ()", alias_analysis="CONSERVATIVE")
    library.impl("enter", lambda name, inputs: None, "CompositeExplicitAutograd")
    for name in ("leave", "divide", "divided"):
        library.define(f"{name}(Tensor[] tensors) -> ()", alias_analysis="CONSERVATIVE")
        library.impl(name, lambda tensors: None, "CompositeExplicitAutograd")
    return library  # type: ignore[no-any-return]


def roots_among(modules: Iterable[nn.Module]) -> Iterator[torch.jit.ScriptModule]:
    """Those of ``modules``, which are all modules of a network, that are scripts and not part of another one."""
    below: set[int] = set()
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule) and id(module) not in below:
            below.update(map(id, module.modules()))
            yield module


def has_scripts(modules: Iterable[nn.Module]) -> bool:
    """Whether any of ``modules`` is scripted or traced."""
    return any(issubclass(kind, torch.jit.ScriptModule) for kind in set(map(type, modules)))


def script_type(module: nn.Module) -> str:
    """The class that a module was scripted or traced from; of any other module its own class."""
    if isinstance(module, torch.jit.ScriptModule):
        return str(getattr(module, "original_name", "")) or type(module).__name__
    return type(module).__name__


def copy_script(script: torch.jit.ScriptModule, memo: dict[int, Any], *, on_meta: bool) -> torch.jit.ScriptModule:
    """A copy that shares nothing with ``script``, not even compiled code, and marks the calls of its submodules.

    ``memo`` maps the ids of its parameters and buffers to their replacements; with ``on_meta`` other tensors are put on
    meta.  Raises :class:`TraceError` if the script was compiled further into kernels that dispatch modes do not see.
    """
    if any(compiled_further(graph) for graph in _graphs(script)):
        raise TraceError(
            f"{script_type(script)} was compiled by torch.jit.optimize_for_inference into kernels that cannot be "
            "observed: profile the module that it was made from"
        )
    _declare_markers()
    tensors: dict[tuple[str, str], Any] = {}
    for name, module in script.named_modules(remove_duplicate=False):
        for key, tensor in script_tensors(module):
            if id(tensor) not in memo:
                copied = tensor.detach().to("meta") if on_meta else tensor.detach().clone()
                memo[id(tensor)] = copied.requires_grad_(tensor.requires_grad)
            tensors[name, key] = memo[id(tensor)]
    # Saved with the tensors of the copy: on meta there is no data to write.
    unloaded = copy.deepcopy(script)
    _set_tensors(unloaded, tensors)
    file, jit = io.BytesIO(), cast(Any, torch.jit)
    jit.save(unloaded, file)
    file.seek(0)
    loaded: torch.jit.ScriptModule = jit.load(file)
    _set_tensors(loaded, tensors)  # shared tensors are shared again
    for graph in _graphs(loaded):
        _mark_calls(graph)
    return loaded


def _set_tensors(script: torch.jit.ScriptModule, tensors: dict[tuple[str, str], torch.Tensor]) -> None:
    modules = dict(script.named_modules(remove_duplicate=False))
    for (name, key), tensor in tensors.items():
        set_script_tensor(modules[name], key, tensor)


def _mark_calls(graph: Any) -> None:
    """Put markers around each call of a submodule and each division of a number, unless they exist already."""
    if any(node.kind() in (ENTER, DIVIDE) for node in graph_nodes(graph)):
        return
    inline_forks(graph)
    nodes = list(graph_nodes(graph))
    for node in nodes:
        name = submodule_called(graph, node)
        if name is not None:
            insert_call(graph, ENTER, (name,), list(node.inputs())[1:], node, after=False)
            insert_call(graph, LEAVE, (), list(node.outputs()), node, after=True)
    for reciprocal, product in divisions(graph):
        insert_call(graph, DIVIDE, (), list(reciprocal.inputs()), reciprocal, after=False)
        insert_call(graph, DIVIDED, (), list(product.outputs()), product, after=True)


def _graphs(script: torch.jit.ScriptModule) -> Iterator[Any]:
    """The graphs of all methods of a script module and of its submodules, each once."""
    graphs: dict[str, Any] = {}
    for module in script.modules():
        graphs.update(method_graphs(module))
    yield from graphs.values()


def constants_of(script: torch.jit.ScriptModule) -> Iterator[torch.Tensor]:
    """The tensors that are constants in the graphs of a script."""
    for graph in _graphs(script):
        yield from graph_constants(graph)


def frozen_weights(named: Sequence[Named]) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights that ``torch.jit.freeze`` made constants: named floating-point tensors with a dimension.

    ``named`` are all modules of a network, each once.
    """
    names = {id(module): name for name, module in named}
    for script in roots_among([module for _, module in named]):
        if is_frozen(script):
            prefix = f"{names[id(script)]}." if names[id(script)] else ""
            weights = [tensor for graph in _graphs(script) for tensor in graph_constants(graph)]
            for index, tensor in enumerate(t for t in weights if t.dim() and t.is_floating_point()):
                yield f"{prefix}constant_{index}", tensor


def as_written(modules: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """While it is active, scripts among ``modules`` run as written: later calls are not optimized by earlier ones."""
    jit: Any = torch.jit
    return jit.optimized_execution(False) if has_scripts(modules) else nullcontext()
