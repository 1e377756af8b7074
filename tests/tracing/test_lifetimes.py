"""Live memory: what is predicted on meta is, to the byte, what a real run on the CPU has alive."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import profiler
from profiler.config import quick_config
from profiler.records import Mode
from tests.real_memory import RealStorages, peak

Case = tuple[nn.Module, tuple[torch.Tensor, ...]]

MODES: tuple[Mode, ...] = ("inference", "training")

FLOAT = 4
"""The bytes of an element."""


class Residual(nn.Module):
    """Blocks of two linear layers beside a shortcut, with or without activation checkpointing."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> Any:
        for block in self.blocks:
            x = x + (checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x))
        return x


class Tied(nn.Module):
    """An embedding whose weight is the head's too."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.inner = nn.Embedding(20, 8), nn.Linear(8, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(self.table(ids)) @ self.table.weight.t()
        return logits


class Constants(nn.Module):
    """A mask of its own, which decides a branch, positions, and a constant that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.inner = torch.ones(8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(len(x), len(x), dtype=torch.bool).tril()
        if mask.all():
            x = x * 2
        positions = torch.arange(8)
        scores = (self.inner(x * self.constant) @ x.t()).masked_fill(~mask, float("-inf")).softmax(-1)
        result: torch.Tensor = scores @ x + positions
        return result


class Attention(nn.Module):
    """Grouped-query attention, causal or with a mask."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.query, self.key, self.masked = nn.Linear(16, 16), nn.Linear(16, 8), masked

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query = self.query(x).view(2, 5, 4, 4).transpose(1, 2)
        key = self.key(x).view(2, 5, 2, 4).transpose(1, 2)
        if not self.masked:
            return F.scaled_dot_product_attention(query, key, key, is_causal=True, enable_gqa=True)
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(query, query, query, mask)


class Joined(nn.Module):
    """Results that are read again later: concatenated, added, and written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(7, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = F.relu(self.first(x), inplace=True)
        z = self.second(torch.cat([x, y], 1))
        z += y
        return z, z.mean((2, 3))


def convolutions(inplace: bool = False) -> nn.Module:
    """Convolution, batch norm, ReLU, pooling, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace),
        nn.MaxPool2d(2),
        nn.Dropout2d(0.5),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 5),
        nn.LogSoftmax(1),
    )


def image() -> tuple[torch.Tensor, ...]:
    """Two small images."""
    return (torch.rand(2, 3, 8, 8),)


OWN: dict[str, Callable[[], Case]] = {
    "mlp": lambda: (nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), (torch.rand(5, 8),)),
    "norms": lambda: (
        nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.RMSNorm(16)),
        (torch.rand(5, 8),),
    ),
    "dropout": lambda: (nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.Softmax(1)), (torch.rand(5, 8),)),
    "groupnorm": lambda: (nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU()), image()),
    "convolutions": lambda: (convolutions(), image()),
    "inplace": lambda: (convolutions(True), image()),
    "joined": lambda: (Joined(), image()),
    "residual": lambda: (Residual(), (torch.rand(4, 8),)),
    "checkpoint": lambda: (Residual(True), (torch.rand(4, 8),)),
    "tied": lambda: (Tied(), (torch.randint(0, 20, (3, 5)),)),
    "constants": lambda: (Constants(), (torch.rand(4, 8),)),
    "causal": lambda: (Attention(False), (torch.rand(2, 5, 16),)),
    "masked": lambda: (Attention(True), (torch.rand(2, 5, 16),)),
    "transformer": lambda: (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (torch.rand(2, 5, 16),)),
}
"""Own networks: their parts are made, kept and freed in every way that matters."""


def vision(name: str, size: int = 32, **kwargs: Any) -> Callable[[], Case]:
    """A network of torchvision on two images."""
    return lambda: (
        getattr(profiler.import_torchvision().models, name)(**kwargs, num_classes=5),
        (torch.rand(2, 3, size, size),),
    )


def timm(name: str, **kwargs: Any) -> Callable[[], Case]:
    """A network of timm on two images."""

    def make() -> Case:
        profiler.import_torchvision()
        library = pytest.importorskip("timm")
        return library.create_model(name, num_classes=5, **kwargs), (torch.rand(2, 3, 32, 32),)

    return make


SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}


def transformer(name: str, config: str, **kwargs: Any) -> Callable[[], Case]:
    """A network of transformers on two sentences."""

    def make() -> Case:
        library = pytest.importorskip("transformers")
        return getattr(library, name)(getattr(library, config)(**kwargs)), (torch.randint(0, 50, (2, 7)),)

    return make


LIBRARIES = {
    "resnet18": vision("resnet18"),
    "mobilenet_v2": vision("mobilenet_v2"),
    "squeezenet": vision("squeezenet1_1"),
    "densenet": vision("DenseNet", growth_rate=4, block_config=(2, 2), num_init_features=8),
    "googlenet": vision("googlenet", init_weights=False),
    "swin": vision(
        "SwinTransformer", patch_size=[4, 4], embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=[4, 4]
    ),
    "vit": vision(
        "VisionTransformer", image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    ),
    "efficientnet": timm("efficientnet_lite0"),
    "regnet": timm("regnetx_002"),
    "convnext": timm("convnext_atto", depths=(1, 1, 1, 1), dims=(4, 8, 8, 8)),
    "resmlp": timm("resmlp_12_224", img_size=32),
    "bert": transformer("BertModel", "BertConfig", **SMALL),
    "llama": transformer("LlamaForCausalLM", "LlamaConfig", num_key_value_heads=2, **SMALL),
    "gpt2": transformer(
        "GPT2LMHeadModel", "GPT2Config", vocab_size=50, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    ),
    "t5": transformer(
        "T5EncoderModel", "T5Config", vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    ),
}
"""Networks of libraries, at small sizes."""


@contextlib.contextmanager
def without_fast_path() -> Any:
    """Within it, torch's transformer layers run their operations one by one in inference, as they do on meta."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def predicted(network: nn.Module, inputs: tuple[torch.Tensor, ...], mode: Mode) -> profiler.Profile:
    """The profile of a network with its live memory."""
    return profiler.profile(network, inputs, mode=mode, memory=True)


def check(make: Callable[[], Case], mode: Mode) -> None:
    """Compare the predicted peak with that of a real run."""
    torch.manual_seed(0)
    network, inputs = make()
    with without_fast_path():
        assert predicted(network, inputs, mode).peak_activation_bytes == peak(network, inputs, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OWN)
def test_peak_of_own_networks(name: str, mode: Mode) -> None:
    """The peak on meta is that of a real run."""
    check(OWN[name], mode)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["training", pytest.param("inference", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", LIBRARIES)
def test_peak_of_networks_of_libraries(name: str, mode: Mode) -> None:
    """The same for torchvision, timm and transformers."""
    check(LIBRARIES[name], mode)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_differ_in_training_alone(kind: Any) -> None:
    """On the CPU torch multiplies the inputs of all steps at once, or calls oneDNN, which it does not do on meta."""
    torch.manual_seed(0)
    layer, inputs = kind(8, 16), (torch.rand(5, 2, 8),)
    assert predicted(layer, inputs, "inference").peak_activation_bytes == peak(layer, inputs, "inference")
    assert predicted(layer, inputs, "training").peak_activation_bytes != peak(layer, inputs, "training")


def test_fast_path_is_not_on_meta() -> None:
    """The fused transformer layer that torch runs on the CPU in inference has a lower peak than its parts."""
    network, inputs = OWN["transformer"]()
    found = predicted(network, inputs, "inference").peak_activation_bytes
    assert found is not None
    assert found > peak(network, inputs, "inference")


def test_measure_sees_what_is_alive() -> None:
    """The measure of reality counts a tensor until it is freed, a view as what it is a view of, and no parameter."""
    weight = torch.rand(4, 4)
    watched = RealStorages([weight])
    with torch.inference_mode(), watched:
        x = torch.ones(4)
        y = (x @ weight).view(2, 2)
        del x
        z = y + 1
        del y
        torch.zeros(8)
    assert z.shape == (2, 2)
    assert max(watched.alive()) == (4 + 8) * FLOAT
    assert list(watched.sizes) == [4 * FLOAT, 4 * FLOAT, 4 * FLOAT, 8 * FLOAT]


def of(network: nn.Module, *inputs: torch.Tensor, mode: Mode = "inference", **options: Any) -> profiler.Profile:
    """The profile of a network on meta inputs with its live memory."""
    return profiler.profile(network, inputs, mode=mode, memory=True, **options)


def test_peak_by_hand() -> None:
    """Inputs are alive throughout; a result until the last operation that reads it."""
    mlp = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    found = of(mlp, torch.empty(5, 8, device="meta"))
    assert found.peak_activation_bytes == (5 * 8 + 5 * 16 + 5 * 16) * FLOAT
    assert found.memory_needed == ((8 + 1) * 16 + (16 + 1) * 4 + 5 * 8 + 5 * 16 + 5 * 16) * FLOAT
    in_place = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 4))
    assert of(in_place, torch.empty(5, 8, device="meta")).peak_activation_bytes == (5 * 8 + 5 * 16 + 5 * 4) * FLOAT


def test_saved_by_hand() -> None:
    """A module saves what its gradients need: parameters and inputs of the network are apart."""
    mlp = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    found = of(mlp, torch.empty(5, 8, device="meta"), mode="training")
    rows = {row["module"]: row for row in found.tabulated("memory").records()}
    assert (rows["0"]["saved_bytes"], rows["0"]["saved_input_bytes"]) == (0, 5 * 8 * FLOAT)
    assert rows["1"]["saved_bytes"] == rows["2"]["saved_bytes"] == 5 * 16 * FLOAT
    assert rows["2"]["saved_parameter_bytes"] == 16 * 4 * FLOAT
    total = rows["total"]
    assert (total["saved_bytes"], total["saved_input_bytes"]) == (5 * 16 * FLOAT, 5 * 8 * FLOAT)
    alone = of(mlp, torch.empty(5, 8, device="meta"))
    assert not any(alone.tabulated("memory")["saved_bytes"])


def test_views_are_no_memory() -> None:
    """A network of views has the peak of its input."""
    assert of(nn.Flatten(), torch.empty(5, 8, 2, device="meta")).peak_activation_bytes == 5 * 8 * 2 * FLOAT


@pytest.mark.slow
def test_checkpointing_lowers_the_peak() -> None:
    """Checkpointing saves less, and has a lower peak; recomputation does not change what is alive in inference."""
    x = torch.empty(4, 8, device="meta")
    plain, saving = of(Residual(), x, mode="training"), of(Residual(True), x, mode="training")
    assert saving.peak_activation_bytes is not None
    assert plain.peak_activation_bytes is not None
    assert saving.peak_activation_bytes < plain.peak_activation_bytes
    assert saving.tabulated("memory")["saved_bytes"][-1] < plain.tabulated("memory")["saved_bytes"][-1]
    assert of(Residual(), x).peak_activation_bytes == of(Residual(True), x).peak_activation_bytes


@pytest.mark.parametrize("name", ["mlp", "convolutions", "causal", "joined"])
def test_peak_is_at_least_the_largest_operation(name: str) -> None:
    """No operation has larger tensors, without its parameters, than the peak; in place is never more."""
    network, inputs = OWN[name]()
    found = of(network, *inputs)
    largest = max(
        sum(spec.size for spec in (*call.inputs, *call.outputs) if not spec.parameter)
        for call in found.trace.calls
        if call.moves == "copy" and not call.event.writes
    )
    assert found.peak_activation_bytes is not None
    assert found.peak_activation_bytes >= largest * FLOAT
    inplace, plain = of(convolutions(True), *image()), of(convolutions(), *image())
    assert (inplace.peak_activation_bytes or 0) <= (plain.peak_activation_bytes or 0)


def test_optimizer_state() -> None:
    """The optimizer's state is that of the parameters that are trained; its steps are no activations."""
    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    network[0].requires_grad_(False)
    trained = (8 * 8 + 8) * FLOAT
    peaks = set()
    for optimizer, times in {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}.items():
        found = of(network, torch.empty(2, 8, device="meta"), mode="training", optimizer=optimizer)
        assert (found.gradient_bytes, found.optimizer_bytes) == (trained, times * trained)
        peaks.add(found.peak_activation_bytes)
    assert len(peaks) == 1


@pytest.mark.slow
def test_memory_is_found_on_first_use() -> None:
    """While the network exists, a profile without its live memory finds it, the same as with ``memory=True``."""
    network, inputs = convolutions(), image()
    found = profiler.profile(network, inputs, mode="training", optimizer="adam")
    at_once = of(network, *inputs, mode="training", optimizer="adam")
    assert len(found.tabulated("memory")) == len(found.tabulated("peak")) == 0
    names = ("peak_activation_bytes", "gradient_bytes", "optimizer_bytes", "memory_needed")
    assert [getattr(found.with_convention("macs"), name) for name in names] == [
        getattr(at_once, name) for name in names
    ]
    assert found.with_memory().tabulated("memory").records() == at_once.tabulated("memory").records()


def _scripted() -> nn.Module:
    scripted: nn.Module = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.ReLU()).eval())
    return scripted


