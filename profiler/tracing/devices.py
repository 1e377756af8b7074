"""Networks that name a device (``.cuda()``, ``device="cuda"``) are traced on the device of their inputs."""

from __future__ import annotations

from typing import Any

import torch

HERE = ("cpu", "meta")
"""The devices that a trace runs on."""

TO = torch.Tensor.to
MOVES = frozenset(
    {TO, *(getattr(torch.Tensor, name) for name in ("cuda", "xpu", "hpu") if hasattr(torch.Tensor, name))}
)
"""Functions that move a tensor to a device without a keyword argument for it."""


def at_home(home: torch.device, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """The call of a torch function, with every device on which traces do not run replaced by ``home``."""
    if "device" in kwargs:
        kwargs = {**kwargs, "device": _device(home, kwargs["device"])}
    if func in MOVES:
        tensor, *rest = args
        if func is TO:
            args = (tensor, *(_device(home, value) for value in rest[:1]), *rest[1:])
        else:
            func, args, kwargs = TO, (tensor, home), {}
    return func, args, kwargs


def _device(home: torch.device, value: Any) -> Any:
    """``value``, or ``home`` if it names another device; a number is the index of an accelerator."""
    if isinstance(value, torch.device):
        return value if value.type in HERE else home
    if isinstance(value, str):
        return value if value.partition(":")[0] in HERE else home
    return home if isinstance(value, int) and not isinstance(value, bool) else value
