"""Custom objects among the inputs: their tensors are found and copied, and the caller's objects are unchanged."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import profiler
from profiler.errors import TraceError
from profiler.tracing.calls import call_arguments
from profiler.tracing.copying import to_meta
from profiler.tracing.object_copies import InputCopy, map_inputs
from profiler.tracing.objects import returned_tensors, tensors_in


def macs(profile: profiler.Profile, phase: str) -> int:
    """The MACs of one phase."""
    return sum(call.count.macs for call in profile.trace.calls if call.phase == phase)


class Plain:
    """Attributes only."""

    def __init__(self, k: torch.Tensor) -> None:
        self.k = k


class Slotted:
    """Slots; one is never set, and one has a mangled name."""

    __slots__ = ("__mine", "k", "unset")

    def __init__(self, k: torch.Tensor) -> None:
        self.k = k
        self.__mine = [k]

    @property
    def mine(self) -> torch.Tensor:
        return self.__mine[0]


class SlottedAndOpen(Slotted):
    """Slots and attributes."""

    def __init__(self, k: torch.Tensor) -> None:
        super().__init__(k)
        self.more = {"k": k}


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that can be neither changed nor extended."""

    k: torch.Tensor


@dataclass
class Open:
    """A dataclass."""

    k: torch.Tensor


class Attributes(dict[str, Any]):
    """A dict whose items are also attributes; an attribute that it does not have is None."""

    __getattr__: Any = dict.get


class Sealed(OrderedDict[str, Any]):
    """An ordered dict that takes numbers as keys and refuses ``update``."""

    def update(self, *_: Any, **__: Any) -> None:
        raise TypeError("cannot be updated")

    def __getitem__(self, key: Any) -> Any:
        return tuple(self.values())[key] if isinstance(key, int) else super().__getitem__(key)

    @property
    def k(self) -> Any:
        return self[0]


class CopiesItself:
    """A ``__deepcopy__`` that clones its tensors."""

    def __init__(self, k: torch.Tensor) -> None:
        self.k = k

    def __deepcopy__(self, memo: Any) -> CopiesItself:
        return CopiesItself(self.k.clone())


class CopiesDeeply(CopiesItself):
    """A ``__deepcopy__`` that leaves the tensors to ``copy.deepcopy``."""

    def __deepcopy__(self, memo: Any) -> CopiesDeeply:
        return CopiesDeeply(copy.deepcopy(self.k, memo))


class IsItsCopy(CopiesItself):
    """A ``__deepcopy__`` that returns the object itself."""

    def __deepcopy__(self, memo: Any) -> IsItsCopy:
        return self


class SharesTensors(CopiesItself):
    """A ``__deepcopy__`` whose result holds a view of the caller's tensor."""

    def __deepcopy__(self, memo: Any) -> SharesTensors:
        return SharesTensors(self.k[:])


class Reduced(Plain):
    """Pickled as a call."""

    def __reduce__(self) -> Any:
        return Reduced, (self.k,)


class ReducedByState(Plain):
    """Pickled by a custom state."""

    def __getstate__(self) -> Any:
        return [self.k]

    def __setstate__(self, state: Any) -> None:
        (self.k,) = state


