"""Inputs of a config → arguments of a forward."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import profiler
from profiler.api import profile_config
from profiler.config import DTYPES, INTEGER_DTYPES, Config, InputsFrom, InputSpec, load_config
from profiler.errors import ConfigError
from profiler.models.inputs import build_inputs


def test_a_list_is_positional_and_a_mapping_is_keywords() -> None:
    """``forward(*args, **kwargs)`` gets one or the other."""
    args, kwargs = build_inputs((InputSpec(shape=(2, 3)), 4))
    assert args[0].shape == (2, 3)
    assert args[1:] == (4,)
    assert kwargs == {}
    args, kwargs = build_inputs({"x": InputSpec(shape=(2, 3)), "scale": None})
    assert args == ()
    assert kwargs["x"].shape == (2, 3)
    assert kwargs["scale"] is None


def test_tensors_are_on_meta_and_have_the_networks_dtype() -> None:
    """An input without its own dtype gets the network's; an input with its own keeps it."""
    (x, tokens), _ = build_inputs((InputSpec(shape=(2,)), InputSpec(shape=(3,), dtype="int64")), dtype="bfloat16")
    assert (x.device.type, x.dtype) == ("meta", torch.bfloat16)
    assert (tokens.device.type, tokens.dtype) == ("meta", torch.int64)


def test_nested_values_pass_through() -> None:
    """Lists and mappings keep their form, plain values their value; tensors inside are built."""
    inputs: tuple[Any, ...] = (
        (InputSpec(shape=(2,)), "text", (1.5, None)),
        {"mask": InputSpec(shape=()), "flag": True},
    )
    (first, second), _ = build_inputs(inputs)
    assert first[0].shape == (2,)
    assert first[1:] == ["text", [1.5, None]]
    assert second["mask"].shape == ()
    assert second["flag"] is True


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_can_be_drawn(name: str) -> None:
    """Real inputs of each dtype have its dtype and shape, and are reproducible."""
    draws = [build_inputs((InputSpec(shape=(2, 3), dtype=name),), device="cpu", seed=1)[0][0] for _ in range(2)]
    assert draws[0].dtype == getattr(torch, name)
    assert draws[0].shape == (2, 3)
    assert draws[0].view(torch.uint8).equal(draws[1].view(torch.uint8))


def test_the_seed_decides_and_the_global_state_is_unchanged() -> None:
    """Another seed gives other values; torch's own generator is not used."""
    state = torch.get_rng_state()
    spec = (InputSpec(shape=(8,)),)
    assert not build_inputs(spec, device="cpu", seed=1)[0][0].equal(build_inputs(spec, device="cpu", seed=2)[0][0])
    assert torch.get_rng_state().equal(state)


@pytest.mark.slow
@given(st.sampled_from(sorted(INTEGER_DTYPES)), st.integers(0, 100), st.integers(1, 27))
def test_integers_lie_between_low_and_high(name: str, low: int, width: int) -> None:
    """``low`` ≤ value < ``high``."""
    spec = InputSpec(shape=(50,), dtype=name, low=low, high=low + width)
    values = build_inputs((spec,), device="cpu")[0][0].to(torch.int64)
    assert low <= int(values.min())
    assert int(values.max()) < low + width


def test_integers_are_zero_or_one_by_default() -> None:
    """Both values occur, and no other."""
    values = build_inputs((InputSpec(shape=(50,), dtype="int32"),), device="cpu")[0][0]
    assert set(values.tolist()) == {0, 1}


def test_values_are_kept_on_every_device() -> None:
    """Values may be nested; on meta they are kept, since sizes and lengths may decide what a network does."""
    nested = InputSpec.model_validate({"shape": [2, 3], "dtype": "int64", "values": [[1, 2, 3], [4, 5, 6]]})
    assert nested == InputSpec(shape=(2, 3), dtype="int64", values=(1, 2, 3, 4, 5, 6))
    for device in ("meta", "cpu"):
        (found,), _ = build_inputs((nested,), device=device)
        assert found.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert found.dtype == torch.int64


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        ([1, 16, 16], (3,)),
        ([[1, 2, 3], [4, 5, 6]], (2, 3)),
        ([[[7]]], (1, 1, 1)),
        (5, ()),
        ([[True, False]], (1, 2)),
        ([[0.5], [1.5]], (2, 1)),
    ],
)
def test_the_shape_follows_from_the_values(values: Any, shape: tuple[int, ...]) -> None:
    """The nesting decides the shape, in a list of inputs and in a mapping; an explicit shape is kept."""
    spec = InputSpec.model_validate({"values": values})
    assert spec.shape == shape
    assert build_inputs((spec,), device="meta")[0][0].tolist() == values
    model = {"target": "a:b"}
    config = Config.model_validate({"name": "a", "model": model, "inputs": {"x": [{"values": values}]}})
    assert config.inputs == {"x": (spec,)}
    flat = InputSpec.model_validate({"values": [1, 2, 3, 4], "shape": [2, 2]})
    assert (flat.shape, flat.values) == ((2, 2), (1, 2, 3, 4))


