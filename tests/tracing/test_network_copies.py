"""A copy of a network equals the one that ``copy.deepcopy`` makes: the same objects, shared in the same places."""

from __future__ import annotations

import copy
import functools
import threading
import types
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.nn.utils import parametrizations, parametrize
from torch.overrides import TorchFunctionMode

from profiler.models.building import build_model
from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.copying import copy_to_meta, deep_copy, has_lazy_parts
from profiler.tracing.makes import Make, Makes
from profiler.tracing.objects import ATOMS, named, slots
from profiler.tracing.tree_copies import copy_of_tree
from tests.museum import MUSEUM, exhibit


class OnMeta(TorchFunctionMode):
    """While it is active, tensors are copied to meta; a parameter has no method for copies of its own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = on_meta(tensor)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))


def on_meta(tensor: torch.Tensor) -> torch.Tensor:
    """The meta copy of a tensor."""
    with torch.no_grad():
        new = torch.empty_like(tensor, device="meta")
    return new.requires_grad_(tensor.requires_grad)


def by_deepcopy(model: nn.Module) -> nn.Module:
    """The meta copy of a network that ``copy.deepcopy`` makes, given the copies of parameters and buffers."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        is_without_shape: bool = is_lazy(parameter)
        if is_without_shape:
            lazy: Any = UninitializedParameter
            memo[id(parameter)] = lazy(parameter.requires_grad, device="meta", dtype=parameter.dtype)
            continue
        memo[id(parameter)] = nn.Parameter(on_meta(parameter), parameter.requires_grad)
        memo[id(parameter)].__dict__.update(parameter.__dict__)
    for buffer in model.buffers():
        memo[id(buffer)] = (
            UninitializedBuffer().to("meta") if is_lazy(buffer) else on_meta(buffer).requires_grad_(False)
        )
    with OnMeta():
        return copy.deepcopy(model, memo)


class Differs(AssertionError):
    """Two copies differ; the message has the path to the place."""


class Comparison:
    """Walks two copies of ``original`` side by side: each object of one copy corresponds to one of the other."""

    def __init__(self, original: Any) -> None:
        self._of_first: dict[int, int] = {}
        self._of_second: dict[int, int] = {}
        self._kept: list[Any] = []
        self._original = set(map(id, everything(original)))
        self.compared = 0

    def check(self, first: Any, second: Any, path: str = "network") -> None:
        """Raise :class:`Differs` unless they correspond."""
        waiting = [(first, second, path)]
        while waiting:
            first, second, path = waiting.pop()
            self._require(kind_of(first) == kind_of(second), path, type(first), type(second))
            if is_atom(first):
                self._require(first is second or first == second or first != first, path, first, second)
                continue
            if id(first) in self._of_first or id(second) in self._of_second:
                paired = self._of_first.get(id(first)) == id(second) and self._of_second.get(id(second)) == id(first)
                self._require(paired, path, "shared", "not shared in the same places")
                continue
            self._of_first[id(first)], self._of_second[id(second)] = id(second), id(first)
            self._kept.append((first, second))
            shared = [id(value) in self._original for value in (first, second)]
            self._require(shared[0] == shared[1], path, "with the original: " + str(shared[0]), str(shared[1]))
            self.compared += 1
            waiting += self._parts(first, second, path)

    def _parts(self, first: Any, second: Any, path: str) -> list[tuple[Any, Any, str]]:
        if isinstance(first, torch.Tensor) and not is_lazy(first):
            self._require(tensor_facts(first) == tensor_facts(second), path, tensor_facts(first), tensor_facts(second))
        parts: list[tuple[Any, Any, str]] = []
        for ours, theirs in zip(contents(first), contents(second), strict=True):
            self._require(list(ours) == list(theirs), path, list(ours), list(theirs))
            parts += [(ours[key], theirs[key], f"{path}.{key}") for key in ours]
        return parts

    @staticmethod
    def _require(holds: bool, path: str, first: Any, second: Any) -> None:
        if not holds:
            raise Differs(f"{path}: {first!r} and {second!r}")


def kind_of(value: Any) -> Any:
    """The class of an object; each graph module has its own class of the same name."""
    return (type(value).__module__, type(value).__qualname__) if isinstance(value, fx.GraphModule) else type(value)


def is_atom(value: Any) -> bool:
    """Whether it is immutable and holds nothing."""
    return isinstance(value, ATOMS) and not isinstance(value, weakref.ref)