def _tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False))
    network[1].weight = network[0].weight
    return network


KINDS: dict[str, Callable[[], nn.Module]] = {
    "lazy": lambda: nn.Sequential(nn.LazyLinear(6), nn.ReLU()),
    "scripted": _scripted,
    "frozen": lambda: torch.jit.freeze(_scripted()),
    "compiled": lambda: torch.compile(nn.Sequential(nn.Linear(6, 6), nn.ReLU())),  # type: ignore[dict-item, return-value]
    "tied": _tied,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore:Lazy modules are a new feature")
def test_memory_is_found_on_first_use_of_any_network(name: str) -> None:
    """A network that nobody has changed is not taken for a changed one, whatever it is made of."""
    network = KINDS[name]()
    found = profiler.profile(network, torch.empty(2, 6))
    assert found.peak_activation_bytes == of(network, torch.empty(2, 6)).peak_activation_bytes == 3 * 2 * 6 * FLOAT


def test_memory_depends_on_the_integers_of_inputs() -> None:
    """Integers that decide what a network does are kept for the later run; floating-point data is not."""

    class Repeated(nn.Module):
        def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
            return x.repeat(int(times)).exp()

    network = Repeated()
    found = profiler.profile(network, (torch.rand(4), torch.tensor(3)))
    assert found.peak_activation_bytes == of(network, torch.rand(4), torch.tensor(3)).peak_activation_bytes
    assert found.peak_activation_bytes == (4 + 2 * 3 * 4) * FLOAT + 8


def test_memory_of_a_part_and_of_a_config() -> None:
    """A part is run again on the inputs of its first call; a config builds its network again."""
    network, inputs = convolutions(), image()
    part = profiler.profile(network, inputs, part="1")
    assert part.peak_activation_bytes == 2 * (2 * 8 * 8 * 8) * FLOAT
    config = quick_config("torchvision:squeezenet1_1", ["1x3x64x64"])
    assert (
        profiler.profile_config(config).peak_activation_bytes
        == profiler.profile_config(config.model_copy(update={"memory": True})).peak_activation_bytes
    )


def test_memory_that_cannot_be_found_is_an_error(tmp_path: Any) -> None:
    """It is never zero: the message says what to do where the network is gone, has changed, or was never there."""
    gone = profiler.profile(nn.ReLU(), torch.empty(3))
    with pytest.raises(profiler.ProfilerError, match="no longer exists; profile it with memory=True"):
        _ = gone.peak_activation_bytes
    network = nn.Sequential(nn.Linear(3, 4))
    changed = profiler.profile(network, torch.empty(2, 3))
    for other in (nn.Linear(3, 5), nn.Sequential(nn.Linear(3, 4))):
        network[0] = other
        with pytest.raises(profiler.ProfilerError, match="the network has changed"):
            _ = changed.memory_needed
    changed.save(tmp_path / "p.json")
    for unknown in (profiler.load_profile(tmp_path / "p.json"), pickle.loads(pickle.dumps(changed))):
        with pytest.raises(profiler.ProfilerError, match="memory: true"):
            _ = unknown.peak_activation_bytes


@pytest.mark.slow
def test_saved_profile_has_its_memory(tmp_path: Any) -> None:
    """A saved profile has the same memory; a value that is impossible is refused with its place."""
    found = of(convolutions(), *image(), mode="training", optimizer="adam")
    found.save(tmp_path / "net.json")
    again = profiler.load_profile(tmp_path / "net.json")
    assert again.trace.memory == found.trace.memory
    assert again.priced_again().memory_needed == found.memory_needed
    text = (tmp_path / "net.json").read_text()
    for old, new, place in (
        ('"operations": ', '"operations": -', "memory.operations"),
        ('"storages": [[', '"storages": [[-1, 0, 0, 0, 0], [', "memory.storages.0"),
        ('"phases": [["forward"', '"phases": [["sideways"', "memory.phases.0"),
        ('"optimizer": "adam"', '"optimizer": "eve"', "memory.optimizer"),
        ('"module": "0", "storages": [', '"module": "0", "storages": [-1, ', "memory.saved"),
    ):
        assert old in text
        (tmp_path / "bad.json").write_text(text.replace(old, new, 1))
        with pytest.raises(profiler.ProfilerError, match=place):
            profiler.load_profile(tmp_path / "bad.json")


def test_table_at_the_peak() -> None:
    """The tensors at the peak add up to it; the input is among them."""
    found = of(convolutions(), *image())
    table = found.tabulated("peak")
    assert sum(table["at_peak_bytes"]) == found.peak_activation_bytes
    assert "(input)" in table["storage"]
    assert "0" in table["storage"]


def test_picture_names_the_peak() -> None:
    """The picture of the timeline says in words what the peak is; without live memory there is none."""
    from profiler.pictures.memory import spans

    found = of(convolutions(), *image(), mode="training", optimizer="sgd")
    record = found.trace.memory
    assert record is not None
    (first, *_, last) = spans(record)
    assert (first[:2], last[0], last[2]) == (("forward", 0), "optimizer", record.operations)
    drawn = found.plot("memory")
    assert any("peak" in text.get_text() for text in drawn.axes[0].texts)
    with pytest.raises(profiler.ProfilerError, match="without live memory"):
        profiler.profile(nn.ReLU(), torch.empty(3)).plot("memory")
