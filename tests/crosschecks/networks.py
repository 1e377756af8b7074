"""Real networks on which the other counters run, besides the museum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from profiler import Profile, profile_config
from profiler.config import Config
from profiler.subjects import packed, real_network


@dataclass(frozen=True)
class Network:
    """A network by its target; the inputs are shapes of its positional arguments, or tokens."""

    target: str
    shape: tuple[int, ...] = (1, 3, 224, 224)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    tokens: bool = False

    @property
    def name(self) -> str:
        """The name on the page."""
        return self.target.replace("profiler.models.zoo", "zoo")

    @property
    def config(self) -> Config:
        """The config for it."""
        inputs: Any = [{"shape": list(self.shape)}]
        if self.tokens:
            inputs = {"input_ids": {"shape": list(self.shape), "dtype": "int64"}}
        model = {"target": self.target, "kwargs": dict(self.kwargs)}
        return Config.model_validate(
            {"name": self.target.partition(":")[2], "model": model, "inputs": inputs, "crosscheck": False}
        )

    def make(self) -> tuple[nn.Module, Any]:
        """A real copy on the CPU, with its arguments."""
        return real_network(packed(self.config), str(self.config.base))

    def profile(self) -> Profile:
        """Our profile of it."""
        return profile_config(self.config, crosscheck=False)


NETWORKS = (
    Network("profiler.models.zoo:AlexNet", (1, 3, 227, 227)),
    Network("torchvision:vgg16"),
    Network("torchvision:resnet18"),
    Network("torchvision:resnet50"),
    Network("torchvision:densenet121"),
    Network("torchvision:googlenet"),
    Network("torchvision:mobilenet_v2"),
    Network("torchvision:efficientnet_b0"),
    Network("torchvision:convnext_tiny"),
    Network("torchvision:swin_t"),
    Network("torchvision:vit_b_16"),
    Network("torchvision:fcn_resnet50"),
    Network("timm:deit_tiny_patch16_224"),
    Network("timm:mixer_s16_224"),
    Network("transformers:BertModel", (1, 128), tokens=True),
    Network("transformers:GPT2Model", (1, 128), tokens=True),
)
