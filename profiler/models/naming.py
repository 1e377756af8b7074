"""A network → its name: that of its builder if it is known, or else of its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from profiler.tracing.callables import CallableNetwork, name_of, target_of
from profiler.tracing.private import without_compiler
from profiler.tracing.scripts import script_type


def called(model: nn.Module) -> tuple[str, str]:
    """The name of a network, and its target: the module and class of its code.

    A network wrapped by ``torch.compile`` has the name of the network inside, a scripted module that of its original
    class, a network of timm that of the function that built it, and a callable its own.
    """
    if isinstance(model, CallableNetwork):
        return name_of(model.call), target_of(model.call)
    network = without_compiler(model)
    kind = type(network)
    if isinstance(network, torch.jit.ScriptModule):
        return script_type(network), f"{kind.__module__}:{kind.__qualname__}"
    return _builder(network) or kind.__name__, f"{kind.__module__}:{kind.__qualname__}"


def _builder(network: nn.Module) -> str | None:
    """The name of the function that built a network of timm, from its configuration."""
    settings: Any = vars(network).get("pretrained_cfg") or vars(network).get("default_cfg")
    name = settings.get("architecture") if isinstance(settings, Mapping) else getattr(settings, "architecture", None)
    return name if isinstance(name, str) and name else None