class NotPickled(Plain):
    """Refuses to be pickled."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("not this one")


class Locked(Plain):
    """Holds an attribute that cannot be copied."""

    def __init__(self, k: torch.Tensor) -> None:
        super().__init__(k)
        self.lock = threading.Lock()
        self.changed = threading.Condition()


class Inherited(list[Any]):
    """A list with attributes."""

    def __init__(self, k: torch.Tensor) -> None:
        super().__init__([k])
        self.k = k


class Pair(NamedTuple):
    k: torch.Tensor
    name: str = "pair"


class Queued(deque[Any]):
    """Holds a queue of limited length."""

    @property
    def k(self) -> Any:
        return self[0]


class User(UserDict[str, Any]):
    """A mapping that is no dict."""

    @property
    def k(self) -> Any:
        return self.data["k"]


class Holder(nn.Module):
    """A module among the inputs."""

    def __init__(self, k: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("k", k)
        self.weight = nn.Parameter(torch.ones(2))


def nested(k: torch.Tensor) -> Any:
    """A tensor deep inside nested containers, beside other values."""
    return SimpleNamespace(k=k, deep=[{"a": (Plain(k), {1, 2})}, None, "text"], function=len, dtype=torch.float16)


def in_a_method(k: torch.Tensor) -> Any:
    """A tensor that a bound method and a partial hold."""
    holder = Plain(k)
    return SimpleNamespace(k=k, method=Open(k).__repr__, partial=partial(max, holder))


MAKERS: tuple[Callable[[torch.Tensor], Any], ...] = (
    Plain, Slotted, SlottedAndOpen, Frozen, Open, CopiesItself, CopiesDeeply, IsItsCopy, SharesTensors, Reduced,
    ReducedByState, NotPickled, Locked, Inherited, Pair, Holder, nested, in_a_method,
)  # fmt: skip
MAPPINGS: tuple[Callable[[torch.Tensor], Any], ...] = (
    lambda k: Attributes(k=k), lambda k: Sealed(k=k), lambda k: Queued([k], 3), lambda k: User(k=k),
)  # fmt: skip


class Grows(nn.Module):
    """Multiplies with ``k`` of the input, then changes it in place and, if possible, replaces it."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.linear = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor, held: Any) -> Any:
        y = self.linear(x @ held.k)
        held.k.mul_(2)
        for change in (lambda: setattr(held, "k", torch.cat([held.k, held.k])), lambda: held.update(k=held.k[:1])):
            try:
                change()
                break
            except (AttributeError, TypeError):
                continue
        if self.fails:
            raise RuntimeError("stop")
        return y


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("make", [*MAKERS, *MAPPINGS], ids=lambda make: make.__name__)
def test_objects_of_every_kind_are_copied(make: Callable[[torch.Tensor], Any], fails: bool) -> None:
    """Two profiles count the same product, and the caller's object is unchanged, also after an exception."""
    k = torch.ones(4, 5)
    held = make(k)
    for mode in ("inference", "training"):
        run = partial(profiler.profile, Grows(fails), (torch.ones(3, 4), held), mode=mode)
        if fails:
            with pytest.raises(TraceError, match="stop"):
                run()
        else:
            assert macs(run(), "forward") == 3 * 4 * 5 + 3 * 5 * 2
    assert held.k is k
    assert torch.equal(k, torch.ones(4, 5))


@pytest.mark.parametrize("make", [*MAKERS, *MAPPINGS], ids=lambda make: make.__name__)
def test_the_copy_is_of_the_same_type_and_on_meta(make: Callable[[torch.Tensor], Any]) -> None:
    """Every tensor in it is a meta copy, and the type is the same."""
    held = make(torch.ones(4, 5))
    copied = map_inputs(held, to_meta)
    assert type(copied) is type(held)
    assert copied is not held
    assert copied.k.is_meta
    assert copied.k.shape == (4, 5)
    assert all(tensor.is_meta for tensor in tensors_in(copied))


def test_shared_objects_are_copied_once() -> None:
    """The copies share tensors and objects as the inputs do, and cycles are kept."""
    tensor = torch.ones(2, 3)
    one = Slotted(tensor)
    ring: Any = [one, {"again": one}]
    ring.append(ring)
    one.unset = (ring, one)  # type: ignore[attr-defined]
    first, second, third = map_inputs((tensor, ring, one), to_meta)
    assert second[2] is second
    assert second[0] is second[1]["again"] is third
    assert third.k is third.mine is first
    assert third.unset[0] is second


def test_views_share_memory_in_the_copy() -> None:
    """A write to a tensor of the copy shows in its views, and never in the original."""
    whole = torch.arange(12.0).reshape(3, 4)
    cache = Plain(whole)
    copied, row, number = map_inputs((cache, whole[1], 7), torch.clone)
    assert torch.equal(copied.k, whole)
    copied.k[1].zero_()
    assert row.tolist() == [0.0] * 4
    assert number == 7
    assert whole[1].tolist() == [4.0, 5.0, 6.0, 7.0]
    on_meta, meta_row = map_inputs((cache, whole[1]), to_meta)
    assert on_meta.k.untyped_storage() is meta_row.untyped_storage()


def test_a_part_of_a_large_tensor_is_copied_alone() -> None:
    """The copy of a slice does not copy all of the memory that the slice lies in."""
    part = torch.zeros(1000, 4)[:2]
    (copied,) = map_inputs((part,), torch.clone)
    assert copied.untyped_storage().nbytes() == 2 * 4 * 4


def test_locks_files_and_handles_are_shared() -> None:
    """An object that cannot be copied is the caller's; the object that holds it is a copy."""
    held = Locked(torch.ones(2))
    copied = map_inputs(held, to_meta)
    assert copied is not held
    assert copied.lock is held.lock
    assert copied.changed is held.changed
    with open(__file__, encoding="utf-8") as file:
        assert map_inputs([file], to_meta)[0] is file
        assert not file.closed


