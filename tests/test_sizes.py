"""Names of sizes in configs and on the command line: what they become, and the one line for each mistake."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import profiler
from profiler.cli import cli
from profiler.config import (
    Config,
    InputsFrom,
    InputsOfCall,
    InputSpec,
    load_config,
    quick_config,
    with_options,
    with_sizes,
)
from profiler.config.sizes import ExpressionError, expression, sizes_of
from profiler.errors import ConfigError


def config_of(folder: Path, data: dict[str, Any]) -> Path:
    """A config file with ``data``, of a target that is not built here."""
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump({"model": {"target": "a:b"}, **data}))
    return path


IMAGES = {"sizes": {"B": 2, "H": 5, "W": 7}, "inputs": [{"shape": ["B", 3, "H", "W"]}]}


def test_a_shape_has_the_values_of_its_names(tmp_path: Path) -> None:
    """The same name in two inputs is the same size; the names are kept beside the numbers."""
    data = {**IMAGES, "inputs": {"x": {"shape": ["B", 3, "H", "W"]}, "y": {"shape": ["B", "H"], "dtype": "int64"}}}
    config = load_config(config_of(tmp_path, data))
    assert config.sizes == {"B": 2, "H": 5, "W": 7}
    assert config.inputs == {"x": InputSpec(shape=(2, 3, 5, 7)), "y": InputSpec(shape=(2, 5), dtype="int64")}
    assert config.written.inputs == data["inputs"]
    assert config.written.names(config.sizes) == ("B", "H", "W")


def test_names_reach_into_kwargs_cache_and_other_inputs(tmp_path: Path) -> None:
    """An expression may be in nested kwargs, in the length of the cache, and in any form of inputs."""
    sizes = {"h": 128, "s": 9, "c": 4}
    kwargs = {
        "config": {"hidden": "h", "layers": [1, "h//100"], "ffn": "4*h", "heads": "h/64"},
        "rest": "(h - s) % 7 + -1",
    }
    data = {"sizes": sizes, "model": {"target": "a:b", "kwargs": kwargs}, "cache": {"length": "2*c"}}
    config = load_config(config_of(tmp_path, data))
    assert config.model.kwargs == {
        "config": {"hidden": 128, "layers": [1, 1], "ffn": 4 * 128, "heads": 128 // 64},
        "rest": (128 - 9) % 7 - 1,
    }
    assert config.cache is not None
    assert config.cache.length == 2 * 4

    call = {"args": [{"shape": [1, "s"], "dtype": "int64", "high": "h"}], "kwargs": {"keep": "s", "sizes": [1, ["s"]]}}
    inputs = load_config(config_of(tmp_path, {"sizes": sizes, "inputs": call})).inputs
    assert isinstance(inputs, InputsOfCall)
    assert inputs.args == (InputSpec(shape=(1, 9), dtype="int64", high=128),)
    assert inputs.kwargs == {"keep": 9, "sizes": (1, (9,))}

    made = {"from": "net.py:inputs", "kwargs": {"length": "s+1"}}
    inputs = load_config(config_of(tmp_path, {"sizes": sizes, "inputs": made})).inputs
    assert isinstance(inputs, InputsFrom)
    assert inputs.kwargs == {"length": 9 + 1}


@pytest.mark.parametrize(
    "text", ["mean", "h-swish", "64", "", "h.x", "h(3)", "h h", "True", "[h]", "h if h else h", "é"]
)
def test_ordinary_text_stays_text(tmp_path: Path, text: str) -> None:
    """A text with a name that is no size, without a name, or that is no arithmetic is a string like any other."""
    data = {"sizes": {"h": 3, "x": 4}, "model": {"target": "a:b", "kwargs": {"text": text, "width": "h"}}}
    assert load_config(config_of(tmp_path, data)).model.kwargs == {"text": text, "width": 3}


def test_without_sizes_nothing_is_an_expression(tmp_path: Path) -> None:
    """The dtype of an input is never a name, either."""
    data: dict[str, Any] = {"model": {"target": "a:b", "kwargs": {"act": "relu"}}, "inputs": {"x": "h"}}
    config = load_config(config_of(tmp_path, data))
    assert (config.model.kwargs, config.inputs) == ({"act": "relu"}, {"x": "h"})
    data = {"sizes": {"int64": 3}, "inputs": [{"shape": ["int64"], "dtype": "int64"}]}
    assert load_config(config_of(tmp_path, data)).inputs == (InputSpec(shape=(3,), dtype="int64"),)


def test_a_config_at_other_sizes(tmp_path: Path) -> None:
    """The sizes that are not given keep their values, and everything else of the config stays."""
    kwargs = {"width": "H*W", "act": "relu"}
    data = {**IMAGES, "model": {"target": "a:b", "kwargs": kwargs}, "mode": "training", "exclude": ["aux*"]}
    config = load_config(config_of(tmp_path, data))
    other = with_sizes(config, {"H": 11, "B": 1})
    assert other.inputs == (InputSpec(shape=(1, 3, 11, 7)),)
    assert other.model.kwargs == {"width": 11 * 7, "act": "relu"}
    assert other.sizes == {"B": 1, "H": 11, "W": 7}
    assert (other.name, other.mode, other.exclude, other.path) == ("net", "training", ("aux*",), config.path)
    assert config.inputs == (InputSpec(shape=(2, 3, 5, 7)),)
    assert with_sizes(other, {"B": 2, "H": 5}) == config
    assert with_sizes(config, {}) == config
    assert with_sizes(pickle.loads(pickle.dumps(config)), {"H": 11, "B": 1}) == other


def test_sizes_of_the_caller_replace_those_of_the_file(tmp_path: Path) -> None:
    """They also give a value to a name without one."""
    path = config_of(tmp_path, {"sizes": {"B": 2}, "inputs": [{"shape": ["B", "Q"]}]})
    assert load_config(path, {"B": 3, "Q": 4}).inputs == (InputSpec(shape=(3, 4)),)
    with pytest.raises(
        ConfigError, match=r"inputs\.0\.shape\.1: found 'Q', expected a name with a value in sizes \(B\)"
    ):
        load_config(path)


def test_an_option_that_replaces_inputs_removes_their_names(tmp_path: Path) -> None:
    """``--inputs-from`` gives inputs without names; the names in kwargs are still there."""
    data = {**IMAGES, "model": {"target": "a:b", "kwargs": {"width": "W"}}}
    config = with_options(load_config(config_of(tmp_path, data)), {"inputs": {"from": "net.py:inputs"}})
    other = with_sizes(config, {"W": 8})
    assert isinstance(other.inputs, InputsFrom)
    assert other.model.kwargs == {"width": 8}
    with pytest.raises(ConfigError, match=r"size 'B': not the name of a size here, expected one of W"):
        with_sizes(config, {"B": 8})


BAD = [
    ({"sizes": {"2B": 1}}, "sizes.2B: found '2B', expected a Python identifier as the name of a size, such as B"),
    ({"sizes": {"class": 1}}, "sizes.class: found 'class', expected a Python identifier"),
    ({"sizes": {"a b": 1}}, "sizes.a b: found 'a b', expected a Python identifier"),
    ({"sizes": {1: 1}}, "sizes.1: found 1, expected a string as key"),
    ({"sizes": {"B": "two"}}, "sizes.B: found 'two', expected an integer"),
    ({"sizes": {"B": 0}}, "sizes.B: found 0, expected a positive integer"),
    ({"sizes": {"B": True}}, "sizes.B: found true, expected an integer"),
    ({"sizes": {"B": 2**60}}, f"sizes.B: found {2**60}, expected at most 2^59"),
    ({"sizes": [1]}, "sizes: found [1], expected a mapping"),
    ({"inputs": [{"shape": ["B", 3]}]}, "inputs.0.shape.0: found 'B', expected an integer, or a name with a value in"),
    (
        {**IMAGES, "inputs": [{"shape": ["B", 3, "Hh", "W"]}]},
        "inputs.0.shape.2: found 'Hh', expected a name with a value in sizes (B, H, W), did you mean 'H'?",
    ),
    ({"sizes": {"H": 5}, "inputs": [{"shape": ["H-5"]}]}, "inputs.0.shape.0: found 0, expected a positive integer"),
    ({"sizes": {"H": 5}, "inputs": [{"shape": ["H*1.5"]}]}, "inputs.0.shape.0: found 'H*1.5', expected integers and"),
    ({"sizes": {"H": 5}, "inputs": [{"shape": ["H("]}]}, "inputs.0.shape.0: found 'H(', expected an integer"),
    ({"sizes": {"H": 5}, "inputs": {"x": ["H/2"]}}, "inputs.x.0: found 'H/2', expected a division without remainder"),
    ({"sizes": {"H": 5}, "cache": {"length": "H/2"}}, "cache.length: found 'H/2', expected a division without"),
    ({"cache": {"size": 3}}, "cache.size: unknown key (expected one of length)"),
    (
        {"sizes": {"h": 100}, "model": {"target": "a:b", "kwargs": {"config": {"heads": ["h/64"]}}}},
        "model.kwargs.config: found 'h/64', expected a division without remainder, or // to round down; 100 / 64",
    ),
    (
        {"sizes": {"h": 100}, "model": {"target": "a:b", "kwargs": {"n": "h**2"}}},
        "model.kwargs.n: found 'h**2', expected integers and names of sizes with + - * / // % and parentheses",
    ),
    (
        {"sizes": {"h": 100}, "model": {"target": "a:b", "kwargs": {"n": "1 % (h - 100)"}}},
        "model.kwargs.n: found '1 % (h - 100)', expected a division by another number than 0",
    ),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_the_error_of_a_mistake_names_file_key_and_value(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    """It is one line that has the file, the dotted key, what was found and what was expected."""
    path = config_of(tmp_path, data)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_very_long_expression_is_text() -> None:
    """It is not parsed, whatever it holds."""
    assert expression("(" * 150 + "h" + ")" * 150) is None
    assert expression("+".join(["h"] * 500)) is None
    assert expression("-" * 199 + "h") is not None


def test_expressions_are_computed_with_anything_like_numbers() -> None:
    """Symbols have the same arithmetic; a name without a value is an error."""
    sympy = pytest.importorskip("sympy")
    h, s = sympy.symbols("h s", positive=True, integer=True)
    found = expression("(4*h + s//2) / 2")
    assert found is not None
    assert found.names == ("h", "s")
    assert found.value({"h": h, "s": s}) == (4 * h + s // 2) / 2
    assert found.value({"h": 3, "s": 8}) == (4 * 3 + 8 // 2) // 2
    with pytest.raises(ExpressionError, match=r"a name with a value in sizes \(h\)"):
        found.value({"h": 3})


def test_names_in_typed_shapes() -> None:
    """``Bx3xHxW`` with values for the names; a dtype may follow."""
    config = quick_config("torchvision:vgg11", ["Bx3xHxH", "1xH:int64"], {"B": 4, "H": 32})
    assert config.inputs == (InputSpec(shape=(4, 3, 32, 32)), InputSpec(shape=(1, 32), dtype="int64"))
    assert with_sizes(config, {"H": 64}).inputs == (
        InputSpec(shape=(4, 3, 64, 64)),
        InputSpec(shape=(1, 64), dtype="int64"),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "Bx3"], "--input Bx3: B has no value, expected --size B=NUMBER"),
        (
            ["--input", "Bx3xb", "--size", "B=2"],
            "--input Bx3xb: b has no value, expected --size b=NUMBER; the names with",
        ),
        (["--input", "Bx3", "--size", "B=0"], "--size B=0: expected a Python identifier and a positive integer"),
        (["--input", "Bx3", "--size", "B"], "--size B: expected a Python identifier and a positive integer"),
        (["--input", "Bx3", "--size", "2=2"], "--size 2=2: expected a Python identifier and a positive integer"),
        (["--input", "Bx3", "--size", "B=1", "--size", "B=2"], "--size B=2: the size B is given twice"),
        (
            ["--input", "Bx3", "--size", "B=1", "--size", "C=2"],
            "torchvision:vgg11: size 'C': not the name of a size here",
        ),
        (["--size", "B=1"], "torchvision:vgg11: size 'B': no shape and no kwarg names a size"),
        (["--input", "Bx-3", "--size", "B=1"], "--input Bx-3: expected positive sizes joined by x"),
    ],
)
@pytest.mark.parametrize("command", ["profile", "compare"])
def test_a_mistake_on_the_command_line_is_one_line(command: str, options: list[str], message: str) -> None:
    """The exit code is 2."""
    result = CliRunner().invoke(cli, [command, "torchvision:vgg11", *options])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"profiler: {message}")
    assert result.stderr.count("\n") == 1


def test_the_values_of_options() -> None:
    """``NAME=NUMBER``, in their order."""
    assert sizes_of(["B=2", "H=0224"]) == {"B": 2, "H": 224}
    assert sizes_of([]) == {}


ONE_LAYER = """
from torch import nn
def net(width, act="relu"):
    return nn.Sequential(nn.Linear(6, width), getattr(nn, {"relu": "ReLU"}[act])())
