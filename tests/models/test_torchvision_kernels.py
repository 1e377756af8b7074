"""The plain-torch kernels of torchvision's operators, compared with loops over single numbers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from profiler.models.torchvision_kernels import (
    KERNELS,
    deform_conv2d,
    nms,
    ps_roi_align,
    ps_roi_pool,
    roi_align,
    roi_pool,
)
from profiler.models.torchvision_ops import SCHEMAS, import_torchvision

pytestmark = pytest.mark.slow  # they are compared with torchvision's own kernels


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normally distributed numbers in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def regions(count: int, batch: int, side: float) -> Tensor:
    """Random regions; some reach beyond an image of that side, and the last is a single point."""
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    size = torch.rand(count, 2, generator=generator, dtype=torch.float64) * side
    index = torch.randint(batch, (count, 1), generator=generator)
    rois = torch.cat((index, corner - side / 4, corner - side / 4 + size), 1)
    rois[-1, 3:] = rois[-1, 1:3]
    return rois


def half_away(value: float) -> int:
    """The nearest whole number; halves go away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def clipped_bilinear(image: Any, y: float, x: float) -> float:
    """Between four pixels of nested lists: zero more than a pixel outside, else the value of the edge."""
    height, width = len(image), len(image[0])
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[top][left] * (1 - (x - left)) + image[top][right] * (x - left)
    lower = image[bottom][left] * (1 - (x - left)) + image[bottom][right] * (x - left)
    return float(upper * (1 - (y - top)) + lower * (y - top))


def aligned_bin(image: Any, roi: Any, scale: float, p: int, q: int, pooled: Any, ratio: int, aligned: bool) -> float:
    """The mean of the samples in bin (p, q) of one region of one channel."""
    x1, y1, x2, y2 = (corner * scale - (0.5 if aligned else 0) for corner in roi)
    high, wide = y2 - y1, x2 - x1
    if not aligned:
        high, wide = max(high, 1), max(wide, 1)
    bin_high, bin_wide = high / pooled[0], wide / pooled[1]
    rows = ratio if ratio > 0 else math.ceil(bin_high)
    columns = ratio if ratio > 0 else math.ceil(bin_wide)
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            y = y1 + (p + (i + 0.5) / rows) * bin_high
            x = x1 + (q + (j + 0.5) / columns) * bin_wide
            total += clipped_bilinear(image, y, x)
    return total / max(rows * columns, 1)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 1, 2])
def test_roi_align_is_the_mean_of_its_samples(aligned: bool, ratio: int) -> None:
    """Sampling is fixed or adaptive; regions are inside, outside and empty."""
    image, rois, pooled, scale = random(2, 3, 7, 9), regions(6, 2, 20), (2, 3), 0.5
    result = roi_align(image, rois, scale, *pooled, ratio, aligned)
    assert result.shape == (6, 3, 2, 3)
    for k, c, p, q in torch.cartesian_prod(*map(torch.arange, result.shape)).tolist():
        channel = image[int(rois[k, 0]), c].tolist()
        expected = aligned_bin(channel, rois[k, 1:].tolist(), scale, p, q, pooled, ratio, aligned)
        assert result[k, c, p, q].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ratio", [-1, 2])
def test_ps_roi_align_takes_each_bin_from_its_own_channel(ratio: int) -> None:
    """Channel (c·P_h + p)·P_w + q serves bin (p, q) of result c, and the second result is its number."""
    image, rois, pooled, scale = random(2, 2 * 2 * 3, 7, 9), regions(5, 2, 20), (2, 3), 0.5
    result, channels = ps_roi_align(image, rois, scale, *pooled, ratio)
    assert result.shape == channels.shape == (5, 2, 2, 3)
    assert channels.dtype == torch.int32
    for k, c, p, q in torch.cartesian_prod(*map(torch.arange, result.shape)).tolist():
        channel = (c * 2 + p) * 3 + q
        assert channels[k, c, p, q] == channel
        plane = image[int(rois[k, 0]), channel].tolist()
        expected = aligned_bin(plane, rois[k, 1:].tolist(), scale, p, q, pooled, ratio, aligned=True)
        assert result[k, c, p, q].item() == pytest.approx(expected, abs=1e-12)


def whole_bin(start: int, end: int, more: int, p: int, pooled: int, limit: int) -> range:
    """The pixels of bin p along one axis."""
    size = max(end - start + more, 1)
    first, stop = start + math.floor(p * size / pooled), start + math.ceil((p + 1) * size / pooled)
    return range(min(max(first, 0), limit), min(max(stop, 0), limit))


def test_roi_pool_is_the_largest_value_of_its_bin() -> None:
    """The second result is the place of the value; an empty bin gives 0 at no place."""
    image, rois, scale = random(2, 3, 7, 9), regions(8, 2, 20), 0.5
    result, place = roi_pool(image, rois, scale, 2, 3)
    assert (place == -1).any()
    for k, c, p, q in torch.cartesian_prod(*map(torch.arange, result.shape)).tolist():
        x1, y1, x2, y2 = (half_away(corner * scale) for corner in rois[k, 1:].tolist())
        pixels = [
            (image[int(rois[k, 0]), c, y, x].item(), y * 9 + x)
            for y in whole_bin(y1, y2, 1, p, 2, 7)
            for x in whole_bin(x1, x2, 1, q, 3, 9)
        ]
        assert (result[k, c, p, q].item(), place[k, c, p, q].item()) == max(pixels, default=(0, -1))


