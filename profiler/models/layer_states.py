"""What a layer of torch holds when it was just built, and copies of that."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import empty_strided, nn

State = dict[str, Any]
"""The attributes of a layer by name."""

VALUES = frozenset({bool, int, float, str, type(None), torch.dtype, torch.device})
"""Types of immutable values whose texts differ if they do: an argument of one of them is known by its text."""

LARGEST = 2**20
"""The number of bytes of a buffer that is kept with its numbers."""

META = torch.device("meta")

_DICTIONARIES = frozenset({dict, OrderedDict})
_LISTS = frozenset({list, set})


class LayerState:
    """What a layer holds, without its tensors: copies get new tensors of the same layout, and new containers."""

    __slots__ = ("_attributes", "_empty", "_lists", "_tensors")

    def __init__(self, state: State) -> None:
        """``state`` is that of a layer that was just built.

        Raises ValueError if not everything in it can be copied, or if its tensors are not as torch makes new ones.
        """
        self._attributes = dict.fromkeys(state)
        self._empty: list[tuple[str, type]] = []
        self._lists: list[tuple[str, type, Any]] = []
        self._tensors: list[tuple[str, list[tuple[str, Any]]]] = []
        memories: set[int] = set()
        for name, value in state.items():
            kind = type(value)
            if kind in VALUES:
                self._attributes[name] = value
            elif kind in _DICTIONARIES and not value:
                self._empty.append((name, kind))
            elif kind is dict and name in ("_parameters", "_buffers"):
                self._tensors.append((name, [(key, _layout(tensor, memories)) for key, tensor in value.items()]))
            elif kind in _LISTS and are_values(value):
                self._lists.append((name, kind, tuple(value)))
            elif kind is tuple and VALUES.issuperset(map(type, value)):
                self._attributes[name] = value
            else:
                raise ValueError(f"{name}: cannot be copied")

    def copy(self) -> State:
        """The same attributes in the same order.  No function mode may see the functions that it calls."""
        new: State = self._attributes.copy()
        for name, empty in self._empty:
            new[name] = empty()
        for name, kind, values in self._lists:
            new[name] = kind(values)
        for name, layouts in self._tensors:
            new[name] = {key: layout if layout is None else _made(layout) for key, layout in layouts}
        return new


def are_values(arguments: Any) -> bool:
    """Whether the arguments are immutable values, or tuples of them."""
    return VALUES.issuperset(map(type, arguments)) or all(
        type(value) in VALUES or (type(value) is tuple and VALUES.issuperset(map(type, value))) for value in arguments
    )


def _layout(tensor: torch.Tensor | None, memories: set[int]) -> Any:
    """What a copy of the tensor is made from: its layout, or a copy with its numbers if it has any."""
    if tensor is None:
        return None
    if tensor.layout is not torch.strided or vars(tensor) or tensor.grad_fn is not None or not tensor.numel():
        raise ValueError("not as torch makes new tensors")
    storage = tensor.untyped_storage()
    size, is_meta, grad = storage.nbytes(), tensor.is_meta, tensor.requires_grad
    if type(tensor) is torch.Tensor:
        kind_fits = not grad and (is_meta or size <= LARGEST)
    else:
        kind_fits = type(tensor) is nn.Parameter and is_meta
    fills_storage = size == tensor.numel() * tensor.element_size() and id(storage) not in memories
    if not (kind_fits and fills_storage and tensor.is_contiguous()):
        raise ValueError("not as torch makes new tensors")
    memories.add(id(storage))
    return (tensor.shape, tensor.stride(), tensor.dtype, grad, type(tensor)) if is_meta else tensor.clone()


def _made(layout: Any) -> torch.Tensor:
    if type(layout) is torch.Tensor:
        return layout.clone()
    shape, strides, dtype, grad, kind = layout
    new = empty_strided(shape, strides, dtype=dtype, device=META, requires_grad=grad)
    if kind is nn.Parameter:
        new.__class__ = kind  # nn.Parameter would create a second tensor
    return new
