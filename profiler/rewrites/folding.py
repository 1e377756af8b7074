"""Batch-norm folding: a batch norm that directly follows a convolution or linear layer is merged into its weights.

A batch norm in eval mode is γ·(y − μ)/√(σ² + ε) + β for each channel, which is linear in y, so that
w' = w·γ/√(σ² + ε) and b' = (b − μ)·γ/√(σ² + ε) + β give the same result.  Source: the definition in S. Ioffe and
C. Szegedy, "Batch Normalization", 2015, arXiv:1502.03167, algorithm 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from profiler.errors import ProfilerError
from profiler.records import ROOT
from profiler.rewrites.following import (
    Followed,
    Following,
    follow,
    layers_that_share,
    node_module,
    node_text,
    own_ways,
)
from profiler.rewrites.local import is_pointwise
from profiler.rewrites.registry import Change, Left, Rewritten, copied, described, register, replace_module, rewrite
from profiler.tracing import Inputs
from profiler.tracing.copying import copy_to_meta

Layer = _ConvNd | nn.Linear

RANKS: tuple[tuple[type[nn.Module], frozenset[int]], ...] = (
    (nn.BatchNorm1d, frozenset({2, 3})),
    (nn.BatchNorm2d, frozenset({4})),
    (nn.BatchNorm3d, frozenset({5})),
    (nn.SyncBatchNorm, frozenset({2, 3, 4, 5})),
)
"""The numbers of dimensions of the input of a batch norm; its channels are always dimension 1."""


def fold_batchnorm(model: nn.Module, inputs: Inputs | None = None) -> nn.Module:
    """A network that computes what ``model`` does in eval mode, without the batch norms that could be folded.

    Each is replaced by an ``nn.Identity`` of the same name, and the layer before it has new weights, computed in
    float64 and rounded once to its dtype, and a bias.  ``model`` is not changed.  It may be on meta.
    :func:`profiler.rewrites.rewrite` also reports which batch norms remain and why.  Raises ProfilerError for a network
    in training mode.
    """
    return rewrite(model, "fold_batchnorm", inputs).model


@dataclass(frozen=True, slots=True)
class _Fold:
    """One batch norm to fold: the layer, and the batch norms between them that are folded first."""

    norm: str
    layer: str
    rank: int
    past: tuple[str, ...]
    rank_is_known: bool


@register("fold_batchnorm")
def folded(model: nn.Module, inputs: Inputs | None = None) -> Rewritten:
    """The network without the batch norms that could be folded, and the report; see :func:`fold_batchnorm`."""
    if model.training:
        raise ProfilerError(
            f"fold_batchnorm: {type(model).__name__} is in training mode, where a batch norm uses the statistics of"
            " its batch; call model.eval() first"
        )
    meta = copy_to_meta(model)
    following = follow(meta, inputs)
    plan, left = _plan(meta, following)
    copy = copied(model, "fold_batchnorm")
    changes: list[Change] = []
    done: set[str] = set()
    for fold in plan:
        norm, layer = copy.get_submodule(fold.norm), copy.get_submodule(fold.layer)
        assert isinstance(norm, _BatchNorm)
        assert isinstance(layer, _ConvNd | nn.Linear)
        if not done.issuperset(fold.past):
            left[fold.norm] = f"follows {fold.past[0]}, which is left"
        elif not _fold_into(layer, norm):
            dtype = str(layer.weight.dtype).removeprefix("torch.")
            left[fold.norm] = f"the weights of {fold.layer} would not be finite in {dtype}"
        else:
            done.add(fold.norm)
            changes.append(Change(fold.norm, described(norm), f"Identity(), folded into {fold.layer}"))
            replace_module(copy, fold.norm, nn.Identity() if fold.rank_is_known else FoldedBatchNorm(fold.rank))
    names = dict(meta.named_modules())
    functions = _batch_norms_as_functions(following)
    kept = [Left(name or ROOT, type(names[name]).__name__, reason) for name, reason in (*left.items(), *functions)]
    order = {name or ROOT: place for place, name in enumerate(names)}
    return Rewritten("fold_batchnorm", copy, tuple(changes), tuple(sorted(kept, key=lambda item: order[item.module])))


class FoldedBatchNorm(nn.Identity):
    """Replaces a batch norm whose input has the channels in dimension 1 only if it has ``rank`` dimensions."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The input itself; raises if it does not have ``rank`` dimensions."""
        torch._assert(  # type: ignore[no-untyped-call]  # which torch.fx can follow
            input.dim() == self.rank,
            f"this batch norm was folded for inputs of {self.rank} dimensions; fold it with the network's inputs given",
        )
        return input


