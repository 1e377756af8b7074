"""Pricing of a recording: answers, kinds, uses of parameters, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from profiler.errors import UncountedError
from profiler.opcount import OpCount, Term, contraction, each
from profiler.pricing import FREE, NO_RULE, answer, kind_of_gradient, price, price_again
from profiler.records import FILLED_OUTSIDE, Answer, Event, ParameterRecord, Recording, Trace, Unseen
from profiler.rules.registry import CostRule, Entry, Registry
from profiler.signatures import DetailedSpec, Signature, TensorSpec, Value

X, W, Y = TensorSpec((2, 3)), TensorSpec((4, 3), parameter=True), TensorSpec((2, 4))
INDEX = TensorSpec((2, 3), "int64")


def product(x: TensorSpec, w: TensorSpec, *, out: TensorSpec) -> list[Term]:
    """(…, k) · (m, k) → (…, m)."""
    return [contraction(out.shape, (w.shape[-1],))]


def an_add_each(*args: Any, out: TensorSpec, **kwargs: Any) -> list[Term]:
    """One add for each result."""
    return [each(out.shape, "sum", adds=1)]


def a_comparison_each(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
    """One comparison for each value."""
    return [each(x.shape, "max", comparisons=1)]


def nothing(*args: Any, out: Value) -> list[Term]:
    """A call that is free by its rule."""
    return []


def by_values(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
    """As many adds as the values say."""
    return [each((sum(x.values),), "sum", adds=1)]


def refusing(*args: Any, out: Value) -> list[Term]:
    """A rule that raises that it cannot give a cost."""
    raise UncountedError("only for even sizes")


def broken(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
    """A rule with a mistake."""
    return [each((x.shape[7],), "sum", adds=1)]


RULES: dict[str, tuple[str, CostRule | None]] = {
    **{f"test::{kind}": (kind, product) for kind in ("conv", "linear", "matmul", "attention")},
    "test::norm": ("norm", an_add_each),
    "test::relu": ("activation", a_comparison_each),
    "test::max": ("pool", a_comparison_each),
    "test::nothing": ("norm", nothing),
    "test::by_values": ("reduction", by_values),
    "test::refusing": ("norm", refusing),
    "test::broken": ("norm", broken),
    "test::view": ("movement", None),
    "aten::add": ("elementwise", an_add_each),
    "aten::mul": ("elementwise", an_add_each),
    "aten::index": ("movement", None),
    "aten::embedding_renorm_": ("norm", an_add_each),
    "sparse::add": ("elementwise", lambda x, other, *, out: [each((x.stored,), "sum", adds=1)]),
}


def registry(**more: Entry) -> Registry:
    """The rules above."""
    made = Registry()
    for op, (kind, cost) in RULES.items():
        made.add(Entry(op, kind, cost))
    for entry in more.values():
        made.add(entry)
    return made


REGISTRY = registry()


def signature(op: str, *args: Value, out: Value = Y, **fields: Any) -> Signature:
    """The signature of a call with these arguments, all by position."""
    return Signature(op, tuple((str(place), value) for place, value in enumerate(args)), out, len(args), **fields)


def recording(calls: Iterable[tuple[Signature, dict[str, Any]]], **fields: Any) -> Recording:
    """The recording of calls; each has a signature and the fields of its event; ``part_of`` is a signature too."""
    numbers: dict[Signature, int] = {}
    events = []
    for made, about in calls:
        about = {"module": "", "module_call": 1, "phase": "forward", **about}
        if "part_of" in about:
            about["part_of"] = numbers.setdefault(about["part_of"], len(numbers))
        events.append(Event(numbers.setdefault(made, len(numbers)), **about))
    return Recording(tuple(numbers), tuple(events), **{"modules": (), "parameters": (), **fields})


def priced(*calls: tuple[Signature, dict[str, Any]], **fields: Any) -> Trace:
    """The trace of these calls by the rules above."""
    return price(recording(calls, **fields), REGISTRY)


def kinds(*calls: tuple[Signature, dict[str, Any]]) -> list[str]:
    """The kinds of these calls."""
    return [call.kind for call in priced(*calls).calls]


# The rule's answer for a signature


def test_a_signature_is_priced_once() -> None:
    """The number of calls does not matter; each call has the answer."""
    seen: list[TensorSpec] = []

    def counting_rule(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
        seen.append(x)
        return an_add_each(x, out=out)

    rules = registry(counting_rule=Entry("test::counting_rule", "norm", counting_rule))
    one, other = signature("test::counting_rule", X, out=X), signature("test::counting_rule", Y, out=Y)
    trace = price(recording([(one, {}), (other, {}), (one, {}), (one, {})]), rules)
    assert seen == [X, Y]
    assert [call.count.adds for call in trace.calls] == [2 * 3, 2 * 4, 2 * 3, 2 * 3]
    assert (trace.signatures, [found.count.adds for found in trace.answers]) == ((one, other), [2 * 3, 2 * 4])


def test_an_operation_without_a_rule_is_uncounted() -> None:
    """It is not free, and a real run would not help."""
    assert answer(signature("test::unknown", X, out=X), REGISTRY) == Answer("uncounted", "uncounted", reason=NO_RULE)


def test_data_movement_is_free() -> None:
    """Work on integers is free too, and so is an answer without terms."""
    assert answer(signature("test::view", X, out=X), REGISTRY) == FREE
    assert answer(signature("test::norm", INDEX, out=INDEX), REGISTRY) == FREE
    assert answer(signature("test::nothing", X, out=X), REGISTRY) == FREE


def test_work_on_integers_counts_if_the_rule_says_so() -> None:
    """For other rules, one floating-point tensor among arguments or results makes it count."""
    rules = registry(sorting=Entry("test::sorting", "sort", an_add_each, integers=True))
    assert answer(signature("test::sorting", INDEX, out=INDEX), rules).count == OpCount(adds=2 * 3)
    assert answer(signature("test::norm", INDEX, X, out=INDEX), REGISTRY).count == OpCount(adds=2 * 3)
    assert answer(signature("test::norm", INDEX, out=X), REGISTRY).count == OpCount(adds=2 * 3)


def test_a_rule_that_refuses_says_why() -> None:
    """A real run would not help."""
    assert answer(signature("test::refusing", X), REGISTRY) == Answer(
        "uncounted", "uncounted", reason="only for even sizes"
    )


def test_a_rule_that_needs_values_depends_on_data() -> None:
    """A rule that refuses for another reason does not, so a real run follows only for the first."""
    calls: list[tuple[Signature, dict[str, Any]]] = [
        (signature(f"test::{name}", X, out=X), {}) for name in ("by_values", "refusing", "by_values")
    ]
    trace = priced(*calls)
    assert [found.data_dependent for found in trace.answers] == [True, False]
    assert trace.data_dependent == ("test::by_values",)


def test_a_mistake_in_a_rule_does_not_end_the_pricing() -> None:
    """The answer names the shapes and the error; the other calls are counted."""
    failed, counted = priced((signature("test::broken", X, W), {}), (signature("test::norm", X), {})).calls
    assert (failed.status, failed.kind, failed.answer.data_dependent) == ("uncounted", "uncounted", False)
    assert failed.reason.startswith("its rule failed on 2×3, 4×3: TypeError: ")
    assert counted.status == "counted"
    (failed,) = priced((signature("test::broken", X), {})).calls
    assert failed.reason == "its rule failed on 2×3: IndexError: tuple index out of range"


def test_an_interrupt_ends_the_pricing() -> None:
    """It is no mistake of a rule."""

    def interrupted(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(signature("test::slow", X), registry(slow=Entry("test::slow", "norm", interrupted)))


def test_sparse_operands_need_their_own_rules() -> None:
    """A dense rule does not count them; a rule for movement does."""
    sparse = TensorSpec((10, 10), stored=3, layout="sparse_coo")
    assert answer(signature("aten::add", sparse, sparse, out=sparse), REGISTRY).count == OpCount(adds=3)
    assert answer(signature("aten::mul", sparse, sparse, out=sparse), REGISTRY).reason == NO_RULE
    assert answer(signature("aten::mul", X, X, out=sparse), REGISTRY).reason == NO_RULE
    assert answer(signature("aten::index", sparse, out=sparse), REGISTRY) == FREE
    assert answer(signature("aten::add", X, X, out=X), REGISTRY).count == OpCount(adds=2 * 3)


def test_a_rule_may_exist_for_sparse_operands_only() -> None:
    """Dense operands have no rule then."""
    rules = registry(only=Entry("sparse::only", "norm", an_add_each))
    assert answer(signature("aten::only", TensorSpec((5,), stored=2), out=X), rules).count == OpCount(adds=2 * 3)
    assert answer(signature("aten::only", X, out=X), rules).reason == NO_RULE


def test_sizes_that_vmap_maps_over_multiply_the_terms() -> None:
    """They come first in the formula."""
    one, many = (answer(signature("test::linear", X, W, samples=samples), REGISTRY) for samples in ((), (5, 7)))
    assert [term.how_many for term in many.terms] == [(5, 7, 2, 4)]
    assert many.count == one.count * (5 * 7)
    assert one.terms == tuple(product(X, W, out=Y))


# Nested tensors


def nested(*parts: tuple[int, ...], known: bool = True) -> DetailedSpec:
    """A nested tensor of tensors with these shapes, each a batch of one."""
    rows = sum(part[1] for part in parts)
    return DetailedSpec((rows, *parts[0][2:]), nested=True, parts=parts if known else None)


def test_work_on_nested_tensors_is_the_sum_over_their_parts() -> None:
    """Positional and keyword arguments are split; a dense one is the same for each part."""
    x, y = nested((1, 5, 3), (1, 2, 3)), nested((1, 5, 4), (1, 2, 4))
    found = answer(signature("test::linear", x, W, out=y), REGISTRY)
    assert [term.how_many for term in found.terms] == [(1, 5, 4), (1, 2, 4)]
    assert (found.kind, found.count.macs) == ("linear", (5 + 2) * 4 * 3)
    for positional in (0, 1):
        made = Signature("test::relu", (("x", x),), x, positional)
        assert answer(made, REGISTRY).count == OpCount(comparisons=(5 + 2) * 3)


def test_the_parts_of_a_nested_parameter_are_parameters() -> None:
    """The rule also gets the dtype."""
    given: list[TensorSpec] = []

    def looking(x: TensorSpec, *, out: TensorSpec) -> list[Term]:
        given.append(x)
        return an_add_each(x, out=out)

    x = replace(nested((1, 5, 3)), dtype="float16", parameter=True)
    answer(signature("test::looking", x, out=x), registry(looking=Entry("test::looking", "norm", looking)))
    assert given == [TensorSpec((1, 5, 3), "float16", parameter=True)]


def test_a_dense_result_is_made_of_all_parts() -> None:
    """The rule is called once, for all parts one after the other."""
    found = answer(signature("test::norm", nested((1, 5, 3), (1, 2, 3)), out=W), REGISTRY)
    assert [term.how_many for term in found.terms] == [(4, 3)]


def test_parts_that_differ_in_two_sizes_are_not_combined() -> None:
    """They have no common shape; if the result is nested too, each part is counted."""
    x = nested((1, 5, 3), (1, 2, 4))
    assert "more than one dimension" in answer(signature("test::norm", x, out=W), REGISTRY).reason
    assert answer(signature("test::norm", x, out=x), REGISTRY).count == OpCount(adds=5 * 3 + 2 * 4)


def test_unknown_lengths_depend_on_data() -> None:
    """A jagged tensor on meta does not have them."""
    x = nested((1, 5, 3), known=False)
    found = answer(signature("test::norm", x, out=x), REGISTRY)
    assert (found.status, found.data_dependent) == ("uncounted", True)
    assert answer(signature("test::view", x, out=x), REGISTRY) == FREE
    mixed = answer(signature("test::norm", nested((1, 5, 3)), x, out=X), REGISTRY)
    assert mixed.data_dependent


# The kind of a call


LINEAR, ATTENTION, NORM = (signature(f"test::{kind}", X, W) for kind in ("linear", "attention", "norm"))
VIEW, UNKNOWN, RELU = (signature(f"test::{name}", X, out=X) for name in ("view", "unknown", "relu"))
SUM, SUM_IN_PLACE, SCALE = (signature(op, X, X, out=X) for op in ("aten::add", "aten::add_", "aten::mul"))


def test_a_function_gives_its_kind_to_its_parts() -> None:
    """A free or uncounted part does not get it, and a projection within attention stays a linear layer."""
    within = {"within": "attention"}
    calls = [(made, within) for made in (LINEAR, NORM, VIEW, UNKNOWN)]
    assert kinds(*calls) == ["linear", "attention", "movement", "uncounted"]
    assert kinds((LINEAR, {"within": "recurrent"})) == ["recurrent"]


def test_a_part_has_the_kind_of_its_operation() -> None:
    """It does not if the rule does not count the operation; free parts stay free."""
    assert kinds((SUM, {"part_of": ATTENTION}), (VIEW, {"part_of": ATTENTION})) == ["attention", "movement"]
    assert kinds((SUM, {"part_of": UNKNOWN}), (SUM, {"part_of": VIEW})) == ["elementwise", "elementwise"]
    assert kinds((SUM, {"part_of": LINEAR, "within": "attention"})) == ["linear"]


def test_a_gradient_has_the_kind_of_its_forward_operation() -> None:
    """It has its own kind if the forward operation is free, uncounted, or unknown."""
    backward = {"phase": "backward"}
    assert kinds(
        (RELU, {}),
        (VIEW, {}),
        (UNKNOWN, {}),
        (SCALE, {**backward, "source": 0}),
        (SCALE, {**backward, "source": 1}),
        (SCALE, {**backward, "source": 2}),
        (SCALE, backward),
        (VIEW, {**backward, "source": 0}),
    ) == ["activation", "movement", "uncounted", "activation", "elementwise", "elementwise", "elementwise", "movement"]


def test_only_the_backward_pass_takes_the_kind_of_its_source() -> None:
    """A recomputed forward operation has its own kind."""
    assert kinds((RELU, {}), (SCALE, {"phase": "recompute", "source": 0})) == ["activation", "elementwise"]


def test_a_gradient_has_the_kind_of_what_its_source_is_within() -> None:
    """The source is within a function, or a part of an operation."""
    gradient = {"phase": "backward", "source": 0}
    assert kinds((NORM, {"within": "attention"}), (SCALE, gradient)) == ["attention"] * 2
    assert kinds((NORM, {"part_of": ATTENTION}), (SCALE, gradient)) == ["attention"] * 2
    assert kinds((VIEW, {"part_of": ATTENTION}), (SCALE, gradient)) == ["movement", "attention"]
    assert kinds((NORM, {"part_of": VIEW}), (SCALE, gradient)) == ["norm", "elementwise"]


@pytest.mark.parametrize("op", ["aten::add", "aten::add_"])
def test_a_sum_of_gradients_has_its_own_kind(op: str) -> None:
    """The sum of the gradients of a tensor that several layers use is not the work of one layer."""
    assert [kind_of_gradient(op, "elementwise", kind) for kind in ("conv", "linear", "matmul", "attention")] == [
        "elementwise"
    ] * 4
    assert kind_of_gradient(op, "elementwise", "norm") == "norm"
    assert kind_of_gradient(op, "elementwise", None) == "elementwise"
    assert kind_of_gradient("aten::mul", "elementwise", "conv") == "conv"
    made = signature(op, X, X, out=X)
    assert kinds((LINEAR, {}), (made, {"phase": "backward", "source": 0})) == ["linear", "elementwise"]


# What parameters are used for


def use(*calls: tuple[Signature, str]) -> str:
    """The use of a parameter that these calls read, each in its phase."""
    record = ParameterRecord(("w", "tied"), "", (4, 3), "float32", 4, True)
    events = [(made, {"phase": phase, "parameters": ("other", "w")}) for made, phase in calls]
    (found,) = priced(*events, parameters=(record,)).parameters
    assert replace(found, use="unused") == record
    return found.use


def test_a_parameter_has_the_kind_of_the_costliest_reader() -> None:
    """Costs are compared by FLOPs, then by comparisons; free readers come last; the first of equals wins."""
    assert use((NORM, "forward"), (LINEAR, "forward")) == "linear"
    assert use((VIEW, "forward"), (RELU, "forward")) == "activation"
    larger = signature("test::norm", X, out=TensorSpec((1,)))
    assert use((RELU, "forward"), (larger, "forward")) == "norm"
    many = signature("test::max", TensorSpec((9, 9)), out=X)
    assert use((RELU, "forward"), (many, "forward")) == "pool"
    assert use((VIEW, "forward"), (UNKNOWN, "forward")) == "uncounted"
    assert use((SUM, "forward"), (signature("test::norm", X, out=X), "forward")) == "elementwise"
    assert use((VIEW, "forward")) == "movement"


def test_only_the_forward_pass_decides_the_use_of_a_parameter() -> None:
    """So it is the same in both modes."""
    phases = ("recompute", "backward", "optimizer")
    assert use((VIEW, "forward"), *((LINEAR, phase) for phase in phases)) == "movement"
    assert use(*((LINEAR, phase) for phase in phases)) == "unused"


def test_a_parameter_without_readers_is_unused() -> None:
    """Readers of other parameters do not matter."""
    record = ParameterRecord(("w",), "", (4, 3), "float32", 4, True)
    assert priced((LINEAR, {"parameters": ("v",)}), parameters=(record,)).parameters == (record,)
    assert use() == "unused"


def test_a_table_whose_rows_are_looked_up_is_an_embedding() -> None:
    """It is one if it is also moved, and not if something is computed with all of it."""
    rows = signature("aten::index", X, out=X)
    rescaled = signature("aten::embedding_renorm_", X, out=X)
    assert use((rows, "forward")) == "embedding"
    assert use((rescaled, "forward"), (VIEW, "forward")) == "embedding"
    assert use((rows, "forward"), (LINEAR, "forward")) == "linear"
    assert use((rows, "forward"), (UNKNOWN, "forward")) == "uncounted"


# What is missing


def unseen(*calls: tuple[Signature, dict[str, Any]], already: Sequence[Unseen] = ()) -> tuple[Unseen, ...]:
    """What the trace of these calls reports as missing."""
    return priced(*calls, unseen=tuple(already)).unseen


def test_arithmetic_on_unwritten_memory_is_reported_in_its_module() -> None:
    """Each storage is reported once: in the first module whose arithmetic reads it."""
    a, b = (Unseen(module, FILLED_OUTSIDE) for module in "ab")
    assert unseen((NORM, {"module": "a", "blanks": (3,)}), (NORM, {"module": "b", "blanks": (3,)})) == (a,)
    assert unseen((NORM, {"module": "a", "blanks": (3,)}), (NORM, {"module": "b", "blanks": (3, 4)})) == (a, b)
    assert unseen((NORM, {"module": "a", "blanks": (3, 4)}), (NORM, {"module": "b", "blanks": (4,)})) == (a,)
    assert unseen((NORM, {"module": "a", "blanks": (3,)}), (NORM, {"module": "a", "blanks": (4,)})) == (a,)
    assert unseen((NORM, {"module": "a"})) == ()


def test_moving_unwritten_memory_is_not_reported() -> None:
    """A view or a copy is no arithmetic; arithmetic on them is reported."""
    assert unseen((VIEW, {"module": "a", "blanks": (3,)})) == ()
    found = unseen((VIEW, {"module": "a", "blanks": (3,)}), (NORM, {"module": "b", "blanks": (3,)}))
    assert found == (Unseen("b", FILLED_OUTSIDE),)


def test_reports_of_tracing_come_first_and_once() -> None:
    """The reports of pricing come after it."""
    already = (Unseen("z", "of another reason"), Unseen("a", FILLED_OUTSIDE))
    calls = [(NORM, {"module": module, "blanks": (number,)}) for number, module in enumerate("ab")]
    assert unseen(*calls, already=already) == (*already, Unseen("b", FILLED_OUTSIDE))


# Pricing again


def again(made: Signature, old: Answer) -> Answer:
    """The answer of a saved call after pricing it again."""
    (first,) = priced((made, {})).calls
    trace = Trace((replace(first, answer=old),), (), (), signatures=(made,), answers=(old,))
    (found,) = price_again(trace, REGISTRY).answers
    return found


OLD = Answer("softmax", "counted", (each((99,), "old", adds=1),))


def test_complete_saved_calls_get_the_current_rules() -> None:
    """This holds also if there was no rule before, or one that failed."""
    assert again(NORM, OLD).count == OpCount(adds=2 * 4)
    assert again(NORM, Answer("uncounted", "uncounted", reason=NO_RULE)).count == OpCount(adds=2 * 4)
    assert again(signature("test::refusing", X), OLD).reason == "only for even sizes"


def test_an_answer_without_a_current_rule_is_kept() -> None:
    """A user's rule may not be registered today; an uncounted call gets today's reason."""
    assert again(UNKNOWN, OLD) is OLD
    assert again(UNKNOWN, FREE) is FREE
    assert again(UNKNOWN, Answer("uncounted", "uncounted", reason="its rule failed")).reason == NO_RULE


def test_answers_of_earlier_versions_are_kept() -> None:
    """Their files do not have all arguments."""
    assert again(replace(NORM, whole=False), OLD) is OLD


def test_an_answer_by_unsaved_values_is_kept() -> None:
    """A call that was uncounted is priced again."""
    made = signature("test::by_values", X, out=X)
    assert again(made, OLD) is OLD
    found = again(made, Answer("uncounted", "uncounted", reason="before", data_dependent=True))
    assert (found.data_dependent, found.reason == "before") == (True, False)


def test_pricing_again_with_the_same_rules_changes_nothing() -> None:
    """This includes kinds, uses and what is missing."""
    record = ParameterRecord(("w",), "", (4, 3), "float32", 4, True)
    trace = priced(
        (LINEAR, {"parameters": ("w",), "module": "a"}),
        (NORM, {"within": "attention", "blanks": (1,)}),
        (SUM, {"phase": "backward", "source": 0, "part_of": ATTENTION}),
        (signature("test::by_values", X, out=X), {}),
        parameters=(record,),
        real_run="it depends on data",
        unseen=(Unseen("a", "why"),),
    )
    assert price_again(trace, REGISTRY) == trace
