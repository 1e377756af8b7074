"""docs/other-memory.md has what other counters find, and every difference has a reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import profiler
from profiler.records import Mode
from tests.rivals import page
from tests.rivals.measuring import MISSING, NETWORKS, MemTracker, Peak, moved, parts, peaks

STALE = "measure again: python -m tests.rivals.page"

TEXT = page.PAGE.read_text(encoding="utf-8")

tracker_needed = pytest.mark.skipif(MemTracker is None, reason=MISSING)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
@tracker_needed
@pytest.mark.parametrize("name", ["norms", "checkpoint"])
def test_the_page_has_the_peaks_of_mem_tracker(name: str) -> None:
    """The row of a network is what is measured now; inference and training are equal to the byte."""
    found = list(peaks(name))
    assert page.memory_table(found)[-1] in TEXT, STALE
    assert [each.reason for each in found if each.way != "without gradients"] == ["", ""]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"), [("tied", "training"), ("masked", "inference"), ("convolutions", "training")]
)
def test_the_page_has_the_bytes_by_the_rule_of_xla(name: str, mode: Mode) -> None:
    """The parts add up to the difference, and the row is on the page."""
    found = moved(name, mode)
    assert found.theirs - found.ours == sum(found.reasons.values())
    assert page.bytes_table([found])[-1] in TEXT, STALE


def test_no_difference_is_unexplained() -> None:
    """Every network has its rows, and the word for a difference without a reason is in none of them."""
    rows = [line for line in TEXT.splitlines() if line.startswith("| ")]
    assert all(sum(line.startswith(f"| {name} |") for line in rows) == 3 for name in NETWORKS)
    assert not any("unexplained" in line for line in rows)
    assert Peak("x", "training", 1, 2).reason == "unexplained"


def test_parts_of_small_calls_by_hand() -> None:
    """Equal operands, an expanded one, a view, a slice and a look-up, each by its own rule."""

    class Calls(nn.Module):
        def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
            y = (x + x).view(12)[:5]
            return y + x[at].sum().expand(5)

    x, at = torch.empty(3, 4, device="meta"), torch.zeros(2, dtype=torch.long, device="meta")
    found = {call.op: parts(call) for call in profiler.profile(Calls(), (x, at)).trace.calls[:3]}
    assert found["aten::add"] == (4 * (12 + 12), 4 * (12 + 12 + 12), {"shared": 4 * 12, "unread": 0, "results": 0})
    assert found["aten::view"] == (0, 4 * (12 + 12), {"views": 4 * (12 + 12)})
    assert found["aten::slice"] == (0, 4 * (5 + 5), {"views": 4 * (5 + 5)})


@pytest.mark.exhaustive
@tracker_needed
def test_the_whole_page_is_what_is_measured() -> None:
    """All networks again."""
    assert page.measured() == TEXT, STALE