def _plan(model: nn.Module, following: Following) -> tuple[list[_Fold], dict[str, str]]:
    """Which batch norms can be folded, in the order in which they run, and why the others cannot."""
    shared = layers_that_share(model)
    calls = Counter(
        followed.full_name(node.target)
        for followed in following.graphs
        for node in followed.graph.nodes
        if node.op == "call_module"
    )
    read = {
        followed.full_name(str(node.target).rpartition(".")[0])
        for followed in following.graphs
        for node in followed.graph.nodes
        if node.op == "get_attr"
    }
    view = _View(model, shared, calls, read, following.ranks)
    plan: dict[str, _Fold] = {}
    left: dict[str, str] = {}
    for followed in following.graphs:
        for node in followed.graph.nodes:
            if node.op != "call_module":
                continue
            name = followed.full_name(node.target)
            if isinstance(model.get_submodule(name), _BatchNorm) and name not in left and name not in plan:
                verdict = view.judge(node, followed, plan)
                if isinstance(verdict, str):
                    left[name] = verdict
                else:
                    plan[name] = verdict
    for name, module in model.named_modules():
        if name and isinstance(module, _BatchNorm) and name not in plan and name not in left:
            left[name] = following.reason(name) or "is never called"
    return list(plan.values()), left


@dataclass(frozen=True, slots=True)
class _View:
    """The facts about the network that decide whether a batch norm can be folded."""

    model: nn.Module
    shared: Mapping[str, str]
    calls: Mapping[str, int]
    read: set[str]
    ranks: Mapping[str, set[int]] | None

    def judge(self, node: fx.Node, followed: Followed, plan: Mapping[str, _Fold]) -> _Fold | str:
        """How to fold the batch norm that ``node`` calls, or why it cannot be folded."""
        name = followed.full_name(node.target)
        norm = self.model.get_submodule(name)
        assert isinstance(norm, _BatchNorm)
        reason = self._reason_against(name, norm)
        if reason:
            return reason
        if norm.training:
            return "is in training mode: it uses the statistics of each batch"
        if norm.running_mean is None or norm.running_var is None:
            return "tracks no running statistics: it uses those of each batch"
        source, past, reason = self._source(node, followed, plan)
        if source is None:
            return reason
        layer_name = followed.full_name(source.target)
        layer = self.model.get_submodule(layer_name)
        if not isinstance(layer, _ConvNd | nn.Linear):
            return f"follows {layer_name} ({type(layer).__name__}), which is not a convolution or linear layer"
        reason = self._reason_against(layer_name, layer)
        return (
            f"follows {layer_name}, which {reason}"
            if reason
            else self._fold(name, norm, source, layer_name, layer, past)
        )

    def _reason_against(self, name: str, module: nn.Module) -> str | None:
        """Why a module's call is not the usual computation of its class, done once; None if it is."""
        if self.calls[name] > 1:
            return f"is called {self.calls[name]} times"
        if name in self.shared and not isinstance(module, _BatchNorm):
            return self.shared[name]
        if name in self.shared and self.shared[name].startswith("is held"):
            return self.shared[name]
        if name in self.read:
            return "has a parameter that the forward also reads directly"
        return own_ways(module)

    def _source(
        self, node: fx.Node, followed: Followed, plan: Mapping[str, _Fold]
    ) -> tuple[fx.Node | None, tuple[str, ...], str]:
        """The call of a layer whose result is used by ``node`` only, or the reason why there is none."""
        past: list[str] = []
        while True:
            source = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
            if not isinstance(source, fx.Node):
                return None, (), "has an input that cannot be followed"
            if source.op != "call_module":
                return None, (), f"follows {node_text(source)}, not a convolution or linear layer"
            name = followed.full_name(source.target)
            uses = _uses(source)
            if uses != 1:
                return None, (), f"follows {name}, whose result is used {uses} times"
            module = self.model.get_submodule(name)
            if name in plan:
                past.append(name)
            elif not _does_nothing(module):
                return source, tuple(past), ""
            node = source

    def _fold(
        self, name: str, norm: _BatchNorm, source: fx.Node, layer_name: str, layer: Layer, past: tuple[str, ...]
    ) -> _Fold | str:
        rank = 2 if isinstance(layer, nn.Linear) else len(layer.kernel_size) + 2
        channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        allowed = next((ranks for kind, ranks in RANKS if isinstance(norm, kind)), frozenset())
        seen = None if self.ranks is None else self.ranks.get(name)
        if rank not in allowed or (seen is not None and seen != {rank}):
            return f"follows {layer_name}, whose channels are not the dimension that it normalizes"
        if norm.num_features != channels:
            return f"follows {layer_name}, which has {channels} output channels and not {norm.num_features}"
        known = seen is not None or allowed == {rank} or (rank == 2 and self._is_flat(source))
        return _Fold(name, layer_name, rank, past, known)

    def _is_flat(self, node: fx.Node) -> bool:
        """Whether the input of the linear layer that ``node`` calls was flattened to (N, features)."""
        before = node.args[0] if node.args else None
        while isinstance(before, fx.Node):
            module = self.model.get_submodule(str(before.target)) if before.op == "call_module" else None
            if isinstance(module, nn.Flatten):
                return (module.start_dim, module.end_dim) == (1, -1)
            if node_text(before) == "flatten":
                return before.args[1:] == (1,) and not before.kwargs
            if not isinstance(module, nn.Linear | _BatchNorm) and not is_pointwise(self.model, before):
                return False
            before = before.args[0] if before.args else None
        return False


