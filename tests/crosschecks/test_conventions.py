"""Each counter's convention, applied to our records, gives what it reported: on every exhibit, and not by chance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from profiler import catalog
from profiler.crosschecks.counter import all_reasons
from profiler.crosschecks.products import FORMULAS
from profiler.crosschecks.reasons import BELOW
from profiler.crosschecks.rows import Row, crosscheck_rows
from profiler.opcount import OpCount, Term
from profiler.records import CounterFigure, CounterRecord, Trace
from tests.changed_calls import changed
from tests.crosschecks import page
from tests.museum import MUSEUM

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


@pytest.fixture(scope="module")
def museum() -> dict[str, page.Measured]:
    """Every exhibit with the records of the counters."""
    return {one.name: one for one in page.read("museum")}


@pytest.mark.slow
@pytest.mark.parametrize("counter", catalog.counters())
def test_every_difference_has_a_reason(counter: str, museum: dict[str, page.Measured]) -> None:
    """This holds layer by layer, on every exhibit on which the counter did not fail."""
    rows = [row for one in museum.values() for row in one.rows[counter]]
    assert [row for row in rows if not row.explained] == []
    assert sum(row.unexplained for row in rows) == 0
    assert len(rows) > 30


@pytest.mark.parametrize("error", [1, pytest.param(-1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("counter", catalog.counters())
def test_an_error_of_one_in_any_figure_is_unexplained(
    counter: str, error: int, museum: dict[str, page.Measured]
) -> None:
    """The error is planted in each figure of a counter in turn; only that layer's row is unexplained."""
    planted = met = 0
    for one in museum.values():
        record = one.records[counter]
        for place, figure in enumerate(record.figures):
            wrong = replace(figure, figure=figure.figure + error)
            figures = (*record.figures[:place], wrong, *record.figures[place + 1 :])
            rows = list(crosscheck_rows(one.profile.trace, replace(record, figures=figures)))
            if different(rows) < different(one.rows[counter]):  # the error made it equal to ours
                met += 1
                continue
            assert [row.explained for row in rows].count(False) == 1, (one.name, figure)
            planted += 1
    assert planted > 20
    assert met <= 2


def different(rows: Iterable[Row]) -> int:
    """The number of rows with a difference."""
    return sum(bool(row.difference) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("error", [1, -1])
@pytest.mark.parametrize("counter", catalog.counters())
def test_an_error_of_one_in_any_of_our_calls_is_unexplained(
    counter: str, error: int, museum: dict[str, page.Measured]
) -> None:
    """The error is planted in each of our calls in turn, also in those that the counter does not see."""
    planted = 0
    for one in museum.values():
        trace, record = one.profile.trace, one.records[counter]
        if record.status != "ok":
            continue
        for place, call in enumerate(trace.calls):
            if call.op in FORMULAS and call.count.macs:
                wrong = changed(call, terms=(*call.terms, Term("error", (1,), OpCount(macs=error))))
                calls = (*trace.calls[:place], wrong, *trace.calls[place + 1 :])
                assert off(crosscheck_rows(replace(trace, calls=calls), record)) == [-error], (one.name, call.op)
                planted += 1
    assert planted > 50


def off(rows: Iterable[Row]) -> list[int]:
    """The sign of the remainder of each row that is not explained."""
    return [(row.unexplained > 0) - (row.unexplained < 0) for row in rows if not row.explained]


@pytest.mark.parametrize("error", [1, -1])
def test_an_error_of_one_in_an_einsum_differs_from_torch(error: int, museum: dict[str, page.Measured]) -> None:
    """No formula of a counter is applied to the equation; torch's figure shows the error."""
    one = museum["einsum"]
    (call,) = one.profile.trace.calls
    wrong = changed(call, terms=(*call.terms, Term("error", (1,), OpCount(macs=error))))
    trace = replace(one.profile.trace, calls=(wrong,))
    for counter in ("torch", "torch-cpu", "torchprofile", "fvcore"):
        (row,) = crosscheck_rows(trace, one.records[counter])
        assert not row.explained


def test_every_reason_occurs(museum: dict[str, page.Measured]) -> None:
    """Each reason occurs on an exhibit, or is one that only networks have; each has its own code."""
    met = {part.reason for one in museum.values() for rows in one.rows.values() for row in rows for part in row.parts}
    listed = all_reasons()
    assert set(listed) - met == {BELOW}
    assert met <= set(listed)
    assert len({reason.code for reason in listed}) == len(listed)
    assert all(reason.meaning.endswith(".") and reason.text for reason in listed)


def test_parts_add_up(museum: dict[str, page.Measured]) -> None:
    """The amounts of the reasons sum to the difference."""
    for one in museum.values():
        for rows in one.rows.values():
            for row in rows:
                assert sum(part.amount for part in row.parts) == row.difference


@pytest.mark.slow
def test_figures_sum_to_the_total_that_the_counter_prints() -> None:
    """Nothing is left over for the whole network."""
    for one in page.read("museum", ["encoder", "residual block", "shared"]):
        for counter, record in one.records.items():
            other = [figure for figure in record.figures if figure.op == "other"]
            assert other == [], counter


def test_a_shared_layer_is_counted_wrong_by_all_counters() -> None:
    """Some count it twice, one four times."""
    (one,) = page.read("museum", ["shared"])
    assert one.macs == 2 * (2 * 5 * 8 * 8)
    figures = {counter: one.figure(counter) for counter in catalog.counters()}
    assert figures["calflops"] == 2 * one.macs
    assert figures["thop"] == 4 * one.macs


def test_a_figure_for_an_unknown_module_is_unexplained() -> None:
    """We have no operation in that module."""
    (one,) = page.read("museum", ["linear"])
    record = CounterRecord("torch", "2", "ok", figures=(CounterFigure("ghost", "aten::mm", 7),))
    rows = {row.layer: row for row in crosscheck_rows(one.profile.trace, record)}
    assert not rows["ghost"].explained
    assert (rows["ghost"].unexplained, rows[""].explained) == (7, False)


@pytest.mark.slow
def test_museum_profiles_are_complete() -> None:
    """Our profile of every exhibit is complete."""
    assert all(page.exhibit_profile(name).complete for name in MUSEUM)


@pytest.mark.slow
def test_a_crosscheck_does_not_change_the_trace() -> None:
    """The records that it reads are equal before and after."""
    (one,) = page.read("museum", ["residual block"])
    before: Trace = one.profile.trace
    list(crosscheck_rows(before, one.records["ptflops"]))
    assert before == page.exhibit_profile("residual block").trace