def tensor_facts(tensor: torch.Tensor) -> tuple[Any, ...]:
    """The facts about a tensor on meta, or about one with values."""
    facts = (tuple(tensor.shape), tensor.dtype, tensor.device, tensor.requires_grad, tensor.layout, tensor.is_leaf)
    if tensor.layout != torch.strided or tensor.is_nested:
        return facts
    return (*facts, tensor.stride(), None if tensor.is_meta else tensor.detach().flatten().tolist())


def contents(value: Any) -> tuple[dict[Any, Any], ...]:
    """The objects that an object holds, by position or by name."""
    items: dict[Any, Any] = {}
    if isinstance(value, (set, frozenset)):
        by_text = {repr(item): item for item in value if is_atom(item)}
        items = {"size": len(value), **{text: by_text[text] for text in sorted(by_text)}}  # they have no order
    elif isinstance(value, (list, tuple)):
        items = dict(enumerate(value))
    elif isinstance(value, dict):
        pairs = list(value.items())
        items = {f"key {i}": key for i, (key, _) in enumerate(pairs)} | {f"of {i}": v for i, (_, v) in enumerate(pairs)}
    elif isinstance(value, weakref.ref):
        items = {"referent": value()}
    elif isinstance(value, types.MethodType):
        items = {"function": value.__func__, "self": value.__self__}
    elif isinstance(value, functools.partial):
        items = {"function": value.func, "arguments": value.args, "options": value.keywords}
    return items, named(value), slots(value) if not isinstance(value, torch.Tensor) else {}


def everything(value: Any) -> list[Any]:
    """All objects that belong to ``value``, including itself and except immutable ones."""
    found: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if is_atom(value) or id(value) in found:
            continue
        found[id(value)] = value
        waiting += [item for part in contents(value) for item in part.values()]
    return list(found.values())


def check(model: nn.Module) -> int:
    """Compare the copies of a network, on meta and with its tensors; returns the number of compared objects."""
    before = everything(model)
    comparison = Comparison(model)
    comparison.check(by_deepcopy(model), copy_to_meta(model))
    if not has_lazy_parts(model.modules()):
        Comparison(model).check(copy.deepcopy(model), deep_copy(model))
    tree = copy_by_make(model)
    if tree is not None:
        Comparison(model).check(by_deepcopy(model), tree)
    after = everything(model)
    assert list(map(id, before)) == list(map(id, after))
    return comparison.compared


class OfAnyCode(Makes):
    """Makes of networks whose code may do anything."""

    def _read(self, kinds: Any, found: Any) -> Any:
        return SimpleNamespace(problem="", named=frozenset(), libraries=True)


def copy_by_make(model: nn.Module) -> nn.Module | None:
    """The copy that follows from the make of a network, where there is one."""
    try:
        make: Make = OfAnyCode().of(model, training=False)
    except (OpenCodeError, RuntimeError):
        return None
    modules = copy_of_tree(make, {})
    if modules is not None:
        assert modules == list(modules[0].modules())
    return None if modules is None else modules[0]


@pytest.mark.parametrize("name", sorted(MUSEUM))
def test_the_museum_is_copied_as_by_deepcopy(name: str) -> None:
    """Every exhibit has the same copy."""
    assert check(exhibit(name)[0]) > 10


class Holds(nn.Module):
    """A linear layer, and any other attributes."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        for name, value in attributes.items():
            setattr(self, name, value)


@dataclass
class Settings:
    """A configuration that modules share."""

    sizes: list[int] = field(default_factory=lambda: [1, 2])
    parent: Any = None


class OwnNew(Holds):
    """Its new instances already have an attribute."""

    def __new__(cls) -> Any:
        new = super().__new__(cls)
        object.__setattr__(new, "born", [1])
        return new


class OwnState(Holds):
    """Leaves an attribute out of its state, and makes it again."""

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "made"} | {"number": [len(vars(self))]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.made = "again"


class OwnSetState(Holds):
    """Has ``__setstate__`` only."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {"came": list(state)})  # type: ignore[no-untyped-call]


