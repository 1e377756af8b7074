"""The picture of what changed between two networks."""

from __future__ import annotations

from profiler.analysis.diffing import diff
from profiler.measures import find_measure
from profiler.pictures import find_picture, plot
from profiler.pictures.diff import MOST, pairs, total
from tests.sample_profiles import Network, alexnet, partial

MACS = find_measure("macs")


def network(name: str, blocks: int, width: int = 4) -> Network:
    """Blocks of a convolution and an activation."""
    made = Network(name, (1, 3, 8, 8))
    for block in range(blocks):
        made.conv(f"block{block}.conv", width, 3, (8, 8)).relu(f"block{block}.act")
    return made.linear("head", 10)


def test_the_parts_add_up_to_both_networks() -> None:
    """Also if there are more parts than bars."""
    for blocks in (2, 7, 40):
        found = diff(network("a", blocks).profile(), network("b", blocks, width=8).profile())
        rows = pairs(found, MACS)
        whole = total(found, MACS)
        assert sum(row.was for row in rows) == whole.was
        assert sum(row.now for row in rows) == whole.now
        assert len(rows) <= MOST + 1


def test_figures_by_hand() -> None:
    """The first convolution has 3·3·3 MACs for each of width·8·8 results."""
    found = diff(network("a", 1).profile(), network("b", 1, width=8).profile())
    by_name = {row.name: (row.was, row.now) for row in pairs(found, MACS)}
    assert by_name["~ block0.conv"] == (27 * 4 * 64, 27 * 8 * 64)
    assert by_name["~ head"] == (4 * 64 * 10, 8 * 64 * 10)


def test_what_is_added_and_removed_has_its_sign() -> None:
    """Colors carry no meaning alone."""
    found = diff(network("a", 1).profile(), network("b", 2).profile())
    assert any(row.name.startswith("+ block1") and row.was == 0 for row in pairs(found, MACS))
    found = diff(network("b", 2).profile(), network("a", 1).profile())
    assert any(row.name.startswith("- block1") and row.now == 0 for row in pairs(found, MACS))


def test_equal_networks_have_a_sentence() -> None:
    """There are no bars without a difference."""
    figure = plot("diff", [alexnet(), alexnet()])
    assert "no module differs" in [text.get_text() for text in figure.axes[0].texts]
    assert "unchanged" not in find_picture("diff").title


def test_lower_bounds_are_marked() -> None:
    """A network with uncounted work has at least this many."""
    assert total(diff(alexnet(), partial()), MACS).text.count("≥") == 1