def test_ps_roi_pool_is_the_mean_of_its_bin() -> None:
    """Each bin has its own channel; an empty one gives 0."""
    image, rois, scale = random(2, 2 * 2 * 3, 7, 9), regions(8, 2, 20), 0.5
    result, channels = ps_roi_pool(image, rois, scale, 2, 3)
    for k, c, p, q in torch.cartesian_prod(*map(torch.arange, result.shape)).tolist():
        x1, y1, x2, y2 = (half_away(corner * scale) for corner in rois[k, 1:].tolist())
        assert channels[k, c, p, q] == (c * 2 + p) * 3 + q
        pixels = [
            image[int(rois[k, 0]), int(channels[k, c, p, q]), y, x].item()
            for y in whole_bin(y1, y2, 0, p, 2, 7 - 1)
            for x in whole_bin(x1, x2, 0, q, 3, 9 - 1)
        ]
        assert result[k, c, p, q].item() == pytest.approx(sum(pixels) / max(len(pixels), 1), abs=1e-12)


def test_nms_keeps_boxes_that_no_better_box_covers() -> None:
    """The loop compares each box, the best first, with every box that was kept before."""
    boxes = regions(60, 1, 10)[:, 1:]
    scores = random(60)
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        x1, y1, x2, y2 = boxes[index].tolist()
        for other in kept:
            a1, b1, a2, b2 = boxes[other].tolist()
            shared = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            either = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared
            if either and shared / either > 0.3:
                break
        else:
            kept.append(index)
    assert 1 < len(kept) < 60
    assert nms(boxes, scores, 0.3).tolist() == kept
    assert nms(boxes[:0], scores[:0], 0.3).tolist() == []


def zero_padded_bilinear(image: Any, y: float, x: float) -> float:
    """Between four pixels of nested lists, each zero if it is outside."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < len(image) and 0 <= column < len(image[0]):
                total += image[row][column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize("use_mask", [False, True])
@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 1), (1, 2), (2, 4)])
def test_deform_conv2d_reads_at_its_offsets(use_mask: bool, groups: int, offset_groups: int) -> None:
    """There are groups of channels, groups of offsets, strides, padding, dilation and the mask."""
    batch, channels, out_channels, (high, wide), (out_high, out_wide) = 2, 4, 2, (2, 3), (3, 3)
    image, weight = random(batch, channels, 5, 6), random(out_channels, channels // groups, high, wide, seed=1)
    offset = random(batch, 2 * offset_groups * high * wide, out_high, out_wide, seed=2) * 2
    mask = random(batch, offset_groups * high * wide, out_high, out_wide, seed=3)
    bias = random(out_channels, seed=4)
    result = deform_conv2d(image, weight, offset, mask, bias, 2, 1, 1, 0, 2, 1, groups, offset_groups, use_mask)[
        :, :, :, :out_wide
    ]
    for n, o, i, j in torch.cartesian_prod(*map(torch.arange, result.shape)).tolist():
        total = bias[o].item()
        for c in range(channels // groups):
            channel = o // (out_channels // groups) * (channels // groups) + c
            share = channel // (channels // offset_groups)
            for u in range(high):
                for v in range(wide):
                    tap = (share * high + u) * wide + v
                    y = i * 2 - 1 + u * 2 + offset[n, 2 * tap, i, j].item()
                    x = j * 1 - 0 + v * 1 + offset[n, 2 * tap + 1, i, j].item()
                    read = zero_padded_bilinear(image[n, channel].tolist(), y, x)
                    total += weight[o, c, u, v].item() * read * (mask[n, tap, i, j].item() if use_mask else 1)
        assert result[n, o, i, j].item() == pytest.approx(total, abs=1e-12)


def test_with_zero_offsets_deform_conv2d_is_a_convolution() -> None:
    """The results equal those of a plain convolution."""
    image, weight, bias = random(1, 4, 6, 6), random(6, 2, 3, 3), random(6)
    offset = torch.zeros(1, 18, 3, 3, dtype=torch.float64)
    result = deform_conv2d(image, weight, offset, offset[:, :0], bias, 2, 2, 1, 1, 1, 1, 2, 1, False)
    torch.testing.assert_close(result, torch.nn.functional.conv2d(image, weight, bias, 2, 1, 1, 2))


def test_the_kernels_replace_missing_ones_of_torchvision() -> None:
    """The operators run on CPU tensors, by torchvision's own kernels if it has them; a detector runs whole."""
    torchvision = import_torchvision()
    detection: Any = torchvision.models.detection
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        network = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None)
        (found,) = network.eval()([torch.rand(3, 64, 64)])
        layer = torchvision.ops.DeformConv2d(4, 6, 3)
        assert layer(torch.rand(1, 4, 5, 5), torch.rand(1, 18, 3, 3)).shape == (1, 6, 3, 3)
    assert found["boxes"].shape[1] == 4


def test_every_kernel_belongs_to_an_operator() -> None:
    """The names are those of torchvision's library."""
    assert set(KERNELS) <= {schema.partition("(")[0] for schema in SCHEMAS}