class OwnReduce(Holds):
    """Pickled by a call."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return OwnReduce, (), {"reduced": [protocol], **vars(self)}


class OwnCopy(Holds):
    """Copies itself, without some of its attributes."""

    def __deepcopy__(self, memo: Any) -> Any:
        new: Any = OwnCopy()
        new.layer = copy.deepcopy(self.layer, memo)
        new.copied = [copy.deepcopy(part, memo) for part in getattr(self, "parts", ())]
        return new


class CopiedByArguments(Holds):
    """Its ``__new__`` needs arguments."""

    def __new__(cls, *arguments: Any) -> Any:
        new = super().__new__(cls)
        object.__setattr__(new, "arguments", arguments)
        return new

    def __getnewargs__(self) -> tuple[Any, ...]:
        return ([1, 2], self.layer)


class HasSlots(Holds):
    """A module with a slot."""

    __slots__ = ("slot",)


class Delegates(Holds):
    """Forwards missing attributes to its layer."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


class AttributesOfOrder(OrderedDict[str, Any]):
    """A subclass of OrderedDict with attributes."""


def _same_twice() -> Any:
    layer, shared = nn.Linear(3, 3), [torch.zeros(2)]
    model: Any = Holds(first=layer, second=nn.Sequential(layer, nn.ReLU()), one=shared, other={"of": (shared, layer)})
    model.second[0].settings = model.settings = Settings(parent=model)
    return model


def _of_shared_settings() -> Any:
    settings, sizes = Settings(), [3, 4]
    settings.parent = {"sizes": sizes, "own": settings.sizes}
    return nn.Sequential(Holds(settings=settings), Holds(settings=settings, sizes=sizes), Holds(sizes=settings.sizes))


def _tied() -> Any:
    model: Any = Holds(words=nn.Embedding(4, 3), head=nn.Linear(3, 4))
    model.head.weight = model.words.weight
    model.head.weight.special = ["of the parameter"]
    model.register_buffer("table", torch.arange(3), persistent=False)
    model.words.register_buffer("table", model.table)
    return model


def _tied_apart() -> Any:
    model: Any = _tied()
    del model.head.weight.special
    return model


def _tied_twice() -> Any:
    model: Any = Holds(inner=nn.Linear(3, 3))
    model.register_buffer("table", model.inner.weight)  # a parameter here, a buffer there
    return model


def _hooked() -> Any:
    model: Any = Holds()
    model.handles = [
        model.register_forward_hook(lambda *_: None),
        model.layer.register_forward_pre_hook(model.layer.forward, with_kwargs=True),
        model.layer.register_full_backward_hook(functools.partial(print, [1], end=[2])),
        model.register_state_dict_post_hook(lambda *_: None),
    ]
    gone = model.layer.register_forward_hook(lambda *_: None, always_call=True)
    gone.remove()
    model.gone = gone
    return model


def _in_a_cycle() -> Any:
    model: Any = Holds(items=[], table={}, ordered=OrderedDict())
    model.items.append((model.items, model))
    model.table["me"] = model.table
    model.ordered["me"] = [model.ordered]
    object.__setattr__(model.layer, "parent", model)
    object.__setattr__(model, "everything", vars(model))
    return model


def _with_views() -> Any:
    weight = nn.Parameter(torch.zeros(4, 6))
    model: Any = Holds(weight=weight, row=weight.detach()[0], plain=[weight, nn.Parameter(torch.ones(2))])
    model.transposed = nn.Parameter(torch.zeros(4, 6).t())
    model.last = nn.Parameter(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))
    model.gaps = nn.Parameter(torch.zeros(4, 6)[:, ::2], requires_grad=False)
    model.expanded = nn.Parameter(torch.zeros(1, 6).expand(4, 6))
    model.odd = torch.zeros(8).as_strided((1, 4), (7, 2))
    model.number = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    model.empty = nn.Parameter(torch.zeros(0, 3))
    model.tagged = torch.zeros(2)
    model.twice = (model.tagged, [model.tagged])
    return model


def _ordered_with_attributes() -> Any:
    own = AttributesOfOrder(a=[1])
    own.extra = [2]  # type: ignore[attr-defined]
    plain: Any = OrderedDict(a=[1])
    plain.extra = [2]
    return Holds(own=own, plain=plain, default=defaultdict(list, {"a": [1]}))


def _instance_method() -> Any:
    model: Any = Holds(bound=None)
    model.bound = model.layer.forward
    model.layer.forward = types.MethodType(lambda self, x: x, model.layer)
    model.layer.__dict__["__deepcopy__"] = lambda memo: nn.ReLU()
    return model


