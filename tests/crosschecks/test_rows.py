"""Every difference from another counter has a reason that follows from the two records, or is unexplained."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from profiler.crosschecks.evidence import Item, chosen
from profiler.crosschecks.reasons import BIAS, DEAD_CALL, POOL, Part, merged
from profiler.crosschecks.rows import _paths, crosscheck_rows
from profiler.crosschecks.tables import (
    CROSSCHECK_COLUMNS,
    REASONS_COLUMNS,
    SUMMARY_COLUMNS,
    crosscheck_summary,
    crosscheck_table,
    reasons_table,
    unexplained,
)
from profiler.errors import ProfilerError
from profiler.opcount import Term, contraction, each
from profiler.records import CounterFigure, CounterRecord, ModuleRecord, OpCall, Trace
from profiler.signatures import TensorSpec
from tests.changed_calls import changed

CONV = OpCall.of(
    "aten::conv2d", "conv", "counted", "conv", 1, "forward",
    (TensorSpec((1, 3, 8, 8)), TensorSpec((4, 3, 3, 3), parameter=True)),
    (TensorSpec((1, 4, 6, 6)),),
    (contraction((1, 4, 6, 6), (3, 3, 3)),),
)  # fmt: skip
CONV_MACS = (4 * 6 * 6) * (3 * 3 * 3)

NORM = OpCall.of(
    "aten::batch_norm", "norm", "counted", "norm", 1, "forward",
    (TensorSpec((1, 4, 6, 6)), *(TensorSpec((4,), parameter=True),) * 2, *(TensorSpec((4,)),) * 2),
    (TensorSpec((1, 4, 6, 6)),),
    (each((1, 4, 6, 6), "scale and shift", multiplies=2, adds=2),),
)  # fmt: skip

ATTENTION = OpCall.of(
    "aten::scaled_dot_product_attention", "attention", "counted", "attention", 1, "forward",
    (TensorSpec((1, 2, 5, 4)),) * 3,
    (TensorSpec((1, 2, 5, 4)),),
    (contraction((2, 5, 5), (4,)), contraction((2, 5, 4), (5,))),
)  # fmt: skip


def trace(*calls: OpCall) -> Trace:
    names = ["", *(call.module for call in calls)]
    return Trace(calls, tuple(ModuleRecord(name, "Net", 1, name) for name in names), ())


def fvcore(
    *figures: tuple[str, str, int], unsupported: tuple[str, str] | None = None, uncalled: str = ""
) -> CounterRecord:
    return CounterRecord(
        "fvcore", "0.1.5", "ok",
        figures=tuple(CounterFigure(*figure) for figure in figures),
        unsupported=(CounterFigure(*unsupported, 1),) if unsupported else (),
        uncalled=(uncalled,) if uncalled else (),
    )  # fmt: skip


def row(ours: Trace, theirs: CounterRecord) -> dict[str, object]:
    """The only row of the cross-check of the two."""
    (only,) = crosscheck_table(ours, [theirs]).to_dict("records")
    return {str(key): value for key, value in only.items()}


def test_equal_figures_need_no_reason() -> None:
    """The row has no difference and no reason, and is explained."""
    only = row(trace(CONV), fvcore(("conv", "conv", CONV_MACS)))
    assert tuple(only) == CROSSCHECK_COLUMNS
    assert (only["difference"], only["reason"], only["explained"]) == (0, "", True)


def test_batch_norm_is_in_fvcores_flops() -> None:
    """If fvcore reports exactly two operations for each element, that is the reason, with its amount."""
    only = row(trace(NORM), fvcore(("norm", "batch_norm", 2 * 4 * 6 * 6)))
    assert (only["macs"], only["difference"], only["explained"]) == (0, 288, True)
    assert only["reason"] == "fvcore counts batch norm, 2 an element (1 without affine) (+288)"


def test_a_missing_rule_explains_its_missing_operations() -> None:
    """fvcore lists the operation as unsupported in that module."""
    only = row(trace(ATTENTION), fvcore(unsupported=("attention", "aten::scaled_dot_product_attention")))
    assert only["difference"] == -(2 * 5 * 5 * 4 + 2 * 5 * 4 * 5)
    assert only["reason"] == "fvcore has no rule for aten::scaled_dot_product_attention (-400)"
    assert only["explained"]


def test_a_fused_kernel_explains_all_below_its_module() -> None:
    """The kernel is recorded in the parent; fvcore did not see the module below run."""
    inner = changed(CONV, module="block.conv")
    ours = Trace((inner,), tuple(ModuleRecord(name, "Net", 1, name) for name in ("", "block", "block.conv")), ())
    theirs = fvcore(unsupported=("block", "aten::_transformer_encoder_layer_fwd"), uncalled="block.conv")
    only = row(ours, theirs)
    assert only["explained"]
    assert str(only["reason"]).startswith("fvcore has no rule for aten::_transformer_encoder_layer_fwd, which does all")


def test_dead_code_explains_a_module_that_was_not_seen() -> None:
    """fvcore reports that it did not see the module."""
    only = row(trace(CONV), fvcore(uncalled="conv"))
    assert (only["difference"], only["explained"]) == (-CONV_MACS, True)
    assert only["reason"] == f"fvcore dropped it as dead code or did not see it run (-{CONV_MACS:,})"


def test_an_einsum_may_be_rounded() -> None:
    """NumPy prints the count with four digits; the exact count is explained as well."""
    einsum = changed(CONV, op="aten::einsum", terms=(contraction((64, 2, 49, 49), (32,)),))
    assert row(trace(einsum), fvcore(("conv", "einsum", 9_834_496)))["reason"] == ""
    rounded = row(trace(einsum), fvcore(("conv", "einsum", 9_835_000)))
    assert rounded["reason"] == "fvcore rounds an einsum's count to four digits (+504)"
    assert not row(trace(einsum), fvcore(("conv", "einsum", 9_836_000)))["explained"]


def planted(error: int) -> Term:
    return contraction((1, 4 * 6 * 6 * 27 + error), (1,))


@pytest.mark.parametrize("error", [1, -1])
def test_an_error_of_one_mac_is_unexplained(error: int) -> None:
    """A planted error in our count, or in the counter's, has no reason."""
    wrong = changed(CONV, terms=(planted(error),))
    for ours, figure in ((trace(wrong), CONV_MACS), (trace(CONV), CONV_MACS + error)):
        table = crosscheck_table(ours, [fvcore(("conv", "conv", figure))])
        assert len(unexplained(table)) == 1
        assert "unexplained" in table["reason"][0]