def test_an_input_may_be_named_values() -> None:
    """A mapping of inputs may have that name among others."""
    inputs = {"x": {"values": {"shape": [3]}, "lengths": {"values": [1, 2]}}}
    config = Config.model_validate({"name": "a", "model": {"target": "a:b"}, "inputs": inputs})
    assert config.inputs == {"x": {"values": InputSpec(shape=(3,)), "lengths": InputSpec(shape=(2,), values=(1, 2))}}


def test_given_sizes_decide_the_counts() -> None:
    """The network loops over a tensor of sizes, on meta."""

    class Pieces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.layer(x[:size]) for size in sizes.tolist()])

    sizes = InputSpec(shape=(3,), dtype="int64", values=(1, 5, 2))
    arguments, _ = build_inputs((InputSpec(shape=(6, 4)), sizes))
    profile = profiler.profile(Pieces(), arguments)
    assert (profile.total.macs, profile.trace.real_run) == ((1 + 5 + 2) * 4 * 4, "")


def test_positional_and_keyword_arguments_together(tmp_path: Path) -> None:
    """A mapping with ``args`` and ``kwargs`` has both; ``kwargs`` may have any name, also these two and ``shape``."""
    (tmp_path / "net.yaml").write_text(
        "model: {target: 'torch.nn:Linear'}\n"
        "inputs: {args: [{shape: [2, 3]}, 5], kwargs: {args: {shape: [4]}, kwargs: null, shape: [1, 2]}}\n"
    )
    config = load_config(tmp_path / "net.yaml")
    assert config.inputs is not None
    assert not isinstance(config.inputs, InputsFrom)
    arguments, options = build_inputs(config.inputs)
    assert [arguments[0].shape, arguments[1]] == [(2, 3), 5]
    assert options["args"].shape == (4,)
    assert (options["kwargs"], options["shape"]) == (None, [1, 2])
    assert Config.model_validate_json(config.model_dump_json()).inputs == config.inputs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{args: {shape: [1]}, kwargs: {}}", "inputs.args: found {'shape': [1]}, expected a list"),
        ("{args: [], kwargs: [{shape: [1]}]}", "inputs.kwargs: found [{'shape': [1]}], expected a mapping"),
        ("{args: [{shape: [0]}], kwargs: {}}", "inputs.args.0.shape.0: found 0, expected a positive integer"),
        ("{args: [], kwargs: {1: 2}}", "inputs.kwargs.1: found 1, expected a string as key"),
    ],
)
def test_an_error_in_either_kind_of_arguments_is_named(tmp_path: Path, inputs: str, message: str) -> None:
    """One line has the key."""
    (tmp_path / "net.yaml").write_text(f"model: {{target: 'torch.nn:Linear'}}\ninputs: {inputs}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "net.yaml")
    assert str(caught.value).endswith(message)


def test_a_config_with_both_kinds_of_arguments_is_profiled(tmp_path: Path) -> None:
    """Queries are positional, keys and values are named: projections, scores and weighted sums of 2 heads of 4."""
    (tmp_path / "net.yaml").write_text(
        "model: {target: 'torch.nn:MultiheadAttention', kwargs: {embed_dim: 8, num_heads: 2, bias: false}}\n"
        "inputs:\n"
        "  args: [{shape: [3, 1, 8]}]\n"
        "  kwargs: {key: {shape: [5, 1, 8]}, value: {shape: [5, 1, 8]}, need_weights: false}\n"
    )
    profile = profile_config(load_config(tmp_path / "net.yaml"), crosscheck=False)
    assert profile.total.macs == 2 * 3 * 8 * 8 + 2 * 5 * 8 * 8 + 2 * 2 * 3 * 5 * 4
