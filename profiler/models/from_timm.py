"""The source ``timm:NAME``: every network that timm lists, built without weights."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from profiler.config import InputSpec, InputValue
from profiler.models.sources import Builder, import_extra, refuse_weights, source
from profiler.models.torchvision_ops import import_torchvision


@source("timm")
def timm_networks(base: Path) -> dict[str, Builder]:
    """Every network that timm lists, under its plain name and with each of its tags (``resnet50.a1_in1k``)."""
    timm = _import_timm()
    modules = {name: module for module in timm.list_modules() for name in timm.list_models(module=module)}
    names = (*timm.list_models(), *timm.list_models(include_tags=True))
    return {
        name: Builder(
            modules.get(name.partition(".")[0], "timm"),
            functools.partial(_build, name),
            functools.partial(_inputs, name),
        )
        for name in names
    }


def _import_timm() -> Any:
    import_torchvision()  # timm imports it, which fails otherwise with some builds of torch
    return import_extra("timm")


def _build(model_name: str, /, **kwargs: Any) -> nn.Module:
    kwargs = refuse_weights(kwargs, "pretrained")
    network: nn.Module = _import_timm().create_model(model_name, pretrained=False, **kwargs)
    return network


def _inputs(model_name: str, /, **kwargs: Any) -> tuple[InputValue, ...]:
    """A batch of one image, of the size in timm's configuration of the network."""
    known = _import_timm().get_pretrained_cfg(model_name)
    if known is None:
        raise ValueError("timm does not give the size of its inputs")
    channels, height, width = known.input_size
    size = kwargs.get("img_size")
    if size is not None:
        height, width = size if isinstance(size, Sequence) else (size, size)
    return (InputSpec(shape=(1, kwargs.get("in_chans") or channels, height, width)),)
