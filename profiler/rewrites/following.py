"""A network → the graph of its calls, and the reasons why parts of it cannot be followed.

The graph comes from ``torch.fx``, which passes symbolic values through ``forward`` in place of tensors.  A symbolic
value cannot decide a branch, so a module whose branches depend on data is kept as one node.  If the network's inputs
are known, it is also run on the meta device: a graph that calls other layers than that run is rejected.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from profiler.errors import FOREIGN_ERRORS
from profiler.tracing import Inputs, call_arguments
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.objects import tensors_in


@dataclass(frozen=True, slots=True)
class Followed:
    """The graph of one module (``""`` for the network); names in it are fully qualified."""

    root: str
    graph: fx.Graph

    def full_name(self, target: Any) -> str:
        """The full name of the module that a node calls."""
        return f"{self.root}.{target}" if self.root else str(target)


@dataclass(slots=True)
class Following:
    """The graphs, the modules that could not be followed with the reasons, and the result of a run on meta."""

    graphs: list[Followed] = field(default_factory=list)
    unfollowed: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, set[int]] | None = None

    def reason(self, name: str) -> str | None:
        """Why the module ``name`` cannot be followed; None if it can."""
        prefix = name
        while True:
            if prefix in self.unfollowed:
                where = f"in {prefix}, which" if prefix else "in a network whose forward"
                return f"{where} cannot be followed: {self.unfollowed[prefix]}"
            if not prefix:
                return None
            prefix = prefix.rpartition(".")[0]


def follow(model: nn.Module, inputs: Inputs | None = None) -> Following:
    """The data flow through ``model`` when it is called with ``inputs``, or with its required arguments alone.

    The network should be a copy on meta: it is not changed, but a forward may store values.  With ``inputs`` the
    network has to be on meta.  If a module cannot be followed, a module inside it is followed separately if the run
    shows that everything below that one is called from its own forward.
    """
    run = None if inputs is None else _watched(model, inputs)
    result = Following(ranks=None if run is None else run.ranks)
    _follow_below(model, "", run, result)
    return result


def is_layer(module: nn.Module) -> bool:
    """Whether a call of ``module`` is one node of the graph, instead of the nodes of its forward."""
    if isinstance(module, nn.Sequential):
        return False
    if type(module).__module__.startswith(("torch.nn", "torch.ao.nn")):
        return True
    # A subclass with the computation of its base.
    layers = (_ConvNd, nn.Linear, _BatchNorm)
    base: Any = next((base for base in type(module).__mro__ if base.__module__.startswith("torch.nn")), nn.Module)
    return (
        isinstance(module, layers)
        and type(module).forward is base.forward
        and getattr(type(module), "_conv_forward", None) is getattr(base, "_conv_forward", None)
    )


class _Tracer(fx.Tracer):
    """torch.fx's tracer; it keeps a module that cannot be followed as one node instead of failing."""

    def __init__(self) -> None:
        super().__init__()
        self.unfollowed: dict[str, str] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return is_layer(m)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        # Without the cache, which would keep nodes that are removed again.
        return super().getattr(attr, attr_val, {})

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = set(self.graph.nodes)
        stack = OrderedDict(self.module_stack)
        try:
            return super().call_module(m, forward, args, kwargs)
        except FOREIGN_ERRORS as error:
            for node in reversed(list(self.graph.nodes)):
                if node not in before:
                    self.graph.erase_node(node)
            self.module_stack = stack
            name = self.path_of_module(m)
            self.unfollowed[name] = _one_line(error)
            return self.create_proxy("call_module", name, args, kwargs)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."


@dataclass(slots=True)
class _Call:
    """One call of a module: the names of the running modules, itself last, and its arguments."""

    stack: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    layers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """The result of a run on meta: the calls, and the numbers of dimensions of the inputs of each module."""

    calls: list[_Call] = field(default_factory=list)
    ranks: dict[str, set[int]] = field(default_factory=dict)


def _watched(model: nn.Module, inputs: Inputs) -> _Run | None:
    """One run of ``model``, or None if it cannot run on meta."""
    run = _Run()
    running: list[_Call] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            outer = running[-1].stack if running else ()
            for call in running:
                call.layers.append(name)
            running.append(_Call((*outer, name), args, kwargs))
            run.calls.append(running[-1])
            run.ranks.setdefault(name, set()).update(tensor.dim() for tensor in tensors_in((args, kwargs)))

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            running.pop()

        handles.append(module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True))
        handles.append(module.register_forward_hook(leave, always_call=True))

    arguments, options = call_arguments(map_inputs(inputs, lambda tensor: tensor.detach().to("meta")))
    for name, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            watch(name, module)
    try:
        with torch.no_grad():
            model(*arguments, **options)
    except FOREIGN_ERRORS:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return run


