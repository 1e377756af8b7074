"""The points of a grid and of a stream: their order, their numbers, their digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from profiler.config import Config
from profiler.errors import ConfigError
from profiler.sweeps.axes import parse_axis
from profiler.sweeps.points import Candidates, Grid, Point
from profiler.sweeps.sources import is_stream, points_of
from tests.sweeps.networks import write_search


def config(name: str = "net", **keys: Any) -> Config:
    """A config of a network that is not built here."""
    data = {"name": name, "model": {"target": "a:b", "kwargs": {"w": "w"}}, "sizes": {"B": 2, "w": 3}}
    return Config.model_validate({**data, "inputs": [{"shape": ["B", 4]}], **keys})


def test_the_numbers_are_those_of_the_order_as_given() -> None:
    """The last axis changes fastest; points of the same network come one after the other nevertheless."""
    axes = [parse_axis("B=1,2"), parse_axis("w=3,4,5")]
    points = list(Grid([("one", config()), ("two", config())], axes))
    by_number = sorted(points, key=lambda point: point.number)
    expected = [(name, batch, width) for name in ("one", "two") for batch in (1, 2) for width in (3, 4, 5)]
    assert [(point.target, *point.values) for point in by_number] == expected
    assert [point.number for point in by_number] == list(range(2 * 2 * 3))
    widths = [point.values[1] for point in points]
    assert widths == [3, 3, 4, 4, 5, 5] * 2
    for point in points:
        assert point.config is not None
        assert (point.config.sizes, point.config.model.kwargs["w"]) == (
            {"B": point.values[0], "w": point.values[1]},
            point.values[1],
        )


def test_a_grid_without_axes_is_its_sources() -> None:
    """One point a source."""
    grid = Grid([("one", config()), ("two", config())], [])
    assert [(point.number, point.target, point.values) for point in grid] == [(0, "one", ()), (1, "two", ())]
    assert grid.total == 2


def test_a_grid_of_more_than_a_limit_is_refused() -> None:
    """The message has the number, and how to allow it; the values are not expanded."""
    axes = [parse_axis("B=1:100000000000"), parse_axis("w=1,2")]
    message = (
        f"found a grid of {2 * 10**11:,} points, expected at most 1,000,000; allow more by --max-points {2 * 10**11}"
    )
    with pytest.raises(ConfigError) as caught:
        points_of([("net", config())], axes)
    assert message in str(caught.value)
    assert Grid([("net", config())], axes[1:], 2).total == 2
    with pytest.raises(ConfigError, match="a grid of 2 points, expected at most 1"):
        Grid([("net", config())], axes[1:], 1)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["Q=1"], "size 'Q': not the name of a size here, expected one of B, w"),
        (["dtype=float32,float31"], "--dtype: found 'float31'"),
        (["mode=inference,train"], "--mode: found 'train'"),
        (["optimizer=adam,adamm"], "found 'adamm'"),
        (["status=1"], "--vary status: the table has a column of that name"),
        (["flops=1"], "--vary flops: the table has a column of that name"),
    ],
)
def test_a_name_or_setting_that_is_not_known_is_found_before_any_work(axes: list[str], message: str) -> None:
    """Also if only the last value is wrong."""
    with pytest.raises(ConfigError) as caught:
        points_of([("net", config())], [parse_axis(axis) for axis in axes])
    assert message in str(caught.value)


def test_a_source_given_twice_is_an_error() -> None:
    """Their rows could not be distinguished."""
    with pytest.raises(ConfigError, match="net: the source is given twice"):
        points_of([("net", config()), ("net", config())], [])


def test_a_point_that_has_no_config_has_a_reason() -> None:
    """An expression that is not exact at some size is an error of that point."""
    divided = config(model={"target": "a:b", "kwargs": {"heads": "w/3"}})
    points = list(Grid([("net", divided)], [parse_axis("w=3,4,6")]))
    assert [point.config is None for point in points] == [False, True, False]
    assert "model.kwargs.heads: found 'w/3', expected a division without remainder" in points[1].error


def test_a_digest_changes_with_everything_that_figures_depend_on(tmp_path: Path) -> None:
    """Shapes, kwargs, dtype, mode, the text of the network's file; and not with names or tables of reports."""
    (tmp_path / "net.py").write_text("one")
    base: dict[str, Any] = {"model": {"target": f"{tmp_path}/net.py:Net", "kwargs": {"w": 1}}}
    changes: list[dict[str, Any]] = [
        {},
        {"inputs": [{"shape": ["B", 5]}]},
        {"sizes": {"B": 3, "w": 3}},
        {"dtype": "float16"},
        {"mode": "training"},
        {"mode": "training", "optimizer": "sgd"},
        {"cache": {"length": 3}},
        {"exclude": ["a"]},
        {"views": ["depthwise_apart"]},
        {"model": {"target": f"{tmp_path}/net.py:Net", "kwargs": {"w": True}}},
    ]
    digests = [Point(0, "net", (), config(**{**base, **change})).digest() for change in changes]
    assert len(set(digests)) == len(changes)
    assert all(len(digest) == 16 for digest in digests)
    same = {"name": "other", "report": {"tables": ["layers"]}, "crosscheck": ["torch"]}
    assert Point(0, "net", (), config(**{**base, **same})).digest() == digests[0]
    (tmp_path / "net.py").write_text("another")
    assert Point(0, "net", (), config(**base)).digest() != digests[0]


