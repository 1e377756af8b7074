"""A museum of small modules that counters get wrong, each with its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Exhibit = Callable[[], tuple[nn.Module, tuple[Any, ...]]]


class Calls(nn.Module):
    """A module made of a function."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, first: Any, second: Any = None, third: Any = None) -> Any:
        inputs = [x for x in (first, second, third) if x is not None]
        return self.function(*inputs, **dict(self.named_children()))


class SubclassedLinear(nn.Linear):
    """A subclass of Linear that changes nothing."""


class Shared(nn.Module):
    """Two blocks that hold one layer."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.Linear(8, 8)
        self.first = nn.Sequential(layer, nn.ReLU())
        self.second = nn.Sequential(layer, nn.ReLU())

    def forward(self, x: torch.Tensor) -> Any:
        return self.second(self.first(x))


class DeadBranch(nn.Module):
    """Computes more than it returns: a whole module, and one of its own two products."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(8, 4)
        self.unused = nn.Linear(8, 6)
        self.never = nn.Linear(8, 7)
        self.weight = nn.Parameter(torch.zeros(4, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.unused(x)
        y = self.used(x)
        _ = torch.matmul(y, self.weight[:, :2])
        return torch.matmul(y, self.weight)


class TiedHead(nn.Module):
    """The embedding of a language model; the head uses the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.words(x))


class Residual(nn.Module):
    """A convolution block of a residual network, and its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.AvgPool2d(2)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = F.relu(x + self.norm(self.conv(x)))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(self.pool(x), 1), 1))


def _grouped_queries(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)


def _sequence(batch: int = 2, length: int = 5, size: int = 8) -> torch.Tensor:
    return torch.zeros(batch, length, size)


def _image(channels: int = 4, size: int = 8) -> torch.Tensor:
    return torch.zeros(2, channels, size, size)


def _packed() -> Any:
    return nn.utils.rnn.pack_padded_sequence(_sequence(), torch.tensor([5, 3]), batch_first=True)


def _attention(x: torch.Tensor, attention: nn.Module, **options: Any) -> Any:
    return attention(x, x, x, **options)


def _cross_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, attention: nn.Module) -> Any:
    return attention(q, k, v)


