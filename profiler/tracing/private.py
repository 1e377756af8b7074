"""The few things of torch's own interior that a dispatch mode cannot do without, in this one place."""

from __future__ import annotations

from typing import Any

try:
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError as error:
    raise ImportError(
        "this torch has no torch.utils._python_dispatch.TorchDispatchMode, which the profiler records operations with: "
        "install a torch release that this profiler was tested with (see constraints.txt)"
    ) from error

__all__ = ["TorchDispatchMode", "can_be_taken_apart", "operator_name"]


def operator_name(func: Any) -> str:
    """``aten.conv2d.padding`` → ``"aten::conv2d"``; an operator without a namespace is a higher-order one."""
    name: str = func.name().split(".", 1)[0] if callable(getattr(func, "name", None)) else str(func)
    return name if "::" in name else f"higher_order::{name}"


def can_be_taken_apart(func: Any) -> bool:
    """Whether the operator is defined by other operators, so that ``func.decompose`` runs those."""
    check = getattr(func, "_can_decompose", None)
    return check is not None and bool(check())
