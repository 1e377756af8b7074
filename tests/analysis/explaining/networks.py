"""Small networks with every family of operations, for tests of explanations."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

import profiler
from profiler.profiles import Profile


class Families(nn.Module):
    """One operation of each family, and some that no family knows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(6, 12, 3, groups=3, bias=False)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12, padding=1)
        self.transposed = nn.ConvTranspose2d(12, 8, 3, stride=2, groups=2, bias=False)
        self.transposed_with_bias = nn.ConvTranspose1d(5, 7, 4)
        self.one_d = nn.Conv1d(5, 7, 3)
        self.three_d = nn.Conv3d(2, 3, 2)
        self.batch = nn.BatchNorm2d(8)
        self.group = nn.GroupNorm(2, 8)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.layer = nn.LayerNorm(8)
        self.rms = nn.RMSNorm(8)
        self.linear = nn.Linear(8, 5)
        self.lstm = nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRUCell(8, 6)
        self.embedding = nn.Embedding(10, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(self.grouped(nn.functional.relu(self.conv(images))))
        x = self.instance(self.group(self.batch(self.transposed(x))))
        x = nn.functional.max_pool2d(x, 2) + nn.functional.avg_pool2d(x, 2)
        x = nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        self.transposed_with_bias(self.one_d(images.new_ones(2, 5, 9)).transpose(1, 1)[:, :5])
        self.three_d(images.new_ones(1, 2, 4, 4, 4))
        words = self.rms(self.layer(self.embedding(tokens)))
        query, key = words.unflatten(-1, (2, 4)).transpose(1, 2), words.unflatten(-1, (1, 8))[..., :4].transpose(1, 2)
        heads = nn.functional.scaled_dot_product_attention(query, key, key, enable_gqa=True)
        words = words + heads.transpose(1, 2).flatten(2) + self.attention(words, words, words)[0]
        states = self.lstm(words)[0]
        rows = self.linear(nn.functional.gelu(words)).softmax(-1).log_softmax(1).mean(1)
        crossed = torch.einsum("bik,bjk->bij", words, words) @ words
        product = torch.addmm(rows, words[:, 0], words[:, 1].T @ rows)
        result: torch.Tensor = (
            x.sum()
            + states.var()
            + self.gru(words[:, 0]).tanh().amax(-1).sum()
            + (product / 3).sigmoid().sum()
            + nn.functional.silu(crossed).exp().prod(1).sum()
            + torch.cumsum(rows, 0).sum()
        )
        return result


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images and two sentences of three words."""
    return torch.rand(2, 4, 15, 15), torch.zeros(2, 3, dtype=torch.int64)


@cache
def families() -> Profile:
    """The profile of :class:`Families` in inference."""
    return profiler.profile(Families(), inputs(), name="families")


@cache
def training() -> Profile:
    """A step of training of some layers, with an optimizer."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=True),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Flatten(2),
        nn.Linear(16, 5),
        nn.LayerNorm(5),
    )
    return profiler.profile(network, torch.rand(2, 3, 8, 8), mode="training", optimizer="adam", name="training")
