"""Packed quantized layers hold parameters: their names, sizes and bytes, and what they are used for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.profiles import Profile

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ao: Any = torch.ao.quantization  # its functions have no types
ENGINE = "x86"


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """The kernels for x86 processors."""
    if ENGINE not in torch.backends.quantized.supported_engines:
        pytest.skip(f"torch has no quantized kernels of {ENGINE}")
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = ENGINE
    yield
    torch.backends.quantized.engine = before


def dynamic(layer: nn.Module, dtype: torch.dtype = torch.qint8) -> nn.Module:
    """A network of one layer with packed weights."""
    made: nn.Module = ao.quantize_dynamic(nn.Sequential(layer), {type(layer)}, dtype=dtype)
    return made


def static(*layers: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """A network that computes with integers between a quantization and a dequantization."""
    network = nn.Sequential(ao.QuantStub(), *layers, ao.DeQuantStub()).eval()
    network.qconfig = ao.get_default_qconfig(ENGINE)
    prepared = ao.prepare(network)
    prepared(inputs)
    made: nn.Module = ao.convert(prepared)
    return made


def held(profile: Profile) -> dict[str, tuple[str, int, int]]:
    """Kind, elements and bytes of each parameter; none of them can be trained."""
    assert not profile.parameters["trainable"].any()
    rows = profile.parameters[["parameter", "kind", "parameters", "bytes"]].itertuples(index=False)
    return {name: (kind, elements, size) for name, kind, elements, size in rows}


def test_dynamic_linear_layers_by_hand() -> None:
    """A weight takes one byte, a bias four; no module is listed as unused."""
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    profile = profiler.profile(ao.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8), torch.zeros(3, 64))
    assert held(profile) == {
        "0.weight": ("linear", 64 * 32, 64 * 32),
        "0.bias": ("linear", 32, 32 * 4),
        "2.weight": ("linear", 32 * 8, 32 * 8),
        "2.bias": ("linear", 8, 8 * 4),
    }
    assert profile.parameters_total == 64 * 32 + 32 + 32 * 8 + 8 == 2344
    assert profile.never_ran == ()
    assert profile.layers.set_index("layer")["parameters"].to_dict() == {"0": 64 * 32 + 32, "1": 0, "2": 32 * 8 + 8}
    assert profile.modules["module"].tolist() == ["(root)", "0", "1", "2"]
    assert profile.total.macs == 3 * (64 * 32 + 32 * 8)


def test_weights_of_half_precision_and_no_bias() -> None:
    """Each takes two bytes."""
    layer = nn.Linear(64, 32, bias=False)
    profile = profiler.profile(dynamic(layer, torch.float16), torch.zeros(3, 64))
    assert held(profile) == {"0.weight": ("linear", 64 * 32, 64 * 32 * 2)}
    assert profile.complete
    assert profile.total.macs == 3 * 64 * 32


@pytest.mark.parametrize(("dtype", "size"), [(torch.qint8, 1), (torch.float16, 2)])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_networks_by_hand(kind: Any, gates: int, dtype: torch.dtype, size: int) -> None:
    """Two layers in two directions keep the names that they had before packing."""
    layer = kind(4, 5, 2, bidirectional=True)
    names = {f"0.{name}": parameter.numel() for name, parameter in layer.named_parameters()}
    profile = profiler.profile(dynamic(layer, dtype), torch.zeros(3, 2, 4))
    elements = 2 * (gates * 5 * (4 + 5) + gates * 5 * (10 + 5)) + 4 * 2 * gates * 5
    assert sum(names.values()) == profile.parameters_total == elements
    assert held(profile) == {
        name: ("recurrent", number, number * (4 if "bias" in name else size)) for name, number in names.items()
    }
    assert profile.never_ran == ()


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_recurrent_cells_by_hand(kind: Any, gates: int) -> None:
    """The names, the work and the kind are the same as before packing."""
    layer = kind(4, 5)
    plain = profiler.profile(nn.Sequential(layer), torch.zeros(3, 4))
    profile = profiler.profile(dynamic(layer), torch.zeros(3, 4))
    assert profile.total == plain.total
    assert held(profile) == {
        f"0.{part}_{gate}": ("recurrent", elements, elements * (4 if part == "bias" else 1))
        for gate, width in (("ih", 4), ("hh", 5))
        for part, elements in (("weight", gates * 5 * width), ("bias", gates * 5))
    }


@pytest.mark.slow
def test_static_convolutions_and_linear_layers_by_hand() -> None:
    """One to three dimensions, with groups."""
    cases: list[tuple[nn.Module, tuple[int, ...], int, str]] = [
        (nn.Conv1d(4, 6, 3, groups=2), (1, 4, 8), 6 * 2 * 3, "conv"),
        (nn.Conv2d(4, 6, 3), (1, 4, 8, 8), 6 * 4 * 9, "conv"),
        (nn.Conv3d(2, 4, 2), (1, 2, 4, 4, 4), 4 * 2 * 8, "conv"),
        (nn.Linear(8, 6), (2, 8), 6 * 8, "linear"),
    ]
    for layer, shape, weights, kind in cases:
        biases = next(iter(layer.parameters())).shape[0]
        profile = profiler.profile(static(layer, inputs=torch.rand(shape)), torch.rand(shape))
        assert held(profile) == {"1.weight": (kind, weights, weights), "1.bias": (kind, biases, biases * 4)}
        assert profile.never_ran == ()


def embedding(kind: Any, config: Any) -> nn.Module:
    """A network of one table of (10, 8), packed by ``config``."""
    network = nn.Sequential(kind(10, 8))
    network[0].qconfig = config
    made: nn.Module = ao.convert(ao.prepare(network))
    return made


def test_packed_embeddings_by_hand() -> None:
    """Each number takes a byte; each number that is read is multiplied with its scale and added to its bias."""
    words = torch.zeros(2, 3, dtype=torch.long)
    profile = profiler.profile(embedding(nn.Embedding, ao.float_qparams_weight_only_qconfig), words)
    assert held(profile) == {"0.weight": ("embedding", 10 * 8, 10 * 8)}
    assert (profile.total.multiplies, profile.total.adds) == (2 * 3 * 8, 2 * 3 * 8)
    assert profile.complete


@pytest.mark.parametrize(
    ("config", "size"),
    [(ao.float_qparams_weight_only_qconfig, 10 * 8), (ao.float_qparams_weight_only_qconfig_4bit, 10 * 8 // 2)],
)
def test_packed_bags_by_hand(config: Any, size: int) -> None:
    """Each number that is read is dequantized; three rows of a bag take two adds."""
    bags = embedding(partial(nn.EmbeddingBag, mode="sum"), config)
    profile = profiler.profile(bags, torch.zeros(2, 3, dtype=torch.long))
    assert held(profile) == {"0.weight": ("embedding", 10 * 8, size)}
    assert (profile.total.multiplies, profile.total.adds) == (2 * 3 * 8, 2 * 3 * 8 + 2 * (3 - 1) * 8)
    assert profile.complete


@pytest.mark.parametrize("bits", ["byte", "4bit", "2bit"])
def test_bags_of_packed_rows_by_hand(bits: str) -> None:
    """Five rows in two bags, each with its own weight, are summed whatever the mode says."""

    class Bags(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            prepack = getattr(torch.ops.quantized, f"embedding_bag_{bits}_prepack")
            self.table: torch.Tensor = nn.Buffer(prepack(torch.randn(10, 8)))

        def forward(self, words: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor) -> Any:
            function = getattr(torch.ops.quantized, f"embedding_bag_{bits}_rowwise_offsets")
            return function(self.table, words, starts, False, 1, per_sample_weights=weights)

    inputs = (torch.arange(5), torch.tensor([0, 2]), torch.ones(5))
    profile = profiler.profile(Bags(), inputs)
    assert (profile.total.multiplies, profile.total.adds) == (5 * 8 + 5 * 8, 5 * 8 + (5 - 2) * 8)
    assert (profile.total.divides, profile.complete) == (0, True)


def test_a_packed_layer_with_two_names_counts_once() -> None:
    """A layer that nothing runs is unused."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = dynamic(nn.Linear(8, 8))[0]  # type: ignore[index]
            self.idle = dynamic(nn.Linear(3, 2))[0]  # type: ignore[index]

        def forward(self, x: torch.Tensor) -> Any:
            return self.second(self.first(x))

    profile = profiler.profile(Twice(), torch.zeros(2, 8))
    assert profile.parameters_total == 8 * 8 + 8 + 3 * 2 + 2
    assert profile.parameters.set_index("parameter")["names"]["first.weight"] == "first.weight; second.weight"
    assert profile.parameters.set_index("parameter")["kind"].to_dict() == {
        "first.weight": "linear", "first.bias": "linear", "idle.weight": "unused", "idle.bias": "unused",
    }  # fmt: skip
    assert "idle" in profile.never_ran


