"""Each counter's convention, restated on our records, gives what it said: on every exhibit, and not by chance."""

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
    """Every exhibit with what the counters said of it."""
    return {one.name: one for one in page.read("museum")}


@pytest.mark.parametrize("counter", catalog.counters())
def test_every_difference_has_a_reason(counter: str, museum: dict[str, page.Measured]) -> None:
    """Layer by layer, on every exhibit that the counter did not fail on."""
    rows = [row for one in museum.values() for row in one.rows[counter]]
    assert [row for row in rows if not row.explained] == []
    assert sum(row.unexplained for row in rows) == 0
    assert len(rows) > 30


@pytest.mark.parametrize("error", [1, -1])
@pytest.mark.parametrize("counter", catalog.counters())
def test_one_more_or_less_in_any_figure_is_unexplained(
    counter: str, error: int, museum: dict[str, page.Measured]
) -> None:
    """A planted error in what a counter says, in each of its figures in turn; only that layer's row is open."""
    planted = met = 0
    for one in museum.values():
        record = one.records[counter]
        for place, figure in enumerate(record.figures):
            wrong = replace(figure, figure=figure.figure + error)
            figures = (*record.figures[:place], wrong, *record.figures[place + 1 :])
            rows = list(crosscheck_rows(one.profile.trace, replace(record, figures=figures)))
            if different(rows) < different(one.rows[counter]):  # the error made it ours
                met += 1
                continue
            assert [row.explained for row in rows].count(False) == 1, (one.name, figure)
            planted += 1
    assert planted > 20
    assert met <= 2


def different(rows: Iterable[Row]) -> int:
    """How many rows have a difference."""
    return sum(bool(row.difference) for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("error", [1, -1])
@pytest.mark.parametrize("counter", catalog.counters())
def test_one_more_or_less_in_any_of_our_rules_is_unexplained(
    counter: str, error: int, museum: dict[str, page.Measured]
) -> None:
    """A planted error in each of our calls in turn, also in those that the counter does not see."""
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
    """Of each row that is not explained, the sign of what is left."""
    return [(row.unexplained > 0) - (row.unexplained < 0) for row in rows if not row.explained]


@pytest.mark.parametrize("error", [1, -1])
def test_one_more_or_less_in_an_einsum_is_seen_by_torch(error: int, museum: dict[str, page.Measured]) -> None:
    """Its equation is not in the record, so no formula of ours repeats it; torch's figure does."""
    one = museum["einsum"]
    (call,) = one.profile.trace.calls
    wrong = changed(call, terms=(*call.terms, Term("error", (1,), OpCount(macs=error))))
    trace = replace(one.profile.trace, calls=(wrong,))
    for counter in ("torch", "torch-cpu", "torchprofile", "fvcore"):
        (row,) = crosscheck_rows(trace, one.records[counter])
        assert not row.explained


def test_every_reason_has_an_occasion(museum: dict[str, page.Measured]) -> None:
    """No reason is listed that no exhibit shows, but for what only networks have; and each has a code of its own."""
    met = {part.reason for one in museum.values() for rows in one.rows.values() for row in rows for part in row.parts}
    listed = all_reasons()
    assert set(listed) - met == {BELOW}
    assert met <= set(listed)
    assert len({reason.code for reason in listed}) == len(listed)
    assert all(reason.meaning.endswith(".") and reason.text for reason in listed)


def test_parts_add_up(museum: dict[str, page.Measured]) -> None:
    """The amounts of the reasons are the difference."""
    for one in museum.values():
        for rows in one.rows.values():
            for row in rows:
                assert sum(part.amount for part in row.parts) == row.difference


@pytest.mark.slow
def test_figures_are_what_the_counter_prints() -> None:
    """The total of a record is the total that the counter gives itself: nothing is left for the whole network."""
    for one in page.read("museum", ["encoder", "residual block", "shared"]):
        for counter, record in one.records.items():
            other = [figure for figure in record.figures if figure.op == "other"]
            assert other == [], counter


def test_an_exhibit_that_no_counter_gets_right() -> None:
    """A shared layer: some count it twice, one four times."""
    (one,) = page.read("museum", ["shared"])
    assert one.macs == 2 * (2 * 5 * 8 * 8)
    figures = {counter: one.figure(counter) for counter in catalog.counters()}
    assert figures["calflops"] == 2 * one.macs
    assert figures["thop"] == 4 * one.macs


def test_a_record_from_nowhere_is_unexplained() -> None:
    """A figure for a module and an operation that we have nothing of."""
    (one,) = page.read("museum", ["linear"])
    record = CounterRecord("torch", "2", "ok", figures=(CounterFigure("ghost", "aten::mm", 7),))
    rows = {row.layer: row for row in crosscheck_rows(one.profile.trace, record)}
    assert not rows["ghost"].explained
    assert (rows["ghost"].unexplained, rows[""].explained) == (7, False)


@pytest.mark.slow
def test_museum_profiles_are_complete() -> None:
    """Every exhibit is counted whole by us."""
    assert all(page.exhibit_profile(name).complete for name in MUSEUM)


@pytest.mark.slow
def test_traces_without_the_counter_stay() -> None:
    """A cross-check changes nothing in the records that it reads."""
    (one,) = page.read("museum", ["residual block"])
    before: Trace = one.profile.trace
    list(crosscheck_rows(before, one.records["ptflops"]))
    assert before == page.exhibit_profile("residual block").trace
