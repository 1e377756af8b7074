"""Linear → convolution: the classifier after a flatten becomes convolutions, so that the network slides over an image.

A linear layer on a flattened (C, h, w) map is a convolution with an h×w kernel at one place; every linear layer after
it is a 1×1 convolution.  The network then returns a map of scores, 1×1 at its original input size.  Source: P. Sermanet
et al., "OverFeat", 2013, arXiv:1312.6229, section 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from profiler.errors import FOREIGN_ERRORS, ProfilerError
from profiler.records import ROOT, show_shape
from profiler.rewrites.following import follow, layers_that_share, node_module, node_text, own_ways
from profiler.rewrites.local import POOLS, acts_alone, is_pointwise, why_not_local
from profiler.rewrites.registry import Change, Left, Rewritten, copied, described, register, replace_module, rewrite
from profiler.tracing import Inputs, call_arguments
from profiler.tracing.copying import copy_to_meta
from profiler.tracing.objects import tensors_in

NAME = "linear_to_convolution"
BATCH = 2
"""The batch size for shape propagation: more than one, so that it is not confused with a dimension of size 1."""

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
AVERAGE_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}

Sizes = tuple[int, ...]


def linear_to_convolution(model: nn.Module, input_size: Sequence[int]) -> nn.Module:
    """A network without flattening that computes, for each window of an image, what ``model`` computes for the window.

    ``input_size`` is the size of one input of ``model``, (C, H, W).  The result maps (N, C, H, W) to (N, K, 1, 1) if
    ``model`` returns (N, K), and a larger image to a larger map.  At ``input_size`` the two are equal.  On larger
    images each place of the map is equal to ``model`` on its window, except if a layer reads beyond the window (a
    padded convolution reads neighbors instead of zeros): ``left`` in the report of :func:`profiler.rewrites.rewrite`
    names these layers.  ``model`` is not changed.  Raises ProfilerError if the network has no such classifier, cannot
    be followed, or would not stay exact.
    """
    return rewrite(model, NAME, input_size=input_size).model


@register(NAME)
def converted(model: nn.Module, inputs: Inputs | None = None, *, input_size: Sequence[int] | None = None) -> Rewritten:
    """The network with its classifier as convolutions, and the report; see :func:`linear_to_convolution`.

    By default ``input_size`` is the size of ``inputs``.
    """
    size = _one_input(inputs, input_size)
    copy = copied(model, NAME)
    _check_hooks(copy)
    following = follow(copy)
    if "" in following.unfollowed:
        raise ProfilerError(f"{NAME}: {type(model).__name__} cannot be followed: {following.unfollowed['']}")
    (followed,) = following.graphs
    types = {name or ROOT: described(module) for name, module in copy.named_modules()}
    conversion = _Conversion(copy, followed.graph, _shapes(copy, followed.graph, size))
    left = conversion.convert()
    graph = followed.graph
    graph.eliminate_dead_code()
    graph.lint()
    result = fx.GraphModule(copy, graph, class_name=type(model).__name__)
    for name, module in result.named_modules():
        module.training = copy.get_submodule(name).training
    return Rewritten(NAME, result, (*conversion.changes, *_dropped(copy, result, types)), left)


def _one_input(inputs: Inputs | None, input_size: Sequence[int] | None) -> Sizes:
    """The size of one input, without the batch."""
    if input_size is None:
        first = None if inputs is None else next(tensors_in(call_arguments(inputs)), None)
        if first is None:
            raise ProfilerError(f"{NAME} needs the option input_size, the size of one input, such as [3, 32, 32]")
        input_size = tuple(first.shape[1:])
    size = tuple(input_size) if isinstance(input_size, (list, tuple)) else ()
    if not 2 <= len(size) <= 4 or not all(type(part) is int and part > 0 for part in size):
        raise ProfilerError(
            f"{NAME}: input_size: found {input_size!r}, expected channels and 1 to 3 sizes, such as [3, 32, 32]"
        )
    return size


def _check_hooks(model: nn.Module) -> None:
    """Raise for hooks of modules that hold layers: the result calls only the layers, so these hooks would be lost."""
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise ProfilerError(f"{NAME}: {name or ROOT} has forward hooks, which would be lost; remove them first")


def _shapes(model: nn.Module, graph: fx.Graph, size: Sizes) -> dict[fx.Node, Sizes]:
    """The shape of each node's tensor for a batch of inputs of ``size``."""
    shapes: dict[fx.Node, Sizes] = {}

    class Shapes(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, torch.Tensor):
                shapes[nodes[n.name]] = tuple(value.shape)
            return value

    nodes = {node.name: node for node in graph.nodes}
    meta = copy_to_meta(fx.GraphModule(model, graph)).eval()
    assert isinstance(meta, fx.GraphModule)
    first = next(iter(model.parameters()))
    try:
        with torch.no_grad():
            Shapes(meta).run(torch.empty(BATCH, *size, device="meta", dtype=first.dtype))
    except FOREIGN_ERRORS as error:
        text = " ".join(str(error).split("\n\nWhile executing")[0].split())
        raise ProfilerError(f"{NAME}: {type(model).__name__} refuses inputs of {show_shape(size)}: {text}") from error
    return shapes


