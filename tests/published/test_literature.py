"""The figures of the literature: ours are exact, and lead to the printed ones, or a reason says why not."""

from decimal import ROUND_DOWN, ROUND_UP
from typing import Any

import pytest
import torch
from torch import nn

from profiler import profile
from profiler.models.building import build_model
from profiler.models.inputs import build_inputs
from tests.published.figures import (
    Figure,
    Network,
    Reason,
    Table,
    explains,
    image,
    measure,
    parameters_of,
    prints_as,
    work_of,
)
from tests.published.literature import EFFICIENTNETS, EFFICIENTNETS_V2, GPT3_SHAPES, SHUFFLENETS, TABLES
from tests.published.reasons import tensorflow_count

pytestmark = pytest.mark.slow  # whole networks are profiled

CASES = [
    pytest.param(table, network, id=network.name, marks=() if place % 6 == 0 else pytest.mark.exhaustive)
    for table in TABLES
    for place, network in enumerate(table.networks)
]
EFFICIENT = {network.name.split(",")[0]: network for network in (*EFFICIENTNETS.networks, *EFFICIENTNETS_V2.networks)}


@pytest.mark.parametrize(("table", "network"), CASES)
def test_a_printed_figure_is_reached(table: Table, network: Network) -> None:
    """Work and parameters equal the table, and print as published or differ for the given reason."""
    result = measure(network)
    assert result.complete
    assert parameters_of(result) == network.parameters.ours
    assert explains(network.parameters, result)
    if network.work is not None:
        assert work_of(result, table) == network.work.ours
        assert explains(network.work, result)


@pytest.mark.parametrize("size", GPT3_SHAPES)
def test_gpt3_is_the_sum_that_the_page_shows(size: str) -> None:
    """It is the sum of blocks, embeddings and the last norm, by hand."""
    layers, width, _, ours = GPT3_SHAPES[size]
    positions, vocabulary = 2048, 50257
    blocks = layers * (12 * width**2 + 13 * width)
    assert ours == blocks + (vocabulary + positions) * width + 2 * width


@pytest.mark.parametrize("network", SHUFFLENETS.networks, ids=lambda network: network.name)
def test_the_authors_shufflenet_is_reached(network: Network) -> None:
    """With 24 channels in the shortcut and the rest in the main branch, all four print as published, rounded up."""
    model: Any = build_model(network.target)
    first = model.stage2[0]
    half = first.branch1[2].out_channels
    with torch.device("meta"):
        first.branch1[2], first.branch1[3] = nn.Conv2d(24, 24, 1, bias=False), nn.BatchNorm2d(24)
        first.branch2[5] = nn.Conv2d(half, 2 * half - 24, 1, bias=False)
        first.branch2[6] = nn.BatchNorm2d(2 * half - 24)
    result = profile(model, build_inputs(network.inputs)[0])
    figure = network.work
    assert figure is not None
    assert result.total.macs == (figure.theirs or figure.ours) == figure.ours + 28**2 * (half - 24) ** 2
    assert prints_as(result.total.macs, figure.printed, ROUND_UP)
    assert prints_as(parameters_of(result), network.parameters.printed)


def test_tensorflows_count_by_hand() -> None:
    """It is 2 for a multiply–accumulate, 1 for a bias, an averaged value and a product, and nothing for the norm."""

    class Squeeze(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.swish = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.SiLU()
            self.gate = nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.swish(self.norm(self.conv(x)))
            gated: torch.Tensor = torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True))) * x
            return gated + x

    result = profile(Squeeze().eval(), torch.empty(1, 3, 10, 10))
    values = 8 * 8 * 8
    flops = 2 * values * 27 + values + values + 2 * 8 * 8 + 8 + values + values
    assert tensorflow_count(result) == flops // 2


