"""By whose count: the conventions by which tools and papers sum up a network in one figure, restated on our records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from profiler.crosschecks.counters.fvcore import fvcore_figure
from profiler.errors import ProfilerError, did_you_mean
from profiler.opcount import COUNT_COLUMNS
from profiler.records import OpCall
from profiler.tables import Headline


@dataclass(frozen=True, slots=True)
class Convention:
    """One way to count: the column that shows it, what it counts, and the figure of one operation call."""

    name: str
    column: str
    meaning: str
    figure: Callable[[OpCall], int]


def _macs(call: OpCall) -> int:
    return call.count.macs


CONVENTIONS: Mapping[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "exact",
            "flops",
            "FLOPs: multiplies + adds + divides + transcendentals of all operations",
            lambda call: call.count.flops,
        ),
        Convention("macs", "macs", "MACs: the multiply–accumulate pairs of contractions", _macs),
        Convention(
            "torchvision",
            "by_torchvision",
            "what torchvision publishes as _ops with its weights: the MACs of contractions, printed in units of 10⁹",
            _macs,
        ),
        Convention(
            "fvcore",
            "by_fvcore",
            "what fvcore counts, which timm's tables show: MACs of contractions, batch norm 2 an element, other norms "
            "5, adaptive average pooling 1 an input element, upsampling 1 or 4 a result; 0 for what fvcore has no rule "
            "for (LSTM, GRU and RNN kernels, convolutions whose padding is a word, …)",
            fvcore_figure,
        ),
        Convention(
            "paper",
            "by_paper",
            "what papers print: the multiply–accumulates of convolutions, linear layers and matrix products, batch "
            "norm taken as folded into the layer before it, everything else left out",
            _macs,
        ),
    )
}


def headline_of(name: str) -> Headline | None:
    """The column that tables show for a convention; none where it is one that they have anyway."""
    convention = find_convention(name)
    return None if convention.column in COUNT_COLUMNS else Headline(convention.column, convention.figure)


def find_convention(name: str) -> Convention:
    """The convention of that name.  Raises :class:`ProfilerError`."""
    if name not in CONVENTIONS:
        hint = did_you_mean(name, CONVENTIONS)
        raise ProfilerError(f"convention {name!r} is not known, expected one of {', '.join(CONVENTIONS)}{hint}")
    return CONVENTIONS[name]