def _dropped(copy: nn.Module, result: nn.Module, types: dict[str, str]) -> list[Change]:
    """Layers with parameters that the network holds and never calls."""
    kept = {name for name, _ in result.named_modules()}
    return [
        Change(name, types[name], "left out, since it never runs")
        for name, module in copy.named_modules()
        if name and name not in kept and any(True for _ in module._parameters.values())
    ]


@dataclass(frozen=True, slots=True)
class _Flat:
    """The map (N, C, *places) in the new network that replaces a flat (N, features) tensor.

    ``kernel`` is the size of the map at the original input size; the next linear layer gets a kernel of this size with
    ``dilation`` between its places.
    """

    channels: int
    kernel: Sizes
    dilation: Sizes

    @property
    def dimensions(self) -> int:
        return len(self.kernel)

    @property
    def is_point(self) -> bool:
        return all(size == 1 for size in self.kernel)


@dataclass(slots=True)
class _Conversion:
    """Changes ``graph`` and the modules of ``model`` that it calls, in place."""

    model: nn.Module
    graph: fx.Graph
    shapes: dict[fx.Node, Sizes]
    changes: list[Change] = field(default_factory=list)
    flat: dict[fx.Node, _Flat] = field(default_factory=dict)
    made: dict[str, _Flat] = field(default_factory=dict)
    flattens: list[fx.Node] = field(default_factory=list)
    pools: list[fx.Node] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)

    def convert(self) -> tuple[Left, ...]:
        """Remove every flatten and make later layers work on maps; returns the layers that prevent exact windows."""
        self.shared = layers_that_share(self.model)
        linear = False
        for node in list(self.graph.nodes):
            if self._is_flatten(node):
                self._start(node)
            elif any(source in self.flat for source in node.all_input_nodes):
                linear |= self._carry(node)
        if not linear:
            raise ProfilerError(f"{NAME}: {type(self.model).__name__} has no linear layer after a flattened map")
        left = self._left()
        for node in self.flattens:
            source = node.args[0]
            assert isinstance(source, fx.Node)
            node.replace_all_uses_with(source)
            self.graph.erase_node(node)
        return left

    def _left(self) -> tuple[Left, ...]:
        """The layers before the classifier for which a place of the map is not exactly the result for its window."""
        found: dict[str, Left] = {}
        before: dict[fx.Node, None] = dict.fromkeys((*self.flattens, *self.pools))
        for node in reversed(list(self.graph.nodes)):
            if node not in before:
                continue
            before.update(dict.fromkeys(node.all_input_nodes))
            reason = (
                None if node in self.pools or node in self.flattens else why_not_local(self.model, node, self.shapes)
            )
            if reason:
                name = str(node.target) if node.op == "call_module" else node_module(node) or ROOT
                kind = type(self.model.get_submodule(name if name != ROOT else "")).__name__
                found.setdefault(f"{name} {reason}", Left(name, kind, reason))
        return tuple(reversed(found.values()))

    def _is_flatten(self, node: fx.Node) -> bool:
        """Whether the node flattens (N, C, *places) to (N, C·places), or takes its mean over places."""
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source not in self.shapes or node not in self.shapes:
            return False
        shape, result = self.shapes[source], self.shapes[node]
        if not 3 <= len(shape) <= 5 or len(result) != 2 or result[0] != shape[0]:
            return False
        if node.op == "call_module":
            return type(self.model.get_submodule(str(node.target))) is nn.Flatten
        if node_text(node) == "mean":
            return result[1] == shape[1]
        return node_text(node) in ("flatten", "view", "reshape") and result[1] == _product(shape[1:])

    def _start(self, node: fx.Node) -> None:
        """Record the map that replaces the flattened one; the flatten itself is removed at the end."""
        source = node.args[0]
        assert isinstance(source, fx.Node)
        channels, *places = self.shapes[source][1:]
        kernel, point = tuple(places), (1,) * len(places)
        name = str(node.target) if node.op == "call_module" else node_module(node) or ROOT
        if node_text(node) == "mean":
            pooled = self._pooled(source, kernel, point, name)
            node.replace_all_uses_with(pooled)
            self.graph.erase_node(node)
            self.flat[pooled] = _Flat(channels, point, point)
            return
        pool = self._pool_before(source)
        self.flat[node] = _Flat(channels, kernel, point if pool is None else self._replace_pool(pool))
        self.flattens.append(node)
        if node.op == "call_module":
            self.changes.append(Change(name, described(self.model.get_submodule(name)), "left out"))

    def _pool_before(self, node: fx.Node) -> fx.Node | None:
        """The adaptive pool whose result reaches ``node`` through pointwise operations only."""
        while len(node.users) == 1:
            if _adaptive(self.model, node):
                return node
            if not is_pointwise(self.model, node) or not isinstance(node.args[0], fx.Node):
                return None
            node = node.args[0]
        return None

    def _replace_pool(self, node: fx.Node) -> Sizes:
        """Replace an adaptive pool by a pool with fixed windows; returns the dilation of the layer that reads it."""
        source = node.args[0]
        assert isinstance(source, fx.Node)
        before, after = self.shapes[source][2:], self.shapes[node][2:]
        name = str(node.target) if node.op == "call_module" else node_module(node) or ROOT
        if any(whole % part for whole, part in zip(before, after, strict=True)):
            raise ProfilerError(
                f"{NAME}: {name} pools a {show_shape(before)} map to {show_shape(after)} by windows of different"
                " sizes or that overlap, which no convolution of one size does"
            )
        window = tuple(whole // part for whole, part in zip(before, after, strict=True))
        if all(size == 1 for size in window):
            node.replace_all_uses_with(source)
            self.graph.erase_node(node)
            if node.op == "call_module":
                self.changes.append(
                    Change(name, described(self.model.get_submodule(name)), f"left out: the map is {show_shape(after)}")
                )
        else:
            pooled = self._pooled(source, window, after, name, node)
            node.replace_all_uses_with(pooled)
            self.graph.erase_node(node)
        return tuple(1 if part == 1 else size for size, part in zip(window, after, strict=True))

    def _pooled(self, source: fx.Node, window: Sizes, places: Sizes, name: str, pool: fx.Node | None = None) -> fx.Node:
        """A node that pools ``source`` by ``window`` at every place."""
        largest = pool is not None and "max" in _adaptive(self.model, pool)
        kind = (MAX_POOLS if largest else AVERAGE_POOLS)[len(window)]
        module: Any = kind(window, stride=1)
        if pool is not None and pool.op == "call_module":
            self.changes.append(Change(name, described(self.model.get_submodule(name)), described(module)))
            replace_module(self.model, name, module)
            with self.graph.inserting_after(source):
                node = self.graph.call_module(name, (source,))
        else:
            function = getattr(F, f"{'max' if largest else 'avg'}_pool{len(window)}d")
            self.changes.append(
                Change(name, "a pool over the map", f"{function.__name__}, {show_shape(window)}, stride 1")
            )
            with self.graph.inserting_after(source):
                node = self.graph.call_function(function, (source, window), {"stride": 1})
        self.shapes[node] = (*self.shapes[source][:2], *places)
        self.pools.append(node)
        return node

    def _carry(self, node: fx.Node) -> bool:
        """Make ``node``, whose input was flat, work on a map; returns whether it is a linear layer."""
        value = next(self.flat[source] for source in node.all_input_nodes if source in self.flat)
        if node.op == "output" or _is_shape(node):
            return False
        if node.op == "call_module":
            name = str(node.target)
            module = self.model.get_submodule(name)
            if isinstance(module, nn.Linear):
                self.flat[node] = self._convolution(name, module, value)
                return True
            if isinstance(module, _BatchNorm) and value.is_point:
                self._batch_norm(name, module, value)
                self.flat[node] = value
                return False
        alike = all(source in self.flat and self.flat[source] == value for source in node.all_input_nodes)
        if alike and acts_alone(self.model, node):
            self.flat[node] = value
            return False
        where = node_module(node)
        raise ProfilerError(
            f"{NAME}: {node_text(node)}{f' in {where}' if where and node.op != 'call_module' else ''} comes after the"
            " flattened map and has no counterpart on a map"
        )

    def _convolution(self, name: str, linear: nn.Linear, value: _Flat) -> _Flat:
        """Replace a linear layer (out, C·kernel) by a convolution (out, C, *kernel) with the same numbers."""
        result = _Flat(linear.out_features, (1,) * value.dimensions, (1,) * value.dimensions)
        reason = self.shared.get(name) or own_ways(linear)
        if reason or self.made.setdefault(name, value) != value:
            raise ProfilerError(
                f"{NAME}: {name} {reason or 'is used on maps of different sizes'}, so it cannot be changed"
            )
        bias = linear.bias
        kind: Any = CONVOLUTIONS[value.dimensions]
        module: nn.Module = kind(
            value.channels,
            linear.out_features,
            value.kernel,
            dilation=value.dilation,
            bias=bias is not None,
            device="meta",
        )
        weight = linear.weight.detach().view(linear.out_features, value.channels, *value.kernel)
        module.weight = nn.Parameter(weight, requires_grad=linear.weight.requires_grad)
        module.bias = bias
        self.changes.append(Change(name, described(linear), described(module)))
        replace_module(self.model, name, module)
        return result

    def _batch_norm(self, name: str, norm: _BatchNorm, value: _Flat) -> None:
        """Replace a batch norm of features by one of channels with the same numbers."""
        if name in self.made:
            return
        reason = self.shared.get(name) or own_ways(norm)
        if reason:
            raise ProfilerError(f"{NAME}: {name} {reason}, so it cannot be changed")
        self.made[name] = value
        module = BATCH_NORMS[value.dimensions](
            norm.num_features,
            norm.eps,
            norm.momentum,
            norm.affine,
            norm.track_running_stats,
            device="meta",
        )
        module._parameters.update(norm._parameters)
        module._buffers.update(norm._buffers)
        if type(module) is not type(norm):
            self.changes.append(Change(name, described(norm), described(module)))
        replace_module(self.model, name, module)


def _adaptive(model: nn.Module, node: fx.Node) -> str:
    """``"avg"`` or ``"max"`` if the node is an adaptive pool, else empty."""
    if node.op == "call_module":
        return POOLS.get(type(model.get_submodule(str(node.target))), "")
    if node.op == "call_function":
        text = node_text(node)
        return next((kind for kind in ("avg", "max") if text.startswith(f"adaptive_{kind}_pool")), "")
    return ""


def _is_shape(node: fx.Node) -> bool:
    """Whether the node reads a size, which is not used any more without the flatten."""
    return node_text(node) in ("size", "getattr", "getitem") and not node.users


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
