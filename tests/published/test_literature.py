"""The literature's figures: ours are exact, and lead to the printed ones, or a reason says why not."""

import pytest

from tests.published.figures import Figure, Network, Reason, Table, explains, measure, parameters_of, prints_as, work_of
from tests.published.literature import GPT3, TABLES

CASES = [
    pytest.param(table, network, id=network.name, marks=() if place == 0 else pytest.mark.slow)
    for table in TABLES
    for place, network in enumerate(table.networks)
]


@pytest.mark.parametrize(("table", "network"), CASES)
def test_a_printed_figure_is_reached(table: Table, network: Network) -> None:
    """Work and parameters are what is written down, and print as published or differ for the reason given."""
    result = measure(network)
    assert result.complete
    assert parameters_of(result) == network.parameters.ours
    assert explains(network.parameters, result)
    if network.work is not None:
        assert work_of(result, table) == network.work.ours
        assert explains(network.work, result)


def test_gpt3_is_the_sum_that_the_page_shows() -> None:
    """Blocks, embeddings and the last norm, by hand."""
    width, layers, positions, vocabulary = 12288, 96, 2048, 50257
    blocks = layers * (12 * width**2 + 13 * width)
    assert GPT3.networks[0].parameters.ours == blocks + (vocabulary + positions) * width + 2 * width


def test_a_figure_is_rounded_as_it_is_printed() -> None:
    """To its digits, in its unit, half up; or cut."""
    assert prints_as(4_490_566_656, "4.5 G")
    assert not prints_as(4_455_531_264, "4.4 G")
    assert prints_as(4_455_531_264, "4.4 G", cut=True)
    assert prints_as(850_000_871_424, "850.0009 G")
    assert not prints_as(850_000_871_424, "850.0008 G")
    assert prints_as(12, "12")
    assert not prints_as(13, "12")


def test_a_wrong_figure_is_seen() -> None:
    """A reason that does not lead to the printed figure, and one that is not needed, are errors."""
    result = measure(TABLES[0].networks[0])
    assert explains(Figure("1.2 K", 1234), result)
    assert not explains(Figure("1.3 K", 1234), result)
    assert not explains(Figure("1.2 K", 1234, Reason("cut", cut=True)), result)
    assert explains(Figure("1.2 K", 1290, Reason("cut", cut=True)), result)
    assert not explains(Figure("1.1 K", 1290, Reason("cut", cut=True)), result)
    assert explains(Figure("1.0 K", 1290, Reason("300 are left out", lambda _: 300)), result)
    assert not explains(Figure("1.1 K", 1290, Reason("300 are left out", lambda _: 300)), result)
    assert explains(Figure("1.1 K", 1290, Reason("who knows", known=False)), result)
