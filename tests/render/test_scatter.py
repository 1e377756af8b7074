"""The drawing of networks by their parameters and their work."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from profiler.render import comparison_report
from profiler.render.scatter import Landscape, Place, drawing, front, limits, ticks
from tests import sample_profiles as nets
from tests.render.test_page import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def drawn(landscape: Landscape, links: dict[str, str] | None = None) -> ElementTree.Element:
    """The drawing as XML."""
    return ElementTree.fromstring(
        drawing(landscape, links).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )


def test_the_front_by_hand() -> None:
    """A point with both figures larger than another one is not on it; equal ones are."""
    assert front([(1, 9), (2, 3), (2, 3), (3, 4), (9, 1)]) == [0, 1, 2, 4]


def test_every_network_is_a_point() -> None:
    """Also those whose names have no room; names that are shown do not repeat."""
    many = Landscape("MACs", tuple(Place(f"network {n}", 10 + n % 7, 100 + n % 11) for n in range(400)))
    found = drawn(many)
    assert len(found.findall(f".//{SVG}circle")) == 400
    assert len(found.findall(f".//{SVG}text[@class='name']")) < 400


def test_lower_bounds_have_another_shape() -> None:
    """A partial network is a triangle, and its title says that its work is at least that much."""
    (point,) = drawn(Landscape("MACs", (Place("a", 5, 7), Place("b", 6, 8, bound=True)))).findall(f".//{SVG}polygon")
    assert point[0].text == "b: ≥8 MACs, 6 parameters"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    """In titles, names and descriptions: the elements are those of harmless names."""
    safe = drawn(Landscape("MACs", (Place("a", 5, 7), Place("b", 6, 8))))
    found = drawn(Landscape("MACs", (Place(name, 5, 7), Place("b", 6, 8))))
    assert {element.tag for element in found.iter()} <= {element.tag for element in safe.iter()} | {f"{SVG}path"}


def test_a_comparison_without_two_networks_to_draw_has_none() -> None:
    """A network without parameters or MACs has no place on logarithmic axes."""
    assert comparison_report([nets.small(), nets.nothing()]).landscape is None
    found = comparison_report([nets.small(), nets.alexnet()]).landscape
    assert found is not None
    assert [place.name for place in found.networks] == ["small", "alexnet"]
    assert found.networks[1].work == nets.alexnet().total.macs


@pytest.mark.parametrize("numbers", [[1, 1], [5, 6], [10**3, 10**12], [2**70, 2**71]])
def test_axes_have_some_ticks(numbers: list[int]) -> None:
    """They are within the axis."""
    low, high = limits(numbers)
    found = ticks(low, high)
    assert found
    assert all(low <= tick <= high for tick in found)
