"""Layers that differ in a number which their calls do not read are answered from each other, and no others."""

from __future__ import annotations

import operator
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.rules import REGISTRY
from profiler.traces import trace
from profiler.tracing import memo, record
from profiler.tracing.layer_calls import NOT_ANSWERED, LayerCalls
from profiler.tracing.makes import MAKES
from profiler.tracing.noticed import NOTICED, Looks, is_noticed

TOKENS = torch.zeros(2, 5, dtype=torch.long, device="meta")


class Numbered(nn.Module):
    """A layer that knows its number."""

    def __init__(self, number: Any = 3) -> None:
        super().__init__()
        self.layer_idx: Any = number
        self.register_buffer("steps", torch.zeros(2))


def of_transformers(number: Any = 3, **attributes: Any) -> Any:
    """A layer whose class says that it belongs to transformers."""
    return type("Layer", (Numbered,), {"__module__": "transformers.models.none", **attributes})(number)


@pytest.fixture
def noticed() -> tuple[Any, Looks]:
    """A layer whose number is noticed."""
    layer, looks = of_transformers(), Looks()
    assert is_noticed(layer)
    looks.notice(layer)
    return layer, looks


def test_looks_are_counted(noticed: tuple[Any, Looks]) -> None:
    """By whatever function code finds the attribute."""
    layer, looks = noticed
    assert [layer.layer_idx, operator.attrgetter(NOTICED)(layer), getattr(layer, NOTICED, None)] == [3, 3, 3]
    assert hasattr(layer, NOTICED)
    assert looks.number == 4


def test_other_looks_are_not(noticed: tuple[Any, Looks]) -> None:
    """The buffers of the layer are those that it had."""
    layer, looks = noticed
    assert list(layer._buffers) == ["steps"]
    assert NOTICED not in layer._buffers
    assert "steps" in layer._buffers
    assert layer.steps is layer._buffers["steps"]
    assert [name for name, _ in layer.named_buffers()] == list(layer.state_dict()) == ["steps"]
    with pytest.raises(KeyError):
        layer._buffers[NOTICED]
    with pytest.raises(AttributeError):
        _ = layer.other
    assert looks.number == 0


def test_attribute_may_be_set(noticed: tuple[Any, Looks]) -> None:
    """Then it is an attribute as any other."""
    layer, looks = noticed
    layer.layer_idx = 5
    assert (layer.layer_idx, looks.number) == (5, 0)
    assert vars(layer)[NOTICED] == 5


@pytest.mark.parametrize(
    "layer",
    [
        Numbered(),
        of_transformers(True),
        of_transformers("3"),
        of_transformers(3, layer_idx=property(lambda self: 4, lambda self, value: None)),
        of_transformers(3, __getattr__=lambda self, name: nn.Module.__getattr__(self, name)),
        of_transformers(3, __getattribute__=lambda self, name: object.__getattribute__(self, name)),
    ],
    ids=["other library", "bool", "text", "property", "own __getattr__", "own __getattribute__"],
)
def test_layers_that_are_not_noticed(layer: nn.Module) -> None:
    """Others, and those whose attribute code could find in another way."""
    assert not is_noticed(layer)


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the modules whose calls were answered; the memo is empty."""
    memo.clear()
    found: list[str] = []
    original = LayerCalls.answer

    def answer(self: LayerCalls, seen: Any, *args: Any) -> Any:
        result, key = original(self, seen, *args)
        found.extend([] if result is NOT_ANSWERED else [seen.name])
        return result, key

    monkeypatch.setattr(LayerCalls, "answer", answer)
    return found


def check(model: nn.Module) -> None:
    """The recording of a network is the same with the memo as without it, also when the memo holds the first one."""
    with memo.without_memo():
        expected = record(model, TOKENS, operators=REGISTRY)
    make = MAKES.of(model, training=False)
    for _ in range(2):
        assert record(model, TOKENS, operators=REGISTRY, make=make) == expected


LIBRARY = """
import torch
from torch import nn

class Layer(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.layer_idx = number

    def forward(self, x, limit=None):
        if limit is not None and self.layer_idx >= limit:
            x = self.linear(x)
        return self.linear(x)

class Net(nn.Module):
    def __init__(self, limit=None):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.layers = nn.ModuleList([Layer(number) for number in range(4)])
        self.limit = limit

    def forward(self, x):
        x = self.embedding(x)
        for layer in self.layers:
            x = layer(x, self.limit)
        return x
"""
"""A part of a library that is trusted."""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """It as a module."""
    module = ModuleType("transformers.numbered")
    exec(LIBRARY, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_only_layers_that_do_not_read_their_numbers_are_answered(library: Any, answered: list[str]) -> None:
    """With a limit the last two layers do more work than the others."""
    check(library.Net())
    assert {"layers.1", "layers.2", "layers.3"} <= set(answered)
    answered.clear()
    check(library.Net(2))
    assert not {"layers.1", "layers.2", "layers.3"} & set(answered)


def test_networks_with_other_numbers_differ(library: Any, answered: list[str]) -> None:
    """As whole networks, since their own code may read the numbers in some of their calls."""
    first, second = library.Net(2), library.Net(2)
    second.layers[1].layer_idx = 2
    makes = [MAKES.of(model, training=False) for model in (first, second)]
    assert makes[0].numbers == makes[1].numbers
    assert makes[0].key != makes[1].key
    linears = [sum(call.count.macs for call in trace(model, TOKENS).calls) for model in (first, second)]
    assert linears == [6 * 2 * 5 * 4 * 4, 7 * 2 * 5 * 4 * 4]


@pytest.fixture(scope="module")
def transformers() -> Any:
    """transformers, which imports torchvision."""
    profiler.import_torchvision()
    return pytest.importorskip("transformers", reason="transformers is not installed")


def bert(transformers: Any, **options: Any) -> nn.Module:
    """A small BERT of three layers."""
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 11}
    config = transformers.BertConfig(**sizes, num_hidden_layers=3, return_dict=False, **options)
    with torch.device("meta"):
        model: nn.Module = transformers.BertModel(config).eval()
    return model


@pytest.mark.slow
def test_layers_of_an_encoder_are_answered(transformers: Any, answered: list[str]) -> None:
    """They do not read their numbers."""
    check(bert(transformers))
    assert {"encoder.layer.1", "encoder.layer.2"} <= set(answered)


@pytest.mark.slow
def test_layers_with_a_cache_run(transformers: Any, answered: list[str]) -> None:
    """They put their keys at the place of their number."""
    check(bert(transformers, is_decoder=True, use_cache=True))
    assert not {"encoder.layer.1", "encoder.layer.2"} & set(answered)


GROWS = """
class Grows(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = nn.Module()

    def forward(self, x):
        self.part.add_module("grown", nn.Linear(2, 2))
        return self.part.grown(x)
"""


def test_modules_that_code_of_a_library_adds_have_records() -> None:
    """The code is trusted and not read, so the modules are looked for after the run."""
    space: dict[str, Any] = {"__name__": "transformers.models.none", "nn": nn}
    exec(GROWS, space)
    network = space["Grows"]()
    assert not MAKES.of(network, training=False).read
    traced = trace(network, (torch.zeros(3, 2),))
    assert [record.name for record in traced.modules] == ["", "part", "part.grown"]
