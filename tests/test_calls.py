"""Calls are kept in compact form, and tables sum up the distinct ones."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import nn

import profiler
from profiler.calls import Calls, calls_at, calls_seen_as, tallies
from profiler.events import Events
from profiler.measures import measures
from profiler.opcount import contraction
from profiler.records import Event, ModuleRecord, OpCall, Trace
from profiler.signatures import TensorSpec
from profiler.tables import layers, modules
from profiler.tabulate import Work


class Loop(nn.Module):
    """Calls the same layers again and again, and a part of them in a function of its own."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.linear = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.lstm = nn.LSTM(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.times):
            x = torch.tanh(self.linear(x)) + self.attention(x, x, x)[0]
            x = self.lstm(x)[0] * 2
        return x


def loop(times: int, mode: Any = "inference") -> profiler.Profile:
    return profiler.profile(Loop(times), torch.zeros(3, 2, 4), mode=mode)


EVENTS = [
    Event(0, "a", 1, "forward", None, None, None, ("w",), (), (1, 2), (), (3,)),
    Event(0, "a", 2, "forward", None, None, None, ("w",), (4,), (3,), (3,), ()),
    Event(1, "", 1, "backward", "attention", 0, 2),
    Event(0, "a", 2**70, "forward", None, None, None, ("w",), (), (2**70,), (), (5, 6, 7)),
]


def test_compact_events_keep_every_field() -> None:
    """The compact form gives back every field, also numbers of more than 64 bits, by number, by slice and in a loop."""
    events = Events.of(EVENTS)
    assert list(events) == EVENTS
    assert [events[number] for number in range(-len(EVENTS), len(EVENTS))] == EVENTS + EVENTS
    assert events[1:3] == tuple(EVENTS[1:3])
    assert events == tuple(EVENTS)
    assert events != tuple(EVENTS[1:])
    assert list(pickle.loads(pickle.dumps(events))) == EVENTS
    assert [len(events), len(events.sites)] == [4, 4]
    for outside in (4, -5):
        with pytest.raises(IndexError, match="expected one of 4"):
            events[outside]


def test_calls_are_a_sequence() -> None:
    """They can be counted, indexed, sliced, iterated and compared as a tuple of calls can."""
    calls: Any = loop(2).trace.calls
    every = tuple(calls)
    assert isinstance(calls, Calls)
    assert all(isinstance(call, OpCall) for call in every)
    assert calls == every
    assert (calls[1:4], calls[-1], len(calls)) == (every[1:4], every[-1], len(every))
    assert calls == loop(2).trace.calls
    assert calls != loop(3).trace.calls
    assert pickle.loads(pickle.dumps(calls)) == every
    assert tuple(calls_at(calls, [3, 1])) == (every[3], every[1])
    with pytest.raises(IndexError):
        calls[len(every)]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_each_figure_is_the_sum_over_all_calls(mode: str) -> None:
    """Multiplied by their numbers, the distinct calls give what the calls give one by one."""
    profile = loop(5, mode)
    for measure in measures():
        if measure.figure is not None:
            figures = [figure for call in profile.trace.calls if (figure := measure.figure(call)) is not None]
            assert profile.figure(measure.name) == sum(figures), measure.name
            assert len(figures) == len(profile.trace.calls)
    assert sum(tally.times for tally in tallies(profile.trace.calls)) == len(profile.trace.calls)
    assert profile.operations["calls"].sum() == len(profile.trace.calls)


