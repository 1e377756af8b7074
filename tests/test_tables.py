"""Tables are group-bys of the records, exact and without invented zeros."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import nn

import profiler
from profiler.calls import tallies
from profiler.formatting import format_table
from profiler.measures import Measure
from profiler.opcount import COUNT_COLUMNS, OpCount, Term, contraction, each
from profiler.records import ModuleRecord, OpCall, ParameterRecord, Trace
from profiler.signatures import TensorSpec
from profiler.tables import layers, modules, operations, parameters, shares, uncounted
from profiler.tabulate import Work, total_count

MEMORY = ("bytes_read", "bytes_written", "parameter_bytes", "intensity")


def call(module: str, kind: str, *terms: object, op: str = "aten::x", status: str = "counted") -> OpCall:
    """A call of an operation on one 2×3 tensor."""
    spec = (TensorSpec((2, 3)),)
    return OpCall.of(op, kind, status, module, 1, "forward", spec, spec, terms)  # type: ignore[arg-type]


def parameter(name: str, size: int, *, use: str = "linear", buffer: bool = False) -> ParameterRecord:
    return ParameterRecord((name,), name.rpartition(".")[0], (size,), "float32", 4, True, buffer, use)


@pytest.fixture
def trace() -> Trace:
    """A root with a block of a convolution and an unknown operation, and a head that also ran a free operation."""
    return Trace(
        calls=(
            call("block.conv", "conv", contraction((2, 8), (3, 3)), Term("bias", (2, 8), OpCount(adds=1), role="bias")),
            call("block.odd", "uncounted", op="lib::odd", status="uncounted"),
            call("head", "movement", status="free"),
            call("head", "linear", contraction((2, 5), (8,))),
            call("head", "activation", each((2, 5), "relu", comparisons=1)),
        ),
        modules=(
            ModuleRecord("", "Net", 1),
            ModuleRecord("block", "Sequential", 1),
            ModuleRecord("block.conv", "Conv2d", 1, "block.conv", (((2, 3, 9, 9),),), (((2, 8),),)),
            ModuleRecord("block.odd", "Odd", 1),
            ModuleRecord("head", "Linear", 1),
            ModuleRecord("aux", "Linear", 0),
        ),
        parameters=(
            parameter("block.conv.weight", 72, use="conv"),
            parameter("head.weight", 40),
            parameter("aux.weight", 7, use="unused"),
            parameter("head.mean", 9, buffer=True),
        ),
    )


def column(table: pd.DataFrame, key: str, name: str) -> dict[str, object]:
    return dict(zip(table[key], table[name], strict=True))


def test_layers_are_the_modules_that_ran_operations(trace: Trace) -> None:
    """Each has one row, in the order in which they ran, with the kind of the costliest operation."""
    table = layers.table(Work(trace)).frame
    assert tuple(table.columns) == (
        "layer", "type", "kind", "calls", "input_shape", "output_shape", "parameters", "parameters_share",
        *COUNT_COLUMNS[:-1], "macs_share", "flops", "flops_share", "formula", "macs_on_padding", *MEMORY, "status",
    )  # fmt: skip
    assert column(table, "layer", "kind") == {"block.conv": "conv", "block.odd": "uncounted", "head": "linear"}
    assert column(table, "layer", "macs") == {"block.conv": 2 * 8 * 9, "block.odd": None, "head": 2 * 5 * 8}
    assert column(table, "layer", "adds")["block.conv"] == 2 * 8 * (9 - 1) + 2 * 8
    assert column(table, "layer", "input_shape")["block.conv"] == "2×3×9×9"


def kind_of_layer(*work: OpCall) -> str:
    """The kind of a layer with this work."""
    return Work(Trace(work, (), ())).kinds["a"]


def test_a_layer_has_the_kind_of_its_costliest_work() -> None:
    """Kinds are compared by FLOPs, then by comparisons, then by uncounted work; the first of equals wins."""
    linear, norm = call("a", "linear", contraction((2,), (8,))), call("a", "norm", each((2,), "sum", adds=9))
    activation, pool = (
        call("a", kind, each((2,), "max", comparisons=many)) for kind, many in (("activation", 99), ("pool", 98))
    )
    moved, odd = call("a", "movement", status="free"), call("a", "uncounted", status="uncounted")
    assert kind_of_layer(norm, linear) == kind_of_layer(linear, norm) == "linear"
    assert kind_of_layer(norm, linear, norm) == "norm"
    assert kind_of_layer(activation, norm) == kind_of_layer(norm, activation) == "norm"
    assert kind_of_layer(pool, activation) == kind_of_layer(activation, pool) == "activation"
    assert kind_of_layer(moved, odd) == kind_of_layer(odd, moved) == "uncounted"
    assert kind_of_layer(moved, moved, odd) == "uncounted"
    assert kind_of_layer(odd, pool) == "pool"


def test_a_layer_has_the_first_of_equally_costly_kinds() -> None:
    """It is the one that ran first, whatever its name."""
    conv, linear = (call("a", kind, contraction((2,), (8,))) for kind in ("conv", "linear"))
    assert (kind_of_layer(conv, linear), kind_of_layer(linear, conv)) == ("conv", "linear")
    empty, moved = call("a", "loss"), call("a", "movement", status="free")
    assert (kind_of_layer(empty, moved), kind_of_layer(moved, empty)) == ("loss", "movement")


def test_formulas_are_written_as_by_hand(trace: Trace) -> None:
    """They are the product of a contraction, and a number times its costs for other terms."""
    formulas = column(layers.table(Work(trace)).frame, "layer", "formula")
    assert formulas == {"block.conv": "(3·3)·(2·8)", "block.odd": "", "head": "8·(2·5) + 2·5 comparisons"}


def test_equal_terms_are_combined() -> None:
    """The formula of a layer that runs the same product three times has a factor 3."""
    calls = [call("a", "linear", contraction((4,), (3,)))] * 3
    assert layers.formula(tallies(calls)) == "3 × [3·4]"


def test_long_formulas_are_cut_and_marked() -> None:
    """The number of omitted terms is shown."""
    calls = [call("a", "elementwise", each((size,), "add", adds=1)) for size in range(2, 13)]
    assert layers.formula(tallies(calls)).endswith(" + … (3 more)")


def test_shares_are_sums_by_kind_with_a_total(trace: Trace) -> None:
    """Convolutions and linear layers come first, fractions sum to one, and unused parameters have a row."""
    table = shares.table(Work(trace)).frame
    figures = ("parameters", "multiplies", "adds", "macs", "flops")
    shown = (f"{name}{end}" for name in figures for end in ("", "_share"))
    assert tuple(table.columns) == ("kind", "layers", *shown, *MEMORY, "status")
    assert column(table, "kind", "status")["total"] == "partial"
    assert list(table["kind"]) == ["conv", "linear", "activation", "movement", "uncounted", "unused", "total"]
    multiplies = column(table, "kind", "multiplies")
    assert multiplies == {
        "conv": 144, "linear": 80, "activation": 0, "movement": 0, "uncounted": None, "unused": 0, "total": 224,
    }  # fmt: skip
    assert column(table, "kind", "multiplies_share")["linear"] == 80 / 224
    assert column(table, "kind", "parameters") == {
        "conv": 72, "linear": 40, "activation": 0, "movement": 0, "uncounted": 0, "unused": 7, "total": 119,
    }  # fmt: skip


def test_self_adds_up_to_total(trace: Trace) -> None:
    """The root's total is the sum of every module's own work, in every column."""
    table = modules.table(Work(trace)).frame
    for name in COUNT_COLUMNS:
        assert sum(value for value in table[name] if value is not None) == table[f"{name}_total"][0]
    assert list(table["status"]) == ["partial", "partial", "complete", "partial", "complete", "complete"]


def test_work_below_a_depth_limit_stays_in_the_totals(trace: Trace) -> None:
    """Only rows are left out."""
    full, cut = modules.table(Work(trace)).frame, modules.table(Work(trace), 1).frame
    assert list(cut["module"]) == ["(root)", "block", "head", "aux"]
    totals = column(full, "module", "macs_total")
    assert all(totals[module] == value for module, value in column(cut, "module", "macs_total").items())


def test_unknown_is_never_zero(trace: Trace) -> None:
    """An operation without a rule has no counts, and is listed with the elements that it touched."""
    found = operations.table(Work(trace)).frame
    assert found["status"].iloc[0] == "uncounted"
    assert found["flops"][0] is None
    assert uncounted.table(Work(trace)).frame.to_dict("records") == [
        {
            "op": "lib::odd",
            "calls": 1,
            "elements": 2 * 3 + 2 * 3,
            "bound": 2 * (2 * 3) * (2 * 3),
            "bound_share": 72 / (72 + total_count(trace).flops),
            "modules": "block.odd",
            "reason": "",
        }
    ]


def test_sums_beyond_64_bits_are_exact() -> None:
    """Counts are Python integers, since a machine integer could overflow."""
    huge = each((2**62,), "add", adds=1)
    trace = Trace((call("a", "elementwise", huge), call("b", "elementwise", huge)), (ModuleRecord("", "Net", 1),), ())
    table = layers.table(Work(trace)).frame
    assert table["adds"].dtype == object
    assert sum(table["adds"]) == 2**63
    assert shares.table(Work(trace)).frame["adds"].iloc[-1] == 2**63


def test_ordinary_counts_are_integers() -> None:
    """A data frame of them can be sorted, summed and plotted."""
    trace = Trace((call("a", "elementwise", each((5,), "add", adds=1)),), (ModuleRecord("", "Net", 1),), ())
    assert layers.table(Work(trace)).frame["adds"].dtype == "int64"


def test_buffers_are_not_parameters(trace: Trace) -> None:
    """They have no row in the table of parameters."""
    assert list(parameters.table(Work(trace)).frame["parameter"]) == ["block.conv.weight", "head.weight", "aux.weight"]


def test_empty_tables_keep_their_columns() -> None:
    """A table without rows can be written and read."""
    assert list(uncounted.table(Work(Trace((), (), ()))).frame) == [column.name for column in uncounted.COLUMNS]


def test_layers_and_modules_have_shares() -> None:
    """A layer's share is its figure over the network's; a module's is that of all below it; it may be missing."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 5, bias=False)))
    profile = profiler.profile(model, torch.zeros(2, 3))
    parameters, macs = 3 * 4 + 4 + 4 * 5, 2 * 3 * 4 + 2 * 4 * 5
    flops = 2 * 2 * 3 * 4 + (2 * 4 * 5 + 2 * 3 * 5)
    rows = profile.layers.set_index("layer")
    assert rows.parameters_share.tolist() == [(3 * 4 + 4) / parameters, 0, 4 * 5 / parameters]
    assert rows.macs_share.tolist() == [2 * 3 * 4 / macs, 0, 2 * 4 * 5 / macs]
    assert rows.flops_share.tolist() == [2 * 2 * 3 * 4 / flops, 0, (2 * 4 * 5 + 2 * 3 * 5) / flops]
    tree = profile.modules.set_index("module")
    assert tree.macs_total_share.tolist() == [1, 2 * 3 * 4 / macs, 0, 2 * 4 * 5 / macs, 2 * 4 * 5 / macs]
    assert tree.parameters_total_share[["(root)", "2"]].tolist() == [1, 4 * 5 / parameters]
    assert tree.flops_total_share["2.0"] == rows.flops_share["2.0"]
    nothing = profiler.profile(nn.Flatten(), torch.zeros(2, 3)).layers
    assert nothing[["parameters_share", "macs_share", "flops_share"]].to_numpy().tolist() == [[0.0, 0.0, 0.0]]


