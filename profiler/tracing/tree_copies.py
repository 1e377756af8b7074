"""The meta copy of a network whose make is known, in a small part of the time that any other copy takes.

Modules of the same number have attributes of the same types and tensors of the same metadata
(:mod:`~profiler.tracing.makes`).  So how a module is copied is decided for the first one of each number.  The copy is
that of :func:`~profiler.tracing.copying.copy_to_meta`, except for one thing: which modules share an empty dictionary.
If all code of a network was read, all copies share one for each kind of hooks, since that code adds no hooks.  Else
each copy has dictionaries of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import torch
from torch import empty_strided, nn

from profiler.garbage import without_collection
from profiler.tracing.copying import has_plain_memory
from profiler.tracing.makes import Make
from profiler.tracing.network_copies import (
    HELD,
    HOOKS,
    SHARED,
    NetworkCopy,
    has_own_copy,
    is_copied_by_attributes,
)
from profiler.tracing.parallel import is_distributed
from profiler.tracing.private import needed_by_setstate

META = torch.device("meta")

NOT_PERSISTENT = "_non_persistent_buffers_set"

_NEW = vars(nn.Module())

_FLAGS = itemgetter(*[name for name in _NEW if name not in HOOKS | HELD | {NOT_PERSISTENT}])
"""The attributes of every module that are constants."""

_HOOKS = itemgetter(*HOOKS)

_set_attribute = object.__setattr__

Layout = tuple[str, tuple[Any, Any, torch.dtype] | None, bool, bool, bool]
"""The name of a parameter or a buffer, its shape, strides and dtype unless it is None, whether it is a parameter,
whether it needs a gradient, and whether it has attributes.
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How modules of one number are copied.

    ``lists`` are attributes that are lists of constants, ``others`` those that are neither that nor constants.  With
    ``sets_state`` their class has its own way to take over the attributes of a copy.
    """

    kind: Any
    parameters: tuple[Layout, ...]
    buffers: tuple[Layout, ...]
    lists: tuple[str, ...]
    others: tuple[str, ...]
    sets_state: bool


@without_collection()
def copy_of_tree(make: Make, memo: dict[int, Any]) -> list[nn.Module] | None:
    """All modules of the copy of a network of a known make on meta, the network itself first.

    None if it takes more than copies of plain modules, none of which is a script or holds packed weights.  ``memo``
    gets the copies of tensors, lists and other objects by the ids of the originals.
    """
    if not make.tree:
        return None
    plans: dict[int, _Plan | None] = {}
    plain: dict[type, bool] = {}
    copies: dict[int, nn.Module] = {}
    other = NetworkCopy(memo)
    hooks: dict[str, Any] = {name: OrderedDict() for name in HOOKS}
    for (_, module), number, changing in zip(
        reversed(make.named), reversed(make.numbers), reversed(make.changing), strict=True
    ):
        held = module.__dict__
        if number not in plans:
            plans[number] = _plan_of(module, changing, plain)
        plan = plans[number]
        if plan is None:
            return None
        if any(_HOOKS(held)) or not SHARED.issuperset(map(type, _FLAGS(held))):
            return None
        state = held.copy()
        if make.read:
            state.update(hooks)
        elif all(type(held[name]) is OrderedDict for name in HOOKS):
            state.update({name: OrderedDict() for name in HOOKS})
        else:
            return None
        parameters, buffers, modules = held["_parameters"], held["_buffers"], held["_modules"]
        not_persistent = held[NOT_PERSISTENT]
        if not type(parameters) is type(buffers) is type(modules) is dict or type(not_persistent) is not set:
            return None
        state[NOT_PERSISTENT] = not_persistent.copy()
        state["_parameters"] = _tensors(parameters, plan.parameters, memo, make.tied) if parameters else {}
        state["_buffers"] = _tensors(buffers, plan.buffers, memo, make.tied) if buffers else {}
        state["_modules"] = {name: None if part is None else copies[id(part)] for name, part in modules.items()}
        for name in plan.lists:
            value = held[name]
            known = memo.get(id(value))
            state[name] = memo[id(value)] = value.copy() if known is None else known
        for name in plan.others:
            state[name] = other.copied(held[name])
        copied = copies[id(module)] = plan.kind.__new__(plan.kind)
        if plan.sets_state:
            copied.__setstate__(state)
        else:
            _set_attribute(copied, "__dict__", state)
    return list(reversed(copies.values()))


def _plan_of(module: nn.Module, changing: tuple[str, ...], plain: dict[type, bool]) -> _Plan | None:
    """How a module is copied; ``changing`` are its attributes whose contents may change.  None if it is not plain.

    ``plain`` says of the classes that were met whether their modules are copied by attributes.
    """
    kind, held = type(module), module.__dict__
    if kind not in plain:
        special = issubclass(kind, torch.jit.ScriptModule) or is_distributed(kind)
        plain[kind] = is_copied_by_attributes(kind) and not special
    if not plain[kind] or has_own_copy(held) or "_compiled_call_impl" in held or not held.keys() >= _NEW.keys():
        return None
    parameters, buffers = _layouts(held["_parameters"], nn.Parameter), _layouts(held["_buffers"], None)
    if parameters is None or buffers is None:
        return None
    lists = tuple([name for name in changing if _is_list_of_constants(held[name])])
    others = [name for name in held if name not in _NEW and name not in lists and not _is_constant(held[name])]
    needed = needed_by_setstate(kind)
    sets_state = needed is None or not needed <= held.keys()
    return _Plan(kind, parameters, buffers, lists, tuple(others), sets_state)


def _is_constant(value: Any) -> bool:
    kind = type(value)
    return kind in SHARED or (kind is tuple and SHARED.issuperset(map(type, value)))


def _is_list_of_constants(value: Any) -> bool:
    return type(value) is list and SHARED.issuperset(map(type, value))


def _layouts(held: dict[str, torch.Tensor | None], kind: Any) -> tuple[Layout, ...] | None:
    """The layouts of parameters, which are of a ``kind``, or of buffers; None if one is not copied by its layout."""
    found: list[Layout] = []
    for name, tensor in held.items():
        if tensor is None:
            found.append((name, None, False, False, False))
        elif not has_plain_memory(tensor) or (kind is not None and type(tensor) is not kind):
            return None
        else:
            layout = tensor.shape, tensor.stride(), tensor.dtype
            is_parameter = kind is not None
            found.append(
                (name, layout, is_parameter, is_parameter and tensor.requires_grad, is_parameter and bool(vars(tensor)))
            )
    return tuple(found)


def _tensors(
    held: dict[str, Any], layouts: tuple[Layout, ...], memo: dict[int, Any], tied: bool
) -> dict[str, torch.Tensor | None]:
    """Copies of the parameters or of the buffers of a module; some may be ``tied`` to those of others."""
    copies: dict[str, torch.Tensor | None] = {}
    for name, layout, is_parameter, needs_gradient, has_attributes in layouts:
        if layout is None:
            copies[name] = None
            continue
        if tied and id(held[name]) in memo:
            copies[name] = memo[id(held[name])]
            continue
        shape, strides, dtype = layout
        new: Any = empty_strided(shape, strides, dtype=dtype, device=META, requires_grad=needs_gradient)
        if is_parameter:
            new.__class__ = nn.Parameter  # nn.Parameter would create a second tensor
            if has_attributes:
                new.__dict__.update(held[name].__dict__)
        copies[name] = memo[id(held[name])] = new
    return copies
