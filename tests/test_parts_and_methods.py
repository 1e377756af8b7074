"""A method in place of the forward, or a part of a network, is profiled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import profiler
from profiler.errors import ConfigError, ProfilerError, TraceError
from profiler.models.methods import calling
from profiler.render import profile_report, render_files


class Block(nn.Module):
    """Two layers, and a method beside the forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        y: torch.Tensor = self.down(self.up(x)) * scale
        return y

    def upper(self, x: torch.Tensor) -> torch.Tensor:
        """The first layer, and one multiply for each element."""
        y: torch.Tensor = self.up(x) * 2.0
        return y


class Net(nn.Module):
    """An encoder that runs twice, a head, and a module that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.encoder = nn.ModuleDict({"block": Block(4)})
        self.head = nn.Linear(4, 5)
        self.idle = nn.Linear(4, 4)
        self.calls = 0

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Everything except the head; the second call of the block skips its hooks."""
        self.calls += 1
        y = self.encoder["block"](self.stem(x), scale=3.0)
        z: torch.Tensor = self.encoder["block"].forward(y[:1])
        return z

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.encode(x))
        return y

    def repeat(self, x: torch.Tensor, *, times: int) -> torch.Tensor:
        """The forward, several times, as in ``generate``."""
        results = [self(x) for _ in range(times)]
        return torch.stack(results)

    not_a_method = 3


STEM = 2 * 3 * 4
BLOCK = 2 * 4 * 8
X = torch.zeros(2, 3)


def macs(profile: profiler.Profile) -> dict[str, int]:
    """The MACs of each layer that has any."""
    return {name: n for name, n in zip(profile.layers.layer, profile.layers.macs, strict=True) if n}


def test_a_method_is_counted_in_place_of_the_forward() -> None:
    """The layers are the module's own; the model is unchanged, whatever the method does to it."""
    model = Net()
    before = dict(model.__dict__)
    profile = profiler.profile(model, X, method="encode")
    # the block runs on two rows, then on one
    assert profile.total.macs == STEM + 2 * BLOCK + BLOCK
    assert set(macs(profile)) == {"stem", "encoder.block.up", "encoder.block.down"}
    assert profile.method == "encode"
    assert model.__dict__ == before
    assert model.calls == 0
    assert "head" in profile.never_ran


@pytest.mark.slow
def test_a_method_may_call_its_own_module() -> None:
    """The call is the forward; keyword arguments reach the method."""
    profile = profiler.profile(Net(), {"x": X, "times": 3}, method="repeat")
    assert profile.total.macs == 3 * (STEM + 2 * BLOCK + BLOCK + 1 * 4 * 5)


def test_a_method_of_a_submodule_is_counted_in_the_submodule() -> None:
    """Its dotted path names it; its own work is in the row of the submodule."""
    profile = profiler.profile(Net(), torch.zeros(7, 4), method="encoder.block.upper")
    assert macs(profile) == {"encoder.block.up": 7 * 4 * 8}
    rows = profile.layers.set_index("layer").multiplies
    assert rows["encoder.block"] == 7 * 8
    forward = profiler.profile(Net(), torch.zeros(7, 4), method="encoder.block.forward")
    assert forward.total.macs == 7 * BLOCK


def test_a_method_is_counted_in_training_too() -> None:
    """There are gradients for two weights and for the input of the second layer."""
    profile = profiler.profile(Block(4), torch.zeros(7, 4), method="upper", mode="training")
    assert profile.total.macs == 2 * (7 * 4 * 8)


@pytest.mark.slow
def test_other_counters_call_the_method_as_well() -> None:
    """They agree, layer by layer."""
    profile = profiler.profile(Net(), X, method="encode")
    profile = profiler.crosscheck(Net(), X, against=["fvcore", "torch"], profile=profile)
    assert [counter.status for counter in profile.counters] == ["ok", "ok"]
    assert profiler.unexplained(profile.crosscheck).empty
    assert profile.crosscheck[profile.crosscheck.counter == "torch"].figure.sum() == profile.total.macs


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("encod", r"method encod: Net has no method 'encod', did you mean 'encode'\?"),
        (
            "encoder.blok.upper",
            r"method encoder\.blok: Net has no module 'encoder\.blok', did you mean 'encoder\.block'",
        ),
        ("not_a_method", "Net has no method 'not_a_method'"),
        ("head", "Net has no method 'head'"),
        ("__class__", "Net has no method '__class__'"),
        ("__init__", "Net has no method '__init__'"),
        ("encoder.__dir__", "method encoder.__dir__: .* has no method '__dir__'"),
        ("call_super_init", "Net has no method 'call_super_init'"),
    ],
)
def test_a_missing_method_is_an_error(method: str, message: str) -> None:
    """The error is one line, with similar names."""
    with pytest.raises(TraceError, match=message):
        profiler.profile(Net(), X, method=method)


@pytest.mark.slow
def test_the_method_call_is_the_forward() -> None:
    """This holds for the network, and for a module in it."""
    assert profiler.profile(Net(), X, method="__call__").total == profiler.profile(Net(), X).total
    called, forward = (profiler.profile(Net(), X, method=f"stem.{name}") for name in ("__call__", "forward"))
    assert called.total == forward.total


def test_a_view_and_its_model_do_not_share_attributes() -> None:
    """They share parameters; a method that is the forward already changes nothing."""
    model = Net()
    view = calling(model, "encode")
    assert view.get_parameter("stem.weight") is model.get_parameter("stem.weight")
    view(X)
    assert (vars(view)["calls"], model.calls) == (1, 0)
    assert calling(model, "forward") is model


