"""The content of a report, before any format."""

from __future__ import annotations

import pytest

from profiler import catalog
from profiler.errors import ProfilerError
from profiler.render import Report, ReportTable, comparison_report, crosscheck_report, profile_report
from profiler.render.report import ROWS_SHOWN, WHOLE_NETWORK, conv_against_linear
from tests import sample_profiles as nets
from tests.render.samples import checked, doubtful


def table(report: Report, name: str) -> ReportTable:
    """The report's table of that name."""
    return next(table for table in report.tables if table.name == name)


def texts(report: Report, kind: str) -> list[str]:
    """The report's notes of that kind."""
    return [note.text for note in report.notes if note.kind == kind]


def test_conv_is_compared_with_linear() -> None:
    """One sentence, computed from the shares, has the lesson of the reference network."""
    assert conv_against_linear(nets.alexnet()) == (
        "Linear layers hold 95.96 % of the parameters and do 8.21 % of the multiplies; "
        "convolutions hold 4.04 % and do 91.79 %."
    )


def test_no_comparison_without_both_kinds() -> None:
    """A network of linear layers alone has no convolutions to compare."""
    assert conv_against_linear(nets.many(2)) is None
    assert texts(profile_report(nets.many(2)), "finding") == []


OF_OTHERS = (
    *("training", "memory", "peak", "energy", "generation", "training_run", "utilization"),
    *("roofline", "roofline_kinds", "roofline_operations"),
)
"""Tables that only profiles of training have, or with memory, a device, a model of energy, or the like."""


@pytest.mark.slow
def test_the_tables_are_the_selected_ones() -> None:
    """By default the report has all tables that are not empty, else the named ones; the shares are first."""
    inference = [name for name in catalog.tables() if name not in OF_OTHERS]
    every = [name for name in inference if name != "crosscheck"]
    assert [table.name for table in profile_report(nets.small()).tables] == every
    assert [table.name for table in profile_report(checked(nets.small())).tables] == inference
    assert [table.name for table in profile_report(nets.small(), ["layers", "shares"]).tables] == ["shares", "layers"]


def test_an_unknown_table_is_refused() -> None:
    """The error lists the tables."""
    with pytest.raises(ProfilerError, match=r"'layer'.*shares, layers"):
        profile_report(nets.small(), ["layer"])


@pytest.mark.slow
def test_files_hold_whole_tables() -> None:
    """Files hold the whole table, whatever a summary shows of it."""
    profile = checked(nets.alexnet())
    for part in profile_report(profile, depth=0).tables:
        assert part.frame.equals(profile.table(part.name))


def test_free_layers_are_left_out_and_counted() -> None:
    """Two dropouts without cost and parameters are left out with a line; the row of the whole network is last."""
    layers = table(profile_report(nets.alexnet()), "layers")
    assert layers.shown is not None
    names = layers.shown["layer"]
    assert "classifier.drop1" not in names
    assert len(names) == 21 - 2 + 1
    assert layers.notes == ("Left out: 2 layers without parameters whose work is free.",)
    assert names[-1] == WHOLE_NETWORK
    assert layers.shown["multiplies"][-1] == 714_188_480


def test_free_layers_with_parameters_are_shown() -> None:
    """An embedding does no arithmetic, but its parameters have to be shown."""
    net = nets.Network("embedded", (1, 4))
    net.layer("words", "Embedding", "aten::embedding", "movement", (1, 4, 8), (), {"weight": (100, 8)}, status="free")
    shown = table(profile_report(net.profile()), "layers").shown
    assert shown is not None
    assert shown["layer"] == ["words", WHOLE_NETWORK]


@pytest.mark.slow
def test_many_layers_are_cut_to_the_costliest() -> None:
    """The report of a long network shows the costliest layers, with their part of the FLOPs, and all others."""
    profile = nets.many(ROWS_SHOWN + 5)
    layers = table(profile_report(profile), "layers")
    assert layers.shown is not None
    *flops, others, whole = layers.shown["flops"]
    assert flops == sorted(profile.layers["flops"].tolist(), reverse=True)[:ROWS_SHOWN]
    hidden = 2 * (4 * 4 + 4 * 5 + 5 * 6 + 6 * 7 + 7 * 8)
    assert (others, whole) == (hidden, profile.total.flops)
    assert layers.shown["layer"][-2] == "… 5 more layers"
    part = f"{100 * (1 - hidden / profile.total.flops):.2f} %"
    assert layers.notes == (f"The {ROWS_SHOWN} costliest of {ROWS_SHOWN + 5} layers by FLOPs, with {part} of them.",)


def test_uncounted_layers_come_first_in_a_cut() -> None:
    """Layers with unknown cost are never cut."""
    net = nets.Network("long", (1, 4)).uncounted("odd", "mylib::odd")
    for number in range(ROWS_SHOWN):
        net.linear(f"fc{number}", 4)
    shown = table(profile_report(net.profile()), "layers").shown
    assert shown is not None
    assert shown["layer"][0] == "odd"
    assert shown["flops"][0] is None


