"""The Python interface, on networks whose numbers are known exactly."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import profiler
from profiler import catalog
from profiler.errors import ProfilerError, UncountedError
from profiler.models.zoo import AlexNet
from profiler.records import Mode

CONFIGS = Path(__file__).parents[1] / "configs"

ALEXNET_LAYERS = {
    "features.0": ((3 * 11**2) * (64 * 55**2), "(3·11·11)·(64·55·55)"),
    "features.3": ((64 * 5**2) * (192 * 27**2), "(64·5·5)·(192·27·27)"),
    "features.6": ((192 * 3**2) * (384 * 13**2), "(192·3·3)·(384·13·13)"),
    "features.8": ((384 * 3**2) * (256 * 13**2), "(384·3·3)·(256·13·13)"),
    "features.10": ((256 * 3**2) * (256 * 13**2), "(256·3·3)·(256·13·13)"),
    "classifier.1": (9216 * 4096, "9216·4096"),
    "classifier.4": (4096 * 4096, "4096·4096"),
    "classifier.6": (4096 * 1000, "4096·1000"),
}


def from_config(name: str) -> profiler.Profile:
    return profiler.profile_config(profiler.load_config(CONFIGS / f"{name}.yaml"), crosscheck=False)


@pytest.fixture(scope="module")
def alexnet() -> profiler.Profile:
    return from_config("alexnet")


@pytest.mark.slow
def test_alexnet_layer_by_layer(alexnet: profiler.Profile) -> None:
    """The eight rows of the reference have multiplies, as many adds, and the product that they come from."""
    rows = alexnet.layers.set_index("layer")
    shown = {
        str(name): (rows.multiplies[name], rows.adds[name], rows.formula[name])
        for name in rows.index
        if rows.macs[name]
    }
    assert shown == {name: (product, product, text) for name, (product, text) in ALEXNET_LAYERS.items()}


def test_alexnet_shares(alexnet: profiler.Profile) -> None:
    """Linear layers hold 96 % of the parameters and do 8.2 % of the multiplies."""
    shares = alexnet.shares.set_index("kind")
    assert list(shares.index[:2]) == ["conv", "linear"]
    assert (shares.multiplies["conv"], shares.adds["conv"], shares.flops["conv"]) == (655566528, 655566528, 1311133056)
    assert (shares.multiplies["linear"], shares.adds["linear"], shares.flops["linear"]) == (
        58621952,
        58621952,
        117243904,
    )
    assert (shares.parameters["conv"], shares.parameters["linear"]) == (2469696, 58631144)
    assert shares.multiplies_share["linear"] == pytest.approx(0.08208190644576066, rel=1e-15)
    assert shares.multiplies_share["linear"] == 58621952 / (655566528 + 58621952)
    assert shares.parameters_share["linear"] == pytest.approx(0.9595799992275064, rel=1e-15)
    assert alexnet.parameters_total == 61100840
    assert alexnet.total.flops == 1311133056 + 117243904


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [
        ("resnet50", 4089184256, 25557032),
        ("vgg16", 15470264320, 138357544),
        ("mobilenet_v2", 300774272, 3504872),
        ("resnet18", 1814073344, 11689512),
        ("alexnet_torchvision", 714188480, 61100840),
    ],
)
def test_published_networks(name: str, macs: int, parameters: int) -> None:
    """The figures that torchvision publishes, to the last digit."""
    profile = from_config(name)
    assert (profile.total.macs, profile.parameters_total, profile.status) == (macs, parameters, "complete")


@pytest.mark.slow
def test_real_networks_and_inputs_give_the_same_as_meta_ones(alexnet: profiler.Profile) -> None:
    """Only shapes matter."""
    profile = profiler.profile(AlexNet(), torch.rand(1, 3, 227, 227), name="alexnet")
    assert profile.trace == alexnet.trace


@pytest.mark.slow
def test_saved_and_loaded_profiles_have_equal_tables(tmp_path: Path) -> None:
    """This holds for every table, the cross-check included, and the profile itself."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    profile = profiler.crosscheck(model, torch.zeros(1, 3, 8, 8))
    profile.save(tmp_path / "profile.json")
    loaded = profiler.load_profile(tmp_path / "profile.json")
    assert loaded == profile
    for name in catalog.tables():
        pd.testing.assert_frame_equal(loaded.table(name), profile.table(name))
    assert len(profile.crosscheck) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a saved profile"),
        ("{}", "expected a saved profile with schema"),
        ('{"schema": "static-flop-profiler/profile", "version": 99}', "version: found 99, expected 1"),
        ('{"schema": "static-flop-profiler/profile", "version": 1}', "name: missing, expected the key name"),
    ],
)
def test_broken_profiles_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and what was expected."""
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ProfilerError, match=message) as error:
        profiler.load_profile(path)
    assert str(path) in str(error.value)


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ProfilerError, match="cannot be read"):
        profiler.load_profile(tmp_path / "none.json")


class Odd(nn.Module):
    """Runs an operation that no rule knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.profiler_tests.odd(x)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def odd() -> nn.Module:
    @torch.library.custom_op("profiler_tests::odd", mutates_args=())
    def odd(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    odd.register_fake(torch.empty_like)
    return nn.Sequential(nn.Linear(3, 3), Odd())


def test_unknown_operations_make_a_profile_partial(odd: nn.Module) -> None:
    """The profile's status says so, and a table lists the operations."""
    profile = profiler.profile(odd, torch.zeros(2, 3))
    assert profile.status == "partial"
    assert list(profile.uncounted["op"]) == ["profiler_tests::odd"]


def test_strict_mode_refuses_unknown_operations(odd: nn.Module) -> None:
    """The error names the operation, its calls and its modules."""
    with pytest.raises(UncountedError, match=r"profiler_tests::odd \(1 call in 1\)"):
        profiler.profile(odd, torch.zeros(2, 3), strict=True)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("net", torch.zeros(1)), {}, "expects a torch.nn.Module or something to call, not str"),
        ((nn.Linear(1, 1), torch.zeros(1)), {"mode": "traning"}, "expected 'inference' or 'training'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[object, ...], options: dict[str, object], message: str) -> None:
    """The error is one line."""
    with pytest.raises(ProfilerError, match=message):
        profiler.profile(*arguments, **options)  # type: ignore[arg-type]


def test_a_notebook_shows_a_table(alexnet: profiler.Profile) -> None:
    """It is the table of shares, with a heading."""
    html = alexnet._repr_html_()
    assert "<table" in html
    assert "655,566,528" in html
    assert "alexnet" in html


def test_modules_that_never_ran_are_named() -> None:
    """The forward does not use the layer."""

    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(3, 3)
            self.spare = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)  # type: ignore[no-any-return]

    profile = profiler.profile(Spare(), torch.zeros(1, 3))
    assert profile.never_ran == ("spare",)
    assert profile.shares.set_index("kind").parameters["unused"] == 12


