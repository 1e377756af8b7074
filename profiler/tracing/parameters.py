"""A network → one record for each parameter and buffer with all its names; tied ones have one record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch.nn.parameter import is_lazy

from profiler.quick_records import maker
from profiler.records import ParameterRecord
from profiler.tracing.packed import PackedTensor, packed_tensors
from profiler.tracing.scripts import frozen_weights
from profiler.tracing.tensors import PLAIN, dtype_name
from profiler.tracing.walking import Named, each_once, named_buffers, named_parameters

_record = maker(ParameterRecord)


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
        ParameterRecord(tuple(names), names[0].rpartition(".")[0], *_facts(tensor, buffer=buffer))
        for tensor, names in found.values()
    ]


Facts = tuple[tuple[int, ...], str, int, bool, bool]
"""Shape, dtype, bytes of an element, whether it can be trained, and whether it is a buffer."""


def _facts(tensor: torch.Tensor, *, buffer: bool) -> Facts:
    return tuple(tensor.shape), dtype_name(tensor.dtype), tensor.element_size(), tensor.requires_grad, buffer


def parameter_records_of_tree(named: Sequence[Named], numbers: Sequence[int]) -> tuple[ParameterRecord, ...]:
    """The same for the plain modules of a network of a known make, in which each tensor has one name.

    Modules with the same of ``numbers`` hold tensors of the same metadata under the same names.
    """
    known: dict[int, tuple[list[tuple[str, Facts]], ...]] = {}
    found: tuple[list[ParameterRecord], ...] = [], []
    for (prefix, module), number in zip(named, numbers, strict=True):
        held = known.get(number)
        if held is None:
            held = known[number] = tuple(
                [
                    [(name, _facts(tensor, buffer=buffer)) for name, tensor in tensors.items() if tensor is not None]
                    for tensors, buffer in ((module._parameters, False), (module._buffers, True))
                ]
            )
        for records, tensors in zip(found, held, strict=True):
            for name, facts in tensors:
                records.append(_record((f"{prefix}.{name}" if prefix else name,), prefix, *facts))
    parameters, buffers = found
    return (*parameters, *buffers)


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