def test_a_wrong_figure_for_batch_norm_is_unexplained() -> None:
    """Only the exact amount of its convention is a reason."""
    assert not row(trace(NORM), fvcore(("norm", "batch_norm", 289)))["explained"]


def test_skipped_counters_have_no_rows() -> None:
    """A record without figures is not compared."""
    assert crosscheck_table(trace(CONV), [CounterRecord("fvcore", "0.1.5", "skipped", "too large")]).empty


def test_an_unknown_counter_is_an_error() -> None:
    """Its convention is not known, so no difference could be explained."""
    with pytest.raises(ProfilerError, match="counter 'abacus' is not known"):
        crosscheck_table(trace(CONV), [CounterRecord("abacus", "1", "ok")])


def item(figure: int, *, may_be_unseen: bool = True) -> Item:
    """One call with that figure."""
    return Item("conv", figure, unseen=Part(0, DEAD_CALL, "aten::conv2d") if may_be_unseen else None)


@pytest.mark.parametrize(
    ("reported", "seen", "choice"),
    [
        (17, 3, [True, True, True]),
        (10, 2, [True, True, False]),
        (12, 2, [True, False, True]),
        (12, 1, None),
        (0, 0, [False, False, False]),
        (11, 2, None),
    ],
)
def test_seen_calls_follow_from_their_sum_and_number(reported: int, seen: int, choice: list[bool] | None) -> None:
    """There are three calls, of 5, 5 and 7."""
    assert chosen([item(5), item(5), item(7)], reported, seen) == choice


def test_a_call_without_a_reason_to_be_unseen_was_seen() -> None:
    """Otherwise dropping calls could explain any figure."""
    items = [item(5, may_be_unseen=False), item(7)]
    assert chosen(items, 5, 1) == [True, False]
    assert chosen(items, 7, 1) is None


def test_some_calls_may_be_dead_code() -> None:
    """fvcore saw one of two calls: the reason is the figure of the other."""
    theirs = replace(
        fvcore(("conv", "conv", CONV_MACS)), seen=(CounterFigure("conv", "conv", 1),), figures=(
            CounterFigure("conv", "conv", CONV_MACS),
        ),
    )  # fmt: skip
    only = row(trace(CONV, CONV), theirs)
    assert only["reason"] == f"fvcore dropped aten::conv2d as dead code (-{CONV_MACS:,})"
    assert only["explained"]