def test_a_share_is_never_rounded_to_0_or_100_percent() -> None:
    """The terminal and Markdown show a small layer beside a large one."""
    profile = profiler.profile(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 40000), nn.ReLU()), torch.zeros(1, 1))
    shown = format_table(profile.tabulated("layers"))
    assert shown["macs_share"] == ["<0.01 %", ">99.99 %", "0 %"]
    assert shown["parameters_share"] == ["<0.01 %", ">99.99 %", "0 %"]


def test_shares_in_python_add_up() -> None:
    """In Python there is no total row, which the table in files has as its last."""
    profile = profiler.profile(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.zeros(2, 3))
    assert profile.shares.kind.tolist() == ["linear", "activation"]
    assert profile.shares.flops_share.sum() == 1
    table = profile.table("shares")
    assert table.kind.tolist() == ["linear", "activation", "total"]
    assert table.parameters.sum() == 2 * profile.parameters_total


class Alike(nn.Module):
    """Two layers that do the same, in two blocks that have the same parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        second: torch.Tensor = self.second(self.first(x))
        return second


def test_modules_that_do_the_same_share_their_figures_and_keep_their_own_records() -> None:
    """The calls and parameters of each are its own; a figure of parameters that differs between them is not shared."""
    work = profiler.profile(Alike(), torch.ones(1, 4)).work
    first, second = work.by_module["first.0"], work.by_module["second.0"]
    assert (first.same or first) is (second.same or second)
    assert [tally.module for tally in second.tallies] == ["second.0"]
    assert [record.names[0] for record in second.parameters] == ["second.0.weight", "second.0.bias"]
    letters = Measure("letters", "letters", "letters of names", held=lambda record: len(record.names[0]))
    assert work.figures.sum(letters, first) == len("first.0.weight" + "first.0.bias")
    assert work.figures.sum(letters, second) == len("second.0.weight" + "second.0.bias")
    assert work.figures.sum(letters, work.whole) == sum(len(record.names[0]) for record in work.trace.parameters)


def test_parameters_keep_modules_from_sharing_figures_that_differ() -> None:
    """One of two linear layers with the same calls holds more parameters, which nothing reads."""
    model = Alike()
    model.second[0].register_parameter("unused", nn.Parameter(torch.ones(7)))
    table = profiler.profile(model, torch.ones(1, 4)).tabulated("modules")
    held = dict(zip(table["module"], table["parameters_total"], strict=True))
    assert held == {"(root)": 47, "first": 20, "first.0": 20, "first.1": 0, "second": 27, "second.0": 27, "second.1": 0}
