"""The source ``torchvision:NAME``: every network that torchvision lists, built without weights."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from profiler.config import InputSpec, InputValue
from profiler.models.sources import Builder, refuse_weights, source
from profiler.models.torchvision_ops import import_torchvision

FRAMES = 16
"""The length of a video clip for which torchvision publishes the figures of its video networks."""

IMAGE_SIDES = {"ssd300_vgg16": 300, "ssdlite320_mobilenet_v3_large": 320}
"""Detection networks for images of a fixed size; the others take any size and get images of 800×800."""


@source("torchvision")
def torchvision_networks(base: Path) -> dict[str, Builder]:
    """Every network that torchvision lists, each built without weights."""
    models = import_torchvision().models
    return {name: _network(name, models.get_model_builder(name)) for name in models.list_models()}


@functools.cache
def _network(name: str, build: Callable[..., nn.Module]) -> Builder:
    family = _family(build)
    return Builder(family, without_download(build), functools.partial(_inputs, name, family))


def _family(build: Callable[..., nn.Module]) -> str:
    """``torchvision.models.detection.ssd`` → ``detection``; a module at the top builds classifiers."""
    parts = build.__module__.split(".")
    return parts[2] if len(parts) > 3 else "classification"


def without_download(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A torchvision builder that downloads no weights, neither for the network nor for its backbone.

    Requesting weights is an error, since only shapes matter here.  Any other callable is returned unchanged.
    """
    if not getattr(build, "__module__", "").startswith("torchvision.models") or inspect.isclass(build):
        return build
    no_weights = dict.fromkeys({"weights", "weights_backbone"} & inspect.signature(build).parameters.keys())

    @functools.wraps(build)
    def offline(**kwargs: Any) -> nn.Module:
        kwargs = refuse_weights(kwargs, "weights", "weights_backbone", "pretrained", "pretrained_backbone")
        return build(**{**_quick_init(build), **no_weights, **kwargs})

    return offline


def _quick_init(build: Callable[..., nn.Module]) -> dict[str, Any]:
    """Skip the initialization of GoogLeNet and Inception, which is slow and warns; its values are not used."""
    return {"init_weights": False} if build.__name__ in ("googlenet", "inception_v3") else {}


def _inputs(name: str, family: str, **kwargs: Any) -> tuple[InputValue, ...]:
    """A batch of one, of the size at which the network's default weights were tested."""
    if family == "detection":
        side = IMAGE_SIDES.get(name, 800)
        return ((InputSpec(shape=(3, side, side)),),)
    if family == "optical_flow":
        return (InputSpec(shape=(1, 3, 512, 512)),) * 2
    weights = import_torchvision().models.get_model_weights(name).DEFAULT
    height, width = image_size(weights, **kwargs)
    if family == "video":
        return (InputSpec(shape=(1, 3, FRAMES, height, width)),)
    return (InputSpec(shape=(1, 3, height, width)),)


def image_size(weights: Any, **kwargs: Any) -> tuple[int, int]:
    """Height and width of the images of torchvision's ``weights``: what their transforms crop or resize to.

    A size in the builder's kwargs takes precedence.  A vision transformer is built for 224 unless the kwargs say
    otherwise, even if its weights were tested at another size.
    """
    requested = kwargs.get("image_size") or kwargs.get("input_size")
    if requested is None and type(weights).__name__.startswith("ViT"):
        requested = 224
    keywords = weights.transforms.keywords
    size = requested or keywords.get("crop_size") or keywords["resize_size"]
    height, width = size if isinstance(size, Sequence) else (size, size)
    return height, width
