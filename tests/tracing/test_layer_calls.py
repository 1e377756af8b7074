"""Calls of torch's own layers that are answered without running them do what they would have done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.records import Recording
from profiler.rules import REGISTRY
from profiler.tracing import closed_code, layer_calls, memo, record


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts with an empty memo."""
    memo.clear()
    yield
    memo.clear()


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes of layers whose calls were answered."""
    found: list[str] = []
    original = layer_calls.LayerCalls.answer

    def answer(self: Any, seen: Any, layer: layer_calls.Layer, args: Any, kwargs: Any) -> Any:
        result, key = original(self, seen, layer, args, kwargs)
        if result is not layer_calls.NOT_ANSWERED:
            found.append(type(layer.module).__name__)
        return result, key

    monkeypatch.setattr(layer_calls.LayerCalls, "answer", answer)
    return found


def version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


class Watching(nn.Module):
    """Calls its layers on one tensor, one after the other, and notes all that code can see of their results."""

    seen: list[Any]

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> Any:
        result: Any = x + 0
        for layer in self.layers:
            given, before = result, version(result)
            result = self.call(layer, given, *others)
            self.note(result, given, version(given) - before)
            result = result[0] if isinstance(result, tuple) else result
        return result

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return layer(x, *others)

    def note(self, result: Any, given: torch.Tensor, changes: int) -> None:
        tensor = result[0] if isinstance(result, tuple) else result
        shape = type(tensor), tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), tensor.dtype, tensor.device
        rest = tensor.requires_grad, tensor.is_leaf, tensor.is_inference(), version(tensor), type(tensor.grad_fn)
        around = type(result), [value is None for value in result] if isinstance(result, tuple) else []
        self.seen.append((around, shape, rest, tensor is given, changes, tensor.untyped_storage().nbytes()))


def recorded(model: Watching, inputs: tuple[torch.Tensor, ...]) -> tuple[Recording, list[Any]]:
    Watching.seen = []
    recording = record(model, inputs, "inference", operators=REGISTRY)
    return recording, Watching.seen


def same_with_and_without(model: Watching, *inputs: torch.Tensor) -> None:
    """Whether three runs with the memo record, and show the network, what a run without it does."""
    with memo.without_memo():
        expected = recorded(model, inputs)
    assert expected[1]
    for _ in range(3):
        assert recorded(model, inputs) == expected


def image(*shape: int) -> torch.Tensor:
    return torch.zeros(*(shape or (2, 4, 6, 6)))


LAYERS: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "linear": lambda: (nn.Linear(6, 6), image()),
    "linear without bias": lambda: (nn.Linear(6, 6, bias=False), image()),
    "conv": lambda: (nn.Conv2d(4, 4, 3, padding=1), image()),
    "conv with zeros of its own": lambda: (nn.Conv2d(4, 4, 3, padding="same"), image()),
    "depthwise conv": lambda: (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), image()),
    "conv on channels last": lambda: (
        nn.Conv2d(4, 4, 1).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        image().to(memory_format=torch.channels_last),
    ),
    "transposed conv": lambda: (nn.ConvTranspose2d(4, 4, 3, padding=1), image()),
    "batch norm": lambda: (nn.BatchNorm2d(4), image()),
    "batch norm without statistics": lambda: (nn.BatchNorm2d(4, track_running_stats=False), image()),
    "layer norm": lambda: (nn.LayerNorm(6), image()),
    "group norm": lambda: (nn.GroupNorm(2, 4), image()),
    "RMS norm": lambda: (nn.RMSNorm(6), image()),
    "relu": lambda: (nn.ReLU(), image()),
    "relu in place": lambda: (nn.ReLU(inplace=True), image()),
    "silu in place": lambda: (nn.SiLU(inplace=True), image()),
    "gelu": lambda: (nn.GELU(), image()),
    "hard swish": lambda: (nn.Hardswish(), image()),
    "softmax": lambda: (nn.Softmax(-1), image()),
    "prelu": lambda: (nn.PReLU(4), image()),
    "average pool": lambda: (nn.AvgPool2d(3, 1, 1), image()),
    "adaptive pool": lambda: (nn.AdaptiveAvgPool2d(6), image()),
    "max pool": lambda: (nn.MaxPool2d(3, 1, 1), image()),
    "dropout": lambda: (nn.Dropout(), image()),
    "identity": lambda: (nn.Identity(), image()),
    "upsampling": lambda: (nn.Upsample(scale_factor=1.0), image()),
    "attention": lambda: (nn.MultiheadAttention(8, 2, batch_first=True), image(2, 5, 8)),
}

RUN_EACH_TIME: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "flatten": lambda: (nn.Flatten(0, -1), image(24)),
    "pixel shuffle": lambda: (nn.PixelShuffle(1), image()),
    "reflection": lambda: (nn.ReflectionPad2d(0), image()),
    "lstm": lambda: (nn.LSTM(8, 8, batch_first=True), image(2, 5, 8)),
}


class OfItself(Watching):
    """Attention of a sequence to itself."""

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        if isinstance(layer, nn.MultiheadAttention):
            return layer(x, x, x, need_weights=False)
        return super().call(layer, x, *others)


@pytest.mark.parametrize("name", [*LAYERS, *RUN_EACH_TIME])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_the_same_layer_twice(name: str, answered: list[str]) -> None:
    """The recording is the same, and so is all that the network sees of the result."""
    layer, x = {**LAYERS, **RUN_EACH_TIME}[name]()
    other, _ = {**LAYERS, **RUN_EACH_TIME}[name]()
    same_with_and_without(OfItself(layer, other), x)
    if name in LAYERS:
        assert len(answered) >= 4  # both in the second and the third run


def test_a_key_has_all_that_a_call_depends_on(answered: list[str]) -> None:
    """Layers of one class that differ in one thing each: none is answered in the first run."""
    convs = [
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 1, bias=False),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 1, stride=2),
        nn.Conv2d(4, 4, 1),  # on fewer pixels
    ]
    with memo.without_memo():
        expected = recorded(Watching(*convs), (image(),))
    assert recorded(Watching(*convs), (image(),)) == expected
    assert not answered


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


class OwnForward(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1


class OwnGlobals(nn.ReLU):
    """A class outside torch."""


def parametrized() -> nn.Module:
    layer = nn.Linear(6, 6)
    parametrize.register_parametrization(layer, "weight", Doubled())
    return layer


def hooked() -> nn.Module:
    layer = nn.Linear(6, 6)
    layer.register_forward_hook(lambda module, args, result: result + 1)
    return layer


def with_own_method() -> nn.Module:
    layer = nn.Linear(6, 6)
    layer.forward = lambda x: F.linear(x, layer.weight) * 2  # type: ignore[method-assign, assignment]
    return layer


@pytest.mark.parametrize(
    "make", [parametrized, hooked, with_own_method, lambda: OwnForward(6, 6), OwnGlobals], ids=lambda make: ""
)
def test_layers_with_code_of_others_run(make: Callable[[], nn.Module], answered: list[str]) -> None:
    """A forward, a hook or a parametrization of someone else is run each time."""
    same_with_and_without(Watching(make(), make()), image())
    assert answered == []


def test_hooks_of_all_modules_run(answered: list[str]) -> None:
    """A global hook sees every call."""
    calls: list[str] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, result: calls.append(""))
    try:
        same_with_and_without(Watching(nn.ReLU(), nn.ReLU()), image())
    finally:
        handle.remove()
    assert answered == []
    assert len(calls) == 4 * 3


class Changing(Watching):
    """Changes its layer between two calls in one way."""

    change: Callable[[nn.Module], Any]

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> Any:
        result = x + 0
        for layer in self.layers:
            first = layer(result)
            type(self).change(layer)
            second = layer(result)
            self.note(second, result, 0)
            result = first
        return result, second


def _new_weight(layer: Any) -> None:
    layer.weight = nn.Parameter(torch.empty(3, 4, 1, 1, device=layer.weight.device))


CHANGES: dict[str, Callable[[Any], Any]] = {
    "stride": lambda layer: setattr(layer, "stride", (2, 2)),
    "weight": _new_weight,
    "no bias": lambda layer: setattr(layer, "bias", None),
    "hook": lambda layer: layer.register_forward_hook(lambda module, args, result: result + 1),
    "forward": lambda layer: setattr(layer, "forward", lambda x: x * 2),
    "method": lambda layer: setattr(layer, "_conv_forward", lambda x, weight, bias: F.conv2d(x, weight, bias) * 2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_layer_that_its_network_changes(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered follows the layer as it is at the time of the call."""
    monkeypatch.setattr(Changing, "change", staticmethod(CHANGES[what]), raising=False)
    same_with_and_without(Changing(nn.Conv2d(4, 3, 1, bias=what != "weight")), image())


