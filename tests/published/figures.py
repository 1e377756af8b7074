"""Figures that papers and tools print of networks, each with our exact figure and the reason for a difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from profiler import Profile, profile
from profiler.config import InputSpec, InputValue
from profiler.models.building import build_model
from profiler.models.inputs import build_inputs

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}


def _nothing(_: Profile) -> int:
    return 0


@dataclass(frozen=True)
class Reason:
    """Why a printed figure differs from ours.

    ``left_out`` gives what to subtract from ours to get theirs; ``rounding`` says how theirs was rounded for print;
    ``elsewhere`` is how the same source prints the figure at another place, where it agrees with ours. A reason that
    is not ``known`` explains nothing.
    """

    text: str
    left_out: Callable[[Profile], int] = _nothing
    rounding: str = ROUND_HALF_UP
    elsewhere: str = ""
    known: bool = True


@dataclass(frozen=True)
class Figure:
    """``printed`` as its source has it, such as ``4.5 G``, and ``ours``, exactly.

    ``theirs`` is ours after a reason has left something out.
    """

    printed: str
    ours: int
    reason: Reason | None = None
    theirs: int | None = None


@dataclass(frozen=True)
class Network:
    """A network, its inputs, and the printed figures; ``work`` may be missing."""

    name: str
    target: str
    inputs: tuple[InputValue, ...] | Mapping[str, InputValue]
    work: Figure | None
    parameters: Figure
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The networks of one source. ``flops`` says that the source counts two for each multiply–accumulate."""

    title: str
    source: str
    networks: tuple[Network, ...]
    flops: bool = False
    note: str = ""


def prints_as(value: int, printed: str, rounding: str = ROUND_HALF_UP) -> bool:
    """Whether ``value``, rounded to as many digits, is ``printed``."""
    digits, _, unit = printed.partition(" ")
    return (Decimal(value) / UNITS[unit]).quantize(Decimal(digits), rounding) == Decimal(digits)


def explains(figure: Figure, result: Profile) -> bool:
    """Whether the figure's reason leads from ours to the printed figure, and is needed."""
    reason = figure.reason
    if reason is None:
        return prints_as(figure.ours, figure.printed)
    if prints_as(figure.ours, figure.printed):
        return False
    if not reason.known:
        return True
    if reason.elsewhere:
        return prints_as(figure.ours, reason.elsewhere)
    theirs = figure.ours - reason.left_out(result)
    written = figure.ours if figure.theirs is None else figure.theirs
    return theirs == written and prints_as(theirs, figure.printed, reason.rounding)


def measure(network: Network) -> Profile:
    """The profile of ``network`` on its inputs."""
    arguments, options = build_inputs(network.inputs)
    return profile(build_model(network.target, network.kwargs), options or arguments)


def parameters_of(result: Profile) -> int:
    """The parameters of a profiled network, without buffers."""
    return sum(record.size for record in result.trace.parameters if not record.buffer)


def work_of(result: Profile, table: Table) -> int:
    """The figure that ``table`` counts: multiply–accumulates, or twice as many FLOPs."""
    return result.total.macs * (2 if table.flops else 1)


def arxiv(number: str) -> str:
    """A link to a paper."""
    return f"[arXiv:{number}](https://arxiv.org/abs/{number})"


def github(repository: str, path: str = "") -> str:
    """A link to a repository, or to a file in it."""
    name, place = (f"{repository}, {path}", f"/blob/HEAD/{path}") if path else (repository, "")
    return f"[{name}](https://github.com/{repository}{place})"


def image(side: int) -> tuple[InputSpec]:
    """A batch of one square RGB image."""
    return (InputSpec(shape=(1, 3, side, side)),)


def tokens(length: int) -> dict[str, InputSpec]:
    """A batch of one text."""
    return {"input_ids": InputSpec(shape=(1, length), dtype="int64")}
