"""How much of their peak the devices of a run of training use: MFU and HFU, each by two conventions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from profiler.columns import FIRST, HEADLINE, Column
from profiler.records import Trace
from profiler.roofline import dtype_of
from profiler.schema import Table
from profiler.tabulate import Work

COLUMNS = (
    Column("figure", "name", FIRST, meaning="MFU: of the model's FLOPs; HFU: of all FLOPs that ran"),
    Column("convention", "text", 3, meaning="which FLOPs count"),
    Column("flops", "count", 8, "FLOPs of the step", bound=True, meaning="of the profiled step"),
    Column("flops_per_token", "rate", 5, "FLOPs per token", bound=True),
    Column("flops_per_second", "rate", 4, "FLOP/s per device", bound=True),
    Column("peak", "rate", 6, "peak FLOP/s", meaning="of contractions, of one device"),
    Column("utilization", "share", HEADLINE, bound=True, meaning="FLOP/s per device ÷ peak FLOP/s"),
    Column("status", "status", 2, meaning="partial if some work is not counted, or the peak is not known"),
    Column("reason", "text", 20, width=30, meaning="why"),
)

SUBJECT = "Utilization of the devices in training"

CONTRACTIONS, EVERYTHING = "contractions", "all operations"

FIGURES = (("MFU", CONTRACTIONS), ("HFU", CONTRACTIONS), ("MFU", EVERYTHING), ("HFU", EVERYTHING))
"""The figures with their conventions.  The first is what papers call MFU, the second what they call HFU."""

OF_MODEL = {CONTRACTIONS: ("forward", "backward"), EVERYTHING: ("forward", "backward")}
"""The phases of the model's own FLOPs: the forward pass and the gradients, without what is recomputed."""

OF_HARDWARE = {CONTRACTIONS: (*OF_MODEL[CONTRACTIONS], "recompute"), EVERYTHING: ()}
"""The phases of all that ran; all of them if none is named."""


def table(work: Work) -> Table:
    """One row for each figure and convention; no rows without a device, a throughput and a training step."""
    device, throughput, trace = work.device, work.throughput, work.trace.whole
    tokens = tokens_of(trace)
    if device is None or throughput is None or not tokens:
        return Table.of("utilization", SUBJECT, COLUMNS, ())
    dtype = dtype_of_contractions(work)
    peak = device.tensor.get(dtype)
    per_device = throughput.rate(tokens) / throughput.devices
    rows = []
    for figure, convention in FIGURES:
        flops = flops_of(work, figure, convention)
        rate = flops * per_device / tokens
        reasons = list(_reasons(work))
        if peak is None:
            reasons.append(f"{device.name} has no tensor peak of {dtype}")
        rows.append(
            (
                figure,
                convention,
                flops,
                float(Fraction(flops, tokens)),
                float(rate),
                peak,
                None if peak is None else float(rate / Fraction(peak)),
                "partial" if reasons else "complete",
                "; ".join(reasons),
            )
        )
    return Table.of("utilization", f"{SUBJECT} on {throughput.devices:,} × {device.name}", COLUMNS, rows)


def flops_of(work: Work, figure: str, convention: str) -> int:
    """The FLOPs of the profiled step that the figure counts.

    Of contractions these are two for each MAC.  The model's own FLOPs are those of the forward pass and of gradients;
    the hardware's are those of all that ran: also what is recomputed, and of all operations the optimizer's step.
    """
    phases = (OF_MODEL if figure == "MFU" else OF_HARDWARE)[convention]
    total = 0
    for tally in work.tallies:
        if not phases or tally.phase in phases:
            count = tally.answer.count
            total += tally.times * (2 * count.macs if convention == CONTRACTIONS else count.flops)
    return total


def _reasons(work: Work) -> Iterator[str]:
    if work.trace.unseen:
        yield "some work is not recorded"
    yield from dict.fromkeys(f"{tally.op} has no rule" for tally in work.tallies if tally.status == "uncounted")


def dtype_of_contractions(work: Work) -> str:
    """The dtype in which most MACs of the step are computed."""
    found: Counter[str] = Counter()
    for tally in work.tallies:
        macs = tally.answer.count.macs * tally.times
        if macs:
            found[dtype_of(tally.signature)] += macs
    return max(found, key=found.__getitem__, default="float32")


def tokens_of(trace: Trace) -> int:
    """The number of tokens of a step, from the first input: batch × positions, or the samples of images and the like.

    It is 0 if the network has no inputs with a batch.
    """
    root = trace.modules[0]
    shapes = [shape for shape in (root.input_shapes[0] if root.input_shapes else ()) if shape]
    if not shapes:
        return 0
    first = shapes[0]
    return first[0] * first[1] if len(first) in (2, 3) else first[0]


def shown(table: Table) -> Table:
    """The table without statuses if all is known."""
    return table.without([] if "partial" in table["status"] else ["status", "reason"])


def remarks(work: Work) -> Iterator[str]:
    """What the figures count, and whose peak it is."""
    device, throughput, trace = work.device, work.throughput, work.trace.whole
    tokens = tokens_of(trace)
    if device is None or throughput is None or not tokens:
        return
    yield (
        "MFU counts the forward pass and the gradients, HFU also what is recomputed. Contractions: 2 FLOPs for each "
        "MAC, as in papers; all operations: every FLOP, in HFU those of the optimizer too."
    )
    yield (
        f"The profiled step has {tokens:,} tokens ({_what(trace)}); the peak is that of "
        f"{dtype_of_contractions(work)} contractions, in which most MACs are computed."
    )


def _what(trace: Trace) -> str:
    first = next(shape for shape in trace.modules[0].input_shapes[0] if shape)
    return "batch × positions of the first input" if len(first) in (2, 3) else "the samples of the batch"
