"""torchvision's weights with the figures that it publishes for each, and the inputs of these figures.

The inputs are those of torchvision's own script, ``get_ops`` in test/common_extended_utils.py of pytorch/vision: an
image of 512×512 (a clip of 16, a pair for optical flow) after the weights' own transforms; for detection an image
with the side that ``detection_models_input_dims`` in test/test_extended_models.py gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from profiler import Profile, profile
from profiler.models.building import build_model
from profiler.models.from_torchvision import FRAMES, IMAGE_SIDES
from profiler.models.torchvision_ops import import_torchvision

SIDE = 512
"""The side of the images that the transforms take."""

DETECTION_SIDES = {
    **IMAGE_SIDES,
    "fasterrcnn_mobilenet_v3_large_320_fpn": 320,
    "keypointrcnn_resnet50_fpn": 1333,
}
"""The sides of the images for detection networks that do not take 800×800."""


@dataclass(frozen=True)
class Weights:
    """One set of weights of a torchvision network: where its figures come from, and its inputs' shapes."""

    network: str
    name: str
    family: str
    gmacs: float
    parameters: int
    shapes: tuple[tuple[int, ...], ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


def all_weights() -> Iterator[Weights]:
    """Every set of weights that torchvision lists."""
    models = import_torchvision().models
    for network in models.list_models():
        parts = models.get_model_builder(network).__module__.split(".")
        family = parts[2] if len(parts) > 3 else "classification"
        for weights in models.get_model_weights(network):
            height, width = _size(weights, network, family)
            yield Weights(
                network,
                weights.name,
                family,
                weights.meta["_ops"],
                weights.meta["num_params"],
                _shapes(family, height, width),
                tuple(_kwargs(network, height).items()),
            )


def detection_side(network: str) -> int:
    """The side of the image for a detection network."""
    return DETECTION_SIDES.get(network, 800)


def _size(weights: Any, network: str, family: str) -> tuple[int, int]:
    if family == "detection":
        return detection_side(network), detection_side(network)
    if family == "optical_flow":
        return SIDE, SIDE
    keywords = weights.transforms.keywords
    size = keywords.get("crop_size") or keywords["resize_size"]
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    return height, width


def _shapes(family: str, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    if family == "video":
        return ((1, 3, FRAMES, height, width),)
    if family == "detection":
        return ((3, height, width),)
    return ((1, 3, height, width),) * (2 if family == "optical_flow" else 1)


def _kwargs(network: str, side: int) -> dict[str, Any]:
    """The arguments of the builder when it loads weights: the auxiliary heads run, or are dropped."""
    if network.startswith("vit_"):
        return {"image_size": side}
    if network.startswith(("fcn_", "deeplabv3_")):
        return {"aux_loss": True}
    return {"aux_logits": False} if network.endswith("googlenet") else {}


def unique(weights: Iterator[Weights]) -> dict[tuple[Any, ...], list[Weights]]:
    """Weights by what determines their figures: the network, its kwargs and its inputs."""
    groups: dict[tuple[Any, ...], list[Weights]] = {}
    for one in weights:
        groups.setdefault((one.network, one.kwargs, one.shapes), []).append(one)
    return groups


def measure(weights: Weights) -> Profile:
    """The profile of the weights' network, on meta inputs."""
    model = build_model(f"torchvision:{weights.network}", dict(weights.kwargs))
    return profile(model, tuple(torch.empty(shape, device="meta") for shape in weights.shapes))


def as_published(macs: int) -> str:
    """The figure to the third decimal of a billion, as torchvision prints it."""
    return f"{macs / 1e9:.3f}"
