"""The number of MACs without those of scores that causal masks hide."""

from profiler.measures import Measure, Whole
from profiler.records import OpCall


def seen_macs(call: OpCall) -> int:
    """Its MACs less those that make or use a hidden score."""
    return call.count.macs - sum(term.masked for term in call.terms)


def where_masked(whole: Whole) -> str | None:
    """Some words where a mask is causal; of the backward pass it is not known which products a mask hides."""
    hidden = whole.figure("macs") - whole.figure("causal_macs")
    return "without the scores that causal masks hide" if hidden and whole.mode == "inference" else None


MEASURE = Measure(
    "causal_macs",
    "causal MACs",
    "MACs of inference without those of scores that causal masks hide",
    seen_macs,
    tables=(),
    fact=where_masked,
)