def _follow_below(module: nn.Module, name: str, run: _Run | None, result: Following) -> None:
    """Follow ``module``; modules below it that cannot be followed are entered if a run shows that this is correct."""
    calls = [] if run is None else [call for call in run.calls if call.stack[-1] == name]
    graph, unfollowed = _traced(module, calls)
    reason = None if graph is None else _disagreement(module, name, graph, unfollowed, calls)
    if graph is None or reason:
        result.unfollowed[name] = reason or unfollowed[""]
        opaque = [name]
    else:
        followed = Followed(name, graph)
        result.graphs.append(followed)
        opaque = [followed.full_name(below) for below in unfollowed]
        result.unfollowed |= {followed.full_name(below): why for below, why in unfollowed.items()}
    if run is None:
        return
    for outer in opaque:
        if any(outer != other and (not other or outer.startswith(f"{other}.")) for other in opaque):
            continue  # entered with the module that holds it
        whole = module if outer == name else module.get_submodule(outer[len(name) + 1 if name else 0 :])
        for below, child in _called_inside(whole, outer, run):
            result.unfollowed.pop(below, None)
            _follow_below(child, below, run, result)


def _called_inside(module: nn.Module, name: str, run: _Run) -> Iterator[tuple[str, nn.Module]]:
    """The nearest modules below ``module`` that are called, and that call everything below them themselves."""
    for child_name, child in module.named_children():
        full = f"{name}.{child_name}" if name else child_name
        below = [call for call in run.calls if call.stack[-1].startswith(f"{full}.")]
        called = any(call.stack[-1] == full for call in run.calls)
        if called and all(full in call.stack for call in below):
            if below:
                yield full, child
        else:
            yield from _called_inside(child, full, run)


def _traced(module: nn.Module, calls: list[_Call]) -> tuple[fx.Graph | None, dict[str, str]]:
    """The graph of ``module`` and the modules below that could not be followed; no graph, and why, for ``""``."""
    tracer = _Tracer()
    if "forward" in vars(module):
        return None, {"": "its forward was set on the instance"}
    try:
        return tracer.trace(module, concrete_args=_concrete(module, calls)), tracer.unfollowed
    except FOREIGN_ERRORS as error:
        return None, {"": _one_line(error)}


def _concrete(module: nn.Module, calls: list[_Call]) -> dict[str, Any]:
    """The arguments that are not tensors: those of the first call, or those that have a default."""
    signature = inspect.signature(type(module).forward)
    named = [
        parameter for parameter in signature.parameters.values() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    values = {p.name: p.default for p in named if p.default is not p.empty}
    if calls:
        given = signature.bind(module, *calls[0].args, **calls[0].kwargs).arguments
        values = {key: given.get(key, values.get(key)) for key in {*values, *(p.name for p in named[1:])}}
        values = {key: value for key, value in values.items() if not any(True for _ in tensors_in(value))}
    return values


def _disagreement(
    module: nn.Module, name: str, graph: fx.Graph, unfollowed: Mapping[str, str], calls: list[_Call]
) -> str | None:
    """The difference between the layers that the run and the graph call, if there is one."""
    modules = dict(module.named_modules())
    followed = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    nodes = set(followed)
    prefix = f"{name}." if name else ""
    for call in calls:
        seen: list[str] = []
        for layer in call.layers:
            local = layer[len(prefix) :]
            inside = any(local.startswith(f"{other}.") for other in nodes)
            if local in nodes or (local in modules and is_layer(modules[local]) and not inside):
                seen.append(local)
        if seen != followed:
            pairs = zip([*seen, "nothing more"], [*followed, "nothing more"], strict=False)
            ran, found = next((pair for pair in pairs if pair[0] != pair[1]), ("other layers", "fewer"))
            return f"the graph calls {found} where the network calls {ran}"
    return None


def layers_that_share(model: nn.Module) -> dict[str, str]:
    """How modules are shared: under several names, or by a parameter that another module also has.

    The keys are the first names of the modules.
    """
    names: dict[int, list[str]] = {}
    holders: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(id(module), []).append(name)
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                holders.setdefault(id(parameter), []).append(name)
    shared = {found[0]: f"is held under the names {', '.join(found)}" for found in names.values() if len(found) > 1}
    for found in holders.values():
        if len(set(found)) > 1:
            for name in found:
                others = ", ".join(other for other in dict.fromkeys(found) if other != name)
                shared.setdefault(name, f"shares a parameter with {others}")
    return shared


def own_ways(module: nn.Module) -> str | None:
    """What a module has besides the usual computation of its class, if anything: hooks, a parametrized weight."""
    if module._forward_hooks or module._forward_pre_hooks:
        return "has forward hooks"
    if nn.utils.parametrize.is_parametrized(module):
        return "has a parametrized weight"
    if "forward" in vars(module):
        return "has a forward that was set on the instance"
    if not is_layer(module):
        return f"is a {type(module).__name__} with an overridden forward"
    tensors = (*module._parameters.values(), *module._buffers.values())
    if any(tensor is not None and nn.parameter.is_lazy(tensor) for tensor in tensors):
        return "is lazy and has no shape yet"
    return None


def node_module(node: fx.Node, root: str = "") -> str:
    """The fully qualified name of the innermost module whose forward made ``node``."""
    stack = node.meta.get("nn_module_stack") or {}
    name = next(reversed(list(stack.values())))[0] if stack else ""
    return f"{root}.{name}" if root and name else root or name


def node_text(node: fx.Node) -> str:
    """``node`` for a reader: the name of the module, function or method."""
    if node.op == "call_module":
        return str(node.target)
    if node.op == "placeholder":
        return f"the input {node.target}"
    if node.op == "get_attr":
        return f"the tensor {node.target}"
    return str(getattr(node.target, "__name__", node.target))