class Attending(nn.Module):
    """Attention by torch's function, which takes the probability of a dropout module, and modules it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(8, 24)
        self.norm = nn.Identity()
        self.dropout = nn.Dropout(0.1)
        self.spare = nn.Sequential(nn.Dropout(), nn.ReLU())
        self.unused = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.projection(x).chunk(3, -1)
        probability = self.dropout.p if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(query, key, value, dropout_p=probability)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_modules_that_attention_replaces_are_not_listed_as_unused(mode: Mode) -> None:
    """They are the dropout and the identity beside attention; other modules are listed as before."""
    profile = profiler.profile(Attending(), torch.zeros(2, 3, 8), mode=mode)
    assert profile.never_ran == ("spare.0", "spare.1", "unused")
    x = torch.zeros(2, 3, 8)
    assert profiler.profile(nn.MultiheadAttention(8, 2, 0.1), (x, x, x), mode=mode).never_ran == ()
    assert profiler.profile(nn.TransformerDecoderLayer(8, 2, 16), (x, x), mode=mode).never_ran == ()


def test_without_attention_an_unused_dropout_is_listed() -> None:
    """Nothing replaced it."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.dropout = nn.Dropout()
            self.identity = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layer(x)
            return result

    assert profiler.profile(Idle(), torch.zeros(2, 4)).never_ran == ("dropout", "identity")


@pytest.mark.slow
def test_a_network_has_the_name_of_its_class_or_builder() -> None:
    """The name is the class, the class inside a wrapper or before scripting, or timm's function."""
    compiled: Any = torch.compile
    jit: Any = torch.jit
    x = torch.zeros(1, 4)
    assert profiler.profile(nn.Linear(4, 4), x).name == "Linear"
    assert profiler.profile(compiled(nn.Linear(4, 4)), x).name == "Linear"
    assert profiler.profile(jit.script(nn.Linear(4, 4)), x).name == "Linear"
    layer: Any = nn.Linear(4, 4)
    layer.pretrained_cfg = {"architecture": "small_linear"}
    profile = profiler.profile(layer, x)
    assert (profile.name, profile.target) == ("small_linear", "torch.nn.modules.linear:Linear")
    layer.pretrained_cfg = {"architecture": "../evil"}
    assert "/" not in profiler.profile(layer, x).name


def test_a_function_in_place_of_a_network_is_refused() -> None:
    """The error says to call the function."""

    def net() -> nn.Module:
        return nn.Linear(4, 4)

    with pytest.raises(ProfilerError, match=r"call it first: net\("):
        profiler.profile(net, torch.zeros(1, 4))
    with pytest.raises(ProfilerError, match=r"call it first: Linear\("):
        profiler.profile(nn.Linear, torch.zeros(1, 4))


