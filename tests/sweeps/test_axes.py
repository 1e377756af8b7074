"""What ``--vary`` accepts: lists, ranges, pairs; and the one line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from profiler.config import Config
from profiler.errors import ConfigError
from profiler.sweeps.axes import axis_of, check_axes, parse_axis, varied


def config(**keys: Any) -> Config:
    """A config of a network that is not built here."""
    return Config.model_validate({"name": "net", "model": {"target": "a:b"}, **keys})


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("B=1,2,4,8", ("B",), [(1,), (2,), (4,), (8,)]),
        ("B = 3", ("B",), [(3,)]),
        ("H=128:512:128", ("H",), [(128,), (256,), (384,), (512,)]),
        ("H=128:500:128", ("H",), [(128,), (256,), (384,)]),
        ("H=8:5:-2", ("H",), [(8,), (6,)]),
        ("H=2:4", ("H",), [(2,), (3,), (4,)]),
        ("H=5:5:7", ("H",), [(5,)]),
        ("s=16:100:*2", ("s",), [(16,), (32,), (64,)]),
        ("s=1,4:6,9", ("s",), [(1,), (4,), (5,), (6,), (9,)]),
        ("H,W=64:128:64", ("H", "W"), [(64, 64), (128, 128)]),
        ("H,W=[64,96],[128,160]", ("H", "W"), [(64, 96), (128, 160)]),
        ("H, W=64,[1, 2]", ("H", "W"), [(64, 64), (1, 2)]),
        ("kwargs.layers=[2,2],[3,4]", ("kwargs.layers",), [([2, 2],), ([3, 4],)]),
        (
            "kwargs.config.act=relu,'a,b',null,true,0.5",
            ("kwargs.config.act",),
            [("relu",), ("a,b",), (None,), (True,), (0.5,)],
        ),
        ("kwargs.options={a: 1}", ("kwargs.options",), [({"a": 1},)]),
        ("dtype=float32,bfloat16", ("dtype",), [("float32",), ("bfloat16",)]),
        (
            "mode,optimizer=[inference,null],[training,adam]",
            ("mode", "optimizer"),
            [("inference", None), ("training", "adam")],
        ),
    ],
)
def test_what_varies_is_read(text: str, names: tuple[str, ...], values: list[tuple[Any, ...]]) -> None:
    """Names and values; the end of a range is included if a step meets it."""
    axis = parse_axis(text)
    assert (axis.names, list(axis.values()), axis.count) == (names, values, len(values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("B", "--vary B: expected a name and values, such as B=1,2,4,8 or H,W=128:512:32"),
        ("B=", "--vary B=: expected a name and values"),
        ("B=64:", "--vary B=64:: found the range 64: without an end, expected START:STOP:STEP"),
        ("B=64::8", "--vary B=64::8: found the range 64::8 without an end"),
        ("B=:64:8", "--vary B=:64:8: found the range :64:8 without a beginning"),
        ("B=1:64:", "--vary B=1:64:: found the range 1:64: without a step"),
        ("B=1:64:0", "--vary B=1:64:0: found the range 1:64:0 with step 0, expected another step"),
        ("B=64:1:8", "--vary B=64:1:8: found the range 64:1:8, which never gets to 1, expected 1:64:8"),
        ("B=1:64:-8", "--vary B=1:64:-8: found the range 1:64:-8, which never gets to 64, expected 1:64:8"),
        ("B=1:64:*1", "--vary B=1:64:*1: found the range 1:64:*1, expected START:STOP:*FACTOR"),
        ("B=0:64:*2", "--vary B=0:64:*2: found the range 0:64:*2, expected START:STOP:*FACTOR"),
        (f"B=1:{10**30}", "--vary B=1:1000000000000000000000000000000: found the range '1:1"),
        ("2B=1", "--vary 2B=1: found the name '2B', expected the name of a size, kwargs.NAME or one of dtype, mode"),
        ("a b=1", "--vary a b=1: found the name 'a b', expected the name of a size"),
        ("kwargs.=1", "--vary kwargs.=1: found the name 'kwargs.'"),
        ("kwargs.a..b=1", "--vary kwargs.a..b=1: found the name 'kwargs.a..b'"),
        ("B,B=1", "--vary B,B=1: the name B is given twice"),
        ("kwargs.a=[1", "--vary kwargs.a=[1: line 1, column 3: while parsing a flow sequence"),
        (
            "kwargs.a=!!python/name:os.system",
            "--vary kwargs.a=!!python/name:os.system: line 1, column 1: found a value",
        ),
    ],
)
def test_a_mistake_is_one_line(text: str, message: str) -> None:
    """It names the option as typed, what was found and what was expected."""
    with pytest.raises(ConfigError) as caught:
        parse_axis(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (["B=1,2", "H,B=3"], "--vary B: the name is given twice"),
        (["B=1,2,1"], "--vary B: the value 1 is given twice"),
        (["B=0"], "--vary B: found 0, expected positive integers"),
        (["B=two"], "--vary B: found 'two', expected positive integers"),
        (["B=1.5"], "--vary B: found 1.5, expected positive integers"),
        (["B=true"], "--vary B: found true, expected positive integers"),
        (["macs=1"], "--vary macs: the table has a column of that name"),
        (["H,W=[1,0]"], "--vary W: found 0, expected positive integers"),
    ],
)
def test_axes_that_do_not_go_together(axes: list[str], message: str) -> None:
    """A name on two axes, a value twice, a size that is no positive integer, the name of a column."""
    with pytest.raises(ConfigError) as caught:
        check_axes([parse_axis(axis) for axis in axes], ("target", "macs"))
    assert str(caught.value).startswith(message)


def test_axes_from_python() -> None:
    """A range, a list, pairs; a text in place of a list is an error."""
    assert list(axis_of("B", range(1, 4)).values()) == [(1,), (2,), (3,)]
    assert list(axis_of("H,W", [1, (2, 3)]).values()) == [(1, 1), (2, 3)]
    assert list(axis_of(("H", "W"), [[2, 3]]).values()) == [(2, 3)]
    with pytest.raises(ConfigError, match="vary B: found '12', expected a list of values or a range"):
        axis_of("B", "12")
    with pytest.raises(ConfigError, match="vary B: found no values"):
        axis_of("B", [])


def test_a_very_long_range_is_not_expanded() -> None:
    """Its values are counted without being made."""
    assert parse_axis("B=1:999999999999999999").count == 10**18 - 1
    assert axis_of("B", range(0, 10**30, 3)).count == -(-(10**30) // 3)


def test_a_config_with_other_values() -> None:
    """Sizes, nested kwargs and settings are replaced, and the rest stays."""
    known = config(sizes={"B": 2, "w": 3}, inputs=[{"shape": ["B", 4]}], mode="training", optimizer="sgd")
    known = known.model_copy(update={"model": known.model.model_copy(update={"kwargs": {"config": {"a": 1, "b": 2}}})})
    other = varied(known, {"B": 5, "dtype": "float16", "mode": "inference", "cache": 7})
    assert other.sizes == {"B": 5, "w": 3}
    assert (other.dtype, other.mode, other.optimizer) == ("float16", "inference", None)
    assert other.cache is not None
    assert other.cache.length == 7
    nested = varied(known, {"kwargs.config.a": 9, "kwargs.new": [1]}).model.kwargs
    assert nested == {"config": {"a": 9, "b": 2}, "new": [1]}
    assert known.model.kwargs == {"config": {"a": 1, "b": 2}}
    named = config(sizes={"w": 3}, model={"target": "a:b", "kwargs": {"width": "w", "depth": 1}})
    assert varied(varied(named, {"kwargs.depth": 5}), {"w": 4}).model.kwargs == {"width": 4, "depth": 5}
    assert varied(known, {"optimizer": "adam"}).optimizer == "adam"
    assert varied(known, {"optimizer": None}).optimizer is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"Q": 3}, "size 'Q': not the name of a size here, expected one of B"),
        ({"dtype": "float31"}, "--dtype: found 'float31', expected a floating dtype"),
        ({"mode": "train"}, "--mode: found 'train', expected 'inference' or 'training'"),
        (
            {"optimizer": "adamm"},
            "--vary optimizer: found 'adamm', expected one of sgd, momentum, adam, adamw, did you",
        ),
        ({"optimizer": "adam"}, "--vary optimizer: found adam in mode inference, expected mode training"),
        ({"kwargs.width.x": 3}, "--vary kwargs.width.x: found width: 8, expected a mapping of kwargs"),
    ],
)
def test_values_that_a_config_does_not_accept(values: dict[str, Any], message: str) -> None:
    """The message names the option and the value."""
    known = config(sizes={"B": 2}, inputs=[{"shape": ["B"]}], model={"target": "a:b", "kwargs": {"width": 8}})
    with pytest.raises(ConfigError) as caught:
        varied(known, values)
    assert message in str(caught.value)
