"""MACs on zeros that a separate operation put around the input of a convolution."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from profiler.measures.macs_on_padding import macs_on_padding
from profiler.records import Mode, Trace
from profiler.traces import trace, trace_for_real
from profiler.tracing import memo
from tests.museum import Calls

MODES: tuple[Mode, Mode] = ("inference", "training")


def on_padding(result: Trace) -> list[int]:
    """The MACs on padded zeros, for each convolution of the forward pass."""
    return [macs_on_padding(call) for call in result.calls if call.phase == "forward" and call.kind == "conv"]


def image(*shape: int) -> torch.Tensor:
    return torch.ones(shape, requires_grad=True)


@pytest.mark.parametrize("run", [trace, lambda *args: trace_for_real(*args, reason="test")])
@pytest.mark.parametrize("mode", MODES)
def test_padding_before_a_convolution_by_hand(run: Callable[..., Trace], mode: Mode) -> None:
    """Each axis has 8·3 positions of taps, 2 of them outside, for each way of padding by one."""
    outside = 8 * 3 * (64 * 9 - (8 * 3 - 2) ** 2)
    assert outside == 2208

    class Same(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(F.pad(input, (1, 1, 1, 1)))

    layer = nn.Conv2d(3, 8, 3)
    ways: list[nn.Module] = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Sequential(nn.ZeroPad2d(1), layer),
        nn.Sequential(nn.ConstantPad2d(1, 0.0), layer),
        nn.Sequential(Same(3, 8, 3)),
        Calls(lambda x, layer: layer(F.pad(x, (1, 1, 1, 1))), layer=layer),
        Calls(lambda x, layer: layer(F.pad(input=x, pad=(1, 1, 1, 1), mode="constant", value=0)), layer=layer),
        Calls(lambda x, layer: layer(torch.constant_pad_nd(x, (1, 1, 1, 1))), layer=layer),
    ]
    assert [on_padding(run(way, image(1, 3, 8, 8), mode)) for way in ways] == [[outside]] * len(ways)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [7, 8])
def test_even_kernels_with_padding_same(size: int, mode: Mode) -> None:
    """An even kernel needs one more zero behind than in front; torch pads it before it convolves."""
    layer = nn.Conv1d(3, 5, 4, padding="same")
    expected = on_padding(trace(layer, image(2, 3, size)))
    assert expected == [2 * 5 * 3 * (size * 4 - (size + size - 1 + size - 1 + size - 2))]
    assert on_padding(trace(layer, image(2, 3, size), mode)) == expected


CASES: dict[str, tuple[int, dict[str, Any], tuple[int, ...]]] = {
    # dimensions, arguments of the convolution, padding before it
    "1d, one side": (1, {}, (2, 0)),
    "1d, strided": (1, {"stride": 2}, (1, 2)),
    "1d, more than the kernel reaches": (1, {}, (4, 5)),
    "2d, asymmetric": (2, {}, (0, 1, 2, 1)),
    "2d, with another padding": (2, {"padding": 1}, (1, 0, 1, 1)),
    "2d, dilated": (2, {"dilation": 2}, (1, 2, 2, 1)),
    "2d, last dimension only": (2, {}, (1, 1)),
    "2d, grouped": (2, {"groups": 2, "stride": (1, 2)}, (1, 1, 1, 1)),
    "2d, cropped": (2, {}, (-1, 2, 0, -2)),
    "2d, around the channels": (2, {}, (1, 1, 0, 0, 1, 2)),
    "2d, around grouped channels and the batch": (2, {"groups": 2}, (0, 1, 0, 0, 1, 2, 1, 0)),
    "3d": (3, {"stride": (1, 2, 1), "padding": (0, 1, 0)}, (1, 0, 1, 1, 0, 2)),
}


def padded_indicator(x: torch.Tensor, pads: tuple[int, ...]) -> torch.Tensor:
    return F.pad(torch.ones_like(x, dtype=torch.float64), pads)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_products_with_zeros_are_those_outside_an_indicator(name: str, transposed: bool, mode: Mode) -> None:
    """Ones inside and zeros around, convolved with ones, sum to the number of products with the image."""
    dims, how, pads = CASES[name]
    groups = how.get("groups", 1)
    x = image(2, 3 if len(pads) > 2 * dims else 4, *range(5, 5 + dims))
    channels = F.pad(x, pads).shape[1]
    function = getattr(F, f"conv_transpose{dims}d" if transposed else f"conv{dims}d")
    sizes = (channels, 6 // groups) if transposed else (6, channels // groups)
    weight = torch.ones(*sizes, *(3,) * dims, requires_grad=True)

    def run(x: torch.Tensor, weight: torch.Tensor) -> Any:
        return function(F.pad(x, pads), weight, None, **how)

    ones, products = padded_indicator(x, pads), weight.detach().double()
    if transposed:  # products on the rim that the padding of a transposed convolution cuts off count as well
        how = {**how, "padding": 0}
    on_image = function(ones, products, None, **how).sum()
    if transposed:
        all_macs = ones.numel() * weight[0].numel()
    else:
        all_macs = function(ones, products, None, **how).numel() * weight[0].numel()
    assert on_padding(trace(Calls(run), (x, weight), mode)) == [all_macs - int(on_image)]


CONV = nn.Conv2d(3, 8, 3)
AROUND = 8 * 3 * (64 * 9 - (8 * 3 - 2) ** 2)


def changed_after(change: Callable[[torch.Tensor], Any]) -> Callable[..., torch.Tensor]:
    def run(x: torch.Tensor, conv: nn.Module) -> Any:
        padded = F.pad(x, (1, 1, 1, 1))
        result = change(padded)
        return conv(padded if result is None else result)

    return run


class Filled:
    """A function that writes to its argument and returns nothing."""

    def __init__(self, write: Callable[[torch.Tensor], Any]) -> None:
        self.write = write

    def __call__(self, padded: torch.Tensor) -> None:
        self.write(padded)


UNCLAIMED: dict[str, Callable[..., torch.Tensor]] = {
    "another value": lambda x, conv: conv(F.pad(x, (1, 1, 1, 1), value=1.0)),
    "reflected": lambda x, conv: conv(F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "replicated": lambda x, conv: conv(F.pad(x, (1, 1, 1, 1), mode="replicate")),
    "circular": lambda x, conv: conv(F.pad(x, (1, 1, 1, 1), mode="circular")),
    "only cropped": lambda x, conv: conv(F.pad(x, (-1, -1))),
    "through another operation": changed_after(torch.relu),
    "a part of it": changed_after(lambda padded: padded[..., 1:]),
    "another order": changed_after(lambda padded: padded.transpose(2, 3)),
    "added to in place": changed_after(Filled(lambda padded: padded.add_(1))),
    "written to through a view": changed_after(Filled(lambda padded: padded[..., 0].fill_(1))),
    "written to by an index": changed_after(Filled(lambda padded: padded.__setitem__((..., 0), 1.0))),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", UNCLAIMED)
def test_values_that_may_not_be_zero_are_not_claimed(name: str, mode: Mode) -> None:
    """Values other than zero, results of other operations on zeros, and overwritten zeros do not count."""
    assert on_padding(trace(Calls(UNCLAIMED[name], conv=CONV), image(1, 3, 8, 8), mode)) == [0]


@pytest.mark.parametrize("mode", MODES)
def test_each_convolution_that_reads_the_padded_tensor_has_its_zeros(mode: Mode) -> None:
    """Two convolutions and a view of the whole tensor have them; work on other tensors changes nothing."""

    def run(x: torch.Tensor, conv: nn.Module) -> Any:
        padded = F.pad(x, (1, 1, 1, 1))
        first = conv(padded)
        torch.zeros_like(padded).add_(padded)
        return first + conv(padded.view(padded.shape)) + torch.relu(padded).sum()

    assert on_padding(trace(Calls(run, conv=CONV), image(1, 3, 8, 8), mode)) == [AROUND, AROUND]


def rows(x: torch.Tensor, count: int) -> torch.Tensor:
    return torch.zeros(*x.shape[:2], count, x.shape[3], device=x.device)


def all_around(x: torch.Tensor) -> torch.Tensor:
    taller = torch.cat([rows(x, 1), x, rows(x, 1)], dim=2)
    return torch.cat([torch.zeros_like(taller[..., :1]), taller, torch.full((1, 3, 10, 1), 0.0)], dim=3)


WHOLE: dict[str, Callable[..., torch.Tensor]] = {
    "one dimension, then the other": lambda x, conv: conv(F.pad(F.pad(x, (1, 1)), (0, 0, 1, 1))),
    "one side, then the others": lambda x, conv: conv(F.pad(F.pad(x, (1, 0)), (0, 1, 1, 1))),
    "too much, and cropped": lambda x, conv: conv(F.pad(F.pad(x, (3, 2, 1, 2)), (-2, -1, 0, -1))),
    "zeros beside it, then padding": lambda x, conv: conv(F.pad(torch.cat([rows(x, 1), x, rows(x, 1)], dim=2), (1, 1))),
    "padding, then zeros beside it": lambda x, conv: conv(
        torch.cat([padded := F.pad(x, (1, 1, 1, 0)), padded.new_zeros(1, 3, 1, 10)], -2)
    ),
    "zeros beside it alone": lambda x, conv: conv(all_around(x)),
    "pieces of one padded alike": lambda x, conv: conv(
        torch.cat([F.pad(x[..., :3], (1, 0, 1, 1)), F.pad(x[..., 3:], (0, 1, 1, 1))], -1)
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WHOLE)
def test_padding_in_steps_adds_up(name: str, mode: Mode) -> None:
    """All zeros around an image count as with ``padding=1``, whatever steps made them."""
    assert on_padding(trace(Calls(WHOLE[name], conv=CONV), image(1, 3, 8, 8), mode)) == [AROUND]


@pytest.mark.parametrize("run", [trace, lambda *args: trace_for_real(*args, reason="test")])
@pytest.mark.parametrize("mode", MODES)
def test_two_paddings_around_all_sides(run: Callable[..., Trace], mode: Mode) -> None:
    """The zeros around 6 × 6 are two deep: of 8·3 positions along an axis, 6·3 meet the image."""
    net = nn.Sequential(nn.ZeroPad2d(1), nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3))
    assert on_padding(run(net, image(1, 3, 6, 6), mode)) == [8 * 3 * ((8 * 3) ** 2 - (6 * 3) ** 2)]


@pytest.mark.parametrize("mode", MODES)
def test_channels_of_zeros_count_as_padding(mode: Mode) -> None:
    """One of three channels holds zeros, so its products are not on the image."""

    def run(x: torch.Tensor, conv: nn.Module) -> Any:
        return conv(F.pad(torch.hstack([rows(x, 8)[..., :8], x])[:, 1:4], (1, 1, 1, 1)))

    def whole(x: torch.Tensor, conv: nn.Module) -> Any:
        return conv(F.pad(torch.hstack([rows(x, 8)[:, :1], x]), (1, 1, 1, 1)))

    on_image = 8 * 2 * (8 * 3 - 2) ** 2
    assert on_padding(trace(Calls(run, conv=CONV), image(1, 2, 8, 8), mode)) == [0]
    assert on_padding(trace(Calls(whole, conv=CONV), image(1, 2, 8, 8), mode)) == [8 * 3 * 64 * 9 - on_image]


class Written(nn.Module):
    """Writes an image into zeros, and pads the result."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = x.new_zeros(1, 3, 8, 10)
        around[..., 1:-1] = x
        return F.pad(around, (0, 0, 1, 1))


