"""Networks from targets: on meta whatever the constructor does, or real without drawing random numbers."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from profiler.errors import TargetError
from profiler.models.building import build_model, build_real_model, move_to_meta
from profiler.models.targets import list_targets

pytestmark = pytest.mark.slow  # whole networks are built


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a test here opens a connection."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    """Every parameter and buffer, under each of its names."""
    yield from dict(network.named_parameters(remove_duplicate=False)).values()
    yield from dict(network.named_buffers(remove_duplicate=False)).values()


def write(folder: Path, body: str) -> None:
    """``net.py`` with a network ``Net`` whose constructor runs ``body``."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    (folder / "net.py").write_text(
        "import numpy as np\nimport torch\nfrom torch import nn\n\n"
        f"class Net(nn.Module):\n    def __init__(self, width=3):\n        super().__init__()\n{lines}"
    )


FAMILIES = ("zoo", "classification", "segmentation", "detection", "video", "optical_flow")
OF_THEM = [pytest.param(10, id="every tenth"), pytest.param(1, id="all", marks=pytest.mark.exhaustive)]
"""Those with weights are also built where their published figures are measured."""


@pytest.mark.slow
@pytest.mark.parametrize("step", OF_THEM)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_known_network_builds_on_meta(family: str, step: int) -> None:
    """Each network of the family is built without a connection, with all tensors on meta."""
    targets = [entry.target for entry in list_targets() if entry.family == family][::step]
    assert targets
    for target in targets:
        network: Any = build_model(target)
        assert all(tensor.is_meta for tensor in tensors(network)), target


def test_quantizable_networks_build_on_meta_as_floats() -> None:
    """Without ``quantize`` torchvision's quantizable networks are ordinary ones."""
    for entry in list_targets("quantization"):
        assert all(tensor.is_meta for tensor in tensors(build_model(entry.target))), entry


@pytest.mark.slow
@pytest.mark.parametrize("step", OF_THEM)
def test_every_classification_network_runs_on_meta(step: int) -> None:
    """An image of the size that it is made for gives 1000 scores."""
    for entry in [entry for entry in list_targets("torchvision:*") if entry.family == "classification"][::step]:
        network: Any = build_model(entry.target).eval()
        side = 299 if "inception" in entry.target else 224
        assert network(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000), entry


def test_kwargs_and_dtype_reach_the_network() -> None:
    """The builder gets the kwargs; floating-point tensors get the dtype, and integer tensors keep theirs."""
    network: Any = build_model("torchvision:resnet18", {"num_classes": 7}, dtype="bfloat16")
    assert network.fc.weight.shape == (7, 512)
    assert network.fc.weight.dtype == network.bn1.running_mean.dtype == torch.bfloat16
    assert network.bn1.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize(
    "read",
    [
        "torch.ones(3).tolist()",
        "torch.ones(()).item()",
        "int(torch.ones(()))",
        "bool(torch.ones(()) > 0)",
        "torch.ones(3).numpy()",
        "np.asarray(torch.ones(3))",
        "torch.equal(torch.ones(3), torch.ones(3))",
        "[x for x in torch.linspace(0, 1, 3) if x > 0.5]",
        "range(torch.arange(3).max())",
    ],
)
def test_a_constructor_that_reads_data_runs_on_the_cpu(tmp_path: Path, read: str) -> None:
    """A constructor that fails on meta runs on the CPU, and its parameters are moved to meta as they are registered."""
    write(
        tmp_path,
        f"self.value = {read}\nself.layer = nn.Linear(2, 3)\nself.on_meta = self.layer.weight.is_meta\n"
        "self.register_buffer('b', torch.ones(2))",
    )
    network: Any = build_model("net.py:Net", base=tmp_path)
    assert all(tensor.is_meta for tensor in tensors(network))
    assert network.layer.weight.shape == (3, 2)
    assert network.on_meta


def test_a_parameter_with_a_view_is_moved_to_meta(tmp_path: Path) -> None:
    """A parameter that cannot be put on meta when it is registered is moved at the end."""
    write(
        tmp_path,
        "torch.ones(()).item()\np = nn.Parameter(torch.ones(4))\nview = p.view(2, 2)\nself.p = p\n"
        "self.total = view.sum().item()",
    )
    network: Any = build_model("net.py:Net", base=tmp_path)
    assert network.p.is_meta
    assert network.total == 4


def test_a_constructor_that_reads_its_weights_runs_wholly_on_the_cpu(tmp_path: Path) -> None:
    """If parameters on meta fail too, everything is real until it is moved."""
    write(tmp_path, "self.layer = nn.Linear(2, width)\nself.total = self.layer.weight.sum().item()")
    network: Any = build_model("net.py:Net", {"width": 5}, base=tmp_path)
    assert network.total == 0
    assert network.layer.weight.is_meta
    assert network.layer.weight.shape == (5, 2)


@pytest.mark.parametrize("data", ["", "torch.ones(()).item()", "self.a.weight.sum().item()"])
@pytest.mark.parametrize("real", [False, True])
def test_tied_parameters_stay_tied(tmp_path: Path, data: str, real: bool) -> None:
    """A parameter with two names stays one parameter and keeps its flags, wherever the network was built."""
    write(
        tmp_path,
        "self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)\nself.b.weight = self.a.weight\n"
        "p = nn.Parameter(torch.ones(2), requires_grad=False)\nself.p, self.q = p, p\np.mark = 'kept'\n"
        "self.register_buffer('m', torch.ones(1)); self.plain = [self.m, {'p': p}]; self.loop = [1]\n"
        "self.pair = 1, self.m; self.named = {1: p}; self.only = self.m; self.layers = [nn.Identity()], self.a\n"
        f"self.loop.append(self.loop)\n{data}",
    )
    build = build_real_model if real else build_model
    network: Any = build("net.py:Net", base=tmp_path, dtype="float64")
    assert network.a.weight is network.b.weight
    assert network.p is network.q
    assert network.p.mark == "kept"
    assert not network.p.requires_grad
    assert network.plain[1]["p"] is network.named[1] is network.p
    assert network.pair[1] is network.only is network.plain[0]
    assert network.only.is_meta == (not real)
    assert {tensor.dtype for tensor in tensors(network)} == {torch.float64}
    assert {tensor.is_meta for tensor in tensors(network)} == {not real}