@pytest.mark.exhaustive
def test_tensorflows_count_reaches_the_small_networks() -> None:
    """It reaches all of EfficientNetV2 except L, and B0 to B3 of EfficientNet; not B4, B5, B7 and L."""
    reached = {}
    for name, network in EFFICIENT.items():
        assert network.work is not None
        reached[name] = prints_as(tensorflow_count(measure(network)), network.work.printed)
    assert {name for name, prints in reached.items() if not prints} == {
        *("EfficientNet-B4", "EfficientNet-B5", "EfficientNet-B7", "EfficientNetV2-L")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("EfficientNet-B3", "1.85 G"),
        ("EfficientNet-B4", "4.44 G"),
        pytest.param("EfficientNet-B5", "10.36 G", marks=pytest.mark.exhaustive),
        pytest.param("EfficientNet-B6", "19.22 G", marks=pytest.mark.exhaustive),
        pytest.param("EfficientNet-B7", "38.01 G", marks=pytest.mark.exhaustive),
        pytest.param("EfficientNetV2-L", "56.21 G", marks=pytest.mark.exhaustive),
    ],
)
def test_the_authors_code_gives_these_figures_of_larger_networks(name: str, count: str) -> None:
    """They are the figures in the notes of the page."""
    assert prints_as(tensorflow_count(measure(EFFICIENT[name])), count)


@pytest.mark.slow
def test_unfused_norms_do_not_explain_l() -> None:
    """They would be 2 for each value and 6 for each channel more, halved."""
    result = measure(EFFICIENT["EfficientNetV2-L"])
    norms = [call.outputs[0] for call in result.trace.calls if call.op == "aten::batch_norm"]
    more = sum(2 * norm.size + 6 * norm.shape[1] for norm in norms) // 2
    assert prints_as(tensorflow_count(result) + more, "56.37 G")


@pytest.mark.parametrize(("side", "count"), [(448, "9.49 G"), (449, "10.32 G")])
def test_no_image_side_explains_b5(side: int, count: str) -> None:
    """A larger image costs more, and between these two sides the figure jumps over 9.9 G."""
    b5 = EFFICIENT["EfficientNet-B5"]
    result = measure(Network(b5.name, b5.target, image(side), None, b5.parameters))
    assert prints_as(tensorflow_count(result), count)


@pytest.mark.parametrize(
    ("name", "with_statistics", "prints"),
    [
        ("EfficientNet-B1", 7_856_232, False),
        ("EfficientNet-B2", 9_177_562, True),
        ("EfficientNet-B5", 30_562_520, False),
        ("EfficientNet-B7", 66_658_680, False),
        ("EfficientNetV2-L", 119_027_848, False),
    ],
)
def test_running_statistics_explain_the_authors_test(name: str, with_statistics: int, prints: bool) -> None:
    """With them the numbers equal the authors' test; only B2 would print as published."""
    network = EFFICIENT[name]
    model = build_model(network.target)
    running = sum(buffer.numel() for key, buffer in model.named_buffers() if "running" in key)
    assert network.parameters.ours + running == with_statistics
    assert prints_as(with_statistics, network.parameters.printed) is prints


def test_a_figure_is_rounded_as_it_is_printed() -> None:
    """It is rounded to its digits, in its unit, half up; or down, or up."""
    assert prints_as(4_490_566_656, "4.5 G")
    assert not prints_as(4_455_531_264, "4.4 G")
    assert prints_as(4_455_531_264, "4.4 G", ROUND_DOWN)
    assert prints_as(40_476_448, "41 M", ROUND_UP)
    assert not prints_as(40_476_448, "41 M")
    assert prints_as(850_000_871_424, "850.0009 G")
    assert not prints_as(850_000_871_424, "850.0008 G")
    assert prints_as(12, "12")
    assert not prints_as(13, "12")


def test_a_wrong_figure_is_seen() -> None:
    """A reason that does not lead to the printed figure, and one that is not needed, are errors."""
    result = measure(TABLES[0].networks[0])
    cut, less = Reason("cut", rounding=ROUND_DOWN), Reason("300 are left out", lambda _: 300)
    assert explains(Figure("1.2 K", 1234), result)
    assert not explains(Figure("1.3 K", 1234), result)
    assert not explains(Figure("1.2 K", 1234, cut), result)
    assert explains(Figure("1.2 K", 1290, cut), result)
    assert not explains(Figure("1.1 K", 1290, cut), result)
    assert explains(Figure("1.0 K", 1290, less, 990), result)
    assert not explains(Figure("1.0 K", 1290, less), result)
    assert not explains(Figure("1.1 K", 1290, less, 990), result)
    assert explains(Figure("1.1 K", 1290, Reason("who knows", known=False)), result)
    assert explains(Figure("1.1 K", 1290, Reason("a slip", elsewhere="1.29 K")), result)
    assert not explains(Figure("1.1 K", 1290, Reason("a slip", elsewhere="1.28 K")), result)
