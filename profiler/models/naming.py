"""A network that somebody holds → what it is called: by its builder where it tells, else by its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from profiler.tracing.private import without_compiler
from profiler.tracing.scripts import script_type


def called(model: nn.Module) -> tuple[str, str]:
    """Its name, and the target that says what it is: the module and class of its code.

    What ``torch.compile`` wrapped goes by the network inside, a scripted module by the class that it was made from,
    and a network of timm by the name of the function that built it.
    """
    network = without_compiler(model)
    kind = type(network)
    if isinstance(network, torch.jit.ScriptModule):
        return script_type(network), f"{kind.__module__}:{kind.__qualname__}"
    return _builder(network) or kind.__name__, f"{kind.__module__}:{kind.__qualname__}"


def _builder(network: nn.Module) -> str | None:
    """The function that built a network of timm, which its configuration names."""
    settings: Any = vars(network).get("pretrained_cfg") or vars(network).get("default_cfg")
    name = settings.get("architecture") if isinstance(settings, Mapping) else getattr(settings, "architecture", None)
    return name if isinstance(name, str) and name else None