@pytest.mark.parametrize("make", [nn.Dropout, lambda: nn.BatchNorm2d(4)], ids=["dropout", "batch norm"])
def test_a_layer_whose_mode_its_network_changes(make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """In train mode a layer computes something else."""
    monkeypatch.setattr(Changing, "change", staticmethod(lambda layer: layer.train(not layer.training)), raising=False)
    same_with_and_without(Changing(make()), image())


class Seeing(TorchFunctionMode):
    """Multiplies the result of every convolution by 2."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 2 if func is F.conv2d else result


class SeeingOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The same for operators."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 2 if "conv" in str(func) else result


class In(Watching):
    """Calls its layers in the surroundings that it is given."""

    around: Callable[[Callable[[], Any]], Any]

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return type(self).around(lambda: layer(x))


def _within(context: Callable[[], Any]) -> Callable[[Callable[[], Any]], Any]:
    def run(call: Callable[[], Any]) -> Any:
        with context():
            return call()

    return run


def _in_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


SURROUNDINGS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "inference mode": _within(torch.inference_mode),
    "gradients": _within(torch.enable_grad),
    "autocast": _within(lambda: torch.autocast("cpu", torch.bfloat16)),
    "function mode": _within(Seeing),
    "dispatch mode": _within(SeeingOperators),
    "default device": _within(lambda: torch.device("meta")),
    "thread": _in_thread,
}


@pytest.mark.parametrize("what", SURROUNDINGS)
def test_a_layer_in_other_surroundings(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and modes that the network sets are followed, in either order."""
    layers = [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)]
    for order in ([lambda call: call(), SURROUNDINGS[what]], [SURROUNDINGS[what], lambda call: call()]):
        memo.clear()
        for around in order:
            monkeypatch.setattr(In, "around", staticmethod(around), raising=False)
            with memo.without_memo():
                expected = recorded(In(*layers), (image(),))
            for _ in range(2):
                assert recorded(In(*layers), (image(),)) == expected