def _older() -> Any:
    """Layers that were saved by versions of torch without some of their attributes."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.Softmax(1), nn.AvgPool3d(2))
    for layer, name in ((model[0], "padding_mode"), (model[2], "dim"), (model[3], "ceil_mode")):
        del layer.__dict__[name]
    return model


def _equal_makes() -> Any:
    """Each layer has what its equal ones do not have to have: modes, names of buffers, attributes of parameters."""
    model: Any = nn.Sequential(*[nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)) for _ in range(3)])
    model[1].eval()
    model[0][0].weight.requires_grad_(False)
    for block in model:
        block[0].weight.marked = True
        block[0].register_buffer("table", torch.zeros(2, 2).requires_grad_(), persistent=block is model[2])
        block[0].register_parameter("other", None)
        block[0].register_buffer("nothing", None)
    return model


def _hooked_on_state() -> Any:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].register_state_dict_post_hook(lambda *_: None)
    return model


class Pair(NamedTuple):
    """A tuple with names."""

    first: int
    second: Any


def _with_own_method() -> Any:
    model: Any = Holds()
    model.layer.__dict__["__deepcopy__"] = lambda memo: nn.ReLU()
    return model


ZOO: dict[str, Callable[[], nn.Module]] = {
    "plain attributes": lambda: Holds(
        number=1, text="a", nothing=None, size=torch.Size([1, 2]), dtype=torch.float16, device=torch.device("cpu")
    ),
    "containers": lambda: Holds(a=[1, [2]], b=({"x": [3]}, 4), c={1, 2}, d=frozenset({1}), e=((1, 2), 3)),
    "shared objects": _same_twice,
    "tied parameters": _tied,
    "tied parameters without attributes": _tied_apart,
    "a parameter that is a buffer too": _tied_twice,
    "hooks": _hooked,
    "circles": _in_a_cycle,
    "views": _with_views,
    "ordered dictionaries": _ordered_with_attributes,
    "methods": _instance_method,
    "a weak reference": lambda: Holds(reference=weakref.ref(Settings)),
    "a set of modules": lambda: Holds(modules_in_set={nn.ReLU()}),
    "modules outside of modules": lambda: Holds(plainly=[nn.Linear(2, 2)], settings=Settings(parent=nn.Linear(2, 2))),
    "a partial function": lambda: Holds(make=functools.partial(nn.LayerNorm, eps=1e-6)),
    "its own new": lambda: nn.Sequential(OwnNew()),
    "its own state": lambda: nn.Sequential(OwnState(made="once")),
    "its own setting of state": lambda: nn.Sequential(OwnSetState()),
    "its own reduction": lambda: nn.Sequential(OwnReduce(), nn.ReLU()),
    "its own copy": lambda: nn.Sequential(OwnCopy(parts=[nn.Linear(2, 2)])),
    "arguments for new ones": lambda: nn.Sequential(CopiedByArguments()),
    "slots": lambda: nn.Sequential(HasSlots(slot=[1])),
    "delegation": lambda: nn.Sequential(Delegates()),
    "a parametrization": lambda: parametrizations.spectral_norm(nn.Linear(3, 4)),
    "a removed parametrization": lambda: parametrize.remove_parametrizations(
        parametrizations.orthogonal(nn.Linear(3, 3)), "weight"
    ),
    "lazy parts": lambda: nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()),
    "a recurrent network": lambda: nn.Sequential(nn.LSTM(3, 4, 2), nn.GRUCell(2, 2)),
    "a transformer": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
    "containers of parameters": lambda: Holds(
        of_list=nn.ParameterList([nn.Parameter(torch.zeros(2)), torch.zeros(3)]),
        of_dict=nn.ParameterDict({"a": nn.Parameter(torch.zeros(2))}),
        modules_by_name=nn.ModuleDict({"a": nn.ReLU()}),
    ),
    "a symbolically traced network": lambda: fx.symbolic_trace(nn.Sequential(nn.Linear(3, 3), nn.ReLU())),
    "no parameter": lambda: nn.Linear(3, 3, bias=False).requires_grad_(False),
    "older layers": _older,
    "layers of equal makes": _equal_makes,
    "hooks on the state": _hooked_on_state,
    "gaps": lambda: Holds(
        gaps=nn.Parameter(torch.zeros(4, 6)[:, ::2]), last=nn.Parameter(torch.zeros(4, 6).expand(2, 4, 6))
    ),
    "immutable containers": lambda: Holds(a=frozenset({1}), b=((1, 2), 3), c=(0.0, 1), d=Pair(1, (2,))),
    "a method for copies": _with_own_method,
    "a flag of another type": lambda: Holds(layers=nn.Sequential(Holds(training=[True]))),
    "settings of several modules": _of_shared_settings,
    "a function of torch": lambda: Holds(activation=F.gelu, other=torch.relu, kind=nn.ReLU),
}


@pytest.mark.parametrize("name", ZOO)
def test_unusual_modules_are_copied_as_by_deepcopy(name: str) -> None:
    """They have their own methods for copies, hooks, cycles, views and shared objects."""
    assert check(ZOO[name]()) > 5


BY_MAKE = (
    *(
        "tied parameters without attributes",
        "containers",
        "containers of parameters",
        "a partial function",
        "settings of several modules",
    ),
    *("a function of torch", "a removed parametrization", "a transformer", "its own new", "its own setting of state"),
    *("no parameter", "plain attributes", "older layers", "layers of equal makes", "immutable containers"),
)


@pytest.mark.parametrize("name", ZOO)
def test_some_are_copied_by_their_make(name: str) -> None:
    """Others have objects that may be shared, hooks, or ways of their own to be copied."""
    assert (copy_by_make(ZOO[name]()) is not None) == (name in BY_MAKE)


@pytest.mark.parametrize("name", ["residual block", "encoder", "conv2d grouped"])
def test_exhibits_are_copied_by_their_make(name: str) -> None:
    """Plain networks are."""
    assert copy_by_make(exhibit(name)[0]) is not None


def test_the_comparison_sees_differences() -> None:
    """It fails for a missing object, another type, a shared list, and a tensor of another kind."""
    one = [1]
    for first, second in (
        (Holds(a=[1]), Holds()),
        (Holds(a=nn.ReLU()), Holds(a=nn.GELU())),
        (Holds(a=one, b=one), Holds(a=[1], b=[1])),
        (Holds(a=[1], b=[1]), Holds(a=one, b=one)),
        (Holds(a=torch.zeros(2)), Holds(a=torch.zeros(2, requires_grad=True))),
        (Holds(a=torch.zeros(2, 3)), Holds(a=torch.zeros(3, 2).t())),
        (Holds(a={"x": 1, "y": 2}), Holds(a={"y": 2, "x": 1})),
    ):
        with pytest.raises(Differs):
            Comparison(None).check(copy_to_meta(first), copy_to_meta(second))
    first = Holds(a=one)
    with pytest.raises(Differs, match="with the original"):
        Comparison(first).check(first, copy_to_meta(first))


def test_only_objects_that_cannot_be_copied_are_shared() -> None:
    """They are the lists with the lock in each module; everything around them is copied."""
    inner = Holds(lock=[threading.Lock()], fine=[1])
    model = nn.Sequential(inner, Holds(again=inner.lock, layer_of=inner.layer))
    copied: Any = copy_to_meta(model)
    assert copied[0].lock is inner.lock is copied[1].again
    assert copied[0].fine == [1]
    assert copied[0].fine is not inner.fine
    assert copied[1].layer_of is copied[0].layer is not inner.layer


def test_deep_nests_are_copied_within_the_usual_limit() -> None:
    """Copying takes fewer frames for each level than running."""
    model: nn.Module = nn.ReLU()
    for _ in range(250):
        model = nn.Sequential(model)
    assert len(list(copy_to_meta(model).modules())) == 251


TORCHVISION = ("resnet18", "vit_b_16", "swin_t", "googlenet", "mobilenet_v3_small")


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        *(f"torchvision:{name}" for name in TORCHVISION),
        *(
            pytest.param(f"timm:{name}", marks=pytest.mark.exhaustive)
            for name in ("beit_base_patch16_224", "coatnet_0_224", "tnt_s_patch16_224")
        ),
        *(f"timm:{name}" for name in ("levit_128", "convnext_atto")),
        *(
            f"transformers:{name}"
            for name in ("BertModel", "T5Model", "LlamaForCausalLM", "MambaForCausalLM", "Wav2Vec2Model")
        ),
    ],
)
def test_networks_are_copied_as_by_deepcopy(target: str) -> None:
    """The networks come from three sources and are built on meta."""
    assert check(build_model(target)) > 1000