def test_a_packed_network_is_saved_and_loaded(tmp_path: Any) -> None:
    """Bytes of half an element are kept too."""
    network = embedding(partial(nn.EmbeddingBag, mode="sum"), ao.float_qparams_weight_only_qconfig_4bit)
    profile = profiler.profile(network, torch.zeros(2, 3, dtype=torch.long))
    profile.save(tmp_path / "packed.json")
    assert held(profiler.load_profile(tmp_path / "packed.json")) == held(profile)


class WithBuffers(nn.Module):
    """A packed operator whose scale and zero point are buffers of one element, as in graph-mode quantization."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, op: str) -> None:
        super().__init__()
        weight = torch.quantize_per_tensor(torch.ones(4, 3), 0.1, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(weight, torch.zeros(4))
        self.op = getattr(torch.ops.quantized, op)
        self.register_buffer("scale", torch.tensor(0.1))
        self.register_buffer("zero_point", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.quantize_per_tensor(x, self.scale, self.zero_point, torch.quint8)
        result: torch.Tensor = self.op(x, self.packed, self.scale, self.zero_point).dequantize()
        return result


@pytest.mark.parametrize("op", ["linear", "linear_relu"])
def test_an_operator_that_reads_a_number_from_a_tensor_needs_a_real_run(op: str) -> None:
    """The meta device does not have the numbers, so there is a real run, which is counted."""
    profile = profiler.profile(WithBuffers(op), torch.zeros(2, 3))
    assert (profile.status, profile.total.macs) == ("complete", 2 * 4 * 3)