def test_a_generator_of_random_numbers_is_a_copy() -> None:
    """The network does not advance the caller's generator."""
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()

    class Draws(nn.Module):
        def forward(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return x @ x.T + torch.rand(3, 3, generator=generator)

    assert profiler.profile(Draws(), (torch.ones(3, 4), generator)).total.macs == 3 * 4 * 3
    assert torch.equal(generator.get_state(), before)


def test_a_module_among_the_inputs_keeps_its_parameters() -> None:
    """They stay parameters, on meta, and are not passed as input tensors."""
    copied = map_inputs(Holder(torch.ones(3)), to_meta)
    assert isinstance(copied.weight, nn.Parameter)
    assert copied.weight.is_meta
    assert copied.k.is_meta
    assert list(tensors_in(copied)) == []


def test_a_parameter_of_the_network_among_the_inputs_is_still_its_parameter() -> None:
    """The copies share it, so it counts as used, and as a weight."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.ones(5, 4))

        def forward(self, x: torch.Tensor, held: Plain) -> torch.Tensor:
            return nn.functional.linear(x, held.k)

    model = Tied()
    profile = profiler.profile(model, (torch.ones(3, 4), Plain(model.table)))
    assert profile.total.macs == 3 * 4 * 5
    assert [record.use for record in profile.trace.parameters] == ["linear"]


def test_an_object_that_cannot_be_copied_is_refused_by_name() -> None:
    """A copy that cannot be made would let the run change the caller's tensors; the message names the class."""

    class Single(tuple):  # type: ignore[type-arg]
        def __new__(cls, *items: Any) -> Any:
            raise RuntimeError("there is one only")

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise TypeError("cannot be pickled")

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

    single: Any = tuple.__new__(Single, (torch.ones(2),))
    assert type(map_inputs(single, to_meta)) is Single  # copied by its items, without calling its methods

    class Stubborn:
        def __init__(self) -> None:
            self.k = torch.ones(2)

        def __reduce_ex__(self, protocol: Any) -> Any:
            raise profiler.ProfilerError("on purpose")

    with pytest.raises(profiler.ProfilerError, match="on purpose"):
        map_inputs(Stubborn(), to_meta)


def test_tensors_are_found_in_order_and_attributes_do_not_repeat_them() -> None:
    """A container yields a tensor as often as it holds it; a dict with attributes yields its items once."""
    a, b = torch.ones(1), torch.ones(2)
    both = Sealed(x=a)
    both.extra = [a, Plain(b)]  # type: ignore[attr-defined]
    assert [id(tensor) for tensor in tensors_in((a, a, both))] == [id(a), id(a), id(a), id(b)]
    ring: list[Any] = [a]
    ring.append(ring)
    assert len(list(tensors_in(ring))) == 1


def test_properties_are_not_evaluated() -> None:
    """The search for tensors runs no code of the object."""

    class Trap:
        def __init__(self) -> None:
            self.k = torch.ones(2)

        @property
        def expensive(self) -> Any:
            raise AssertionError("evaluated")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    assert len(list(tensors_in(Trap()))) == 1


def packed() -> PackedSequence:
    return pack_padded_sequence(torch.zeros(3, 6, 4), torch.tensor([6, 4, 2]), batch_first=True)


@pytest.mark.slow
def test_a_packed_sequence_alone_is_one_argument() -> None:
    """There are 12 steps in all, with four gates of 5 from 4 inputs and 5 states."""
    lstm = nn.LSTM(4, 5, batch_first=True)
    for inputs in (packed(), (packed(),), {"input": packed()}, [packed()]):
        assert profiler.profile(lstm, inputs).total.macs == (6 + 4 + 2) * 4 * (4 + 5) * 5


class Linear(nn.Module):
    """A linear layer on ``take(argument)``."""

    def __init__(self, take: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 5)
        self.take = take

    def forward(self, batch: Any) -> torch.Tensor:
        result: torch.Tensor = self.linear(self.take(batch))
        return result


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("inputs", "take"),
    [
        (Point(torch.zeros(3, 4), 1), lambda batch: batch.x),
        (Pair(torch.zeros(3, 4)), lambda batch: batch.k),
        (Inherited(torch.zeros(3, 4)), lambda batch: batch.k),
        (Plain(torch.zeros(3, 4)), lambda batch: batch.k),
        (Frozen(torch.zeros(3, 4)), lambda batch: batch.k),
        ({7: torch.zeros(3, 4)}, lambda batch: batch[7]),
        ((Attributes(x=torch.zeros(3, 4)),), lambda batch: batch.x),
        ((Sealed(x=torch.zeros(3, 4)),), lambda batch: batch[0]),
        ((defaultdict[str, Any](list, x=torch.zeros(3, 4)),), lambda batch: batch["x"] if batch["new"] == [] else None),
        (Attributes(batch=torch.zeros(3, 4)), lambda batch: batch),
        (User(batch=torch.zeros(3, 4)), lambda batch: batch),
        (OrderedDict(batch=torch.zeros(3, 4)), lambda batch: batch),
        ([torch.zeros(3, 4)], lambda batch: batch),
    ],
)
def test_which_inputs_are_several_arguments(inputs: Any, take: Callable[[Any], torch.Tensor]) -> None:
    """Plain tuples and lists are positional arguments, mappings are keyword arguments; all else is one argument."""
    assert profiler.profile(Linear(take), inputs).total.macs == 3 * 4 * 5


