"""Networks of the profiler's own, as their sources describe them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["AlexNet", "Net1", "Net2", "SmallNet", "SmallTransformer"]


class AlexNet(nn.Module):
    """The AlexNet of one GPU, its first convolution unpadded: (N, 3, 227, 227) → (N, num_classes).

    Five convolutions, three of them followed by max pooling, then three linear layers on 256·6·6 features.
    ``features`` and ``classifier`` are laid out as torchvision's ``alexnet`` has them, whose first
    convolution is padded by 2 and which pools adaptively before the classifier; here the map is flattened
    directly, so the input has to be 227×227, or of another size that gives a 6×6 map (223 to 254 on a side).

    Source: A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014,
    arXiv:1404.5997.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 227, 227) → (N, num_classes)."""
        scores: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return scores


class SmallNet(nn.Module):
    """Two convolutions and two linear layers, three of them with batch norm: (N, 3, 32, 32) → (N, num_classes).

    conv 3×3 BN ReLU, conv 3×3 BN ReLU, linear 1024 BN ReLU, linear 10 ReLU.  The convolutions are padded, so that
    the first linear layer has 16·32·32 = 16,384 inputs.  A course's network for batch-norm folding.
    """

    def __init__(self, num_classes: int = 10, width: int = 16, hidden: int = 1024) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Linear(width * 32 * 32, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) → (N, num_classes)."""
        scores: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return scores


NET1_CHANNELS = (64, 192, 384, 256, 256)


def _net1_features(channels: Sequence[int]) -> nn.Sequential:
    """A 7×7 convolution and 3×3 ones, none padded, a ReLU after each: 32 → 26 → 24 → 22 → 20 → 18 on a side."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(zip((3, *channels), channels, strict=False)):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=3 if number else 7), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Net1(nn.Module):
    """Five unpadded convolutions, then three linear layers on 256·18·18 features: (N, 3, 32, 32) → (N, num_classes).

    conv 7×7 64, conv 3×3 192, 384, 256, 256; linear 4096, 4096, 10; a ReLU after each but the last.  A course's
    network for turning linear layers into convolutions: what comes of it is :class:`Net2`.
    """

    def __init__(self, num_classes: int = 10, channels: Sequence[int] = NET1_CHANNELS, hidden: int = 4096) -> None:
        super().__init__()
        self.features = _net1_features(channels)
        self.classifier = nn.Sequential(
            nn.Linear(channels[-1] * 18 * 18, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 32, 32) → (N, num_classes)."""
        scores: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return scores


class Net2(nn.Module):
    """:class:`Net1` at every 32×32 window of an image: (N, 3, H, W) → (N, num_classes, H − 31, W − 31).

    Its linear layers are convolutions, the first 18×18 and the others 1×1; the parameters have the same names.
    """

    def __init__(self, num_classes: int = 10, channels: Sequence[int] = NET1_CHANNELS, hidden: int = 4096) -> None:
        super().__init__()
        self.features = _net1_features(channels)
        self.classifier = nn.Sequential(
            nn.Conv2d(channels[-1], hidden, kernel_size=18),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, num_classes, kernel_size=1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → (N, num_classes, H − 31, W − 31)."""
        scores: torch.Tensor = self.classifier(self.features(x))
        return scores


class SmallTransformer(nn.Module):
    """A transformer encoder as torch has it: (N, L, width) → (N, L, width).

    ``layers`` layers of ``heads`` heads, each followed by a feed-forward network four times as wide.
    """

    def __init__(self, layers: int = 4, width: int = 256, heads: int = 4) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, width) → (N, L, width)."""
        result: torch.Tensor = self.encoder(x)
        return result
