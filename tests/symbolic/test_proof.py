"""Formulas of real networks equal their profiles at 20 random points, in every figure of every row."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import nn

import profiler
from profiler.deriving import formula
from profiler.errors import TraceError
from profiler.formulas import Formula, FormulaError
from profiler.models.building import build_model
from profiler.records import Mode
from tests.symbolic.test_formula import assert_equal

POINTS = 20
TRIES = 20_000
"""The number of random points that are drawn to find those within a domain."""

NEAR = 4
"""How far from the sizes of a formula every second point is."""

LARGEST = {"B": 60, "H": 400, "W": 400, "s": 90}

IMAGES = ("B", 3, "H", "W")

WITHOUT_FORMULA: Mapping[str, str] = {}
"""Networks that have no formula, each with a part of the reason that the error names."""

TIMM = (
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "swin_tiny_patch4_window7_224",
    "pit_ti_224",
    "xcit_nano_12_p16_224",
    "mixer_s32_224",
    "poolformer_s12",
)
"""Transformers of timm, and two networks of the same form without attention."""

SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}

LANGUAGE: Mapping[str, Mapping[str, Any]] = {
    "GPT2LMHeadModel": {"n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 100, "n_positions": 512},
    "BertModel": {**SMALL, "vocab_size": 100},
    "LlamaForCausalLM": {**SMALL, "vocab_size": 100, "num_key_value_heads": 2},
    "T5EncoderModel": {"num_layers": 2, "d_model": 64, "d_kv": 16, "num_heads": 4, "d_ff": 128, "vocab_size": 100},
}
"""Small networks of transformers."""

TRAINED = (
    "torchvision:alexnet",
    "torchvision:vgg11_bn",
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "torchvision:squeezenet1_1",
    "torchvision:shufflenet_v2_x0_5",
    "timm:vit_tiny_patch16_224",
    *(f"transformers:{name}" for name in LANGUAGE if name != "T5EncoderModel"),
)
"""The networks whose training has a test."""


@cache
def classification_networks() -> tuple[str, ...]:
    """The names of torchvision's classification networks."""
    models = profiler.import_torchvision().models
    return tuple(models.list_models(module=models))


def within(found: Formula, number: int) -> list[dict[str, int]]:
    """Different random points within the domain of a formula, with a seed; fewer if its conditions leave fewer.

    Every second one is near the sizes of the formula, since conditions such as a product of two sizes hold rarely.
    """
    draw, domain = random.Random(found.name), found.domain
    made: list[dict[str, int]] = []
    for tried in range(TRIES):
        point = {}
        for name, size in found.sizes.items():
            least = domain.least.get(name, 1)
            most = domain.most.get(name, max(LARGEST[name], 3 * least))
            first, step = domain.steps.get(name, (0, 1))
            value = draw.randint(least, most)
            if tried % 2 and name != "B":
                value = size + draw.randint(-NEAR, NEAR)
            point[name] = min(max(value // step * step + first, least), most)
        if point not in made and not domain.violated(point):
            made.append(point)
        if len(made) == number:
            break
    return made


def prove(
    target: str, kwargs: Mapping[str, Any], shape: Sequence[int | str], sizes: Mapping[str, int], **how: Any
) -> None:
    """Derive the formula and compare it with profiles at random points."""
    mode: Mode = how.get("mode", "inference")
    dtype = how.get("dtype", torch.float32)
    model = build_model(target, kwargs)
    reason = WITHOUT_FORMULA.get(target)
    if reason is not None:
        with pytest.raises(FormulaError, match=reason):
            formula(model, shape, sizes=sizes, mode=mode, dtype=dtype)
        return
    found = formula(model, shape, sizes=sizes, mode=mode, dtype=dtype)
    points = within(found, POINTS)
    assert len(points) == POINTS, found.domain.words()
    for point in points:
        inputs = torch.empty(
            [point[size] if isinstance(size, str) else size for size in shape], device="meta", dtype=dtype
        )
        assert_equal(found, profiler.profile(model, inputs, mode=mode), point)


def prove_by_target(target: str, mode: Mode = "inference") -> None:
    """The proof for a network of a library."""
    library, name = target.split(":")
    if library == "transformers":
        sizes = {"B": 2, "s": 24}
        prove(target, {"config": dict(LANGUAGE[name])}, ("B", "s"), sizes, mode=mode, dtype=torch.int64)
    else:
        size = 299 if name == "inception_v3" else 224
        prove(target, {}, IMAGES, {"B": 2, "H": size, "W": size}, mode=mode)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", classification_networks())
def test_networks_of_torchvision(name: str) -> None:
    """Every classification network, in batch, height and width, as far as it lets them vary."""
    prove_by_target(f"torchvision:{name}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(name: str) -> None:
    """Transformers for images."""
    prove_by_target(f"timm:{name}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", LANGUAGE)
def test_networks_of_transformers(name: str) -> None:
    """Transformers for text, in batch and number of tokens."""
    prove_by_target(f"transformers:{name}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", TRAINED)
def test_training(target: str) -> None:
    """A training step has a formula too."""
    prove_by_target(target, "training")


@st.composite
def convolutional(draw: st.DrawFn) -> nn.Module:
    """Small networks of convolutions, pools and activations in two dimensions, for images with 2 channels."""
    layers: list[nn.Module] = []
    channels = 2
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("conv", "depthwise", "transposed", "max", "average", "adaptive", "norm", "relu")))
        kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        padding = draw(st.integers(0, kernel // 2))
        match kind:
            case "conv":
                made, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
                layers.append(nn.Conv2d(channels, made, kernel, stride, padding, dilation, bias=draw(st.booleans())))
                channels = made
            case "depthwise":
                layers.append(nn.Conv2d(channels, channels, kernel, stride, padding, groups=channels))
            case "transposed":
                layers.append(nn.ConvTranspose2d(channels, channels, kernel, stride, min(padding, 1)))
            case "max":
                layers.append(nn.MaxPool2d(kernel, stride, padding, ceil_mode=draw(st.booleans())))
            case "average":
                layers.append(nn.AvgPool2d(kernel, stride, padding, ceil_mode=draw(st.booleans())))
            case "adaptive":
                layers.append(nn.AdaptiveAvgPool2d((draw(st.integers(1, 5)), draw(st.integers(1, 5)))))
            case "norm":
                layers.append(nn.BatchNorm2d(channels))
            case "relu":
                layers.append(nn.ReLU())
    return nn.Sequential(*layers)


@pytest.mark.exhaustive
@given(network=convolutional(), mode=st.sampled_from(("inference", "training")))
@settings(max_examples=4, deadline=None)
def test_small_convolutional_networks(network: nn.Module, mode: Mode) -> None:
    """Formula and profile are equal at random sizes, whatever layers a network has."""
    shape, sizes = ("B", 2, "H", "W"), {"B": 2, "H": 40, "W": 37}
    try:
        profiler.profile(network, torch.empty(2, 2, 40, 37, device="meta"), mode=mode)
    except TraceError:
        reject()  # a kernel is larger than what a layer before it leaves, or there is nothing to train
    found = formula(network, shape, sizes=sizes, mode=mode)
    for point in within(found, 3):
        inputs = torch.empty(point["B"], 2, point["H"], point["W"], device="meta")
        assert_equal(found, profiler.profile(network, inputs, mode=mode), point)
