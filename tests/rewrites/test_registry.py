"""Rewrites by name, one after the other, and what is said where that goes wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import ProfilerError
from profiler.rewrites import REWRITES, Rewritten, apply_rewrites, check_equivalence, register, rewrite
from tests.rewrites.networks import with_random_statistics


def network() -> nn.Module:
    """Something for both rewrites to do."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5)]
    return with_random_statistics(nn.Sequential(*layers))


@pytest.mark.slow
def test_steps_build_on_each_other() -> None:
    """In either order, and the function stays."""
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


def test_no_steps() -> None:
    """Give no results."""
    assert apply_rewrites(network(), []) == ()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fold_batchnorms", {}, "rewrite 'fold_batchnorms' is not known.*did you mean 'fold_batchnorm'"),
        ("fold_batchnorm", {"size": 3}, "rewrite fold_batchnorm: .*unexpected keyword argument 'size'"),
    ],
)
def test_what_is_not_known(name: str, options: dict[str, Any], message: str) -> None:
    """A name or an option, said in one line."""
    with pytest.raises(ProfilerError, match=message):
        rewrite(network(), name, **options)


def test_what_is_no_network_or_no_step() -> None:
    """Said as well."""
    with pytest.raises(ProfilerError, match=r"expects a torch\.nn\.Module, not int"):
        rewrite(3, "fold_batchnorm")  # type: ignore[arg-type]
    with pytest.raises(ProfilerError, match="expected a name or a mapping of one name"):
        apply_rewrites(network(), [{"fold_batchnorm": {}, "linear_to_convolution": {}}])


def test_a_rewrite_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is registered by a decorator, once."""
    monkeypatch.setattr("profiler.rewrites.registry.REWRITES", dict(REWRITES))

    @register("nothing")
    def nothing(model: nn.Module, inputs: Any = None) -> Rewritten:
        return Rewritten("nothing", model, (), ())

    model = network()
    assert rewrite(model, "nothing").model is model
    with pytest.raises(ProfilerError, match="nothing is registered already"):
        register("nothing")(nothing)


@pytest.mark.slow
def test_a_compiled_network_is_taken_for_what_it_is() -> None:
    """torch.compile's wrapper is left off."""
    compiled = torch.compile(network())
    assert isinstance(rewrite(compiled, "fold_batchnorm").model, nn.Sequential)  # type: ignore[arg-type]
