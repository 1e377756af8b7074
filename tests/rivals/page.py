"""The page of other counters of memory and bytes, docs/other-memory.md: ``python -m tests.rivals.page`` writes it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from profiler.files import write_text
from profiler.records import Mode
from tests.rivals.measuring import MISSING, NETWORKS, REASONS, WAYS, MemTracker, Moved, Peak, moved, peaks

PAGE = Path(__file__).parents[2] / "docs" / "other-memory.md"

MODES: tuple[Mode, ...] = ("inference", "training")

XLA = (
    "https://github.com/tensorflow/tensorflow/blob/037c4f1b12252c83d19a6ace9e91a70e6d561f89/"
    "third_party/xla/xla/service/hlo_cost_analysis.cc"
)
"""The source of XLA's rule."""

MEMORY = f"""\
# Other counters of memory and bytes

## Live memory

torch has `torch.distributed._tools.mem_tracker.MemTracker`, a dispatch mode that follows real storages in a real run.
These are the peaks of all tensors in bytes, parameters and buffers included, of the {len(NETWORKS)} networks of
`tests/tracing/test_lifetimes.py` on the CPU, beside `Profile.memory_needed` from the meta device. In training a run is
a forward and a backward pass without an optimizer.
"""

DECOMPOSED = """\
The reason for each difference is **decomposed**: in `torch.inference_mode` a dispatch mode sees whole operators, in
`torch.no_grad` it sees what they are decomposed into, with intermediate results: the mean of a layer norm, the indices
of max pooling, contiguous copies and the row sums of attention. Our inference is that of `inference_mode`. Differences
without a reason would be marked `unexplained`; there are none.
"""

BYTES = f"""\
## Bytes

XLA's cost analysis says how many bytes each instruction accesses ([hlo_cost_analysis.cc][xla]). XLA is not installed
here, so its rule is applied to our records, each call as one instruction that is not fused: the sizes of its operands
and of its results; of a slice twice the result, of a look-up twice the result and the indices, of an operand that is
passed on nothing. XLA would divide some of these calls into several instructions, and count what lies between them
too; and it fuses, which saves that.

[xla]: {XLA}

The parts add up to the difference, call by call:
"""


def memory_table(found: Iterable[Peak]) -> list[str]:
    """A row for each network: the peak in inference, without gradients, and in training."""
    by_network: dict[str, dict[str, Peak]] = {}
    for each in found:
        by_network.setdefault(each.network, {})[each.way] = each
    lines = [
        "| network | inference | MemTracker | MemTracker, `no_grad` | reason | training | MemTracker |",
        "|:--|--:|--:|--:|:--|--:|--:|",
    ]
    for name, of in by_network.items():
        inference, without, training = (of[way] for way in WAYS)
        reasons = ", ".join(dict.fromkeys(filter(None, (each.reason for each in (inference, without, training)))))
        cells = [_equal(inference), _equal(without), reasons, f"{training.ours:,}", _equal(training)]
        lines.append(f"| {name} | {inference.ours:,} | {' | '.join(cells)} |")
    return lines


def _equal(found: Peak) -> str:
    return "=" if found.ours == found.theirs else f"{found.theirs:,} ({found.theirs - found.ours:+,})"


def bytes_table(found: Sequence[Moved]) -> list[str]:
    """A row for each network and mode, with the parts of the difference."""
    lines = [
        f"| network | mode | ours | XLA's rule | ratio | {' | '.join(REASONS)} |",
        "|:--|:--|--:|--:|--:|" + "--:|" * len(REASONS),
    ]
    for each in found:
        parts = " | ".join(f"{number:+,}" if number else "0" for number in each.reasons.values())
        ratio = f"{each.theirs / each.ours:.2f}"
        lines.append(f"| {each.network} | {each.mode} | {each.ours:,} | {each.theirs:,} | {ratio} | {parts} |")
    return lines


def page(alive: Sequence[Peak], traffic: Sequence[Moved]) -> str:
    """The whole page."""
    equal = sum(each.ours == each.theirs for each in alive)
    summary = f"{equal} of {len(alive)} peaks are equal to the byte (`=`)."
    reasons = [f"- **{name}**: {text}" for name, text in REASONS.items()]
    blocks = [
        MEMORY,
        f"{summary}\n",
        *memory_table(alive),
        "",
        DECOMPOSED,
        BYTES,
        *reasons,
        "",
        *bytes_table(traffic),
        "",
        f"Measured with torch {torch.__version__.partition('+')[0]}. This page is written by "
        "`python -m tests.rivals.page`, which takes about two minutes.",
    ]
    return "\n".join(blocks) + "\n"


def measured() -> str:
    """The page of new measurements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return page(
            [each for name in NETWORKS for each in peaks(name)],
            [moved(name, mode) for name in NETWORKS for mode in MODES],
        )


if __name__ == "__main__":
    if MemTracker is None:
        sys.exit(MISSING)
    write_text(PAGE, measured())
