"""The bytes of activations that are alive after each operation, with the phases of the run and the peak."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from profiler.formatting import bytes_text
from profiler.measures import Measure
from profiler.memory import MemoryRecord
from profiler.pictures import Picture, Profiles
from profiler.pictures._drawing import Sheet, bare, fill_of, label
from profiler.pictures._subjects import about

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def refusal(profiles: Profiles) -> str | None:
    """The profile must have been made with its live memory."""
    (profile,) = profiles
    if profile.trace.whole.memory is not None:
        return None
    return "found a profile without live memory, expected one made with it (--memory, or memory: true)"


def _record(profiles: Profiles) -> MemoryRecord:
    (profile,) = profiles
    record = profile.trace.whole.memory
    assert record is not None
    return record


def spans(record: MemoryRecord) -> list[tuple[str, int, int]]:
    """The phases, each with its first operation and the one after its last; those that alternate are one span."""
    starts = [(phase, first) for phase, first in record.phases if phase in ("forward", "backward", "optimizer")]
    kept = [start for number, start in enumerate(starts) if not number or start[0] != starts[number - 1][0]]
    return [(phase, first, after) for (phase, first), (_, after) in pairwise([*kept, ("", record.operations)])]


def sheet(profiles: Profiles, measure: Measure) -> Sheet:
    """The timeline below the name of the network and its input."""
    (profile,) = profiles
    notes = ("Inputs, results and their gradients; parameters and their gradients are apart.",)
    return Sheet(profile.name, about(profile, ()), (), notes, height=130, below=18)


def draw(profiles: Profiles, measure: Measure, ax: Axes) -> None:
    """Steps of bytes over operations, a line where a phase begins, and the peak."""
    record = _record(profiles)
    alive = record.activations()
    bare(ax, keep=("bottom",))
    ax.set_yticks([])
    ax.set_xticks([])
    most = max(alive, default=0)
    ax.set_xlim(0, max(record.operations, 1))
    ax.set_ylim(0, max(most, 1) * 1.28)
    fill = fill_of("conv")
    ax.fill_between(range(len(alive) + 1), [*alive, alive[-1] if alive else 0], step="post", color=fill.color, lw=0)
    for phase, first, _ in spans(record):
        if first:
            ax.axvline(first, color="0.4", linewidth=0.6, linestyle=(0, (3, 2)))
        label(ax, phase, (first, 0), (2, -9))
    at = record.at_peak
    right = at > record.operations / 2
    label(ax, f"peak {bytes_text(most)}", (at, most), (0, 8), ha="right" if right else "left", weight="bold")
    ax.plot([at + 0.5], [most], marker="v", markersize=3.5, color="0.1", clip_on=False)


def words(profiles: Profiles, measure: Measure) -> str:
    """The peak, and the phase and the operation that it is in."""
    (profile,) = profiles
    record = _record(profiles)
    at = record.at_peak
    phase = next((name for name, first, after in spans(record) if first <= at < after), "forward")
    peak = bytes_text(record.peak_activation_bytes)
    where = f"after operation {at + 1} of {record.operations}, in the {phase} phase"
    return f"{profile.name}: at most {peak} of activations are alive at once, {where}."


PICTURE = Picture("the activations that are alive over a run", draw, sheet, words, refusal=refusal, figures=())