class Mapped(Watching):
    """Maps its layer over samples."""

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return torch.vmap(lambda sample: layer(sample))(x)


class Both(Watching):
    """Calls its layer on a plain tensor, on one of the same metadata that is special, and on the plain one again."""

    special: Callable[[torch.Tensor], torch.Tensor]

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        special = type(self).special(x)
        results = [layer(x), layer(special), layer(x)]
        with torch.no_grad():
            known = x * 2 if special.numel() == 2 and bool((results[1] >= 0).all()) else x + 1
        return sum(results) + 0 * known


class Padded(Both):
    """Some MACs of its layer are on zeros around the input."""

    special = staticmethod(lambda x: F.pad(x[..., 1:-1, 1:-1], (1, 1, 1, 1)))


class Constant(Both):
    """Its layer has random numbers, so that its result depends on parameters alone."""

    special = staticmethod(lambda x: torch.rand(x.shape))


class OfValues(Both):
    """Its layer has numbers that are known, and the network branches on its result."""

    special = staticmethod(lambda x: torch.tensor([1.0, -1.0]))


class Blank(Both):
    """Its layer has memory without values."""

    special = staticmethod(torch.empty_like)


class Parts(Watching):
    """Calls its layer on parts of a tensor, whose results share nothing."""

    def call(self, layer: nn.Module, x: torch.Tensor, *others: torch.Tensor) -> Any:
        first, second = x.chunk(2)
        return torch.cat([layer(first), layer(second)])


