"""The memo of kernels answers as the kernels do, or not at all."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from profiler.errors import TraceError
from profiler.models.building import build_model
from profiler.models.inputs import build_inputs, default_inputs
from profiler.records import Mode, Recording
from profiler.rules import REGISTRY
from profiler.signatures import TensorSpec
from profiler.tracing import memo, record
from profiler.tracing.bytecode import OpenCodeError
from profiler.tracing.makes import MAKES, Make
from profiler.tracing.private import autograd_is_skipped, skip_autograd
from tests.museum import LARGE, MUSEUM
from tests.tracing.answers import compared, facts


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Each test starts with an empty memo."""
    memo.clear()
    yield
    memo.clear()


def on_meta(*shape: int, **options: Any) -> torch.Tensor:
    return torch.empty(shape, device="meta", **options)


def key(func: Any, *args: Any, **kwargs: Any) -> Any:
    return memo.key_of(func, args, kwargs, [])


def run(func: Any, *args: Any, **kwargs: Any) -> tuple[Any, memo.Answer]:
    """The result of the memo, and its answer."""
    return memo.run(func, args, kwargs, key(func, *args, **kwargs))


ADD = torch.ops.aten.add.Tensor
SOFTMAX = torch.ops.aten._softmax.default

DIFFERENT: dict[str, Callable[[], tuple[Any, Any]]] = {
    "shape": lambda: (key(ADD, on_meta(2, 3), 1), key(ADD, on_meta(3, 2), 1)),
    "strides": lambda: (key(ADD, on_meta(2, 2), 1), key(ADD, on_meta(2, 2).t(), 1)),
    "offset": lambda: (key(ADD, on_meta(4)[:2], 1), key(ADD, on_meta(4)[2:], 1)),
    "dtype": lambda: (key(ADD, on_meta(2), 1), key(ADD, on_meta(2, dtype=torch.float64), 1)),
    "requires_grad": lambda: (key(ADD, on_meta(2), 1), key(ADD, on_meta(2, requires_grad=True), 1)),
    "1 and True": lambda: (key(ADD, on_meta(2), 1), key(ADD, on_meta(2), True)),
    "1 and 1.0": lambda: (key(ADD, on_meta(2), 1), key(ADD, on_meta(2), 1.0)),
    "operator": lambda: (key(ADD, on_meta(2), 1), key(torch.ops.aten.sub.Tensor, on_meta(2), 1)),
    "keyword": lambda: (key(ADD, on_meta(2), 1), key(ADD, on_meta(2), 1, alpha=1)),
    "a list and its items": lambda: (
        key(torch.ops.aten.cat.default, [on_meta(2), on_meta(2)]),
        key(torch.ops.aten.cat.default, on_meta(2), on_meta(2)),
    ),
    "an argument and an item": lambda: (
        key(torch.ops.aten.sum.dim_IntList, on_meta(2, 2), [0], True),
        key(torch.ops.aten.sum.dim_IntList, on_meta(2, 2), [0, True]),
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_calls_that_differ_have_different_keys(what: str) -> None:
    """Each pair of calls differs in one thing that a kernel may depend on."""
    first, second = DIFFERENT[what]()
    assert first is not None
    assert first != second


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
@pytest.mark.parametrize(
    "setting",
    [
        torch.enable_grad,
        torch.inference_mode,
        lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        lambda: torch.backends.mkldnn.flags(enabled=False),
        lambda: torch.backends.cudnn.flags(enabled=False),
    ],
    ids=["grad mode", "inference mode", "attention", "mkldnn", "cudnn"],
)
def test_settings_that_kernels_read_are_part_of_the_key(setting: Callable[[], Any]) -> None:
    """The same call has another key under another setting."""
    x = on_meta(2)
    with torch.no_grad():
        before = key(ADD, x, 1)
        with setting():
            assert key(ADD, x, 1) != before
        assert key(ADD, x, 1) == before


def test_global_settings_are_part_of_the_key() -> None:
    """The default dtype and determinism; under autocast there is no key."""
    x = on_meta(2)
    before = key(ADD, x, 1)
    try:
        torch.set_default_dtype(torch.float64)
        assert key(ADD, x, 1) != before
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(True)
        assert key(ADD, x, 1) != before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
    with torch.autocast("cpu"):
        assert key(ADD, x, 1) is None
    assert key(ADD, x, 1) == before


class Sees(TorchDispatchMode):
    """Notes the operations that reach it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_another_dispatch_mode_sees_every_operation() -> None:
    """One that the caller has entered: the profiler passes each operation on to it, also the second time."""
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    seen = []
    for _ in range(2):
        with Sees() as mode:
            recorded(model, (on_meta(2, 3),), "inference")
        seen.append([name for name in mode.seen if "linear" in name or "relu" in name])
    assert seen == [["aten.linear.default", "aten.relu.default"]] * 2


class Marked(torch.Tensor):
    """A subclass of torch's tensor."""


WITHOUT_KEY: dict[str, Callable[[], tuple[Any, ...]]] = {
    "a real tensor": lambda: (torch.zeros(2), 1),
    "a sparse tensor": lambda: (torch.eye(2).to_sparse().to("meta"), 1),
    "a subclass": lambda: (on_meta(2).as_subclass(Marked), 1),
    "complex numbers": lambda: (on_meta(2, dtype=torch.complex64), 1),
    "negated lazily": lambda: (on_meta(2, dtype=torch.complex64).conj().imag, 1),
    "a generator": lambda: (on_meta(2), torch.Generator()),
    "another device": lambda: (on_meta(2), torch.device("cpu")),
    "among others in a list": lambda: ([on_meta(2), torch.zeros(2)],),
}


@pytest.mark.parametrize("what", WITHOUT_KEY)
def test_other_arguments_have_no_key(what: str) -> None:
    """The memo only knows plain tensors on meta, and constants."""
    assert key(ADD, *WITHOUT_KEY[what]()) is None


def test_indexing_has_a_key_without_masks() -> None:
    """A mask selects a number of elements that its values decide; positions do not."""
    index = torch.ops.aten.index.Tensor
    positions = on_meta(3, dtype=torch.int64)
    assert key(index, on_meta(2, 4), [None, positions]) is not None
    for dtype in (torch.bool, torch.uint8):
        assert key(index, on_meta(2, 4), [on_meta(2, dtype=dtype)]) is None
    found = [run(index, on_meta(2, 4), [None, positions])[0] for _ in range(2)]
    assert [(tuple(each.shape), each.stride()) for each in found] == [((2, 3), (3, 1))] * 2


@pytest.mark.parametrize(
    "func",
    [
        torch.ops.aten.nonzero.default,
        torch.ops.aten._unique2.default,
        torch.ops.aten.masked_select.default,
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.resize_.default,
        torch.ops.aten.transpose_.default,
        torch.ops.aten.add.out,
        torch.ops.higher_order.cond,
    ],
    ids=str,
)
def test_operators_that_depend_on_data_or_change_metadata_are_not_answered(func: Any) -> None:
    """Their tags and schemas say so; nor are variants with ``out=``, and operators without a schema."""
    assert not memo.may_answer(func)


def test_operators_of_others_are_not_answered() -> None:
    """The shape function of a custom operator may be any Python code."""

    @torch.library.custom_op("memotest::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert not memo.may_answer(torch.ops.memotest.twice.default)
    assert memo.may_answer(ADD)


def test_a_repeated_call_is_answered_with_a_new_tensor() -> None:
    """With memory of its own, and the strides that the kernel gives."""
    x = on_meta(2, 3, 4).permute(2, 0, 1)
    first, learned = run(ADD, x, 1)
    second, answer = run(ADD, x, 1)
    assert answer is learned
    assert answer.results == (((4, 2, 3), (1, 12, 4), torch.float32),)
    assert second is not first
    assert second.stride() == first.stride()
    assert second.untyped_storage().nbytes() == first.untyped_storage().nbytes() == 96
    assert id(second.untyped_storage()) != id(first.untyped_storage())


def test_zero_tangents_run_each_time() -> None:
    """A ZeroTensor has no memory, and torch does no arithmetic with it: an ordinary tensor is no answer."""
    zero = torch.ops.aten._efficientzerotensor.default
    for _ in range(2):
        made, answer = run(zero, [3], dtype=torch.float32, device=torch.device("meta"))
        assert answer.results is None
        assert made._is_zerotensor()


@pytest.fixture
def below_autograd() -> Iterator[None]:
    """Operators skip autograd, as those that arrive in a dispatch mode do."""
    before = autograd_is_skipped()
    skip_autograd(True)
    yield
    skip_autograd(before)


def test_a_view_runs_each_time_where_autograd_takes_part() -> None:
    """Autograd would see ``as_strided`` in place of the operator: a detached tensor would not be detached."""
    for x in (on_meta(2, 3, requires_grad=True), on_meta(2, 3, requires_grad=True)):
        result, answer = run(torch.ops.aten.detach.default, x)
        assert answer.view is None
        assert not result.requires_grad


@pytest.mark.usefixtures("below_autograd")
def test_a_view_is_made_of_its_own_argument() -> None:
    """It shares the memory of its argument, with its own layout; one in a list runs each time."""
    of = torch.ops.aten
    calls: list[tuple[Any, ...]] = [
        (of.view.default, [3, 2]),
        (of.slice.Tensor, 1, 1, 3),
        (of.select.int, 0, 1),
        (of.t.default,),
    ]
    calls += [(of.expand.default, [4, 2, 3]), (of.reshape.default, [6]), (of.detach.default,), (of.unbind.int,)]
    for func, *rest in calls:
        for x in (on_meta(2, 3), on_meta(2, 3)):
            result, answer = run(func, x, *rest)
            assert (answer.view is None) == (func is of.unbind.int)
            assert facts(result, (x, *rest), {}) == facts(func(x, *rest), (x, *rest), {})
    others: list[tuple[Any, ...]] = [(of.view.dtype, torch.int32), (of._neg_view.default,)]
    for func, *rest in others:
        for x in (on_meta(2), on_meta(2)):
            result, answer = run(func, x, *rest)
            assert answer.view is None
            assert facts(result, (x, *rest), {}) == facts(func(x, *rest), (x, *rest), {})


@pytest.mark.usefixtures("below_autograd")
def test_a_view_of_freed_memory_is_made_too() -> None:
    """Torch's kernels of views do not look at the size of the memory, and neither does the memo."""
    view = torch.ops.aten.view.default
    run(view, on_meta(2, 3), [3, 2])
    x = on_meta(2, 3)
    x.untyped_storage().resize_(0)
    result, answer = run(view, x, [3, 2])
    assert answer.view is not None
    assert facts(result, (x,), {}) == facts(view(x, [3, 2]), (x,), {})


def test_a_view_of_another_argument_runs_each_time() -> None:
    """Only the first argument is that of which ``as_strided`` makes a view."""
    assert memo._view((None, on_meta(2)), on_meta(2)) is None
    assert memo._view((on_meta(2), on_meta(4)), on_meta(4)[:2]) is None


def test_an_operation_in_place_returns_its_argument() -> None:
    """Also where the operand is broadcast; one that torch refuses raises each time."""
    relu = torch.ops.aten.relu_.default
    for x in (on_meta(2, 3), on_meta(2, 3)):
        result, answer = run(relu, x)
        assert answer.results == (0,)
        assert result is x
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broadcast"):
            run(torch.ops.aten.add_.Tensor, on_meta(2, 3), on_meta(5, 1, 7))


def test_versions_are_those_of_the_kernels() -> None:
    """Autograd refuses a backward pass through a tensor that was written to after it was saved."""

    class Overwrites(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.exp()
            z = y * y
            y.add_(1)
            y.add_(1)
            assert y._version == 2
            return z

    class Spoils(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.exp()
            y.mul_(2)
            return y

    x = on_meta(3, requires_grad=True)
    for _ in range(2):
        recorded(Overwrites(), (on_meta(3),), "inference")
        with pytest.raises(Exception, match="modified by an inplace operation"):
            recorded(Spoils(), (x,), "training")


def test_the_memo_is_bounded_and_forgets_the_oldest_answers() -> None:
    """A quarter of them at a time; when it is cleared, all."""
    small = memo.Memo(largest=8)
    answers = [memo.Answer() for _ in range(9)]
    for number, answer in enumerate(answers):
        small.learn(number, answer)
        assert len(small) <= 8
    assert [small.find(number) for number in range(3)] == [None, None, answers[2]]
    small.clear()
    assert len(small) == 0


def contiguous_shapes(rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(0, 5)] * rank)


BATCH_NORM = torch.ops.aten.batch_norm.default
UNARY = (torch.ops.aten.relu.default, torch.ops.aten.gelu.default, torch.ops.aten.leaky_relu.default)


@pytest.mark.slow
@given(data=st.data())
def test_pointwise_operators_are_answered_for_other_sizes(data: st.DataObject) -> None:
    """Calls with sizes in the same relations have the results of their kernels, though only one of them has run."""
    with compared():
        for _ in range(3):
            shape = data.draw(contiguous_shapes(3))
            other = tuple(data.draw(st.sampled_from([1, size])) for size in shape)[data.draw(st.integers(0, 2)) :]
            run(data.draw(st.sampled_from(UNARY)), on_meta(*shape))
            run(ADD, on_meta(*shape), on_meta(*other))
            run(ADD, on_meta(*shape), on_meta(*shape, dtype=torch.float64))


@pytest.mark.slow
@given(shapes=st.lists(contiguous_shapes(4), min_size=2, max_size=4), training=st.booleans())
def test_batch_norms_are_answered_for_other_sizes(shapes: list[tuple[int, ...]], training: bool) -> None:
    """Whole and with its statistics, in eval and in train mode."""
    with compared():
        for shape in shapes:
            assume(shape[1] and (math.prod(shape) > shape[1] or not training))
            of_channels = [on_meta(shape[1]) for _ in range(4)]
            run(BATCH_NORM, on_meta(*shape), *of_channels, training, 0.1, 1e-5, False)
            run(torch.ops.aten.native_batch_norm.default, on_meta(*shape), *of_channels, training, 0.1, 1e-5)


def test_one_kernel_runs_for_calls_with_renamed_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of 0 and 1 have no other names, and equal sizes stay equal; what torch refuses is refused."""
    learned: list[Any] = []
    learn = memo.MEMO.learn

    def noted(key: Any, answer: memo.Answer) -> None:
        learned.append(key)
        learn(key, answer)

    monkeypatch.setattr(memo.MEMO, "learn", noted)

    def new_answers(*shapes: tuple[int, ...]) -> int:
        learned.clear()
        run(ADD, *[on_meta(*shape) for shape in shapes])
        return len(learned)

    assert new_answers((2, 3), (3,)) == 2  # for these sizes, and for all that are like them
    assert new_answers((5, 7), (7,)) == 1
    assert new_answers((7, 7), (7,)) == 2
    assert new_answers((1, 7), (7,)) == 2
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broadcast"):
            new_answers((5, 7), (5,))


def test_the_memo_keeps_no_tensor_alive() -> None:
    """It has layouts, and no results."""
    x = on_meta(2, 3)
    result, _ = run(ADD, x, x)
    found = [weakref.ref(x), weakref.ref(result)]
    del x, result
    assert [reference() for reference in found] == [None, None]


def recorded(model: nn.Module, inputs: Any, mode: Mode, make: Make | None = None) -> Recording:
    return record(model, inputs, mode, operators=REGISTRY, make=make)


def make_of(model: nn.Module) -> Make | None:
    """The make of a network; None if its code is not known."""
    try:
        return MAKES.of(model, training=False)
    except OpenCodeError:
        return None


def same_with_and_without(model: nn.Module, inputs: Any, mode: Mode) -> int:
    """The number of operations that the memo answered, each as its kernel does, with the same recording.

    It is the same too if calls of modules are answered.
    """
    memo.clear()  # default inputs may come from a run
    with memo.without_memo():
        expected = recorded(model, inputs, mode)
        assert len(memo.MEMO) == 0
    with compared() as answers:
        assert recorded(model, inputs, mode) == expected
        assert recorded(model, inputs, mode) == expected
    for _ in range(2):
        assert recorded(model, inputs, mode, make_of(model)) == expected
    memo.clear()
    return answers.answered


def _may_have_gradient(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


MODES: tuple[Mode, ...] = ("inference", "training")


@pytest.mark.parametrize("mode", ["inference", pytest.param("training", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in MUSEUM])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_the_museum_is_recorded_as_without_a_memo(name: str, mode: Mode) -> None:
    """Operation by operation: shapes, strides, memory, versions; and the whole recording."""
    model, inputs = MUSEUM[name]()
    if mode == "training":
        inputs = tuple(x.clone().requires_grad_() if _may_have_gradient(x) else x for x in inputs)
    same_with_and_without(model, inputs, mode)


@pytest.mark.slow
def test_most_operations_of_a_network_are_answered() -> None:
    """In an encoder of two layers, all operations of the second that are not views."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    for mode, least in (("inference", 20), ("training", 60)):
        assert same_with_and_without(model, (torch.zeros(1, 4, 8),), mode) > least  # type: ignore[arg-type]


@pytest.mark.slow
def test_another_thread_is_answered_too() -> None:
    """Two threads that trace different networks at once record what one does."""
    layers = [nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8)]
    networks = [nn.Sequential(*layers * repeats) for repeats in (3, 4)]
    expected = [recorded(network, (on_meta(2, 8),), "training") for network in networks]
    memo.clear()
    found: dict[int, list[Recording]] = {0: [], 1: []}

    def trace(number: int) -> None:
        for _ in range(5):
            found[number].append(recorded(networks[number], (on_meta(2, 8),), "training"))

    threads = [threading.Thread(target=trace, args=(number,)) for number in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [expected[number]] * 5 for number in found}


class Converts(nn.Module):
    """Converts tensors in every way: to what they are, to another dtype, of known values, of parameters, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for _ in range(2):
            double, same = x.to(torch.float64), x.to(torch.float32)
            assert same is x
            found += [double * 2, same * 2, x.to(torch.float32, copy=True) + 1, x.to(double) + 1, x.to(x) + 1]
            found += [x.t().to(torch.float64).t() + 1, x.to(memory_format=torch.preserve_format) + 1]
            found += [self.weight.to(torch.float32) * x, self.weight.to(torch.float64) * x, x.to("cuda") * 2]
            numbers = torch.arange(4, device=x.device).to(torch.float32).to(torch.int64)
            found += [x[:, : int(numbers.to(torch.int32).max())], x.to(x.device, torch.float16) * 2]
        return found


@pytest.mark.parametrize("mode", MODES)
def test_conversions_are_answered(mode: Mode) -> None:
    """By the tensor itself, or by a new one; the recording is that of a run without a memo."""
    network, inputs = Converts(), (torch.zeros(2, 3, requires_grad=mode == "training"),)
    answered = same_with_and_without(network, inputs, mode)
    signatures = {signature.op for signature in recorded(network, inputs, mode).signatures}
    if mode == "inference":  # in training autograd replaces a conversion by a copy, or leaves it out
        assert "aten::to" in signatures
        assert answered >= 2 * 2 * (14 + 12)  # in two runs, twice: conversions, and the arithmetic with them


class OfPairs(nn.Module):
    """Calls with the same metadata, whose operands share memory in other ways."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        return [x * y, x * x, torch.cat([x, y, x]), torch.cat([x, x, y]), x * x[:], x.t() * y.t(), x.t() * x.t()]


def test_operands_that_share_memory_are_counted_once() -> None:
    """Each call adds the memory of its own operands, not that of an earlier call with the same metadata."""
    network = OfPairs()
    for _ in range(2):
        events = recorded(network, (on_meta(2, 3), on_meta(2, 3)), "inference").events
        several = [event.touched for event in events if len(event.reads) and event.makes]
        assert several == [(), (-1, 0), (-1, -1, 0), (-1, 0, -1), (-1, 0), (), (-1, 0)]


class OfWeights(nn.Module):
    """Calls of a function with the same metadata, on a weight, on what follows from one, and on data."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(on_meta(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        of_data = self.weight * x[0]
        return sum((F.linear(x, weight) for weight in (self.weight, of_data, self.weight * 2, of_data * 2)), x)


@pytest.mark.parametrize("times", [1, 2])
def test_a_function_has_the_signature_of_its_own_operands(times: int) -> None:
    """One that is recorded as one operation, in training: whether an operand is a weight, and its class."""
    for _ in range(times):
        found = recorded(OfWeights(), (on_meta(2, 3),), "training")
        signatures = [found.signatures[event.signature] for event in found.events if event.phase == "forward"]
        weights = [dict(each.arguments)["weight"] for each in signatures if each.op == "aten::linear"]
        assert [spec.parameter for spec in weights if isinstance(spec, TensorSpec)] == [True, False, True, False]


class Changes(nn.Module):
    """Runs the same calls under different settings, and on memory that it shares."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = torch.div(torch.ones(2, 3, dtype=torch.long, device=x.device) + x.long(), 2)
        torch.set_default_dtype(torch.float64)
        double = torch.div(torch.ones(2, 3, dtype=torch.long, device=x.device) + x.long(), 2)
        torch.set_default_dtype(torch.float32)
        assert (whole.dtype, double.dtype) == (torch.float32, torch.float64)
        part = x[:, 1:]
        part.add_(1)
        assert part._base is x
        with torch.inference_mode():
            assert (x + 1).is_inference()
        assert not (x + 1).is_inference()
        y = F.relu(x, inplace=True)
        assert y is x
        x = x.t().contiguous().t()
        assert (x + 1).stride() == (1, 2)
        return (x + 1).reshape(6) + x.flatten()


def test_settings_that_a_forward_changes_are_followed() -> None:
    """And aliases and strides are those that torch gives."""
    assert same_with_and_without(Changes(), (torch.zeros(2, 3),), "inference") > 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["torchvision", "timm", "transformers"])
def test_all_networks_are_recorded_as_without_a_memo(family: str, mode: Mode) -> None:
    """All of torchvision's classification networks, 200 of timm, 40 classes of transformers with few layers."""
    from tests.models.test_sources import LAYERS, TRANSFORMERS

    for target, kwargs in targets(family, TRANSFORMERS.split(), LAYERS):
        arguments, options = build_inputs(default_inputs(target, kwargs))
        model = build_model(target, kwargs)
        try:
            assert same_with_and_without(model, options or arguments, mode) > 0, target
        except TraceError as error:  # it needs data, or refuses to train on one sample
            with memo.without_memo(), pytest.raises(type(error)):
                recorded(model, options or arguments, mode)


def targets(family: str, classes: list[str], layers: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names of networks with the arguments that build them small."""
    import dataclasses
    import importlib

    from profiler.models.torchvision_ops import import_torchvision

    import_torchvision()
    if family == "torchvision":
        models = importlib.import_module("torchvision").models
        for name in models.list_models(module=models):
            yield f"torchvision:{name}", {}
    elif family == "timm":
        names = importlib.import_module("timm").list_models()
        for name in names[:: max(len(names) // 200, 1)][:200]:
            yield f"timm:{name}", {}
    else:
        for name in classes[:40]:
            configuration: Any = getattr(importlib.import_module("transformers"), name).config_class
            known = {field.name for field in dataclasses.fields(configuration)}
            yield f"transformers:{name}", {"config": {key: 2 for key in layers if key in known}}