def _uses(node: fx.Node) -> int:
    """How many times the result of ``node`` is used as an argument."""
    uses = 0

    def count(argument: fx.Node) -> fx.Node:
        nonlocal uses
        uses += argument is node
        return argument

    for user in node.users:
        fx.map_arg((user.args, user.kwargs), count)
    return uses


def _does_nothing(module: nn.Module) -> bool:
    """Whether the module returns its input."""
    if own_ways(module):
        return False
    return type(module) is nn.Identity or (type(module) is nn.Dropout and not module.training)


def _fold_into(layer: Layer, norm: _BatchNorm) -> bool:
    """Give ``layer`` the combined weights and bias of itself and ``norm``; returns whether they are finite.

    Weights (out, in/groups, *kernel), transposed (in, out/groups, *kernel), linear (out, in); norm (out,).
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        scale = (norm.running_var.double() + norm.eps).rsqrt_()
        if norm.weight is not None:
            scale = scale * norm.weight.double()
        shift = -norm.running_mean.double() * scale
        if layer.bias is not None:
            shift = (layer.bias.double() - norm.running_mean.double()) * scale
        if norm.bias is not None:
            shift = shift + norm.bias.double()
        weight = _scaled(layer, scale).to(layer.weight.dtype)
        bias = shift.to(layer.weight.dtype)
        if not weight.is_meta and not bool(weight.isfinite().all() & bias.isfinite().all()):
            return False
    trainable = layer.weight.requires_grad
    layer.weight = nn.Parameter(weight, requires_grad=trainable)
    layer.bias = nn.Parameter(bias, requires_grad=trainable if layer.bias is None else layer.bias.requires_grad)
    return True


def _scaled(layer: Layer, scale: torch.Tensor) -> torch.Tensor:
    """The weights in float64, those of each output channel multiplied by its ``scale``."""
    weight = layer.weight.double()
    if isinstance(layer, _ConvTransposeNd):
        # Each group of inputs has separate output channels, in the order of the groups.
        groups = weight.reshape(layer.groups, -1, *weight.shape[1:])
        factors = scale.view(layer.groups, 1, -1, *[1] * len(layer.kernel_size))
        return (groups * factors).flatten(0, 1)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1))


def _batch_norms_as_functions(following: Following) -> list[tuple[str, str]]:
    """Calls of batch norm as a function, by the module whose forward calls it."""
    functions: tuple[Any, ...] = (F.batch_norm, torch.batch_norm)
    return [
        (node_module(node, followed.root), "calls batch_norm as a function, with statistics that belong to no layer")
        for followed in following.graphs
        for node in followed.graph.nodes
        if node.op == "call_function" and node.target in functions
    ]
