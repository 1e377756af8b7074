"""Inputs that a function makes from the network: in a config and in Python."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ConfigError, ProfilerError, TargetError
from profiler.models.constructed_inputs import construct_inputs, find_constructor, is_constructor

NET = """
import torch
from torch import nn

SEEN = []

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(width, 6)

    def forward(self, x, lengths=None):
        if lengths is None:
            return self.layer(x)
        return torch.cat([self.layer(x[:n]) for n in lengths.tolist()])

def one(net, batch=2):
    return torch.rand(batch, net.layer.in_features)

def several(net, lengths):
    SEEN.append(net.layer.weight.device.type)
    return {"x": torch.rand(7, net.layer.in_features), "lengths": torch.tensor(lengths)}

def not_on_meta(net):
    x = torch.zeros(3, 4)
    assert x.sum().item() == 0
    return (x,)

def nothing(net):
    net.layer

def wrong(net):
    raise ValueError("no such shape\\nand a second line")

NUMBER = 3
"""


def config(folder: Path, inputs: str, more: str = "") -> profiler.Config:
    """A config beside a file with the network and functions that make its inputs."""
    (folder / "net.py").write_text(NET, encoding="utf-8")
    path = folder / "net.yaml"
    path.write_text(f"model: {{target: 'net.py:Net'}}\ninputs: {inputs}\n{more}", encoding="utf-8")
    return profiler.load_config(path)


@pytest.mark.parametrize(
    ("inputs", "macs"),
    [
        ("{from: 'net.py:one'}", 2 * 4 * 6),
        ("{from: 'net.py:one', kwargs: {batch: 5}}", 5 * 4 * 6),
        ("{from: 'net.py:several', kwargs: {lengths: [1, 3]}}", (1 + 3) * 4 * 6),
        ("{from: 'net.py:not_on_meta'}", 3 * 4 * 6),
    ],
)
def test_a_config_names_the_function_that_makes_its_inputs(tmp_path: Path, inputs: str, macs: int) -> None:
    """It is found beside the config; integers keep their values, which decide the counts without a real run."""
    profile = profiler.profile_config(config(tmp_path, inputs), crosscheck=False)
    assert (profile.total.macs, profile.status, profile.trace.real_run) == (macs, "complete", "")


@pytest.mark.slow
def test_other_counters_get_the_inputs_too(tmp_path: Path) -> None:
    """A counter in a separate process finds the function again."""
    parsed = config(tmp_path, "{from: 'net.py:one', kwargs: {batch: 5}}", "crosscheck: [fvcore, torchinfo]")
    profile = profiler.profile_config(parsed)
    assert [counter.status for counter in profile.counters] == ["ok", "ok"]
    assert profile.crosscheck.figure.tolist()[0] == 5 * 4 * 6
    assert profiler.unexplained(profile.crosscheck).empty


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{from: 'net.py:nothing'}", r"inputs from net\.py:nothing: it returned nothing, expected the inputs"),
        ("{from: 'net.py:wrong'}", r"inputs from net\.py:wrong: it raised ValueError: no such shape$"),
        ("{from: 'net.py:one', kwargs: {bach: 5}}", r"inputs from net\.py:one: it raised TypeError: .*'bach'"),
        ("{from: 'net.py:on'}", r"inputs\.from: target net\.py:on: .* has no 'on', did you mean 'one'"),
        ("{from: 'other.py:one'}", r"inputs\.from: target other\.py:one: no such file"),
        ("{from: 'net.py:NUMBER'}", r"inputs\.from: target net\.py:NUMBER: NUMBER is a int, expected a class or"),
        ("{from: 'torchvision:resnet18'}", r"inputs\.from: torchvision:resnet18 names a network, expected a function"),
    ],
)
def test_an_error_of_the_function_is_one_line(tmp_path: Path, inputs: str, message: str) -> None:
    """The line says which function failed and how."""
    with pytest.raises(TargetError, match=message) as info:
        profiler.profile_config(config(tmp_path, inputs), crosscheck=False)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{from: 3}", r"inputs\.from: found 3, expected a string"),
        ("{from: net.py}", r"inputs\.from: found 'net\.py', expected path/to/net\.py:make_inputs or package"),
        (
            "{from: 'a:b', kwarg: {}}",
            r"inputs\.kwarg: unknown key, did you mean 'kwargs'\? \(expected one of from, kwargs",
        ),
        ("{from: 'a:b', kwargs: [1]}", r"inputs\.kwargs: found \[1\], expected a mapping"),
    ],
)
def test_a_config_that_names_no_function_is_refused(tmp_path: Path, inputs: str, message: str) -> None:
    """The error has the file, the key and what is expected."""
    with pytest.raises(ConfigError, match=rf"net\.yaml: {message}"):
        config(tmp_path, inputs)


def test_a_config_with_such_inputs_is_read_back_from_its_json(tmp_path: Path) -> None:
    """The config is sent to another process as JSON."""
    parsed = config(tmp_path, "{from: 'net.py:one', kwargs: {batch: 5}}")
    assert profiler.Config.model_validate_json(parsed.model_dump_json(by_alias=True)).inputs == parsed.inputs


class Batch:
    """A custom input that is also callable."""

    def __init__(self) -> None:
        self.x = torch.zeros(2, 4)

    def __call__(self) -> None:
        raise AssertionError


class Maker:
    """An object whose call makes inputs."""

    def __call__(self, network: nn.Module) -> torch.Tensor:
        return torch.zeros(2, 4)


def test_python_takes_a_function_in_place_of_inputs() -> None:
    """It gets the network itself; a method, a partial function and a callable object are functions too."""
    model = nn.Linear(4, 6)
    given: list[nn.Module] = []

    def make(network: Any, batch: int = 3) -> torch.Tensor:
        given.append(network)
        return torch.zeros(batch, network.in_features)

    assert profiler.profile(model, make).total.macs == 3 * 4 * 6
    assert given == [model]
    assert profiler.profile(model, partial(make, batch=5)).total.macs == 5 * 4 * 6
    assert profiler.profile(model, lambda network: (torch.zeros(7, 4),)).total.macs == 7 * 4 * 6
    assert profiler.profile(model, lambda network: {"input": torch.zeros(7, 4)}).total.macs == 7 * 4 * 6
    assert profiler.profile(model, Maker()).total.macs == 2 * 4 * 6
    assert profiler.profile(model.to("meta"), make).total.macs == 3 * 4 * 6
    checked = profiler.crosscheck(nn.Sequential(nn.Linear(4, 6)), lambda network: torch.zeros(7, 4))
    assert [counter.status for counter in checked.counters] == ["ok"]
    assert not is_constructor(Batch())
    assert not is_constructor(torch.zeros(3))
    assert not is_constructor({"x": make})


def test_an_error_of_a_function_in_python_names_it() -> None:
    """The error says which function; ``SystemExit`` becomes an error too."""

    def make(network: nn.Module) -> torch.Tensor:
        raise SystemExit(0)

    with pytest.raises(ProfilerError, match=r"inputs from .*make: it raised SystemExit: 0"):
        profiler.profile(nn.Linear(4, 6), make)


def test_random_inputs_are_reproducible() -> None:
    """They are drawn from a fixed seed, and torch's own random state does not change."""
    network = nn.Linear(1, 1)
    before = torch.get_rng_state()
    first, second = (construct_inputs(lambda network: torch.rand(3), network) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_floats_stay_on_meta_if_the_network_does() -> None:
    """A huge shape needs no memory."""
    network = nn.Linear(4, 6, device="meta")
    made = construct_inputs(lambda net: torch.zeros(10**9, 10**3, 4), network)
    assert made.is_meta
    with pytest.raises(TargetError, match="no such file"):
        find_constructor("missing.py:make")
