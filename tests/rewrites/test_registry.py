"""Rewrites by name, one after the other, and the errors of wrong requests."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.rewrites import REWRITES, Rewritten, apply_rewrites, check_equivalence, register, rewrite
from tests.rewrites.networks import with_random_statistics


def network() -> nn.Module:
    """A network that both rewrites change."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5)]
    return with_random_statistics(nn.Sequential(*layers))


@pytest.mark.slow
def test_steps_build_on_each_other() -> None:
    """This holds in either order, and the function is the same."""
    convert: dict[str, Any] = {"linear_to_convolution": {"input_size": [3, 8, 8]}}
    x = torch.randn(2, 3, 8, 8)
    orders: list[list[Any]] = [
        ["fold_batchnorm", convert],
        [convert, "fold_batchnorm"],
        [convert, {"fold_batchnorm": None}],
    ]
    for steps in orders:
        before = network()
        results = apply_rewrites(before, steps, x)
        assert [type(module).__name__ for module in results[-1].model.modules()].count("Conv2d") == 2
        assert not [module for module in results[-1].model.modules() if "BatchNorm" in type(module).__name__]
        assert check_equivalence(before, results[-1].model, x, 1e-6, measure="largest_relative").passed


def test_no_steps_have_no_results() -> None:
    """The list of results is empty."""
    assert apply_rewrites(network(), []) == ()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fold_batchnorms", {}, "rewrite 'fold_batchnorms' is not known.*did you mean 'fold_batchnorm'"),
        ("fold_batchnorm", {"size": 3}, "rewrite fold_batchnorm: .*unexpected keyword argument 'size'"),
    ],
)
def test_an_unknown_name_or_option_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    """The message is one line."""
    with pytest.raises(ProfilerError, match=message):
        rewrite(network(), name, **options)


def test_a_wrong_network_or_step_is_refused() -> None:
    """The message is one line."""
    with pytest.raises(ProfilerError, match=r"expects a torch\.nn\.Module, not int"):
        rewrite(3, "fold_batchnorm")  # type: ignore[arg-type]
    with pytest.raises(ProfilerError, match="expected a name or a mapping of one name"):
        apply_rewrites(network(), [{"fold_batchnorm": {}, "linear_to_convolution": {}}])


def test_a_custom_rewrite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorator registers it, once."""
    monkeypatch.setattr("profiler.rewrites.registry.REWRITES", dict(REWRITES))

    @register("nothing")
    def nothing(model: nn.Module, inputs: Any = None) -> Rewritten:
        return Rewritten("nothing", model, (), ())

    model = network()
    assert rewrite(model, "nothing").model is model
    with pytest.raises(ProfilerError, match="nothing is registered already"):
        register("nothing")(nothing)


@pytest.mark.slow
def test_a_compiled_network_is_unwrapped() -> None:
    """The wrapper of torch.compile is left out."""
    compiled = torch.compile(network())
    assert isinstance(rewrite(compiled, "fold_batchnorm").model, nn.Sequential)  # type: ignore[arg-type]
