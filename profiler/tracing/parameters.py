"""A network → one record for each parameter and buffer with all its names; tied ones have one record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.parameter import is_lazy

from profiler.records import ParameterRecord
from profiler.tracing.packed import PackedTensor, packed_tensors
from profiler.tracing.scripts import frozen_weights
from profiler.tracing.tensors import PLAIN, dtype_name
from profiler.tracing.walking import Named, each_once, named_buffers, named_parameters


def parameter_records(named: Sequence[Named], *, plain: bool = False) -> tuple[ParameterRecord, ...]:
    """Every parameter, then the weights in packed quantized layers, then every buffer, in the order of the modules.

    A tensor that several modules or names share is one record; it belongs to the first module that has it.  The
    constants of a frozen script are its parameters.  Parameters without a shape yet are left out.  ``named`` are all
    modules of a network under all their names; with ``plain`` none is a script or holds packed weights.
    """
    parameters, buffers = named_parameters(named, repeated=True), named_buffers(named, repeated=True)
    if plain:
        return (*_records(parameters, buffer=False), *_records(buffers, buffer=True))
    return (
        *_records([*parameters, *frozen_weights(each_once(named))], buffer=False),
        *_packed_records(packed_tensors(named)),
        *_records(buffers, buffer=True),
    )


def _records(named: Iterable[tuple[str, torch.Tensor]], *, buffer: bool) -> list[ParameterRecord]:
    found: dict[int, tuple[torch.Tensor, list[str]]] = {}
    for name, tensor in named:
        known = found.get(id(tensor))
        if known is not None:
            known[1].append(name)
        elif type(tensor) in PLAIN or not is_lazy(tensor):
            found[id(tensor)] = tensor, [name]
    return [
        ParameterRecord(
            tuple(names),
            names[0].rpartition(".")[0],
            tuple(tensor.shape),
            dtype_name(tensor.dtype),
            tensor.element_size(),
            tensor.requires_grad,
            buffer,
        )
        for tensor, names in found.values()
    ]


def _packed_records(packed: Iterable[PackedTensor]) -> list[ParameterRecord]:
    """The size of packed weights is their stored size, and they cannot be trained."""
    found: dict[tuple[int, int], list[PackedTensor]] = {}
    for each in packed:
        found.setdefault(each.key, []).append(each)
    return [
        ParameterRecord(
            names=tuple(each.name for each in same),
            module=same[0].layer,
            shape=tuple(same[0].tensor.shape),
            dtype=dtype_name(same[0].dtype),
            itemsize=same[0].dtype.itemsize,
            trainable=False,
        )
        for same in found.values()
    ]
