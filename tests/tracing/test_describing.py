"""Arguments and results of torch → values of a signature: what makes two signatures different, and what does not."""

from __future__ import annotations

import enum
from typing import Any

import pytest
import torch

from profiler.signatures import DetailedSpec, Numbers, Opaque, Signature, TensorSpec
from profiler.tracing.describing import FEW, Described, Describer, EveryOperator, Signatures

NOTHING: frozenset[int | str] = frozenset()
INTEGERS: frozenset[int | str] = frozenset({"integers"})


def describer(**known: Any) -> Describer:
    """A describer of tensors that are no parameters, have no padding, and know their values."""
    return Describer(
        known.get("is_parameter", lambda tensor: False),
        known.get("zeros", lambda tensor: ()),
        known.get("values_of", lambda tensor: None if tensor.is_meta else tensor),
    )


def value(leaf: Any, *, keep: bool = False, integers: bool = False) -> Any:
    """The value of one argument."""
    return describer().value(leaf, [], keep=keep, integers=integers)


def signature(signatures: Signatures, *args: Any, **kwargs: Any) -> Signature:
    """The signature of a call with these arguments."""
    described = describer().arguments(("self", "other"), args, kwargs, NOTHING)
    return signatures.of("test::op", "", described, None, ())


# When calls have one signature


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (True, 1.0), (0, False), (1.0, 1 + 0j), (0, 0.0)])
@pytest.mark.parametrize("nested", [False, True])
def test_numbers_that_are_equal_but_not_the_same_differ(one: Any, other: Any, nested: bool) -> None:
    """True and 1 are different arguments, also in lists and by name: a rule may ask whether a number is a bool."""
    signatures = Signatures()
    first, second = ([one], [other]) if nested else (one, other)
    for found, expected in [
        (signature(signatures, first), one),
        (signature(signatures, second), other),
        (signature(signatures, other=first), one),
        (signature(signatures, other=second), other),
    ]:
        ((_, kept),) = found.arguments
        kept = kept[0] if nested else kept
        assert (type(kept), kept) == (type(expected), expected)
    assert len(signatures.known) == 4


def test_signatures_with_values_are_not_shared_with_other_runs() -> None:
    """Values may be large: they are kept as long as the run that has read them."""
    shared = Signatures()
    run = Signatures(shared.known)
    plain, detailed = TensorSpec((2,), "int64"), DetailedSpec((2,), "int64", numbers=Numbers("q", (2,), bytes(16)))
    described = [Described((("x", spec),), 1, []) for spec in (plain, detailed)]
    found = [run.of("test::op", "", each, None, ()) for each in described]
    assert list(shared.known.values()) == found[:1]
    assert list(run.own.values()) == found[1:]
    assert all(run.of("test::op", "", each, None, ()) is made for each, made in zip(described, found, strict=True))


def test_the_types_of_several_numbers_differ_by_place() -> None:
    """The tuples (1, True) and (True, 1) are equal in Python and different in a signature."""
    signatures = Signatures()
    calls = [(1, True), (True, 1), (True, 1.0), (1.0, True), (1, 1)]
    found = [signature(signatures, *call) for call in calls]
    assert [tuple(each for _, each in made.arguments) for made in found] == calls
    assert [[type(each) for _, each in made.arguments] for made in found] == [list(map(type, call)) for call in calls]


def test_results_that_are_equal_but_not_the_same_differ() -> None:
    """True and 1 are different results too."""
    signatures = Signatures()
    kept = []
    for result in (1, True, 1.0):
        described = describer().arguments((), (), {}, NOTHING)
        made = describer().result(result, described.types, keep=False)
        kept.append(signatures.of("test::op", "", described, made, ()).result)
    assert [type(each) for each in kept] == [int, bool, float]


def test_equal_calls_have_one_signature() -> None:
    """They share one object, whichever tensors they were called on."""
    signatures = Signatures()
    one, other = (signature(signatures, torch.zeros(2, 3), 1, alpha=1.0) for _ in range(2))
    assert one is other


def test_each_part_of_a_signature_makes_a_difference() -> None:
    """The operator, overload, names, number of positional arguments, result and samples all make a difference."""
    signatures = Signatures()
    one = describer().arguments(("self",), (1,), {}, NOTHING)
    by_name = describer().arguments((), (), {"self": 1}, NOTHING)
    renamed = describer().arguments(("input",), (1,), {}, NOTHING)
    calls: list[tuple[str, str, Any, Any, tuple[int, ...]]] = [
        ("test::op", "", one, None, ()),
        ("test::other", "", one, None, ()),
        ("test::op", "padding", one, None, ()),
        ("test::op", "", by_name, None, ()),
        ("test::op", "", renamed, None, ()),
        ("test::op", "", one, TensorSpec((2,)), ()),
        ("test::op", "", one, None, (5,)),
    ]
    assert len({id(signatures.of(*call)) for call in calls}) == len(calls)


