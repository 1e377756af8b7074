"""The same network by other conventions, and the same work under other kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler import catalog, config
from profiler.crosschecks.tables import unexplained
from profiler.errors import ProfilerError
from profiler.profiles import Profile
from profiler.render.report import profile_report

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def resnet18() -> Profile:
    return profiler.profile_config(profiler.load_config(CONFIGS / "resnet18.yaml"))


@pytest.mark.slow
def test_the_conventions_of_resnet18(resnet18: Profile) -> None:
    """They are separate counts, contractions, the published figure, and fvcore's total for the whole network."""
    headlines = {name: resnet18.with_convention(name).headline for name in catalog.conventions()}
    assert headlines["exact"] == resnet18.total.flops
    assert headlines["macs"] == headlines["torchvision"] == headlines["paper"] == 1814073344
    assert headlines["fvcore"] == int(resnet18.crosscheck["figure"].sum()) == 1819065856
    assert unexplained(resnet18.crosscheck).empty


@pytest.mark.slow
def test_a_convention_has_a_column_in_every_table(resnet18: Profile) -> None:
    """Its rows sum to the headline; a convention that is a column anyway adds none."""
    profile = resnet18.with_convention("fvcore")
    assert profile.layers["by_fvcore"].sum() == profile.headline
    assert profile.operations["by_fvcore"].sum() == profile.headline
    assert profile.modules["by_fvcore"].sum() == profile.modules["by_fvcore_total"][0] == profile.headline
    assert profile.table("shares")["by_fvcore"].iloc[-1] == profile.headline
    assert profile.shares["by_fvcore_share"].sum() == pytest.approx(1)
    assert "by_fvcore" in profiler.compare([profile, resnet18])
    for name in ("exact", "macs"):
        assert list(resnet18.with_convention(name).layers.columns) == list(resnet18.layers.columns)


def test_an_unknown_convention_or_view_is_an_error(resnet18: Profile) -> None:
    """The error proposes the nearest known name."""
    with pytest.raises(ProfilerError, match=r"convention 'fvcor' is not known.*did you mean 'fvcore'"):
        resnet18.with_convention("fvcor")
    with pytest.raises(ProfilerError, match="view 'pointwise' is not known"):
        resnet18.with_views("pointwise")


@pytest.mark.slow
def test_causal_macs_are_a_second_figure(tmp_path: Path) -> None:
    """In causal attention of 2 heads, 5 positions and size 8, 15 of 25 scores are visible; saving keeps the figure."""

    class Causal(nn.Module):
        def forward(self, x: torch.Tensor, causal: bool) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=causal)

    profile = profiler.profile(Causal(), (image(1, 2, 5, 8), True))
    assert (profile.total.macs, profile.causal_macs) == (2 * 25 * (8 + 8), 2 * 15 * (8 + 8))
    profile.save(tmp_path / "causal.json")
    loaded = profiler.load_profile(tmp_path / "causal.json")
    assert loaded.causal_macs == profile.causal_macs
    shown = {fact.label: fact.value for fact in profile_report(loaded).facts}
    assert shown["causal MACs"] == "480"
    assert profiler.profile(Causal(), (image(1, 2, 5, 8), False)).causal_macs is None


@pytest.mark.slow
def test_macs_on_padding_zeros_of_the_reference_network() -> None:
    """It is exact by position in the zoo's AlexNet, and is shown as a share of torchvision's convolutions."""
    ours = profiler.profile_config(profiler.load_config(CONFIGS / "alexnet.yaml"), crosscheck=False)
    assert ours.macs_on_padding == 55574528 == ours.layers["macs_on_padding"].sum()
    theirs = profiler.profile_config(profiler.load_config(CONFIGS / "alexnet_torchvision.yaml"), crosscheck=False)
    assert round(100 * theirs.macs_on_padding / theirs.shares.set_index("kind").macs["conv"], 1) == 8.6


