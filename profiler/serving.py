"""What generated tokens at least take on a device: the roofline of each operation of each run, summed up exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from profiler.devices import Device
from profiler.errors import ProfilerError
from profiler.generations import FIGURES, Piece, Series, StepOperation
from profiler.roofline import BOUNDS, LeastTime

Line = tuple[Fraction, Fraction]
"""A number that is linear in n: its value at 0, and its slope."""


def least_time(pieces: Sequence[Piece], device: Device) -> LeastTime:
    """The time that these runs at least take on the device: the sum over all operations of all runs."""
    found = LeastTime()
    for piece in pieces:
        for operation in piece.span.operations:
            lines = _lines(operation, device)
            if isinstance(lines, str):
                found.reasons[lines] = None
                continue
            for bound, seconds in _largest(lines, piece.start, piece.start + piece.count - 1):
                found.seconds[bound] += operation.times * seconds
    return found


def _lines(operation: StepOperation, device: Device) -> dict[str, Line] | str:
    """The seconds of one call by each bound, linear in n, or the reason why they are not known."""
    if operation.status == "uncounted":
        return f"{operation.op} has no rule"
    if not operation.moves:
        return f"the bytes that {operation.op} moves are not known"
    figures = dict(zip(FIGURES, operation.figures, strict=True))
    moved = _sum(_line(figures["bytes_read"]), _line(figures["bytes_written"]))
    contracted = _line(figures["contracted_flops"])
    others = _sum(_line(figures["flops"]), _over(contracted, Fraction(-1)))
    found = {"memory": _over(moved, Fraction(device.memory_bandwidth))}
    for unit, line, peaks in (("tensor", contracted, device.tensor), ("vector", others, device.vector)):
        if any(line) and operation.dtype not in peaks:
            return f"{device.name} has no {unit} peak of {operation.dtype}"
        found[unit] = _over(line, Fraction(peaks[operation.dtype])) if any(line) else (Fraction(0), Fraction(0))
    return {bound: found[bound] for bound in BOUNDS}


def _line(series: Series) -> Line:
    if len(series.differences) > 2:
        raise ProfilerError("the time of steps needs figures that are linear in the length of the cache")
    value, slope = (*series.differences, 0)[:2]
    return Fraction(value), Fraction(slope)


def _sum(one: Line, other: Line) -> Line:
    return one[0] + other[0], one[1] + other[1]


def _over(line: Line, divisor: Fraction) -> Line:
    return line[0] / divisor, line[1] / divisor


def _largest(lines: dict[str, Line], first: int, last: int) -> Iterator[tuple[str, Fraction]]:
    """The sums of the largest of these lines at n = ``first``, …, ``last``, by the name of the largest.

    A line that is the largest at both ends is the largest everywhere between them.
    """

    def at(name: str, n: int) -> Fraction:
        return lines[name][0] + lines[name][1] * n

    top = max(at(name, first) for name in lines), max(at(name, last) for name in lines)
    for name in lines:
        if (at(name, first), at(name, last)) == top:
            count = last - first + 1
            yield name, (at(name, first) + at(name, last)) * count / 2
            return
    middle = (first + last) // 2
    yield from _largest(lines, first, middle)
    yield from _largest(lines, middle + 1, last)
