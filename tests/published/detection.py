"""The costs of torchvision's detection networks for any number of surviving proposals and detections.

A network with a region proposal network runs its box head on each proposal that survives non-maximum suppression, and
its mask or keypoint head on each detection. So its multiply–accumulates are a sum: what it does once for an image,
plus proposals × the cost of the box head, plus detections × the cost of the other head.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import nn

from profiler import Profile, profile, profile_config
from profiler.config import Config
from profiler.models.building import build_model
from profiler.models.torchvision_ops import import_torchvision
from tests.published.weights import Weights, all_weights, as_published, detection_side

BOX_HEADS = ("roi_heads.box_head", "roi_heads.box_predictor")
DETECTION_HEADS = tuple(f"roi_heads.{what}_{part}" for what in ("mask", "keypoint") for part in ("head", "predictor"))


@dataclass(frozen=True)
class Survivors:
    """The numbers of surviving proposals and detections of one image."""

    proposals: int
    detections: int = 0


@dataclass(frozen=True)
class Costs:
    """Multiply–accumulates: once for an image, for each surviving proposal, and for each detection."""

    once: int
    proposal: int = 0
    detection: int = 0

    def at(self, survivors: Survivors) -> int:
        """The cost of an image with these numbers of survivors."""
        return self.once + survivors.proposals * self.proposal + survivors.detections * self.detection


PUBLISHED = {
    ("fasterrcnn_mobilenet_v3_large_320_fpn", "COCO_V1"): Survivors(0),
    ("fasterrcnn_mobilenet_v3_large_fpn", "COCO_V1"): Survivors(0),
    ("fasterrcnn_resnet50_fpn", "COCO_V1"): Survivors(1000),
    ("fasterrcnn_resnet50_fpn_v2", "COCO_V1"): Survivors(1000),
    ("keypointrcnn_resnet50_fpn", "COCO_LEGACY"): Survivors(1000, 0),
    ("keypointrcnn_resnet50_fpn", "COCO_V1"): Survivors(1000, 1),
    ("maskrcnn_resnet50_fpn", "COCO_V1"): Survivors(1000, 0),
    ("maskrcnn_resnet50_fpn_v2", "COCO_V1"): Survivors(1000, 100),
}
"""The numbers of survivors that lead to the published figures; networks without proposals are not in the table."""


def detection_weights() -> tuple[Weights, ...]:
    """The weights of the detection networks."""
    return tuple(weights for weights in all_weights() if weights.family == "detection")


def published_survivors(weights: Weights) -> Survivors:
    """The numbers of survivors that lead to the published figure of ``weights``."""
    return PUBLISHED.get((weights.network, weights.name), Survivors(0))


@functools.cache
def real_run(network: str, dtype: str = "float64", kwargs: tuple[tuple[str, Any], ...] = ()) -> Profile:
    """The profile of the untrained network on one random image, both seeded, as by a config.

    It runs in double precision by default, so that rounding does not decide which boxes survive.
    """
    side = detection_side(network)
    config = {
        "name": network,
        "model": {"target": f"torchvision:{network}", "kwargs": dict(kwargs)},
        "inputs": [[{"shape": [3, side, side]}]],
        "dtype": dtype,
    }
    return profile_config(Config.model_validate(config), crosscheck=False)


def survivors(result: Profile) -> Survivors:
    """The numbers of survivors in the heads of a profiled network."""
    batches = {record.name: record.input_shapes[0][0][0] for record in result.trace.modules if record.input_shapes}
    detections = (batches[name] for name in DETECTION_HEADS if name in batches)
    return Survivors(batches.get(BOX_HEADS[0], 0), next(detections, 0))


@functools.cache
def most_survivors(network: str) -> Survivors:
    """The largest numbers of survivors; there are detections if a head runs on them."""
    model = _on_meta(network)
    if not hasattr(model, "rpn"):
        return Survivors(0)
    more = model.roi_heads.has_mask() or model.roi_heads.has_keypoint()
    return Survivors(model.rpn.post_nms_top_n(), model.roi_heads.detections_per_img if more else 0)


@functools.cache
def costs(network: str) -> Costs:
    """The cost of the real run outside of the heads, and of the heads on meta for one proposal and one detection."""
    outside = macs_outside_heads(real_run(network))
    model = _on_meta(network)
    if not hasattr(model, "rpn"):
        return Costs(outside)
    return Costs(outside, _macs_of_one(model, BOX_HEADS, 7), _macs_of_one(model, DETECTION_HEADS, 14))


def macs_outside_heads(result: Profile) -> int:
    """The multiply–accumulates of the modules outside of the heads."""
    inside = (*BOX_HEADS, *DETECTION_HEADS)
    return sum(call.count.macs for call in result.trace.calls if not call.module.startswith(inside))


def _macs_of_one(model: nn.Module, heads: tuple[str, ...], side: int) -> int:
    """The multiply–accumulates of those of ``heads`` that the network has, on one region of side × side."""
    names = dict(model.named_modules())
    found = [names[head] for head in heads if head in names]
    if not found:
        return 0
    return profile(nn.Sequential(*found), torch.empty(1, 256, side, side, device="meta")).total.macs


def _on_meta(network: str) -> Any:
    return build_model(f"torchvision:{network}").eval()


def printed_by(cost: Costs, most: Survivors, gmacs: float) -> list[Survivors]:
    """Every pair of numbers of survivors up to ``most`` with a cost that is printed as ``gmacs``."""
    every = (Survivors(p, d) for p in range(most.proposals + 1) for d in range(most.detections + 1))
    return [one for one in every if as_published(cost.at(one)) == f"{gmacs:.3f}"]


def as_trained(weights: Weights) -> nn.Module:
    """The network that its builder makes for these weights, on meta; nothing is downloaded or loaded."""
    models = import_torchvision().models
    choice = models.get_model_weights(weights.network)[weights.name]
    with _nothing_loaded(models.WeightsEnum), torch.device("meta"):
        network: nn.Module = models.get_model_builder(weights.network)(weights=choice)
    return network


@contextmanager
def _nothing_loaded(weights_enum: Any) -> Iterator[None]:
    with mock.patch.object(weights_enum, "get_state_dict"), mock.patch.object(nn.Module, "load_state_dict"):
        yield


def frozen_parameters(weights: Weights) -> int:
    """The elements of parameters which are buffers of the same name if weights are loaded."""
    buffers = dict(as_trained(weights).named_buffers())
    parameters = _on_meta(weights.network).named_parameters()
    return sum(parameter.numel() for name, parameter in parameters if name in buffers)
