"""A network → one record for each parameter and buffer, ties once, with all their names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from profiler.records import ParameterRecord
from profiler.tracing.scripts import frozen_weights
from profiler.tracing.tensors import dtype_name


def parameter_records(model: nn.Module) -> tuple[ParameterRecord, ...]:
    """Every parameter, then every buffer of ``model``, in the order of its modules.

    A tensor that several modules or names share is one record; the first module that holds it owns it.  What a frozen
    script holds as constants are its parameters.
    """
    return (
        *_records([*model.named_parameters(remove_duplicate=False), *frozen_weights(model)], buffer=False),
        *_records(list(model.named_buffers(remove_duplicate=False)), buffer=True),
    )


def _records(named: Sequence[tuple[str, torch.Tensor]], *, buffer: bool) -> list[ParameterRecord]:
    names: dict[int, list[str]] = {}
    tensors = {}
    for name, tensor in named:
        names.setdefault(id(tensor), []).append(name)
        tensors[id(tensor)] = tensor
    return [
        ParameterRecord(
            names=tuple(names[key]),
            module=names[key][0].rpartition(".")[0],
            shape=tuple(tensor.shape),
            dtype=dtype_name(tensor.dtype),
            itemsize=tensor.element_size(),
            trainable=tensor.requires_grad,
            buffer=buffer,
        )
        for key, tensor in tensors.items()
    ]
