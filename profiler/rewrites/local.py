"""Which nodes of a graph are pointwise, and which only read a window."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from profiler.rewrites.following import node_text, own_ways

POOLS: dict[type[nn.Module], str] = {
    nn.AdaptiveAvgPool1d: "avg",
    nn.AdaptiveAvgPool2d: "avg",
    nn.AdaptiveAvgPool3d: "avg",
    nn.AdaptiveMaxPool1d: "max",
    nn.AdaptiveMaxPool2d: "max",
    nn.AdaptiveMaxPool3d: "max",
}
"""The adaptive pools, and what they compute of a window."""

POINTWISE_MODULES: tuple[type[nn.Module], ...] = (
    nn.Identity,
    nn.Dropout,
    nn.AlphaDropout,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Sigmoid,
    nn.LogSigmoid,
    nn.Tanh,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Softplus,
    nn.Softsign,
    nn.Tanhshrink,
    nn.Softshrink,
    nn.Hardshrink,
    nn.Threshold,
)
POINTWISE_FUNCTIONS = frozenset(
    (
        F.relu,
        F.relu6,
        F.leaky_relu,
        F.elu,
        F.selu,
        F.celu,
        F.gelu,
        F.silu,
        F.mish,
        F.hardsigmoid,
        F.hardswish,
        F.hardtanh,
        F.softplus,
        F.softsign,
        F.logsigmoid,
        F.sigmoid,
        F.tanh,
        F.dropout,
        torch.relu,
        torch.relu_,
        torch.sigmoid,
        torch.tanh,
        torch.add,
        torch.mul,
        torch.sub,
        torch.clamp,
        torch.exp,
        torch.log,
        torch.neg,
        torch.abs,
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.neg,
        operator.iadd,
        operator.imul,
    )
)
POINTWISE_METHODS = frozenset(
    ("relu", "relu_", "sigmoid", "sigmoid_", "tanh", "tanh_", "clamp", "contiguous", "add", "add_", "mul", "mul_")
)
CHANNEL_MODULES: tuple[type[nn.Module], ...] = (nn.Softmax, nn.LogSoftmax)
CHANNEL_FUNCTIONS = frozenset((F.softmax, F.log_softmax, torch.softmax, torch.log_softmax))
WINDOW_FUNCTIONS = frozenset(
    getattr(F, f"{kind}_pool{dimensions}d") for kind in ("max", "avg") for dimensions in (1, 2, 3)
)
FREE = ("size", "getattr", "getitem", "dim", "_assert", "eq")


def is_pointwise(model: nn.Module, node: fx.Node) -> bool:
    """Whether the node computes each value of its result only from the values at the same place."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return type(module) in POINTWISE_MODULES and own_ways(module) is None
    if node.op == "call_function":
        return node.target in POINTWISE_FUNCTIONS
    return node.op == "call_method" and node.target in POINTWISE_METHODS


def acts_alone(model: nn.Module, node: fx.Node) -> bool:
    """Whether the node does to the channels of each place what it does to a vector of features."""
    if is_pointwise(model, node):
        return True
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return type(module) in CHANNEL_MODULES and vars(module).get("dim") == 1 and own_ways(module) is None
    if (node.op == "call_function" and node.target in CHANNEL_FUNCTIONS) or (
        node.op == "call_method" and node.target in ("softmax", "log_softmax")
    ):
        return bool((node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")) == 1)
    return False


def why_not_local(model: nn.Module, node: fx.Node, shapes: Mapping[fx.Node, Any]) -> str | None:
    """Why the node's result for a window of an image is not a window of its result for the image; None if it is."""
    name = node_text(node)
    if node.op in ("placeholder", "get_attr", "output") or (name in FREE and node not in shapes):
        return None
    if node.op == "call_module":
        return _module(model.get_submodule(str(node.target)), is_pointwise(model, node))
    if is_pointwise(model, node) or (name == "cat" and (*node.args[1:], *node.kwargs.values()) == (1,)):
        return None
    if node.op == "call_function" and node.target in WINDOW_FUNCTIONS:
        padding = node.args[3] if len(node.args) > 3 else node.kwargs.get("padding", 0)
        plain = _is_zero(padding) and len(node.args) <= 4 and not node.kwargs.get("ceil_mode")
        return None if plain else f"{name} pads its input: the windows of a larger image have their neighbors there"
    return f"{name} is not known to read one window only"


def _module(module: nn.Module, pointwise: bool) -> str | None:
    if pointwise or isinstance(module, (nn.Flatten, nn.Dropout2d, nn.Dropout3d)):
        return None
    if isinstance(module, _BatchNorm):
        return "uses the statistics of the batch" if module.training or module.running_mean is None else None
    if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd):
        alone = _is_zero(module.padding) or (module.padding == "same" and all(k == 1 for k in module.kernel_size))
        return None if alone else _padded(module.padding)
    if isinstance(module, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)):
        if module.ceil_mode:
            return "has windows that reach over the edge: the windows of a larger image have their neighbors there"
        if not _is_zero(module.padding):
            return _padded(module.padding)
        return None
    if type(module) in POOLS:
        return "pools over the whole map, whatever its size"
    return "is not known to read one window only"


def _is_zero(padding: Any) -> bool:
    if isinstance(padding, str):
        return padding == "valid"
    return not any(padding) if isinstance(padding, (tuple, list)) else padding == 0


def _padded(padding: Any) -> str:
    sizes = "×".join(map(str, padding)) if isinstance(padding, (tuple, list)) else padding
    return f"pads its input by {sizes}: the windows of a larger image have their neighbors there"