MUSEUM: dict[str, Exhibit] = {
    "linear": lambda: (nn.Linear(8, 3), (_sequence(),)),
    "linear of a vector": lambda: (nn.Linear(8, 3, bias=False), (torch.zeros(8),)),
    "two layers of a vector": lambda: (nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 1)), (torch.zeros(8),)),
    "bilinear": lambda: (nn.Bilinear(3, 4, 5), (torch.zeros(2, 3), torch.zeros(2, 4))),
    "conv1d": lambda: (nn.Conv1d(8, 6, 3, stride=2, padding=1), (torch.zeros(2, 8, 9),)),
    "conv2d grouped": lambda: (nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding=2), (_image(),)),
    "conv2d depthwise": lambda: (nn.Conv2d(4, 4, 3, groups=4, bias=False), (_image(),)),
    "conv2d same": lambda: (nn.Conv2d(4, 8, 3, padding="same"), (_image(),)),
    "conv2d unbatched": lambda: (nn.Conv2d(4, 8, 3), (torch.zeros(4, 8, 8),)),
    "conv2d circular": lambda: (nn.Conv2d(4, 8, 3, padding=1, padding_mode="circular"), (_image(),)),
    "conv3d": lambda: (nn.Conv3d(2, 4, 3), (torch.zeros(1, 2, 5, 6, 7),)),
    "transposed conv": lambda: (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (_image(),)),
    "batch norm": lambda: (nn.BatchNorm2d(4), (_image(),)),
    "batch norm by the batch": lambda: (Calls(lambda x: F.batch_norm(x, None, None, training=True)), (_image(),)),
    "layer norm": lambda: (nn.LayerNorm(8), (_sequence(),)),
    "group norm": lambda: (nn.GroupNorm(2, 4), (_image(),)),
    "instance norm": lambda: (nn.InstanceNorm2d(4), (_image(),)),
    "rms norm": lambda: (nn.RMSNorm(8), (_sequence(),)),
    "gelu": lambda: (nn.GELU(), (_sequence(),)),
    "softmax": lambda: (nn.Softmax(-1), (_sequence(),)),
    "adaptive pool": lambda: (nn.AdaptiveAvgPool2d(3), (_image(),)),
    "upsample": lambda: (nn.Upsample(scale_factor=2, mode="bilinear"), (_image(),)),
    "embedding": lambda: (nn.Embedding(10, 4), (torch.zeros(2, 5, dtype=torch.long),)),
    "lstm": lambda: (nn.LSTM(8, 6, num_layers=2, batch_first=True), (_sequence(),)),
    "lstm bidirectional": lambda: (nn.LSTM(8, 6, bidirectional=True, proj_size=3), (_sequence(),)),
    "gru": lambda: (nn.GRU(8, 6, bias=False), (_sequence(),)),
    "rnn": lambda: (nn.RNN(8, 6, nonlinearity="relu"), (_sequence(),)),
    "lstm cell": lambda: (nn.LSTMCell(8, 6), (torch.zeros(2, 8),)),
    "attention function": lambda: (Calls(F.scaled_dot_product_attention), (torch.zeros(2, 4, 5, 8),) * 3),
    "multihead attention": lambda: (
        Calls(_attention, attention=nn.MultiheadAttention(8, 2, batch_first=True)),
        (_sequence(),),
    ),
    "multihead attention, other widths": lambda: (
        Calls(_cross_attention, attention=nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True)),
        (_sequence(), _sequence(2, 7, 6), _sequence(2, 7, 4)),
    ),
    "encoder layer": lambda: (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (_sequence(),)),
    "encoder": lambda: (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        (_sequence(),),
    ),
    "decoder layer": lambda: (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), (_sequence(), _sequence(2, 7))),
    "matmul broadcast": lambda: (
        Calls(lambda a, b: torch.matmul(a, b)),
        (torch.zeros(3, 1, 4, 5), torch.zeros(2, 5, 6)),
    ),
    "einsum": lambda: (Calls(lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b)), (torch.zeros(2, 3, 4, 5),) * 2),
    "hand-written attention": lambda: (
        Calls(lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1) / 8**0.5, -1) @ v),
        (torch.zeros(2, 4, 5, 8),) * 3,
    ),
    "cross entropy": lambda: (Calls(F.cross_entropy), (torch.zeros(4, 7), torch.zeros(4, dtype=torch.long))),
    "linear function": lambda: (
        Calls(lambda x, linear: F.linear(x, linear.weight, linear.bias), linear=nn.Linear(8, 3)),
        (_sequence(),),
    ),
    "linear subclass": lambda: (nn.Sequential(SubclassedLinear(8, 3)), (_sequence(),)),
    "repeated": lambda: (Calls(lambda x, linear: linear(linear(linear(x))), linear=nn.Linear(8, 8)), (_sequence(),)),
    "shared": lambda: (Shared(), (_sequence(),)),
    "dead branch": lambda: (DeadBranch(), (_sequence(),)),
    "tied head": lambda: (TiedHead(), (torch.zeros(2, 5, dtype=torch.long),)),
    "residual block": lambda: (Residual(), (_image(),)),
    "transposed conv grouped": lambda: (nn.ConvTranspose2d(4, 8, 3, stride=2, groups=2), (_image(),)),
    "conv2d same, even kernel": lambda: (nn.Conv2d(4, 8, 4, padding="same"), (_image(),)),
    "upsample nearest": lambda: (nn.Upsample(scale_factor=2), (_image(),)),
    "prelu": lambda: (nn.PReLU(), (_image(),)),
    "max pool": lambda: (nn.MaxPool2d(2), (_image(),)),
    "gru cell": lambda: (nn.GRUCell(8, 6), (torch.zeros(2, 8),)),
    "gru batch first": lambda: (nn.GRU(8, 6, num_layers=2, bidirectional=True, batch_first=True), (_sequence(),)),
    "grouped-query attention": lambda: (
        Calls(_grouped_queries),
        (torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 7, 8), torch.zeros(2, 2, 7, 8)),
    ),
    "transformer": lambda: (
        nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        (_sequence(), _sequence(2, 7)),
    ),
    "matmul method": lambda: (Calls(lambda a, b: a.matmul(b)), (torch.zeros(2, 4, 5), torch.zeros(2, 5, 6))),
    "mm": lambda: (Calls(lambda a, b: torch.mm(a, b)), (torch.zeros(4, 5), torch.zeros(5, 6))),
    "bmm": lambda: (Calls(lambda a, b: torch.bmm(a, b)), (torch.zeros(2, 4, 5), torch.zeros(2, 5, 6))),
    "addmm": lambda: (
        Calls(lambda a, b, c: torch.addmm(a, b, c)),
        (torch.zeros(6), torch.zeros(4, 5), torch.zeros(5, 6)),
    ),
    "matrix times vector": lambda: (Calls(lambda a, b: torch.mv(a, b)), (torch.zeros(4, 5), torch.zeros(5))),
    "complex matmul": lambda: (
        Calls(lambda a, b: torch.matmul(a, b)),
        (torch.zeros(2, 4, 5, dtype=torch.complex64), torch.zeros(2, 5, 6, dtype=torch.complex64)),
    ),
    "einsum that sums nothing": lambda: (
        Calls(lambda a, b: torch.einsum("bi,bj->bij", a, b)),
        (torch.zeros(2, 4), torch.zeros(2, 5)),
    ),
    "einsum with five digits": lambda: (
        Calls(lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b)),
        (torch.zeros(2, 3, 49, 31),) * 2,
    ),
    "fft": lambda: (Calls(lambda x: torch.fft.fft(x).abs()), (torch.zeros(3, 8),)),
}
"""Name → a function that makes a module in train mode, and the real inputs of one call."""


LARGE = ("transformer", "encoder", "encoder layer", "decoder layer", "lstm", "lstm bidirectional", "gru batch first")
"""Exhibits whose forward and backward pass take more than 0.1 s; smaller exhibits have the same operations."""


def exhibit(name: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """The exhibit with this name."""
    return MUSEUM[name]()