def test_crosscheck_of_a_large_network_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """No real copy is made above the limit."""
    monkeypatch.setattr("profiler.crosschecking.BYTES_LIMIT", 10)
    (counter,) = profiler.crosscheck(nn.Linear(3, 3), torch.zeros(1, 3)).counters
    assert counter.status == "skipped"
    assert counter.message == "a real copy would take 48 B, above the limit of 10 B"


def test_a_counter_that_fails_is_reported_and_not_fatal() -> None:
    """Here the network itself raises in a real run."""

    class OnlyStatic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not x.is_meta:
                raise ValueError("not for real")
            return x @ x

    profile = profiler.crosscheck(OnlyStatic(), torch.zeros(3, 3))
    assert [(counter.status, counter.message) for counter in profile.counters] == [
        ("failed", "ValueError: not for real")
    ]
    assert profile.total.macs == 27


def test_public_names_are_functions_and_classes() -> None:
    """``from profiler import profile`` imports the function, not a module."""
    from profiler import compare, crosscheck, load_config, load_profile, profile

    assert all(callable(function) for function in (compare, crosscheck, load_config, load_profile, profile))
    assert set(profiler.__all__) <= set(dir(profiler))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = profiler.nothing


def test_counters_are_added_to_a_profile(tmp_path: Path) -> None:
    """They replace earlier records, also in a saved profile; the original profile does not change."""
    model, inputs = nn.Linear(3, 3), torch.zeros(1, 3)
    profile = profiler.profile(model, inputs, name="mine").with_convention("macs")
    profile.save(tmp_path / "mine.json")
    checked = profiler.crosscheck(model, inputs, profile=profiler.load_profile(tmp_path / "mine.json"))
    assert [(record.counter, record.status) for record in checked.counters] == [("fvcore", "ok")]
    both = profiler.crosscheck(model, inputs, against="torch", profile=checked)
    again = profiler.crosscheck(model, inputs, against=["fvcore"], profile=both)
    assert [record.counter for record in both.counters] == ["fvcore", "torch"]
    assert [record.counter for record in again.counters] == ["torch", "fvcore"]
    assert profile.counters == ()
    assert (again.name, again.convention, again.trace) == ("mine", "macs", profile.trace)


@pytest.mark.slow
def test_counters_are_added_to_the_profile_of_a_config(tmp_path: Path) -> None:
    """The default is the counters that the config names, or fvcore if it names none."""
    path = tmp_path / "net.yaml"
    for named, expected in (("[torch, torch-cpu]", ["torch", "torch-cpu"]), ("false", ["fvcore"])):
        path.write_text(
            f"model: {{target: 'torch.nn:Linear', kwargs: {{in_features: 3, out_features: 4}}}}\n"
            f"inputs: [{{shape: [2, 3]}}]\ncrosscheck: {named}\n"
        )
        config = profiler.load_config(path)
        profile = profiler.profile_config(config, crosscheck=False)
        checked = profiler.crosscheck(config, profile=profile)
        assert [record.counter for record in checked.counters] == expected
        assert checked == profiler.crosscheck(config)
        assert checked.trace is profile.trace


def test_an_unknown_counter_is_an_error() -> None:
    """The error lists the counters."""
    with pytest.raises(ProfilerError, match="counter 'abacus' is not known, expected one of fvcore, torch, "):
        profiler.crosscheck(nn.Linear(3, 3), torch.zeros(1, 3), against="abacus")


@pytest.mark.slow
def test_a_profile_is_a_value() -> None:
    """It is pickled whole, whatever its network is, and does not keep the network alive."""

    class Local(nn.Linear):
        """A class that cannot be pickled."""

    model = Local(3, 3)
    checked = profiler.crosscheck(model, torch.zeros(1, 3))
    assert pickle.loads(pickle.dumps(checked)) == checked
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_rewrites_are_reached_from_the_package() -> None:
    """They need no import of their own."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    folded = profiler.rewrites.fold_batchnorm(model)
    assert isinstance(folded.get_submodule("1"), nn.Identity)
    assert isinstance(model[1], nn.BatchNorm2d)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "a\x1b[2J"])
def test_a_name_has_to_be_a_folder_name(name: str) -> None:
    """A report writes its tables into the folder."""
    with pytest.raises(ProfilerError, match=r"name: found .*, expected a name for a folder"):
        profiler.profile(nn.Linear(2, 3), torch.zeros(1, 2), name=name)


def test_a_default_name_is_a_folder_name() -> None:
    """A class made at run time may have any name."""
    odd = type("Net[3/4]", (nn.Linear,), {})
    assert profiler.profile(odd(2, 3), torch.zeros(1, 2)).name == "Net[3_4]"