class Alike(nn.Module):
    """Layers that do nearly the same: one is called twice, one reads a tensor twice, one is a part of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.once, self.twice = nn.Linear(4, 4), nn.Linear(4, 4)
        self.sum_of_two, self.sum_of_one = Plus(), Plus()
        self.attending = nn.MultiheadAttention(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.twice(self.twice(self.once(x)))
        attended, weights = self.attending(x, x, x, average_attn_weights=False)
        scores = torch.softmax(weights.flatten(0, 1), dim=-1)  # as within the attention
        result: torch.Tensor = self.sum_of_two(x, y) + self.sum_of_one(x, x) + attended * scores.sum()
        return result


class Plus(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def test_layers_that_do_nearly_the_same_have_figures_of_their_own() -> None:
    """The figures of each layer, kind and operation are the sums over its calls."""
    profile = profiler.profile(Alike(), torch.zeros(3, 2, 4))
    calls = list(profile.trace.calls)
    shown = {m.name: m.figure for m in measures() if m.figure is not None and "layers" in m.tables}
    for name, key, parts in (
        ("layers", "layer", {call.module or "(root)" for call in calls}),
        ("shares", "kind", {call.kind for call in calls}),
        ("operations", "op", {call.op for call in calls}),
    ):
        table = profile.tabulated(name)
        for part in parts:
            those = [call for call in calls if part in (call.module or "(root)", call.kind, call.op)]
            for measure, figure in shown.items():
                if measure in table:
                    rows = [row[measure] for row in table.records() if row[key] == part]
                    assert sum(rows) == sum(figure(call) or 0 for call in those), (name, part, measure)
    assert {call.kind for call in calls if call.op == "aten::softmax"} == {"attention", "softmax"}
    figures = {row["layer"]: row for row in profile.tabulated("layers").records()}
    assert figures["twice"]["macs"] == 2 * figures["once"]["macs"] > 0
    assert figures["sum_of_two"]["bytes_read"] == 2 * figures["sum_of_one"]["bytes_read"] > 0


@pytest.mark.slow
def test_a_tally_stands_for_calls_of_one_kind_in_one_place() -> None:
    """All that it stands for is equal to its call but for the number of the module's call, the source and storages."""
    found = loop(3, "training").trace.calls
    assert isinstance(found, Calls)
    for tally in found.tallies:
        call = tally.call
        assert found[tally.place] == call
        like_it = [
            other
            for other in found
            if (other.signature, other.kind, other.module, other.phase, other.event.within, other.event.parameters)
            == (call.signature, call.kind, call.module, call.phase, call.event.within, call.event.parameters)
            and (other.event.part_of, other.moves) == (call.event.part_of, call.moves)
        ]
        assert len(like_it) == tally.times
        assert like_it[0] == call


@pytest.mark.slow
def test_distinct_calls_do_not_grow_with_repetition() -> None:
    """The calls of 40 rounds are those of 4 rounds, ten times as often, and so are the figures of each layer."""
    few, many = loop(4), loop(40)
    assert len(many.trace.calls) == 10 * len(few.trace.calls)
    assert [tally.times for tally in tallies(many.trace.calls)] == [
        10 * tally.times for tally in tallies(few.trace.calls)
    ]
    assert many.layers["flops"].tolist() == [10 * flops for flops in few.layers["flops"]]


@pytest.mark.slow
def test_only_distinct_calls_are_made_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects for the other calls are made if somebody reads the calls."""
    made: list[int] = []
    make = Events._event

    def noted(events: Events, number: int) -> Event:
        made.append(number)
        return make(events, number)

    monkeypatch.setattr(Events, "_event", noted)
    profile = loop(50)
    for name in ("layers", "modules", "shares", "operations", "uncounted", "training", "parameters"):
        profile.tabulated(name)
    str(profile)
    distinct = len(tallies(profile.trace.calls))
    before = len(made)
    assert before <= distinct
    assert distinct * 20 < len(profile.trace.calls)
    assert len(list(profile.trace.calls)) == len(made) - before


def test_a_view_is_called_once_for_equal_calls() -> None:
    """Each call has the kind that the view returns; calls that were constructed one by one too."""
    viewed = []

    def view(call: OpCall) -> str:
        viewed.append(call)
        return "matmul" if call.kind == "linear" else call.kind

    calls = loop(6).trace.calls
    expected = ["matmul" if call.kind == "linear" else call.kind for call in calls]
    assert [call.kind for call in calls_seen_as(calls, view)] == expected
    assert len(viewed) == len(tallies(calls)) < len(calls)
    assert [call.kind for call in calls_seen_as(tuple(calls), view)] == expected


def call_in(module: str) -> OpCall:
    spec = (TensorSpec((2, 3)),)
    return OpCall.of("aten::x", "linear", "counted", module, 1, "forward", spec, spec, (contraction((2,), (3,)),))


@pytest.mark.slow
def test_totals_of_modules_that_are_thousands_deep() -> None:
    """Each has its own work and that of everything below it."""
    names = [".".join(["m"] * depth) for depth in range(2001)]
    trace = Trace(tuple(map(call_in, names)), tuple(ModuleRecord(name, "M", 1) for name in names), ())
    table = modules.table(Work(trace))
    assert table["macs"] == [2 * 3] * 2001
    assert table["macs_total"] == [2 * 3 * (2001 - depth) for depth in range(2001)]


def test_calls_that_were_constructed_one_by_one_are_summed_up_too() -> None:
    """Equal ones are rows of one layer, each with its own call."""
    trace = Trace((call_in("a"), call_in("b"), call_in("a")), (), ())
    assert layers.table(Work(trace))["macs"] == [2 * 2 * 3, 2 * 3]
    assert [tally.times for tally in tallies(trace.calls)] == [1, 1, 1]