def image(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


@pytest.mark.parametrize(
    ("layer", "kinds"),
    [
        (nn.Conv2d(4, 8, 1), {"linear"}),
        (nn.Conv2d(4, 8, 1, groups=2), {"conv"}),
        (nn.ConvTranspose2d(4, 8, 1), {"linear"}),
        (nn.ConvTranspose2d(4, 8, 1, groups=2), {"conv"}),
        (nn.Conv2d(4, 8, 3), {"conv"}),
        (nn.Conv2d(4, 4, 3, groups=4), {"depthwise"}),
        (nn.Conv2d(4, 8, 1, groups=4), {"depthwise"}),
        (nn.ConvTranspose2d(4, 8, 3, groups=4), {"depthwise"}),
    ],
)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_views_sort_convolutions(layer: nn.Module, kinds: set[str], mode: str) -> None:
    """Pointwise ones become linear and depthwise ones depthwise, in both directions; the counts do not change."""
    x = image(2, 4, 7, 7).requires_grad_(mode == "training")
    plain = profiler.profile(layer, x, mode=mode)  # type: ignore[arg-type]
    seen = plain.with_views("pointwise_as_linear", "depthwise_apart")
    assert {call.kind for call in seen.trace.calls if call.count.macs} == kinds
    assert seen.total == plain.total
    assert seen.views == ("pointwise_as_linear", "depthwise_apart")
    assert seen.with_views("depthwise_apart") == seen
    assert plain.views == ()


@pytest.mark.slow
def test_convnext_has_few_macs_in_convolutions() -> None:
    """Its pointwise layers are linear; by that view, MobileNetV2 is mostly linear too."""
    convnext = profiler.profile_config(config.quick_config("torchvision:convnext_tiny", []), crosscheck=False)
    shares = convnext.shares.set_index("kind").macs_share
    assert round(100 * shares["conv"], 1) == 6.6
    mobilenet = profiler.profile_config(config.quick_config("torchvision:mobilenet_v2", []), crosscheck=False)
    before = mobilenet.shares.set_index("kind").macs_share
    after = mobilenet.with_views("pointwise_as_linear").shares.set_index("kind").macs_share
    assert before["conv"] > 0.99
    assert after["linear"] > 0.85


@pytest.mark.slow
def test_attention_products_have_another_kind_than_matmuls() -> None:
    """This holds without a view."""
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    kinds = profiler.profile(encoder, image(2, 5, 8)).shares["kind"].tolist()
    assert "attention" in kinds
    assert "matmul" not in kinds


def test_convention_and_views_are_saved(resnet18: Profile, tmp_path: Path) -> None:
    """The loaded profile has them."""
    profile = resnet18.with_convention("fvcore").with_views("pointwise_as_linear")
    profile.save(tmp_path / "p.json")
    assert profiler.load_profile(tmp_path / "p.json") == profile


def function(run: Callable[..., torch.Tensor]) -> nn.Module:
    """A network that calls ``run``."""

    class Function(nn.Module):
        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return run(*tensors)

    return Function()


OF_ONE_CONTRACTION: list[tuple[nn.Module, tuple[tuple[int, ...], ...]]] = [
    (nn.Conv1d(3, 4, 3, padding="same"), ((1, 3, 5),)),
    (nn.Conv2d(3, 4, 3, padding="same"), ((1, 3, 5, 5),)),
    (nn.Conv3d(3, 4, 3, padding="valid"), ((1, 3, 5, 5, 5),)),
    (nn.Conv2d(3, 4, 3, padding=1), ((1, 3, 5, 5),)),
    (nn.LSTM(3, 4), ((2, 1, 3),)),
    (nn.GRU(3, 4, bidirectional=True), ((2, 1, 3),)),
    (nn.RNN(3, 4), ((2, 1, 3),)),
    (nn.LSTMCell(3, 4), ((2, 3),)),
    (nn.Bilinear(3, 4, 5), ((2, 3), (2, 4))),
    (nn.MultiheadAttention(8, 2, batch_first=True), ((1, 5, 8),) * 3),
    (function(torch.baddbmm), ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    (function(torch.mv), ((3, 4), (4,))),
    (function(torch.dot), ((4,), (4,))),
    (function(lambda a, b: torch.tensordot(a, b, 1)), ((3, 4), (4, 5))),
    (function(lambda a, b: torch.einsum("ij,jk->ik", a, b)), ((3, 4), (4, 5))),
]


@pytest.mark.parametrize(("layer", "shapes"), OF_ONE_CONTRACTION)
def test_the_fvcore_convention_equals_fvcore(layer: nn.Module, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Contractions that fvcore has no rule for are 0 in both; our MACs do not change."""
    tensors = tuple(torch.zeros(shape) for shape in shapes)
    checked = profiler.crosscheck(layer.eval(), tensors)
    assert [record.status for record in checked.counters] == ["ok"]
    assert checked.with_convention("fvcore").headline == sum(figure.figure for figure in checked.counters[0].figures)
    assert checked.total.macs > 0


def test_the_fvcore_convention_counts_attention_unfused() -> None:
    """timm's tables use attention that is not fused: 2 heads of 5·5 scores with 4 + 4 products each."""
    attention = function(nn.functional.scaled_dot_product_attention)
    profile = profiler.profile(attention, (image(1, 2, 5, 4),) * 3)
    assert profile.with_convention("fvcore").headline == 2 * 5 * 5 * (4 + 4)


def test_a_named_padding_is_saved(tmp_path: Path) -> None:
    """The fvcore figure of a loaded profile equals that of the saved one."""
    profile = profiler.profile(nn.Conv2d(3, 4, 3, padding="same"), image(1, 3, 5, 5))
    profile.save(tmp_path / "same.json")
    loaded = profiler.load_profile(tmp_path / "same.json").with_convention("fvcore")
    assert (loaded.headline, loaded.total.macs) == (0, 4 * 25 * 27)