@pytest.mark.slow
def test_a_part_gets_the_inputs_of_its_first_call() -> None:
    """The report says so, and the names are those below the part."""
    profile = profiler.profile(Net(), X, part="encoder.block")
    assert macs(profile) == {"up": 2 * 4 * 8, "down": 2 * 8 * 4}
    assert profile.input_shapes == ((2, 4),)
    assert profile.total.multiplies == 2 * BLOCK + 2 * 4
    assert profile.parameters_total == 4 * 8 + 8 + 8 * 4 + 4
    assert (profile.part, profile.part_calls) == ("encoder.block", 2)
    text = render_files(profile_report(profile), ("markdown",))["summary.md"]
    assert "encoder.block, the first of its 2 calls" in text
    assert profiler.profile(Net(), X, part="head").total.macs == 1 * 4 * 5


def test_a_part_and_a_method_together() -> None:
    """The part's inputs are those of a run of the method."""
    profile = profiler.profile(Net(), {"x": torch.zeros(6, 3), "times": 2}, method="repeat", part="encoder.block.up")
    assert (profile.total.macs, profile.part_calls) == (6 * 4 * 8, 4)


def test_a_part_in_training_has_an_input_gradient() -> None:
    """The layers before it need one in the whole network: three products of the same size."""
    profile = profiler.profile(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)), X, part="1", mode="training")
    assert profile.total.macs == 3 * (2 * 4 * 5)
    first = profiler.profile(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)), X, part="0", mode="training")
    assert first.total.macs == 2 * (2 * 3 * 4)


class Chosen(nn.Module):
    """A part whose work depends on its data, after a layer whose work does not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = Positive()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.first(x).abs() + 1)
        return y


class Positive(nn.Module):
    """A linear layer on the positive rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x[(x > 0).all(1).nonzero()[:, 0]])
        return y


def test_a_part_that_needs_data_runs_on_the_real_inputs() -> None:
    """The whole network runs for real and gives them."""
    profile = profiler.profile(Chosen(), torch.zeros(6, 3), part="second")
    assert profile.total.macs == 6 * 4 * 5
    assert profile.trace.real_run


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("encoder.blok", r"part encoder\.blok: Net has no module 'encoder\.blok', did you mean 'encoder\.block' or"),
        ("idle", "part idle: Net never calls it, so its inputs are not known"),
        ("encoder", "part encoder: Net never calls it"),
    ],
)
def test_a_missing_or_unused_part_is_an_error(part: str, message: str) -> None:
    """The error is one line."""
    with pytest.raises(ProfilerError, match=message) as info:
        profiler.profile(Net(), X, part=part)
    assert "\n" not in str(info.value)


@pytest.mark.slow
def test_other_counters_run_on_the_part() -> None:
    """They get real inputs with the shapes of its call."""
    profile = profiler.profile(Net(), X, part="encoder.block")
    profile = profiler.crosscheck(Net(), X, against=["fvcore", "torch"], profile=profile)
    assert [counter.status for counter in profile.counters] == ["ok", "ok"]
    assert profiler.unexplained(profile.crosscheck).empty


@pytest.mark.slow
def test_a_config_names_method_and_part(tmp_path: Path) -> None:
    """Other counters, also in separate processes, run on the same part and method."""
    path = tmp_path / "net.yaml"
    text = "model: {target: 'tests.test_parts_and_methods:Net'}\ninputs: [{shape: [2, 3]}]\n"
    path.write_text(f"{text}method: encode\npart: encoder.block\ncrosscheck: [fvcore]\n", encoding="utf-8")
    profile = profiler.profile_config(profiler.load_config(path))
    assert (profile.method, profile.part, profile.total.macs) == ("encode", "encoder.block", 2 * BLOCK)
    assert [counter.status for counter in profile.counters] == ["ok"]
    profile.save(tmp_path / "profile.json")
    again = profiler.load_profile(tmp_path / "profile.json")
    assert (again.method, again.part, again.part_calls) == ("encode", "encoder.block", 2)
    for line in ("part: a..b", "method: 3", "part: ''", "method: 'a b'"):
        path.write_text(f"{text}{line}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=rf"net\.yaml: {line.partition(':')[0]}: found .*, expected"):
            profiler.load_config(path)


@pytest.mark.slow
def test_generate_gets_a_real_run() -> None:
    """Its data decide how long it runs, so it needs a real run, and the report says so."""
    pytest.importorskip("transformers")
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 11, "n_positions": 16, "bos_token_id": 1}
    config = profiler.Config.model_validate(
        {
            "name": "gpt2",
            "model": {
                "target": "transformers:GPT2LMHeadModel",
                "kwargs": {"config": {**sizes, "eos_token_id": None, "use_cache": True}},
            },
            "inputs": {
                "input_ids": {"shape": [1, 3], "dtype": "int64", "low": 0, "high": 11},
                "max_new_tokens": 2,
                "do_sample": False,
            },
            "method": "generate",
        }
    )
    profile = profiler.profile_config(config, crosscheck=False)
    attention = profile.layers[profile.layers.layer == "transformer.h.0.attn.c_attn"]
    # a prefill of three tokens and a step of one
    assert attention.macs.sum() == (3 + 1) * 8 * 24
    assert profile.method == "generate"