class Held(nn.Module):
    """Holds zeros; their values are not read on meta."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros = nn.Buffer(torch.zeros(1, 3, 8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(torch.cat([self.zeros, x, self.zeros], -1), (0, 0, 1, 1))


class Does(nn.Module):
    def __init__(self, work: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.work = work

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.work(x)


UNKNOWN: dict[str, nn.Module] = {
    "written into zeros": Written(),
    "zeros that the network holds": Held(),
    "a turned one": Does(lambda x: F.pad(F.pad(x, (0, 0, 1, 1)).transpose(2, 3), (0, 0, 1, 1))),
    "a part of one": Does(lambda x: F.pad(F.pad(x, (1, 1))[..., :-1], (0, 1, 1, 1))),
    "a copy of one": Does(lambda x: F.pad(F.pad(x, (1, 1)).flip(3), (0, 0, 1, 1))),
    "an activation of one": Does(lambda x: F.pad(F.pad(x, (1, 1)).relu(), (0, 0, 1, 1))),
    "written to in part": Does(lambda x: F.pad(written(F.pad(x, (1, 1))), (0, 0, 1, 1))),
    "zeros between": Does(lambda x: F.pad(torch.cat([x[..., :4], rows(x, 8)[..., :2], x[..., 4:]], 3), (0, 0, 1, 1))),
    "zeros in a stack": Does(
        lambda x: F.pad(torch.stack([x[0, 0], x[0, 0], rows(x, 8)[0, 0, :, :8]])[None], (1, 1, 1, 1))
    ),
    "one padded otherwise": Does(
        lambda x: torch.cat([F.pad(x[..., :3], (1, 0, 1, 1)), F.pad(x[..., 3:], (0, 1, 2, 0))], 3)
    ),
    "reflected zeros": Does(lambda x: F.pad(F.pad(F.pad(x, (1, 1)), (1, 1, 1, 1), mode="reflect"), (0, 0, 1, 1))),
}


def written(padded: torch.Tensor) -> torch.Tensor:
    padded[..., 0] = 1
    return padded


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", UNKNOWN)
def test_zeros_in_unknown_places_are_not_claimed(name: str, mode: Mode) -> None:
    """If the place of some zeros is unknown, none of them are claimed."""
    assert on_padding(trace(nn.Sequential(UNKNOWN[name], CONV), image(1, 3, 8, 8), mode)) == [0]


def chosen(x: torch.Tensor, value: float) -> torch.Tensor:
    """Elements of an image or of a constant, whose values nobody has computed yet."""
    return torch.where(x > 0, x, x.new_zeros(1, 3, 8, 8) + value)


MIXED: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "chosen": chosen,
    "chosen twice": lambda x, value: torch.where(x < 2, chosen(x, value), x),
    "chosen often": lambda x, value: reduce(lambda made, _: torch.where(x < 2, made, x), range(40), chosen(x, value)),
    "written to": lambda x, value: chosen(x, value).mul_(2),
    "seen otherwise": lambda x, value: chosen(x, value).transpose(2, 3),
    "joined": lambda x, value: torch.cat([x, x.new_zeros(1, 3, 8, 8) + value, x], 1)[:, :3].contiguous(),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MIXED)
def test_a_constant_among_the_values_is_computed_to_see_whether_it_is_zero(name: str, mode: Mode) -> None:
    """If it is, there are zeros in unknown places, and those around the image are not claimed."""
    for value, claimed in ((0.0, 0), (1.0, AROUND)):
        memo.clear()  # also of constants
        pads = Calls(lambda x, conv, value=value: conv(F.pad(MIXED[name](x, value), (1, 1, 1, 1))), conv=CONV)
        for _ in range(2):
            assert on_padding(trace(pads, image(1, 3, 8, 8), mode)) == [claimed]


def test_a_convolution_along_time_has_padding_too() -> None:
    """``conv_tbc`` has 5 steps and 3 taps, and 2 of the positions are outside."""

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> Any:
        return torch.conv_tbc(x, weight, bias, 1)

    inputs = (torch.zeros(5, 2, 3), torch.zeros(3, 3, 4), torch.zeros(4))
    assert on_padding(trace(Calls(run), inputs)) == [2 * 3 * 4 * 2]
    padded = Calls(lambda x, weight, bias: torch.conv_tbc(F.pad(x, (0, 0, 0, 0, 1, 1)), weight, bias, 0))
    assert on_padding(trace(padded, inputs)) == [2 * 3 * 4 * 2]


def test_padding_of_complex_images() -> None:
    """There are four real products for each complex one."""
    net = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, dtype=torch.complex64))
    x = torch.zeros(1, 3, 8, 8, dtype=torch.complex64)
    assert [on_padding(trace(net, x, mode)) for mode in MODES] == [[4 * AROUND], [4 * AROUND]]
