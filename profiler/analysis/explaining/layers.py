"""One layer: what it is, the derivation of each of its operations, their sum, and what others count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profiler.analysis.explaining.calls import derived, free_and_uncounted, short_phase, times
from profiler.analysis.explaining.counting import others_on
from profiler.analysis.explaining.derivation import Derivation
from profiler.analysis.explaining.document import (
    Block,
    Explanation,
    Heading,
    Inline,
    Items,
    Name,
    Paragraph,
    Span,
    Spans,
    sentence,
)
from profiler.analysis.explaining.formulas import Formula
from profiler.analysis.explaining.sums import CALLS, LAYER, OPERATOR, PHASE, SumRow, summed
from profiler.calls import Tally
from profiler.columns import Column
from profiler.formatting import ratio_text, share_text, thousands
from profiler.opcount import ZERO, OpCount
from profiler.profiles import Profile
from profiler.records import ROOT, ModuleRecord, ParameterRecord, show_shape, show_shapes

DERIVED = 12
"""The maximum number of operations of a layer that are derived in full; the table of sums has all of them."""


def explain_layer(profile: Profile, name: str) -> Explanation:
    """The explanation of the module of that name, by itself and with the modules below it."""
    return Explanation(f"{profile.name}: {name or ROOT}", tuple(_blocks(profile, name)))


def _blocks(profile: Profile, name: str) -> Iterator[Block]:
    record = record_of(profile, name)
    yield Heading(
        1, (Name(name or ROOT), *((f": {record.type}",) if record.type else ()), ", a layer of ", Name(profile.name))
    )
    yield Paragraph(tuple(_introduction(profile, record)))
    yield from _parameters(profile, record)
    group = profile.work.by_module.get(name)
    tallies = group.tallies if group is not None else []
    yield from _own(profile, record, tallies)
    yield from _below(profile, name)
    yield from others_on(profile, record)


def record_of(profile: Profile, name: str) -> ModuleRecord:
    """The record of the module of that name."""
    return next((record for record in profile.trace.modules if record.name == name), ModuleRecord(name, "", 0, name))


def count_of(tallies: Sequence[Tally]) -> OpCount:
    """The cost of these calls."""
    found = ZERO
    for tally in tallies:
        found = found + tally.call.count * tally.times
    return found


def _introduction(profile: Profile, record: ModuleRecord) -> Iterator[Span]:
    if record.calls:
        results = show_shapes(record.output_shapes[0]) if record.output_shapes else "no tensors"
        inputs = show_shapes(record.input_shapes[0]) if record.input_shapes else "no tensors"
        first = " The first time it" if len(record.input_shapes) > 1 else " It"
        yield f"It was called {times(record.calls)}.{first} read {inputs} and returned {results}."
    else:
        yield "It was never called."
    group = profile.work.by_module.get(record.name)
    count = count_of(group.tallies) if group is not None else ZERO
    whole = profile.total
    for figure, heading in (("macs", "MACs"), ("flops", "FLOPs")):
        own, all_of = getattr(count, figure), getattr(whole, figure)
        if own:
            share = share_text(own / all_of)
            yield f" Its own operations do {thousands(own)} of {thousands(all_of)} {heading} ({share})."
            break


def held_by(profile: Profile, name: str) -> list[ParameterRecord]:
    """The parameters that the module holds itself."""
    return [record for record in profile.trace.parameters if record.module == name and not record.buffer]


def _parameters(profile: Profile, module: ModuleRecord) -> Iterator[Block]:
    held = held_by(profile, module.name)
    if not held:
        return
    size, whole = sum(record.size for record in held), profile.parameters_total
    yield Heading(2, ("Parameters",))
    yield Paragraph((f"{thousands(size)} of {thousands(whole)} ({share_text(size / whole)}):",))
    yield Items(tuple(_parameter(record) for record in held))


def _parameter(record: ParameterRecord) -> Spans:
    name = record.names[0].rpartition(".")[2]
    shape = f" {show_shape(record.shape)}" if len(record.shape) > 1 else ""
    shared = f", shared with {len(record.names) - 1} other names" if len(record.names) > 1 else ""
    return (Name(name), f"{shape}: {thousands(record.size)}{'' if record.trainable else ', frozen'}{shared}")


def _own(profile: Profile, record: ModuleRecord, tallies: Sequence[Tally]) -> Iterator[Block]:
    counted = [Derivation.of(tally.call, tally.times) for tally in tallies if tally.call.terms]
    if tallies:
        yield Heading(2, ("Derivation",))
    if len(counted) > DERIVED:
        kept = sorted(counted, key=lambda one: one.count.flops * one.times, reverse=True)[:DERIVED]
        chosen = {id(one) for one in kept}
        yield Paragraph((f"It runs {len(counted)} different operations; the {DERIVED} costliest are derived.",))
    else:
        chosen = {id(one) for one in counted}
    for one in counted:
        if id(one) in chosen:
            yield from derived(one, where=(f"Called {times(one.times)}, on ",))
            yield from _uses(one)
    yield from free_and_uncounted((tally.call, tally.times) for tally in tallies)
    if counted and (len(counted) > 1 or counted[0].times > 1):
        yield Heading(2, ("Sum",))
        yield sum_of(counted)
    yield from _gradients(profile, record)


def sum_of(counted: Sequence[Derivation]) -> Block:
    """The table of all operations; its last row is the layer's row in the table of layers."""
    phases = len({short_phase(one.call) for one in counted}) > 1
    columns = (OPERATOR, *((PHASE,) if phases else ()), CALLS)
    rows = [
        SumRow([one.call.op, *((short_phase(one.call),) if phases else ()), one.times], one.count * one.times)
        for one in counted
    ]
    return summed("sum", "All operations of the layer", columns, rows)