"""


def test_a_profile_is_taken_at_the_sizes(tmp_path: Path) -> None:
    """From a file and from Python; another value of a size is another profile, the same as that of plain numbers."""
    (tmp_path / "net.py").write_text(ONE_LAYER)
    kwargs = {"width": "2*w", "act": "relu"}
    data = {
        "sizes": {"B": 3, "w": 5},
        "model": {"target": "net.py:net", "kwargs": kwargs},
        "inputs": [{"shape": ["B", 6]}],
    }
    path = config_of(tmp_path, data)
    assert profiler.profile_config(load_config(path)).total.multiplies == 3 * 6 * (2 * 5)
    assert profiler.profile_config(with_sizes(load_config(path), {"w": 8})).total.multiplies == 3 * 6 * (2 * 8)
    result = CliRunner().invoke(cli, ["profile", str(path), "--size", "B=7", "--format", "json"])
    assert result.exit_code == 0, result.stderr
    (tmp_path / "saved.json").write_text(result.stdout)
    assert profiler.load_profile(tmp_path / "saved.json").total.multiplies == 7 * 6 * (2 * 5)
    refused = CliRunner().invoke(cli, ["profile", str(tmp_path / "saved.json"), "--size", "B=7"])
    assert (refused.exit_code, "--size needs a network" in refused.stderr) == (2, True)


def test_a_config_is_made_in_python_with_names() -> None:
    """The schema itself gives the names their values, without a file."""
    config = Config.model_validate({"name": "a", "model": {"target": "a:b", "kwargs": {"w": "n"}}, "sizes": {"n": 4}})
    assert config.model.kwargs == {"w": 4}
    assert with_sizes(config, {"n": 5}).model.kwargs == {"w": 5}