class Held(Watching):
    """Calls its layer on one of its own parameters."""

    def call(self, layer: Any, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return F.linear(x, layer(layer.weight))


NETWORKS: dict[str, Callable[[], tuple[Watching, torch.Tensor]]] = {
    "mapped over samples": lambda: (Mapped(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)), image()),
    "zeros around": lambda: (Padded(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)), image()),
    "constant": lambda: (Constant(nn.Linear(6, 6), nn.Linear(6, 6)), image()),
    "blank memory": lambda: (Blank(nn.ReLU(), nn.ReLU()), image()),
    "parts": lambda: (Parts(nn.ReLU(), nn.Linear(6, 6)), image()),
    "its own weight": lambda: (Held(nn.Linear(6, 6)), image()),
    "one layer twice": lambda: (Watching(*[nn.Linear(6, 6)] * 2), image()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_arguments(name: str) -> None:
    """Where more than metadata decides, the call runs."""
    network, x = NETWORKS[name]()
    same_with_and_without(network, x)


def test_known_values() -> None:
    """A network may branch on the result of a layer whose values are known.

    Constants on the CPU are freed, and a later storage may have the id of one, so numbers of storages are not compared.
    """

    def run() -> list[Any]:
        recording, seen = recorded(OfValues(nn.ReLU(), nn.ReLU()), (image(2),))
        return [seen, *[(recording.signatures[event.signature].op, event.module) for event in recording.events]]

    with memo.without_memo():
        expected = run()
    assert [run(), run(), run()] == [expected] * 3


def test_tied_weights() -> None:
    """A weight of two layers is read as one parameter."""
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    same_with_and_without(Watching(first, second), image())


REPLACED: dict[str, tuple[Any, str]] = {
    "function of functional": (F, "conv2d"),
    "function of torch": (torch, "conv2d"),
    "forward": (nn.Conv2d, "forward"),
    "another method": (nn.Conv2d, "_conv_forward"),
    "method of a base": (nn.Module, "__getattr__"),
}


@pytest.mark.parametrize("name", REPLACED)
def test_code_that_was_replaced_runs(name: str, monkeypatch: pytest.MonkeyPatch, answered: list[str]) -> None:
    """Nothing is answered of a layer whose code someone has replaced, in torch or in its class."""
    network = Watching(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    same_with_and_without(network, image())
    assert answered
    answered.clear()
    space, attribute = REPLACED[name]
    original, calls = getattr(space, attribute), list[None]()

    def replaced(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        return original(*args, **kwargs)

    monkeypatch.setattr(space, attribute, replaced)
    if name == "function of torch":  # that of functional is the same object
        monkeypatch.setattr(F, attribute, replaced)
        monkeypatch.setattr(closed_code, "_functions", closed_code._functions[1:])
    same_with_and_without(network, image())
    assert answered == []
    assert len(calls) >= 4 * 2  # by both layers in each of four runs


def test_attributes_are_known_by_their_names(answered: list[str]) -> None:
    """Two layers whose attributes have the same values in another order differ."""
    plain = nn.Conv2d(4, 4, 3, padding=2, dilation=1)
    other = nn.Conv2d(4, 4, 3, padding=1, dilation=2)
    for layer, order in ((plain, ("padding", "dilation")), (other, ("dilation", "padding"))):
        for name in order:
            layer.__dict__[name] = layer.__dict__.pop(name)
        del layer._reversed_padding_repeated_twice  # it differs too, and is only read with other padding modes
    assert [*vars(plain).values()][-2:] == [*vars(other).values()][-2:]
    with memo.without_memo():
        expected = [recorded(Watching(layer), (image(2, 4, 9, 9),)) for layer in (plain, other)]
    assert expected[0] != expected[1]
    assert [recorded(Watching(layer), (image(2, 4, 9, 9),)) for layer in (plain, other)] == expected
    assert answered == []


def test_a_layer_that_raises_is_named() -> None:
    """The error of a layer is that of a run without answers, also after one that did not raise."""
    good, bad = image(2, 6), image(2, 5)
    network = Watching(nn.Linear(6, 6))
    recorded(network, (good,))
    with pytest.raises(Exception, match=r"layers\.0 \(Linear\)"):
        recorded(network, (bad,))


def test_what_libraries_add_to_all_modules_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, answered: list[str]
) -> None:
    """torch's compiler changes how modules are made, and transformers adds a method that fills them."""
    network = Watching(nn.Linear(6, 6), nn.Linear(6, 6))
    same_with_and_without(network, image())
    first = len(answered)
    original = nn.Module.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", init)
    monkeypatch.setattr(nn.Module, "smart_apply", lambda self, function: self.apply(function), raising=False)
    same_with_and_without(network, image())
    assert len(answered) > first