def test_integers_inside_objects_are_known() -> None:
    """A size inside an object decides what the network does without a real run; the caller's size is unchanged."""

    class Repeats(nn.Module):
        def forward(self, x: torch.Tensor, held: Any) -> torch.Tensor:
            held.k.add_(1)
            for _ in range(int(held.k)):
                x = x @ x
            return x

    for make in (Plain, Slotted, Frozen, lambda k: User(k=k)):
        steps = torch.tensor(2)
        profile = profiler.profile(Repeats(), (torch.zeros(4, 4), make(steps)))
        assert profile.total.macs == 3 * 4 * 4 * 4
        assert not profile.trace.real_run
        assert steps.item() == 2


def test_views_of_known_integers_share_their_values() -> None:
    """A write to the whole tensor is read from its part."""

    class Reads(nn.Module):
        def forward(self, x: torch.Tensor, whole: torch.Tensor, part: Plain) -> torch.Tensor:
            whole.add_(1)
            for _ in range(int(part.k)):
                x = x @ x
            return x

    whole = torch.tensor([1, 2])
    profile = profiler.profile(Reads(), (torch.zeros(4, 4), whole, Plain(whole[1])))
    assert profile.total.macs == 3 * 4 * 4 * 4
    assert not profile.trace.real_run
    assert whole.tolist() == [1, 2]


class Returns(nn.Module):
    """A linear layer with a wrapped result."""

    def __init__(self, wrap: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 5)
        self.wrap = wrap

    def forward(self, x: torch.Tensor) -> Any:
        return self.wrap(self.linear(x))


@pytest.mark.parametrize(
    "wrap", [Plain, Slotted, Frozen, Open, Inherited, lambda k: Sealed(k=k), lambda k: [Plain(k)], lambda k: User(k=k)]
)
def test_the_backward_pass_starts_at_tensors_inside_objects(wrap: Callable[[torch.Tensor], Any]) -> None:
    """There is one product for the gradient of the weight, as if the tensor were returned directly."""
    profile = profiler.profile(Returns(wrap), torch.zeros(3, 4), mode="training")
    assert macs(profile, "backward") == 3 * 4 * 5


def test_a_cache_beside_a_result_gets_no_gradient() -> None:
    """A returned cache is not a result, so no gradients are accumulated in the tensors that it holds."""
    cached = profiler.profile(Returns(lambda k: (k * 2, Plain(k))), torch.zeros(3, 4), mode="training")
    alone = profiler.profile(Returns(lambda k: k * 2), torch.zeros(3, 4), mode="training")
    assert cached.total == alone.total
    kept = torch.ones(2, requires_grad=True)
    assert returned_tensors((kept, Plain(torch.ones(3, requires_grad=True)))) == [kept]


def test_lazy_networks_get_fresh_inputs_after_their_first_run() -> None:
    """The cache has grown once in what is counted, not twice."""

    class Lazy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.LazyLinear(4, bias=False)

        def forward(self, x: torch.Tensor, cache: Plain) -> torch.Tensor:
            cache.k = torch.cat([cache.k, self.linear(x)])
            return cache.k @ cache.k.T

    cache = Plain(torch.ones(2, 4))
    assert profiler.profile(Lazy(), (torch.zeros(1, 6), cache)).total.macs == 1 * 6 * 4 + 3 * 4 * 3
    assert cache.k.shape == (2, 4)


def test_the_copy_knows_which_tensors_it_replaced() -> None:
    """It maps each original tensor to its copy, inside objects too."""
    tensor = torch.ones(2)
    copied = InputCopy(call_arguments(Plain(tensor)), to_meta)
    ((original, new),) = copied.tensors
    assert original is tensor
    assert copied.result[0][0].k is new
