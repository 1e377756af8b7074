"""The networks that are measured, on the meta device or with real tensors, with their inputs.

Images are 224×224 for all of torchvision's networks, texts have 128 tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

SIZE = 224
TOKENS = 128

NETWORKS = ("resnet50", "densenet201", "efficientnet_b7", "vit_b_16", "swin_t", "convnext_large", "bert")
"""The networks of the targets; ``bert`` is BERT-base."""

FAMILIES = {
    "resnet101": "resnet50",
    "densenet201": "densenet169",
    "efficientnet_b7": "efficientnet_b6",
    "vit_l_16": "vit_b_16",
    "swin_s": "swin_t",
    "convnext_large": "convnext_base",
    "bert_24": "bert",
}
"""A network, and the one of its family that is profiled before it; ``bert_24`` is BERT-base with 24 layers."""

LABELS = {
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "densenet169": "DenseNet-169",
    "densenet201": "DenseNet-201",
    "efficientnet_b6": "EfficientNet-B6",
    "efficientnet_b7": "EfficientNet-B7",
    "vit_b_16": "ViT-B/16",
    "vit_l_16": "ViT-L/16",
    "swin_t": "Swin-T",
    "swin_s": "Swin-S",
    "convnext_base": "ConvNeXt-B",
    "convnext_large": "ConvNeXt-L",
    "bert": "BERT-base",
    "bert_24": "BERT-base of 24 layers",
}


def on_meta(name: str) -> tuple[nn.Module, torch.Tensor]:
    """The network in eval mode and its input, on meta."""
    import torch

    from profiler.models.building import build_model

    model = _bert(name, "meta") if name.startswith("bert") else build_model(f"torchvision:{name}")
    return model.eval(), _input(name, torch.device("meta"))


def real(name: str) -> tuple[nn.Module, torch.Tensor]:
    """The network in eval mode with real tensors (weights of torchvision's networks are zero), and its input."""
    import torch

    from profiler.models.building import build_real_model

    model = _bert(name, "cpu") if name.startswith("bert") else build_real_model(f"torchvision:{name}")
    return model.eval(), _input(name, torch.device("cpu"))


def _bert(name: str, device: str) -> nn.Module:
    import torch

    import profiler

    profiler.import_torchvision()  # transformers imports it, and so it must be imported in the profiler's way
    from transformers import BertConfig, BertModel

    layers = int(name.removeprefix("bert_")) if name != "bert" else 12
    config = BertConfig(num_hidden_layers=layers, return_dict=False)  # type: ignore[no-untyped-call, unused-ignore]
    with torch.device(device):
        return BertModel(config)


def _input(name: str, device: torch.device) -> torch.Tensor:
    import torch

    if name.startswith("bert"):
        return torch.zeros(1, TOKENS, dtype=torch.int64, device=device)
    return torch.rand(1, 3, SIZE, SIZE, device=device)


def bare_forward(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """One forward pass without gradients."""
    import torch

    def run() -> object:
        with torch.no_grad():
            return model(x)

    return run


def bare_step(model: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """One forward pass in train mode and the backward pass from the sum of its results."""

    def run() -> None:
        model.train()
        total(model(x)).backward()
        model.eval()
        model.zero_grad(set_to_none=True)

    return run


def total(results: Any) -> Any:
    """The sum of all elements of all floating-point results with a gradient."""
    if isinstance(results, (tuple, list)):
        return sum(total(item) for item in results)
    if isinstance(results, dict):
        return sum(total(item) for item in results.values())
    return results.sum() if getattr(results, "requires_grad", False) else 0
