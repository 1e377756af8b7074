"""Where tensors come from: parameters, inputs, or neither. The storage decides, and it may be freed and used again."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from profiler.rules import REGISTRY
from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.recorder import OpRecorder
from profiler.tracing.scope import ModuleScope


def tensor() -> torch.Tensor:
    """A tensor with memory of its own."""
    return torch.zeros(3)


class Numbered:
    """Origins with storage numbers that the test chooses: a number that is used twice is memory that was freed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.numbers: dict[int, int] = {}
        self.kept: list[torch.Tensor] = []
        self.origins = Origins()
        monkeypatch.setattr("profiler.tracing.origins.storage_of", lambda tensor: self.numbers[id(tensor)])

    def at(self, number: int) -> torch.Tensor:
        """A new tensor in the storage of that number."""
        made = tensor()
        self.kept.append(made)
        self.numbers[id(made)] = number
        return made

    def origin_of(self, made: torch.Tensor) -> tuple[bool, bool, tuple[str, ...]]:
        """Whether the tensor comes from parameters, whether from inputs, and from which parameters."""
        return self.origins.is_parameter(made), self.origins.is_activation(made), self.origins.parameters_read([made])


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> Numbered:
    """Origins of a parameter ``w`` in storage 1 and an input in storage 2."""
    made = Numbered(monkeypatch)
    made.origins.add_parameter("w", made.at(1))
    made.origins.add_activation(made.at(2))
    return made


Origin = tuple[bool, bool, tuple[str, ...]]

OF_W: Origin = (True, False, ("w",))
OF_X: Origin = (False, True, ())
NEITHER: Origin = (False, False, ())


def test_a_result_of_parameters_and_constants_is_a_parameter(numbered: Numbered) -> None:
    """An input among the operands makes the result an activation."""
    w, x, constant = numbered.at(1), numbered.at(2), numbered.at(3)
    for number, (inputs, expected) in enumerate([([w, constant], OF_W), ([w, x], OF_X), ([constant], NEITHER)]):
        made = numbered.at(10 + number)
        numbered.origins.follow("aten::mul", inputs, [made])
        assert numbered.origin_of(made) == expected


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize(("after", "expected"), [(1, OF_W), (2, OF_X), (3, NEITHER), (None, NEITHER)])
def test_memory_that_was_freed_is_forgotten(
    numbered: Numbered, before: int, after: int | None, expected: Origin
) -> None:
    """A result in the storage of an earlier one has the origin of its own operands."""
    numbered.origins.follow("aten::mul", [numbered.at(before)], [numbered.at(10)])
    again = numbered.at(10)
    numbered.origins.follow("aten::mul", [] if after is None else [numbered.at(after)], [again])
    assert numbered.origin_of(again) == expected


def test_freed_memory_has_a_new_number(numbered: Numbered) -> None:
    """A view and a tensor that is written to keep their numbers."""
    first = numbered.origins.new_numbers_of([numbered.at(10)], [numbered.at(1)])
    assert numbered.origins.numbers_of([numbered.at(10), numbered.at(10)]) == first
    assert numbered.origins.new_numbers_of([numbered.at(10)], [numbered.at(10)]) == ()
    again = numbered.origins.new_numbers_of([numbered.at(10), numbered.at(11)], [numbered.at(1)])
    assert numbered.origins.numbers_of([numbered.at(10), numbered.at(11)]) == again
    assert len({*first, *again}) == 3


def test_no_other_tensor_gets_the_origin_of_a_freed_one() -> None:
    """A real run reuses the memory of what is made of a parameter at once."""
    origins, w, x = Origins(), tensor(), tensor()
    origins.add_parameter("w", w)
    origins.add_activation(x)
    recorder = OpRecorder(REGISTRY, ModuleScope(nn.Identity()), origins, None)
    seen: list[int] = []
    with recorder:
        for _ in range(20):
            made = w * 2.0
            seen.append(storage_of(made))
            assert origins.is_parameter(made)
            del made
            made = x * 2.0
            seen.append(storage_of(made))
            assert (origins.is_activation(made), origins.is_parameter(made)) == (True, False)
            del made
            made = torch.rand(3)
            seen.append(storage_of(made))
            assert (origins.is_activation(made), origins.is_parameter(made)) == (False, False)
            del made
    assert len(set(seen)) < len(seen), "no memory was used again, so this test shows nothing"
    numbers = [number for call in recorder.calls for number in call.makes]
    assert len(numbers) == len(set(numbers)) == len(seen)


@pytest.mark.slow
@pytest.mark.usefixtures("little_to_search")
def test_the_memory_of_parameters_and_inputs_is_kept() -> None:
    """No other tensor gets their identity, also if the network drops them."""
    origins, others = Origins(), []
    for add in (lambda made: origins.add_parameter("w", made), origins.add_activation):
        add(tensor())
        gc.collect()
        others += [tensor() for _ in range(100)]
        assert not any(origins.is_parameter(other) or origins.is_activation(other) for other in others)