def test_candidates_are_made_one_at_a_time() -> None:
    """The function is not ahead of the points; a candidate that is no config is a point with a reason."""
    made: list[int] = []

    def search() -> Iterator[Config | Mapping[str, Any]]:
        for number, candidate in enumerate([config("mine"), {"model": {"target": "c:d"}}, {"model": 3}, 4]):
            made.append(number)
            yield candidate  # type: ignore[misc]

    points = iter(Candidates("search", search, Path("/somewhere")))
    first = next(points)
    assert made == [0]
    assert (first.number, first.target) == (0, "mine")
    second, third, fourth = points
    assert second.config is not None
    assert (second.target, second.config.base) == ("candidate_1", Path("/somewhere"))
    assert third.error.startswith("search, candidate_2: model: found 3, expected a mapping")
    assert "found 4, expected a Config or a mapping" in fourth.error


def test_an_error_of_the_function_is_one_line() -> None:
    """So is a stream that is longer than the limit."""

    def broken() -> Iterator[Config]:
        yield config()
        raise ValueError("no\nmore")

    with pytest.raises(
        ConfigError, match=r"^search: it raised ValueError: no\\nmore$|^search: it raised ValueError: no more$"
    ):
        list(Candidates("search", broken, Path.cwd()))

    def endless() -> Iterator[Config]:
        while True:
            yield config()

    with pytest.raises(ConfigError, match="search: found more than 3 candidates; allow more by --max-points"):
        list(Candidates("search", endless, Path.cwd(), 3))


def test_functions_that_yield_networks_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a yield of their own or by what they say that they return; the file is not run."""
    (tmp_path / "search.py").write_text(
        "raise SystemExit\n"
        "def one():\n    yield 1\n"
        "def two() -> 'Iterator[Config]':\n    return iter([])\n"
        "def three() -> typing.Iterable[Config]: ...\n"
        "def net(): return nn.Linear(1, 1)\n"
        "def inner():\n    def f():\n        yield 1\n    return nn.Linear(1, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ("one", "two", "three", "net", "inner", "gone")
    assert [is_stream(f"search.py:{name}") for name in names] == [True, True, True, False, False, False]
    assert not is_stream("torchvision:resnet18")
    assert not is_stream("gone.py:one")
    assert is_stream(f"{write_search(tmp_path, 3)}:candidates")
