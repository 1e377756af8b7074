"""Model sources: functions that list the networks which can be named as ``source:name``.

A source is registered with :func:`source` under the word before the colon, and returns all its networks
by name.  It is called only when a target asks for it, so it may import what it needs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from profiler.errors import TargetError
from profiler.models.torchvision_ops import import_torchvision


@dataclass(frozen=True, slots=True)
class Builder:
    """One network of a source: the family it is listed under, and the function that builds it."""

    family: str
    build: Callable[..., nn.Module]


Source = Callable[[], Mapping[str, Builder]]
"""``source() -> networks``: every name that may follow the colon, with its builder."""

SOURCES: dict[str, Source] = {}


def source(name: str) -> Callable[[Source], Source]:
    """Register the decorated function as the source ``name``; a name can be registered once."""

    def register(networks: Source) -> Source:
        if name in SOURCES:
            raise TargetError(f"model source {name!r} is registered already; a source can be registered once")
        SOURCES[name] = networks
        return networks

    return register


@source("torchvision")
def torchvision_networks() -> dict[str, Builder]:
    """Every network that torchvision lists, each built without weights."""
    models = import_torchvision().models
    builders = {name: models.get_model_builder(name) for name in models.list_models()}
    return {name: Builder(_family(build), without_download(build)) for name, build in builders.items()}


def _family(build: Callable[..., nn.Module]) -> str:
    """``torchvision.models.detection.ssd`` → ``detection``; a module at the top builds classifiers."""
    parts = build.__module__.split(".")
    return parts[2] if len(parts) > 3 else "classification"


def without_download(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A torchvision builder that fetches no weights, neither for the network nor for its backbone.

    Asking for weights is an error, since only their shapes could matter here.  Any other callable is
    returned as it is.
    """
    if not getattr(build, "__module__", "").startswith("torchvision.models") or inspect.isclass(build):
        return build
    no_weights = dict.fromkeys({"weights", "weights_backbone"} & inspect.signature(build).parameters.keys())

    @functools.wraps(build)
    def offline(**kwargs: Any) -> nn.Module:
        for key in ("weights", "weights_backbone", "pretrained", "pretrained_backbone"):
            if kwargs.pop(key, None):
                raise ValueError(f"{key} would be downloaded, and their values change no count; leave {key} out")
        return build(**{**_quick_init(build), **no_weights, **kwargs})

    return offline


def _quick_init(build: Callable[..., nn.Module]) -> dict[str, Any]:
    """GoogLeNet and Inception warn of, and are slow in, an initialisation that nothing here looks at."""
    return {"init_weights": False} if build.__name__ in ("googlenet", "inception_v3") else {}