def test_complex_tensors_keep_their_dtype(tmp_path: Path) -> None:
    """The network's dtype is for its floating-point tensors; a complex tensor would lose its imaginary part."""
    write(tmp_path, "self.z = nn.Parameter(torch.ones(2, dtype=torch.complex64))\nself.x = nn.Parameter(torch.ones(2))")
    network: Any = build_model("net.py:Net", base=tmp_path, dtype="bfloat16")
    assert (network.z.dtype, network.x.dtype) == (torch.complex64, torch.bfloat16)


def test_the_random_state_is_unchanged(tmp_path: Path) -> None:
    """Building draws nothing from torch's generator, whatever the constructor does."""
    write(tmp_path, "torch.ones(()).item()\nself.w = nn.Parameter(torch.randn(3, device='cpu'))")
    state = torch.get_rng_state()
    real: list[Any] = [build_real_model("net.py:Net", base=tmp_path) for _ in range(2)]
    build_model("net.py:Net", base=tmp_path)
    assert torch.get_rng_state().equal(state)
    assert real[0].w.equal(real[1].w)


def test_a_real_network_has_zeros_for_random_weights() -> None:
    """In-place random fills give zeros, constant ones their constant, and the network runs."""
    network: Any = build_real_model("torchvision:resnet18")
    assert network.conv1.weight.device.type == "cpu"
    assert not network.conv1.weight.any()
    assert network.bn1.weight.eq(1).all()
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)


def test_a_network_may_be_the_target(tmp_path: Path) -> None:
    """An nn.Module is copied, so that the original is not moved."""
    (tmp_path / "net.py").write_text("from torch import nn\nnetwork = nn.Linear(2, 3)\n")
    network: Any = build_model("net.py:network", base=tmp_path)
    assert network.weight.is_meta
    real: Any = build_real_model("net.py:network", base=tmp_path)
    assert real.weight.any()
    with pytest.raises(
        TargetError, match=r"^target net.py:network: it is already a network, expected no kwargs, found \{'w"
    ):
        build_model("net.py:network", {"width": 3}, base=tmp_path)


class Listed(nn.Module, list):  # type: ignore[type-arg]
    """A module that is a list too."""


def test_tensors_of_a_module_that_is_a_list_are_moved() -> None:
    """Its items are looked at like those of any list."""
    network, listed = nn.Sequential(), Listed()
    listed.append(torch.ones(3))
    network.inner = listed
    move_to_meta(network)
    assert listed[0].is_meta


def test_a_moved_lstm_runs() -> None:
    """The flat list of weights that an LSTM keeps follows its weights."""
    network: Any = move_to_meta(nn.LSTM(2, 3))
    assert network(torch.empty(4, 2, device="meta"))[0].shape == (4, 3)
    assert network._flat_weights[0] is network.weight_ih_l0


@pytest.mark.parametrize(
    ("target", "kwargs", "message"),
    [
        (
            "torchvision:resnet50",
            {"num_clases": 3},
            "calling its constructor with num_clases=3 failed: TypeError: ResNet.__init__() got an unexpected",
        ),
        (
            "torchvision:vgg16",
            {"weights": "DEFAULT"},
            "refuses weights='DEFAULT': ValueError: weights would be downloaded",
        ),
        (
            "profiler.models.zoo:AlexNet",
            {"classes": 3},
            "refuses classes=3: TypeError: got an unexpected keyword argument",
        ),
        ("profiler.models.zoo:AlexNet", {"num_classes": "a"}, "refuses num_classes='a': TypeError: "),
        ("profiler.models.zoo:AlexNet", {"num_classes": -1}, "refuses num_classes=-1: RuntimeError: "),
        ("torch.nn:Linear", {}, "refuses no kwargs: TypeError: missing a required argument: 'in_features'"),
        ("os:getcwd", {}, "returned a str, expected a torch.nn.Module"),
        ("sys:exit", {}, "refuses no kwargs: SystemExit"),
    ],
)
@pytest.mark.parametrize("build", [build_model, build_real_model])
def test_a_refusal_names_target_kwargs_and_reason(
    build: Any, target: str, kwargs: dict[str, Any], message: str
) -> None:
    """One line has the caller's own kwargs and the constructor's own message."""
    with pytest.raises(TargetError) as caught:
        build(target, kwargs)
    assert str(caught.value).startswith(f"target {target}: {message}")
    assert "\n" not in str(caught.value)


def test_kwargs_are_not_shared_with_the_network(tmp_path: Path) -> None:
    """A constructor that changes its kwargs does not change the config."""
    write(tmp_path, "width.append(1)\nself.layer = nn.Linear(1, len(width))\ntorch.ones(()).item()")
    kwargs: dict[str, Any] = {"width": [1]}
    network: Any = build_model("net.py:Net", kwargs, base=tmp_path)
    assert network.layer.weight.shape == (2, 1)
    assert kwargs == {"width": [1]}