def test_a_depth_limit_keeps_hidden_work_in_the_totals() -> None:
    """Deeper modules are hidden, and their work stays in the totals of the shown ones."""
    report = profile_report(nets.alexnet(), depth=1)
    modules = table(report, "modules")
    assert modules.shown is not None
    assert dict(zip(modules.shown["module"], modules.shown["multiplies"], strict=True)) == {
        "(root)": 714_188_480,
        "features": 655_566_528,
        "avgpool": 0,
        "classifier": 58_621_952,
    }
    assert "20 deeper modules are not shown" in modules.notes[0]
    assert table(report, "layers").shown is None


def test_a_partial_profile_has_a_warning() -> None:
    """Totals are marked as lower bounds; the operation, the unused module and its parameter are named."""
    report = profile_report(nets.partial())
    facts = {fact.label: fact.value for fact in report.facts}
    assert facts["status"] == "partial"
    assert facts["multiplies"] == "≥5,328"
    assert facts["parameters"] == "1,611"
    assert texts(report, "warning")[0].startswith("Partial: no rule for mylib::odd (1 call)")
    assert texts(report, "remark") == [
        "Never ran: aux.",
        "Parameters that no operation read: aux.weight (49 elements).",
    ]
    assert "counted multiplies" in texts(report, "finding")[0]


def test_a_complete_profile_has_no_warning() -> None:
    """Its totals are exact."""
    report = profile_report(nets.small())
    assert texts(report, "warning") == []
    assert {fact.label: fact.value for fact in report.facts}["multiplies"] == "5,328"


def test_frozen_parameters_and_buffers_are_facts() -> None:
    """The network has 1,562 parameters; 20 frozen ones are included and named."""
    net = nets.Network("frozen", (1, 3, 8, 8)).conv("conv", 4, 3, (6, 6)).linear("fc", 10)
    facts = {
        fact.label: fact for fact in profile_report(net.parameter("extra", (20,), trainable=False).profile()).facts
    }
    assert facts["parameters"].value == "1,582"
    assert facts["parameters"].aside.endswith("20 of them frozen")


@pytest.mark.slow
def test_verdict_of_the_crosscheck() -> None:
    """Rows are equal, explained with the sum of each reason, or unexplained; a table shows the unexplained ones."""
    agreed = table(profile_report(checked(nets.alexnet())), "crosscheck")
    assert agreed.notes == (
        "fvcore 0.1.5: 8 of 9 layers equal, 1 explained, 0 unexplained.",
        "fvcore counts adaptive average pooling, 1 an input element: +9,216 in 1 layer",
    )
    assert agreed.shown is None
    doubted = table(profile_report(doubtful()), "crosscheck")
    assert doubted.notes[0] == "fvcore 0.1.5: 1 of 2 layers equal, 0 explained, 1 unexplained."
    assert doubted.notes[1] == f"unexplained: {7 - 1440:+,} in 1 layer"
    assert doubted.shown is not None
    assert doubted.shown["layer"] == ["fc"]


@pytest.mark.parametrize("status", ["skipped", "failed"])
def test_a_counter_without_figures_has_a_line(status: str) -> None:
    """The line says that the counter was skipped or failed, and why."""
    profile = nets.small()
    record = nets.counter(profile, status=status, message="too large: 14 GiB")  # type: ignore[arg-type]
    notes = table(profile_report(profile.with_counters(record)), "crosscheck").notes
    assert notes == (f"fvcore 0.1.5: {status}: too large: 14 GiB",)


def test_a_crosscheck_report_shows_the_differences() -> None:
    """There is a row for each counter, then the layers that differ; the file holds all layers."""
    summary, layers = crosscheck_report(checked(nets.alexnet())).tables
    assert summary.shown is not None
    assert list(summary.shown["explained_share"]) == [1.0]
    assert layers.shown is not None
    assert (len(layers.shown), len(layers.frame)) == (1, 9)


def test_comparison_report() -> None:
    """Columns with the same value for every network are hidden; a partial one has a warning and its status."""
    shown = comparison_report([nets.alexnet(), nets.small()]).tables[0].shown
    assert shown is not None
    assert not {"status", "mode"} & set(shown)
    report = comparison_report([nets.alexnet(), nets.partial()])
    assert report.tables[0].shown is not None
    assert "status" in report.tables[0].shown
    assert texts(report, "warning")[0].startswith("partial: no rule for mylib::odd")


def test_titles_name_the_figures() -> None:
    """A heading lists the figures of its columns, and names MACs and FLOPs as such."""
    modules = nets.small().tabulated("modules")
    assert modules.title(["module", "macs", "flops_total"]) == "Modules: MACs and FLOPs"
    assert modules.title(["module", "macs", "macs_total"]) == "Modules: MACs"
    assert modules.title(["module"]) == "Modules"