def test_errors_that_cancel_are_unexplained() -> None:
    """One too many under one name and one too few under another are both unexplained."""
    linear = changed(
        CONV,
        op="aten::linear",
        inputs=(TensorSpec((1, 3)), TensorSpec((4, 3), parameter=True)),
        outputs=(TensorSpec((1, 4)),),
        terms=(contraction((1, 4), (3,)),),
    )
    table = crosscheck_table(
        trace(CONV, linear), [fvcore(("conv", "conv", CONV_MACS + 1), ("conv", "linear", 4 * 3 - 1))]
    )
    assert table["difference"].tolist() == [0]
    assert table["explained"].tolist() == [False]


def test_summary_of_the_crosscheck() -> None:
    """It has our figure, theirs, the ratio, and the part of the differences that has a reason."""
    right = fvcore(("conv", "conv", CONV_MACS), ("norm", "batch_norm", 288))
    wrong = fvcore(("conv", "conv", CONV_MACS + 96), ("norm", "batch_norm", 288))
    skipped = CounterRecord("thop", "0.1", "skipped", "too large")
    table = crosscheck_summary(trace(CONV, NORM), [right, wrong, skipped])
    assert tuple(table) == SUMMARY_COLUMNS
    first, second, third = table.to_dict("records")
    assert (first["macs"], first["figure"], first["difference"]) == (CONV_MACS, CONV_MACS + 288, 288)
    assert first["ratio"] == (CONV_MACS + 288) / CONV_MACS
    assert (first["layers"], first["equal"], first["explained"], first["unexplained"]) == (2, 1, 1, 0)
    assert first["explained_share"] == 1
    assert (second["equal"], second["explained"], second["unexplained"]) == (0, 1, 1)
    assert second["explained_share"] == 288 / (288 + 96)
    assert (third["status"], third["figure"], third["message"]) == ("skipped", None, "too large")


def test_reasons_of_the_crosscheck() -> None:
    """Each reason has one row for each counter, with its layers and its amount; unexplained differences are last."""
    other = changed(NORM, module="norm2")
    theirs = fvcore(("conv", "conv", CONV_MACS + 5), ("norm", "batch_norm", 288), ("norm2", "batch_norm", 288))
    table = reasons_table(trace(CONV, NORM, other), [theirs])
    assert tuple(table) == REASONS_COLUMNS
    assert table[["code", "layers", "amount"]].to_numpy().tolist() == [["norm", 2, 576], ["unexplained", 1, 5]]


def test_a_reason_continues_the_name_of_the_counter() -> None:
    """The name and the reason make one sentence."""
    (only,) = crosscheck_rows(trace(NORM), fvcore(("norm", "batch_norm", 288)))
    (part,) = only.parts
    assert part.reason.code == "norm"
    assert part.text("fvcore").startswith("fvcore counts batch norm")


def test_parts_with_one_reason_are_summed() -> None:
    """A sum of zero is left out."""
    parts = [Part(3, BIAS), Part(4, BIAS), Part(2, POOL, "a"), Part(-2, POOL, "a")]
    assert merged(parts) == (Part(7, BIAS),)


def test_paths_are_walked_from_parents_to_children() -> None:
    """A module with two parents is visited twice; one with two names in one parent, once."""
    names = {"a": "a", "a.x": "a.x", "b": "b", "b.x": "a.x", "c": "c", "d": "c"}
    records = [ModuleRecord("", "Net", 1, "")]
    records += [ModuleRecord(name, "Net", 1, first) for name, first in names.items()]
    assert _paths(records) == {"": 1, "a": 1, "a.x": 2, "b": 1, "c": 1}


EXPLAINING = """
import sys
from profiler import catalog
from profiler.crosschecks.counter import find_counter
from profiler.crosschecks.rows import crosscheck_rows
from profiler.records import CounterFigure, CounterRecord
from tests.crosschecks.test_rows import ATTENTION, CONV, NORM, trace

for name in catalog.counters():
    record = CounterRecord(name, "1", "ok", figures=(CounterFigure("conv", "conv", 5),))
    assert len(list(crosscheck_rows(trace(CONV, NORM, ATTENTION), record))) >= 2, name
heavy = {"torch", *(find_counter(name).distribution for name in catalog.counters())}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.mark.slow
def test_explaining_needs_neither_torch_nor_the_counter() -> None:
    """A stored record of any counter is explained without importing them."""
    ended = subprocess.run([sys.executable, "-c", EXPLAINING], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
