"""The weights of packed quantized layers: objects that kernels unpack, instead of torch parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from profiler.tracing.private import script_object_type
from profiler.tracing.walking import Named

HOLDERS = (
    ("torch.ao.nn.quantized.modules.linear", "LinearPackedParams"),
    ("torch.ao.nn.quantized.modules.embedding_ops", "EmbeddingPackedParams"),
    ("torch.ao.nn.quantized.dynamic.modules.rnn", "PackedParameter"),
)
"""Modules that only hold the packed weights of the layer that contains them."""

Part = tuple[str, torch.Tensor]
"""``weight`` or ``bias``, with the part of the layer that it belongs to (``weight_hh``), and the tensor."""


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """A tensor in a packed object: its name in the network, the layer that it belongs to, and its object.

    ``dtype`` is the stored dtype, ``type`` the class of the object, and ``key`` identifies the object.
    """

    name: str
    layer: str
    type: str
    key: tuple[int, int]
    tensor: torch.Tensor
    dtype: torch.dtype


def _of_linear(packed: Any) -> list[Part]:
    weight, bias = torch.ops.quantized.linear_unpack(packed)
    return _present(weight, bias)


def _of_conv2d(packed: Any) -> list[Part]:
    return _present(*torch.ops.quantized.conv2d_unpack(packed))


def _of_conv3d(packed: Any) -> list[Part]:
    return _present(*torch.ops.quantized.conv3d_unpack(packed))


def _of_embedding(packed: Any) -> list[Part]:
    return [("weight", torch.ops.quantized.embedding_bag_unpack(packed))]


def _of_cell(packed: Any) -> list[Part]:
    """Two linear layers, of the input and of the hidden state."""
    state = packed.__getstate__()[0]
    return [
        (f"{name}_{gate}", tensor)
        for gate, half in zip(("ih", "hh"), state[-1], strict=True)
        for name, tensor in _of_linear(half)
    ]


def _present(weight: torch.Tensor, bias: torch.Tensor | None) -> list[Part]:
    return [("weight", weight)] if bias is None else [("weight", weight), ("bias", bias)]


UNPACK: dict[str, Callable[[Any], list[Part]]] = {
    "__torch__.torch.classes.quantized.LinearPackedParamsBase": _of_linear,
    "__torch__.torch.classes.quantized.Conv2dPackedParamsBase": _of_conv2d,
    "__torch__.torch.classes.quantized.Conv3dPackedParamsBase": _of_conv3d,
    "__torch__.torch.classes.quantized.EmbeddingPackedParamsBase": _of_embedding,
    "__torch__.torch.classes.rnn.CellParamsBase": _of_cell,
}
"""The functions that unpack objects, by class; one-dimensional convolutions are packed as two-dimensional ones."""


def holder_types() -> frozenset[type]:
    """The classes of :data:`HOLDERS`; those whose Python modules are not imported have no objects."""
    classes = (getattr(sys.modules.get(source), name, None) for source, name in HOLDERS)
    return frozenset(found for found in classes if found is not None)


def holds_for_layer(module: nn.Module, holders: frozenset[type]) -> bool:
    """Whether the module, or each of a list of modules, only holds the packed weights of the layer that contains it.

    ``holders`` are the :func:`holder_types`.
    """
    if isinstance(module, nn.ModuleList):
        return len(module) > 0 and all(holds_for_layer(inner, holders) for inner in module)
    return type(module) in holders


def packed_tensors(named: Iterable[Named]) -> Iterator[PackedTensor]:
    """Every tensor in a packed object of the modules ``named``, once for each name of the module that holds it."""
    holders = holder_types()
    modules = dict(named)
    for name, module in modules.items():
        if torch.ScriptObject not in map(type, vars(module).values()):
            continue
        for attribute, value in vars(module).items():
            unpack = UNPACK.get(script_object_type(value) or "")
            if unpack is None:
                continue
            layer, place = _layer_of(name, modules, holders)
            for index, (part, tensor) in enumerate(unpack(value)):
                label = part + _ending(attribute, place, modules[layer])
                stored = tensor.dtype if tensor.is_quantized or part.startswith("bias") else torch.float16
                yield PackedTensor(
                    f"{layer}.{label}" if layer else label,
                    layer,
                    script_object_type(value) or "",
                    (id(value), index),
                    tensor,
                    stored,  # weights that are not integers are unpacked as float32, and stored as float16
                )


def _layer_of(name: str, modules: dict[str, nn.Module], holders: frozenset[type]) -> tuple[str, str]:
    """The layer that a holder of packed weights belongs to, and the holder's place in it."""
    layer, place = name, ""
    while layer and holds_for_layer(modules[layer], holders):
        layer, _, part = layer.rpartition(".")
        place = place or part
    return layer, place


def _ending(attribute: str, place: str, layer: nn.Module) -> str:
    """The suffix that distinguishes the parts of a layer: ``_ih`` of a cell, ``_l1_reverse`` of a recurrent network."""
    if place.isdecimal():
        number, reverse = divmod(int(place), 2 if getattr(layer, "bidirectional", False) else 1)
        return f"_l{number}{'_reverse' if reverse else ''}"
    for prefix in ("_packed_params", "_packed_weight"):
        if attribute.startswith(prefix):
            return attribute.removeprefix(prefix)
    return ""