def _uses(one: Derivation) -> Iterator[Block]:
    """How often each weight of a contraction is used."""
    weights = sum(spec.size for spec in one.call.inputs if spec.parameter and len(spec.shape) > 1)
    macs = one.count.macs
    if not weights or not macs or one.call.phase != "forward":
        return
    uses = Formula(one.words.uses or "1", one.words.numbers)
    if one.words.uses and uses.value * weights == macs:
        yield Paragraph(
            (
                f"Each of the {thousands(weights)} weights is used ",
                Inline(uses, "both"),
                f" times in a call: once for each {one.words.place}." if macs > weights else " time in a call.",
            )
        )
        return
    often = (
        f"exactly {thousands(macs // weights)}" if macs % weights == 0 else f"about {thousands(round(macs / weights))}"
    )
    yield sentence(
        f"Each of the {thousands(weights)} weights is used {often} times in a call: ",
        f"{thousands(macs)} MACs / {thousands(weights)} weights.",
    )


def _gradients(profile: Profile, record: ModuleRecord) -> Iterator[Block]:
    """What training costs, compared with the forward pass."""
    if profile.mode != "training":
        return
    row = next((row for row in profile.tabulated("training").records() if row["layer"] == (record.name or ROOT)), None)
    if row is None or not row["forward_macs"]:
        return
    forward, of_input, of_weight = (row[f"{part}_macs"] for part in ("forward", "input_gradient", "weight_gradient"))
    yield Heading(2, ("Training",))
    yield sentence(
        f"Forward {thousands(forward)} MACs, input gradient {thousands(of_input)}, ",
        f"weight gradient {thousands(of_weight)}: ",
        f"the backward pass costs {ratio_text((of_input + of_weight) / forward)} the forward pass.",
    )
    for part, number in (("input", of_input), ("weight", of_weight)):
        if not number:
            yield Paragraph((f"No {part} gradient is computed: nothing needs it.",))


def _below(profile: Profile, name: str) -> Iterator[Block]:
    """The layers below the module, and their sum."""
    prefix = f"{name}." if name else ""
    below = [
        (module, group)
        for module, group in profile.work.by_module.items()
        if module and module.startswith(prefix) and group.tallies
    ]
    if not below:
        return
    yield Heading(2, ("With the layers below it",))
    types = {record.name: record.type for record in profile.trace.modules}
    own = profile.work.by_module.get(name)
    everything = [*([(name, own)] if own is not None and own.tallies else []), *below]
    rows = [
        SumRow(
            [module or ROOT, types.get(module, ""), sum(record.size for record in held_by(profile, module))],
            count_of(group.tallies),
        )
        for module, group in everything
    ]
    columns = (LAYER, Column("type", priority=30), Column("parameters", "count", 8))
    yield summed("below", "The layers below it", columns, rows)