# Arguments


def test_arguments_are_named_by_the_schema() -> None:
    """An argument has its place as a name if the schema has none; keyword arguments come last."""
    described = describer().arguments(("self", "dim"), (1, 2, 3), {"keepdim": True}, NOTHING)
    assert described.arguments == (("self", 1), ("dim", 2), ("2", 3), ("keepdim", True))
    assert (described.positional, described.types) == (3, [int, int, int, bool])


def test_an_out_argument_is_not_in_the_signature() -> None:
    """``out=`` says where the result is written and does not make another operation."""
    signatures = Signatures()
    x = torch.zeros(2)
    assert signature(signatures, x, out=torch.zeros(2)) is signature(signatures, x)


def test_types_and_layouts_are_texts() -> None:
    """The texts have no ``torch.`` prefix; a device is left out, and so is an argument that was not passed."""
    given = [torch.float16, torch.strided, torch.sparse_csr, torch.channels_last, torch.device("meta"), None, "mean"]
    assert [value(each) for each in given] == ["float16", "strided", "sparse_csr", "channels_last", None, None, "mean"]


def test_lists_become_tuples_at_every_level() -> None:
    """A signature can be hashed."""
    found = value([1, (2, [torch.zeros(3)]), "a"])
    assert found == (1, (2, (TensorSpec((3,)),)), "a")
    hash(found)


class Reduction(enum.IntEnum):
    """An enumeration of the kind that kernels take."""

    MEAN = 1


class Half(float):
    """A number whose class belongs to a library."""


def test_numbers_of_other_classes_are_plain_numbers() -> None:
    """A saved profile holds no classes of other libraries."""
    assert [(type(found), found) for found in map(value, (Reduction.MEAN, Half(0.5)))] == [(int, 1), (float, 0.5)]


def test_any_other_object_is_described_by_its_class() -> None:
    """The class of a generator or a function is kept, for example."""
    assert value(torch.Generator()) == Opaque("Generator")
    assert value(signature) == Opaque("function")


# Tensors


def test_a_tensor_is_its_shape_and_type() -> None:
    """It also says whether it is a parameter; equal descriptions are one object."""
    x, w = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(4)
    made = describer(is_parameter=lambda tensor: tensor is w)
    assert made.spec(x) == TensorSpec((2, 3), "float64")
    assert made.spec(w) == TensorSpec((4,), "float32", parameter=True)
    assert made.spec(torch.zeros(4)) == TensorSpec((4,))
    assert made.spec(x) is made.spec(torch.ones(2, 3, dtype=torch.float64))


def test_padding_is_described_for_operands_only() -> None:
    """Zeros around a result are not part of the work of the operation that makes it."""
    made = describer(zeros=lambda tensor: ((1, 1),))
    x = torch.zeros(3)
    assert made.spec(x) == DetailedSpec((3,), zeros=((1, 1),))
    assert made.result(x, [], keep=False) == TensorSpec((3,))
    assert made.result([x, (x, None)], [], keep=False) == (TensorSpec((3,)), (TensorSpec((3,)), None))


def test_stored_elements_are_counted() -> None:
    """Rules read the positions of stored elements, so they are kept; the values are not."""
    x = torch.eye(3).to_sparse()
    spec = describer().spec(x, keep=True)
    assert isinstance(spec, DetailedSpec)
    assert (spec.stored, spec.layout, spec.numbers) == (3, "sparse_coo", None)
    assert spec.positions == ((0, 1, 2), (0, 1, 2))
    assert describer().spec(x) == spec


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_each_part_of_a_nested_tensor_is_described() -> None:
    """Each part is described as a batch of one."""
    spec = describer().spec(torch.nested.nested_tensor([torch.zeros(2, 5), torch.zeros(3, 5)]))
    assert isinstance(spec, DetailedSpec)
    assert (spec.nested, spec.parts, spec.layout) == (True, ((1, 2, 5), (1, 3, 5)), "strided")


# Values


def kept(spec: Any) -> Any:
    """The values that a spec holds, or None."""
    return spec.values if isinstance(spec, DetailedSpec) and spec.numbers is not None else None