def test_memory_on_meta_is_kept() -> None:
    """It costs nothing, and no two tensors are ever confused."""
    origins = Origins()
    for _ in range(50):
        made = torch.empty(3, device="meta")
        assert origins.follow("aten::view", [made], [made]) == [made]
        del made


def test_a_view_of_a_parameter_is_a_parameter(numbered: Numbered) -> None:
    """Constants written to it do not change that; an input written to it makes it an activation."""
    numbered.origins.follow("aten::view", [numbered.at(1)], [numbered.at(1)])
    numbered.origins.follow("aten::add_", [numbered.at(1), numbered.at(3)], [numbered.at(1)])
    assert numbered.origin_of(numbered.at(1)) == OF_W
    numbered.origins.follow("aten::add_", [numbered.at(1), numbered.at(2)], [numbered.at(1)])
    assert numbered.origin_of(numbered.at(1)) == (False, True, ("w",))


def test_a_view_of_an_input_is_an_activation(numbered: Numbered) -> None:
    """A parameter written to it does not change that."""
    numbered.origins.follow("aten::add_", [numbered.at(2), numbered.at(1)], [numbered.at(2)])
    assert numbered.origin_of(numbered.at(2)) == OF_X


def test_rows_of_a_table_are_not_the_table(numbered: Numbered) -> None:
    """An operation that reads them reads no parameter by name, though the rows come from one."""
    rows = numbered.at(10)
    numbered.origins.follow("aten::embedding", [numbered.at(1)], [rows])
    assert numbered.origin_of(rows) == (True, False, ())


def test_parameters_are_named_once(numbered: Numbered) -> None:
    """The names are in the order in which they are read, through any number of operations."""
    numbered.origins.add_parameter("v", numbered.at(4))
    both = numbered.at(10)
    numbered.origins.follow("aten::mul", [numbered.at(4), numbered.at(1)], [both])
    assert numbered.origins.parameters_read([both]) == ("v", "w")
    assert numbered.origins.parameters_read([numbered.at(1), both, numbered.at(2)]) == ("w", "v")


def test_a_meta_copy_has_the_origin_of_its_tensor(numbered: Numbered) -> None:
    """This holds for a parameter, an input, and neither."""
    for number, expected in [(1, OF_W), (2, OF_X), (3, NEITHER)]:
        copied = numbered.at(10 + number)
        numbered.origins.replace(numbered.at(number), copied)
        assert numbered.origin_of(copied) == expected
    numbered.origins.follow("aten::add_", [numbered.at(1), numbered.at(2)], [numbered.at(1)])
    numbered.origins.replace(numbered.at(1), numbered.at(14))
    assert numbered.origin_of(numbered.at(14)) == (False, True, ("w",))


def test_a_parameter_of_no_module_has_no_name() -> None:
    """A forward makes it, or takes it from elsewhere."""
    origins, made = Origins(), nn.Parameter(tensor())
    assert (origins.is_parameter(made), origins.parameters_read([made])) == (True, ())


def test_operands_that_were_not_seen_before_are_returned(numbered: Numbered) -> None:
    """No operation made these operands; results count as seen from then on."""
    unknown, made = numbered.at(20), numbered.at(21)
    assert numbered.origins.follow("aten::mul", [numbered.at(1), unknown], [made]) == [unknown]
    assert numbered.origins.follow("aten::mul", [made], []) == []


def test_storages_that_no_operation_has_made_have_numbers_of_their_own() -> None:
    """A tensor on meta that is freed leaves its number: the next one may have the same address."""
    origins = Origins()
    numbers = [origins.numbers_of([torch.empty(3, device="meta")]) for _ in range(20)]
    assert len(set(numbers)) == 20


def test_freed_storages_do_not_share_a_number() -> None:
    """Real tensors that nobody holds any more may leave their place, and its identity, to the next one."""
    origins = Origins()
    numbers = [origins.numbers_of([torch.zeros(1)]) for _ in range(20)]
    assert len(set(numbers)) == 20


@pytest.mark.parametrize("is_read", [False, True])
def test_freed_storages_on_the_cpu_are_not_known(is_read: bool) -> None:
    """A tensor on meta may get the id of the storage of one, and is no result of the network then."""
    origins, made = Origins(), tensor()
    storage = storage_of(made)
    origins.know(made, storage)
    if is_read:
        origins.numbers_of([made])
    assert origins.knows(storage)
    del made
    assert storage not in origins.memories


def test_storages_that_exist_keep_their_number() -> None:
    """However many others come and go."""
    origins, tensor = Origins(), torch.zeros(2)
    numbers = [origins.numbers_of([torch.zeros(1), tensor[place % 2 :]])[1] for place in range(20)]
    assert len(set(numbers)) == 1
