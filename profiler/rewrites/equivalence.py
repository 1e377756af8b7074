"""Two networks and inputs → the difference of their outputs, in their own dtype and in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.records import show_shape
from profiler.rewrites.windows import sliding_windows
from profiler.tracing import Inputs, call_arguments
from profiler.tracing.object_copies import map_inputs
from profiler.tracing.objects import tensors_in
from profiler.tracing.tensors import dtype_name

Measure = Literal["largest_absolute", "largest_relative", "largest_squared", "mean_squared"]

MEASURES: tuple[Measure, ...] = ("largest_absolute", "largest_relative", "largest_squared", "mean_squared")


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The difference of two networks' outputs, and whether it is within the tolerance.

    ``largest_absolute`` is the largest difference of two values, and ``largest_output`` the largest magnitude of an
    output of the first network.  ``largest_squared`` is the largest squared difference of a batch: the sum of the
    squared differences over all values of its outputs, which is the squared Euclidean distance of the two outputs.
    ``mean_squared`` is the mean over all values of all batches.  Differences are computed in float64.  The figure
    ``measure`` is compared with the tolerance.  A value that is not finite exceeds any tolerance.
    """

    dtype: str
    batches: int
    values: int
    largest_output: float
    largest_absolute: float
    largest_squared: float
    mean_squared: float
    measure: Measure
    tolerance: float

    @property
    def largest_relative(self) -> float:
        """The largest difference as a fraction of the largest output."""
        return self.largest_absolute / self.largest_output if self.largest_output else self.largest_absolute

    @property
    def difference(self) -> float:
        """The figure that is compared with the tolerance."""
        figure: float = getattr(self, self.measure)
        return figure

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return isfinite(self.difference) and self.difference <= self.tolerance


def check_equivalence(
    before: nn.Module,
    after: nn.Module,
    inputs: Inputs,
    tolerance: float,
    *,
    measure: Measure = "largest_squared",
    batch: int | None = None,
) -> Equivalence:
    """Run both networks on ``inputs`` (real tensors) and compare their difference with ``tolerance``.

    With ``batch``, the tensors among the inputs are cut into batches of that size along their first dimension.
    Outputs have the same shape, or one has additional dimensions of size 1 at the end (a class score as a 1×1 map).
    Raises ProfilerError if a network is in training mode or on meta, or the outputs cannot be compared.
    """
    if measure not in MEASURES:
        raise ProfilerError(f"measure {measure!r} is not known, expected one of {', '.join(MEASURES)}")
    for network, which in ((before, "first"), (after, "second")):
        _check_comparable(network, which)
    found = _Differences()
    with torch.inference_mode():
        for part in _batches(inputs, batch):
            # A network may write into its inputs.
            outputs = [_run(network, map_inputs(part, torch.Tensor.clone)) for network in (before, after)]
            found.add(*outputs)
    return found.result(measure, tolerance)


def check_windows(
    before: nn.Module,
    after: nn.Module,
    images: torch.Tensor,
    size: tuple[int, ...],
    tolerance: float,
    *,
    step: int = 1,
    measure: Measure = "mean_squared",
) -> Equivalence:
    """Run ``before`` on every window of the images and ``after`` once on each image, and compare place by place.

    Images (N, C, *image) → windows of ``size``, ``step`` apart; ``before`` (N, C, *size) → (N, K), ``after``
    (N, C, *image) → (N, K, *windows).
    """
    found = _Differences()
    with torch.inference_mode():
        places, windows = sliding_windows(images, size, step)
        scores = torch.stack([before(window.contiguous()).flatten(1) for window in windows], dim=-1)
        maps = after(images)
        if maps.shape != (*scores.shape[:2], *places):
            raise ProfilerError(
                f"the network gives {show_shape(tuple(maps.shape))} for {show_shape(places)} windows, expected"
                f" {show_shape((*scores.shape[:2], *places))}"
            )
        found.add([scores.reshape(maps.shape)], [maps])
    return found.result(measure, tolerance)


def in_float64(network: nn.Module) -> nn.Module:
    """A copy of ``network`` whose floating tensors are float64."""
    return copy.deepcopy(network).double()


def _check_comparable(network: nn.Module, which: str) -> None:
    name = f"the {which} network ({type(network).__name__})"
    if network.training:
        raise ProfilerError(f"{name} is in training mode; call eval() on it before it is compared")
    if any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers())):
        raise ProfilerError(f"{name} is on the meta device and has no values to compare; give it real weights")


def _run(network: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    arguments, options = call_arguments(inputs)
    return list(tensors_in(network(*arguments, **options)))


def _batches(inputs: Inputs, size: int | None) -> Iterator[Any]:
    if size is None:
        yield inputs
        return
    lengths = {tensor.shape[0] for tensor in tensors_in(inputs) if tensor.dim()}
    if len(lengths) != 1:
        raise ProfilerError("inputs can be cut into batches only if all have the same first dimension")
    for start in range(0, lengths.pop(), size):

        def part(tensor: torch.Tensor, start: int = start) -> torch.Tensor:
            return tensor[start : start + size] if tensor.dim() else tensor

        yield map_inputs(inputs, part)


class _Differences:
    """The accumulated differences of several batches."""

    def __init__(self) -> None:
        self.dtype = ""
        self.batches = 0
        self.values = 0
        self.sum = 0.0
        self.outputs: list[float] = []
        self.absolute: list[float] = []
        self.squared: list[float] = []

    def add(self, before: list[torch.Tensor], after: list[torch.Tensor]) -> None:
        """Add the outputs of one batch."""
        if len(before) != len(after) or not before:
            raise ProfilerError(f"the networks give {len(before)} and {len(after)} tensors, which cannot be compared")
        squared = 0.0
        for first, second in zip(before, after, strict=True):
            if _without_ones(first) != _without_ones(second):
                shapes = " and ".join(show_shape(tuple(tensor.shape)) for tensor in (first, second))
                raise ProfilerError(f"the networks give {shapes}, which cannot be compared")
            difference = (second.double().reshape(first.shape) - first.double()).abs()
            self.dtype = self.dtype or dtype_name(first.dtype)
            self.values += difference.numel()
            if difference.numel():
                self.outputs.append(first.double().abs().max().item())
                self.absolute.append(difference.max().item())
            squared += difference.square().sum().item()
        self.batches += 1
        self.squared.append(squared)
        self.sum += squared

    def result(self, measure: Measure, tolerance: float) -> Equivalence:
        """The result, compared with ``tolerance``."""
        if not self.values:
            raise ProfilerError("there are no outputs to compare")
        return Equivalence(
            dtype=self.dtype,
            batches=self.batches,
            values=self.values,
            largest_output=_largest(self.outputs),
            largest_absolute=_largest(self.absolute),
            largest_squared=_largest(self.squared),
            mean_squared=self.sum / self.values,
            measure=measure,
            tolerance=tolerance,
        )


def _largest(values: list[float]) -> float:
    """The largest value; NaN if any of them is NaN, which ``max`` would ignore."""
    return torch.tensor(values, dtype=torch.float64).max().item()


def _without_ones(tensor: torch.Tensor) -> tuple[int, ...]:
    shape = list(tensor.shape)
    while shape and shape[-1] == 1:
        shape.pop()
    return tuple(shape)
