"""Networks of the profiler's own, as their sources describe them."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["AlexNet"]


class AlexNet(nn.Module):
    """The AlexNet of one GPU, its first convolution unpadded: (N, 3, 227, 227) → (N, num_classes).

    Five convolutions, three of them followed by max pooling, then three linear layers on 256·6·6 features.
    ``features`` and ``classifier`` are laid out as torchvision's ``alexnet`` has them, whose first
    convolution is padded by 2 and which pools adaptively before the classifier; here the map is flattened
    as it is, so the input has to be 227×227, or as near to it as gives a 6×6 map (223 to 254 on a side).

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
