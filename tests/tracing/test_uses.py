"""What parameters are used for; the kinds do not depend on the mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from profiler.records import Mode, Trace
from profiler.tables import parameters, shares
from profiler.tabulate import Work
from profiler.traces import trace
from profiler.views import apply_views
from tests.museum import LARGE, MUSEUM

WORDS = torch.zeros(2, 5, dtype=torch.long)
MODES: tuple[Mode, Mode] = ("inference", "training")


def kinds(result: Trace) -> dict[str, str]:
    """The kind of each parameter by its first name."""
    return {record.names[0]: record.use for record in result.parameters if not record.buffer}


EXHIBITS = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in MUSEUM]

pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),
]


@pytest.mark.parametrize("name", EXHIBITS)
def test_kinds_of_parameters_do_not_depend_on_the_mode(name: str) -> None:
    """A step of the optimizer does not change them either."""
    model, inputs = MUSEUM[name]()
    if not list(model.parameters()):
        pytest.skip("there are no parameters")
    found = kinds(trace(model, inputs))
    assert kinds(trace(model, inputs, "training")) == found
    assert kinds(trace(model, inputs, "training", "adamw")) == found


class Holds(nn.Module):
    """A table of (10, 8), and a function of it and of the input."""

    def __init__(self, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *sizes: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(*(sizes or (10, 8))))
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.table, x)


class Model(nn.Module):
    """A language model with a learned position for each word, and tied weights if ``tied``."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(10, 8), nn.Embedding(5, 8)
        self.head = nn.Linear(8, 10, bias=False)
        if tied:
            self.head.weight = self.words.weight

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.words(x) + self.places(torch.arange(x.shape[1])))


FLOATS = torch.zeros(2, 5, 8)
CASES: dict[str, tuple[nn.Module, torch.Tensor, str]] = {
    "embedding": (nn.Embedding(10, 8), WORDS, "embedding"),
    "embedding with a largest norm": (nn.Embedding(10, 8, max_norm=1.0), WORDS, "embedding"),
    "bag": (nn.EmbeddingBag(10, 8), WORDS, "embedding"),
    "bag of sums": (nn.EmbeddingBag(10, 8, mode="sum"), WORDS, "embedding"),
    "bag of extremes": (nn.EmbeddingBag(10, 8, mode="max"), WORDS, "embedding"),
    "rows by an index": (Holds(lambda table, x: table[x]), WORDS, "embedding"),
    "index_select": (Holds(lambda table, x: table.index_select(0, x.flatten())), WORDS, "embedding"),
    "gather": (Holds(lambda table, x: table.gather(0, x[:, :1].expand(2, 8))), WORDS, "embedding"),
    "one-hot": (Holds(lambda table, x: F.one_hot(x, 10).to(table.dtype) @ table), WORDS, "linear"),
    "looked up and multiplied": (Holds(lambda table, x: F.embedding(x, table) @ table.t()), WORDS, "linear"),
    "added": (Holds(lambda table, x: x + table[:5]), FLOATS, "elementwise"),
    "put in front": (Holds(lambda table, x: torch.cat([table.expand(2, -1, -1), x], 1)), FLOATS, "movement"),
    "cast": (Holds(lambda table, x: F.linear(x.double(), table.double())), FLOATS, "linear"),
    "joined": (Holds(lambda table, x: F.linear(x, torch.cat([table, table]))), FLOATS, "linear"),
    "standardized": (
        Holds(lambda table, x: F.linear(x, (table - table.mean(1, keepdim=True)) / table.std(1, keepdim=True))),
        FLOATS,
        "linear",
    ),
    "read in vain": (Holds(lambda table, x: x * 2 + 0 * x.new_ones(8).requires_grad_()), FLOATS, "unused"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_a_parameter_has_the_kind_of_its_use(name: str, mode: Mode) -> None:
    """A table whose rows are looked up is an embedding; an operand of a product is linear, also cast or normalized."""
    model, x, kind = CASES[name]
    (found,) = kinds(trace(model, x, mode)).values()
    assert found == kind


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_of_a_language_model(tied: bool, mode: Mode) -> None:
    """The word table is linear if it is also the head's weight; tables and shares show the kinds."""
    result = trace(Model(tied), WORDS, mode)
    expected = {"words.weight": "linear" if tied else "embedding", "places.weight": "embedding"}
    assert kinds(result) == expected | ({} if tied else {"head.weight": "linear"})
    table = parameters.table(Work(result))
    assert dict(zip(table["parameter"], table["kind"], strict=True)) == kinds(result)
    by_kind = shares.table(Work(result)).frame.set_index("kind")["parameters"]
    assert by_kind["embedding"] == 5 * 8 + (0 if tied else 10 * 8)
    assert by_kind["linear"] == 10 * 8


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_weights_have_the_kind_of_the_computed_weight(wrap: Any, mode: Mode) -> None:
    """The originals of a linear layer's weight are linear."""
    found = kinds(trace(wrap(nn.Linear(6, 5)), torch.zeros(2, 6), mode))
    assert set(found.values()) == {"linear"}


@pytest.mark.parametrize("mode", MODES)
def test_weights_under_autocast_have_the_kind_of_their_casts(mode: Mode) -> None:
    """Autocast reads weights only to cast them."""

    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv1d(5, 4, 3), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                return self.head(self.conv(x))

    found = kinds(trace(Cast(), FLOATS, mode))
    assert found == {name: name.partition(".")[0].replace("head", "linear") for name in found}


@pytest.mark.parametrize("mode", MODES)
def test_views_sort_parameters_too(mode: Mode) -> None:
    """A convolution that a view calls linear or depthwise has parameters of that kind."""
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 6, 3))
    seen = apply_views(trace(net, torch.zeros(1, 4, 8, 8), mode), ["pointwise_as_linear", "depthwise_apart"])
    weights = {name: kind for name, kind in kinds(seen).items() if name.endswith("weight")}
    assert weights == {"0.weight": "depthwise", "1.weight": "linear", "2.weight": "conv"}
    assert kinds(seen) == {name: weights[f"{name[0]}.weight"] for name in kinds(seen)}