WHOLE, BROKEN, TRUTHS = torch.tensor([[3, 4]]), torch.tensor([0.5, 1.5]), torch.tensor([True, False])


@pytest.mark.parametrize(("tensor", "numbers"), [(WHOLE, [[3, 4]]), (BROKEN, [0.5, 1.5]), (TRUTHS, [True, False])])
def test_values_are_kept_only_if_a_rule_reads_them(tensor: torch.Tensor, numbers: list[Any]) -> None:
    """The argument is declared by place or by name, has any type, and may be in a list."""
    names = ("self", "other")
    for read in (NOTHING, frozenset({1}), frozenset({0}), frozenset({"self"}), frozenset({"by_name"})):
        first, second, third = (
            spec for _, spec in describer().arguments(names, (tensor, [tensor]), {"by_name": tensor}, read).arguments
        )
        assert kept(first) == (numbers if read & {0, "self"} else None)
        assert kept(second[0]) == (numbers if 1 in read else None)
        assert kept(third) == (numbers if "by_name" in read else None)


def test_values_that_differ_make_signatures_differ() -> None:
    """Values make a difference only where a rule reads them."""
    signatures = Signatures()
    found = [
        signatures.of("test::op", "", describer().arguments(("self",), (torch.tensor(number),), {}, read), None, ())
        for read in (NOTHING, frozenset({0}))
        for number in (1, 2)
    ]
    assert found[0] is found[1]
    assert found[2] != found[3]


def test_values_of_small_integer_tensors_are_kept() -> None:
    """If a rule does not declare what it reads, a few integers or bools are kept, also in lists; many, or floats, are
    not.
    """
    many = torch.zeros(FEW + 1, dtype=torch.int64)
    given = (WHOLE, BROKEN, TRUTHS, many, [WHOLE])
    found = [spec for _, spec in describer().arguments((), given, {"by_name": WHOLE}, INTEGERS).arguments]
    assert [*map(kept, found[:4]), kept(found[4][0]), kept(found[5])] == [
        *([[3, 4]], None, [True, False], None),
        *([[3, 4]], [[3, 4]]),
    ]
    assert kept(value(many[:FEW], integers=True)) == [0] * FEW
    assert kept(value(many, keep=True)) == [0] * (FEW + 1)


def test_values_of_integer_results_are_kept() -> None:
    """They are kept if the rule reads values at all; floating-point results cost the same whatever they are."""
    results = [WHOLE, (TRUTHS, BROKEN), torch.zeros(1, dtype=torch.complex64)]
    whole, (truths, broken), complexes = describer().result(results, [], keep=True)
    assert [kept(spec) for spec in (whole, truths, broken, complexes)] == [[[3, 4]], [True, False], None, None]
    assert kept(describer().result(WHOLE, [], keep=False)) is None


def test_values_that_are_not_known_are_missing() -> None:
    """A tensor on meta has no values unless a tensor on the CPU holds them."""
    on_meta = torch.empty(2, device="meta", dtype=torch.int64)
    assert describer().spec(on_meta, keep=True) == DetailedSpec((2,), "int64")
    made = describer(values_of=lambda tensor: torch.tensor([7, 8]))
    assert kept(made.spec(on_meta, keep=True)) == [7, 8]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_numbers_that_python_does_not_hold_are_missing() -> None:
    """Complex and quantized values are missing; half precision becomes double, and integers have 64 bits."""
    quantized = torch.quantize_per_tensor(BROKEN, 0.5, 0, torch.qint8)
    for tensor in (torch.zeros(2, dtype=torch.complex64), quantized):
        assert kept(describer().spec(tensor, keep=True)) is None
    for tensor, numbers in [
        (BROKEN.half(), Numbers("d", (2,), torch.tensor([0.5, 1.5], dtype=torch.float64).numpy().tobytes())),
        (WHOLE.to(torch.int8).T, Numbers("q", (2, 1), torch.tensor([3, 4]).numpy().tobytes())),
        (TRUTHS, Numbers("?", (2,), b"\x01\x00")),
    ]:
        spec = describer().spec(tensor, keep=True)
        assert isinstance(spec, DetailedSpec)
        assert spec.numbers == numbers


def test_without_rules_no_values_are_kept() -> None:
    """A run that only looks at inputs prices nothing."""
    every = EveryOperator()
    assert (every.is_known("any::op"), every.read_by("any::op"), every.keeps_zeros("any::op", 1)) == (
        *(True, NOTHING),
        False,
    )
