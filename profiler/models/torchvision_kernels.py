"""torchvision's region operators and deformable convolution on real CPU tensors, in plain torch, forward only.

If torchvision's compiled library cannot be loaded, these let a detection network run on real tensors.  They follow the
definitions in torchvision's documentation and in the papers that it cites.  A region is a row (index in the batch,
x1, y1, x2, y2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Boxes (N, 4) as x1, y1, x2, y2, scores (N,) → indices of the kept boxes, the best first.

    Repeatedly keeps the best remaining box, and removes every box whose overlap with it is above the threshold.
    """
    x1, y1, x2, y2 = dets.unbind(1)
    areas = (x2 - x1) * (y2 - y1)
    left = torch.argsort(scores, descending=True, stable=True)
    kept = []
    while left.numel():
        best, left = left[0], left[1:]
        kept.append(best)
        width = (torch.minimum(x2[best], x2[left]) - torch.maximum(x1[best], x1[left])).clamp(min=0)
        height = (torch.minimum(y2[best], y2[left]) - torch.maximum(y1[best], y1[left])).clamp(min=0)
        shared = width * height
        left = left[~(shared / (areas[best] + areas[left] - shared) > iou_threshold)]
    return torch.stack(kept) if kept else left


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """(N, C, H, W), (K, 5) → (K, C, P_h, P_w): each bin is the mean of s·s bilinear samples, s = sampling_ratio.

    If s is not positive, a bin of h by w pixels has ⌈h⌉·⌈w⌉ samples.  ``aligned`` shifts the pixels by half of
    one; without it a region is at least one pixel wide and high.
    """
    _, channels, height, width = input.shape
    result = input.new_zeros(len(rois), channels, pooled_height, pooled_width)
    table = input.permute(0, 2, 3, 1).reshape(-1, channels)  # a row for each pixel of the batch
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    start, size = corners[:, [1, 0]], corners[:, [3, 2]] - corners[:, [1, 0]]
    if not aligned:
        size = size.clamp(min=1.0)
    bins = size / size.new_tensor([pooled_height, pooled_width])
    grids = torch.full_like(bins, sampling_ratio) if sampling_ratio > 0 else bins.ceil()
    for grid in torch.unique(grids, dim=0):
        rows_high, columns_wide = int(grid[0]), int(grid[1])
        if rows_high < 1 or columns_wide < 1:
            continue
        same = (grids == grid).all(1).nonzero().squeeze(1)
        y, y_weight = _samples(start[same, 0], bins[same, 0], pooled_height, rows_high, height)
        x, x_weight = _samples(start[same, 1], bins[same, 1], pooled_width, columns_wide, width)
        pixel = rois[same, 0].long()[:, None, None, None, None] * height + y[:, :, None, :, None]
        pixel = pixel * width + x[:, None, :, None, :]
        weight = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :] / (rows_high * columns_wide)
        sums = torch.nn.functional.embedding_bag(
            pixel.flatten(0, 2).flatten(1), table, mode="sum", per_sample_weights=weight.flatten(0, 2).flatten(1)
        )
        result[same] = sums.view(len(same), pooled_height, pooled_width, channels).permute(0, 3, 1, 2)
    return result


def _samples(start: Tensor, bins: Tensor, pooled: int, samples: int, size: int) -> tuple[Tensor, Tensor]:
    """Positions along one axis as (K, P, 2·samples) pairs of neighboring pixels, and their weights.

    A sample more than one pixel outside has weight zero; a nearer one takes the value of the pixel on the edge.
    """
    steps = torch.arange(pooled * samples, dtype=bins.dtype).view(pooled, samples)
    inner = (steps % samples + 0.5) / samples + torch.arange(pooled, dtype=bins.dtype)[:, None]
    position = start[:, None, None] + inner * bins[:, None, None]
    inside = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.floor()
    part = position - low
    pixels = torch.stack((low, (low + 1).clamp(max=size - 1)), -1).long()
    weights = torch.stack((1 - part, part), -1) * inside[..., None]
    return pixels.flatten(2), weights.flatten(2)


def ps_roi_align(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int, sampling_ratio: int
) -> tuple[Tensor, Tensor]:
    """(N, C·P_h·P_w, H, W), (K, 5) → (K, C, P_h, P_w): an aligned roi_align, each bin from a different channel.

    The second result says which channel that is.
    """
    every = roi_align(input, rois, spatial_scale, pooled_height, pooled_width, sampling_ratio, True)
    channel = _own_channel(input, rois, pooled_height, pooled_width)
    return _of_own_channel(every, channel), channel.int()


def _own_channel(input: Tensor, rois: Tensor, pooled_height: int, pooled_width: int) -> Tensor:
    """(K, C, P_h, P_w): the channels of the input in their order, the same for every region."""
    channels = torch.arange(input.shape[1]).view(-1, pooled_height, pooled_width)
    return channels.expand(len(rois), -1, -1, -1)


def _of_own_channel(every: Tensor, channel: Tensor) -> Tensor:
    """From (K, C·P_h·P_w, P_h, P_w), every bin of every channel, the bins of (K, C, P_h, P_w) channels."""
    return every.gather(1, channel)


def roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """(N, C, H, W), (K, 5) → (K, C, P_h, P_w), the largest of each bin, and where in the H·W pixels it was.

    An empty bin gives 0, found at −1.
    """
    _, channels, height, width = input.shape
    shape = len(rois), channels, pooled_height, pooled_width
    result, place = input.new_zeros(shape), torch.full(shape, -1, dtype=torch.int32)
    for k, ys, xs in _whole_regions(rois, spatial_scale, end=1):
        for p, top, bottom in _whole_bins(*ys, pooled_height, height):
            for q, left, right in _whole_bins(*xs, pooled_width, width):
                if top < bottom and left < right:
                    part = input[int(rois[k, 0]), :, top:bottom, left:right].flatten(1)
                    result[k, :, p, q], at = part.max(1)
                    row, column = at // (right - left) + top, at % (right - left) + left
                    place[k, :, p, q] = (row * width + column).int()
    return result, place


def ps_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """(N, C·P_h·P_w, H, W), (K, 5) → (K, C, P_h, P_w): the mean of each bin, each from a different channel.

    The second result says which channel that is.  An empty bin gives 0.  The bins end before the last row and
    column, as torchvision's own do.
    """
    _, channels, height, width = input.shape
    every = input.new_zeros(len(rois), channels, pooled_height, pooled_width)
    for k, ys, xs in _whole_regions(rois, spatial_scale, end=0):
        for p, top, bottom in _whole_bins(*ys, pooled_height, height - 1):
            for q, left, right in _whole_bins(*xs, pooled_width, width - 1):
                if top < bottom and left < right:
                    every[k, :, p, q] = input[int(rois[k, 0]), :, top:bottom, left:right].mean((1, 2))
    channel = _own_channel(input, rois, pooled_height, pooled_width)
    return _of_own_channel(every, channel), channel.int()


def _whole_regions(rois: Tensor, spatial_scale: float, end: int) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Each region's number, and its start and size in whole pixels along y and along x; at least one pixel."""
    scaled = rois[:, 1:] * spatial_scale
    rounded = (scaled.sign() * (scaled.abs() + 0.5).floor()).long().tolist()  # halves go away from zero
    return [(k, (y1, max(y2 - y1 + end, 1)), (x1, max(x2 - x1 + end, 1))) for k, (x1, y1, x2, y2) in enumerate(rounded)]


def _whole_bins(start: int, size: int, pooled: int, limit: int) -> list[tuple[int, int, int]]:
    """Each bin's number and its first and last but one pixel, within 0 and ``limit``."""
    return [
        (p, min(max(start + p * size // pooled, 0), limit), min(max(start - (-(p + 1) * size // pooled), 0), limit))
        for p in range(pooled)
    ]


def deform_conv2d(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor,
    bias: Tensor,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Tensor:
    """(N, C, H, W), (O, C/groups, h, w), offsets (N, 2·G·h·w, H', W') → (N, O, H', W').

    A convolution in which each tap reads the image at its usual place plus an offset (y before x), by bilinear
    interpolation with zeros outside; the channels of each of the G offset groups share their offsets.  With
    ``use_mask`` the samples are multiplied by a mask (N, G·h·w, H', W').
    """
    batch, channels, height, width = input.shape
    out_channels, _, high, wide = weight.shape
    out_height, out_width = offset.shape[2:]
    taps = high * wide
    moved = offset.view(batch, offset_groups, taps, 2, out_height, out_width)
    tap_y = torch.arange(high).repeat_interleave(wide) * dilation_h
    tap_x = torch.arange(wide).repeat(high) * dilation_w
    out_y = torch.arange(out_height) * stride_h - pad_h
    out_x = torch.arange(out_width) * stride_w - pad_w
    y = moved[:, :, :, 0] + tap_y.view(-1, 1, 1) + out_y.view(-1, 1)
    x = moved[:, :, :, 1] + tap_x.view(-1, 1, 1) + out_x
    image = input.reshape(batch, offset_groups, channels // offset_groups, height * width)
    read = _read(image, y.flatten(2), x.flatten(2), height, width)
    if use_mask:
        read = read * mask.reshape(batch, offset_groups, 1, -1)
    columns = read.reshape(batch, groups, channels // groups * taps, out_height * out_width)
    result = weight.reshape(groups, out_channels // groups, -1) @ columns
    return result.reshape(batch, out_channels, out_height, out_width) + bias.view(-1, 1, 1)


def _read(image: Tensor, y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    """(N, G, C, H·W) at places (N, G, L) → (N, G, C, L), bilinear, each of the four neighbors zero if outside."""
    result = image.new_zeros(*image.shape[:3], y.shape[2])
    for row in (y.floor(), y.floor() + 1):
        for column in (x.floor(), x.floor() + 1):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = (1 - (y - row).abs()) * (1 - (x - column).abs()) * inside
            pixel = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
            found = image.gather(3, pixel.unsqueeze(2).expand(-1, -1, image.shape[2], -1))
            result += found * weight.unsqueeze(2)
    return result


KERNELS: Mapping[str, Callable[..., Any]] = {
    "nms": nms,
    "roi_align": roi_align,
    "ps_roi_align": ps_roi_align,
    "roi_pool": roi_pool,
    "ps_roi_pool": ps_roi_pool,
    "deform_conv2d": deform_conv2d,
}
"""The operators of torchvision's library that have a kernel here."""
