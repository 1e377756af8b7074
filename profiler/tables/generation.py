"""What the generation of tokens costs: the run of the prompt, single decode steps, and all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from profiler.columns import FIRST, HEADLINE, Column
from profiler.devices import Device
from profiler.formatting import bytes_text, share_text, thousands
from profiler.generations import Generation, Piece, figure, uncounted
from profiler.roofline import picoseconds
from profiler.schema import Table
from profiler.serving import least_time
from profiler.tabulate import Work

COLUMNS = (
    Column("run", "name", FIRST, meaning="which runs of the network the row is about"),
    Column("writes", priority=4, meaning="the new tokens of each text that these runs give"),
    Column("cached", "count", 12, "tokens in the cache", meaning="of each text, when the first of these runs begins"),
    Column("tokens", "count", 13, meaning="of all texts: those of the prompt that prefill reads, or new ones"),
    Column("macs", "count", 11, "MACs", bound=True, meaning="multiply–accumulate pairs of contractions"),
    Column("flops", "count", HEADLINE, "FLOPs", bound=True, meaning="multiplies, adds, divides, transcendentals"),
    Column("bytes_read", "bytes", 6, meaning="bytes that the operations read at least"),
    Column("bytes_written", "bytes", 7, meaning="bytes that they write at least"),
    Column("parameter_bytes", "bytes", 14, meaning="the part of the bytes read that is parameters"),
    Column("cache_bytes", "bytes", 2, heading="cache", meaning="bytes of the cache when the runs have ended"),
    Column("intensity", "rate", 5, meaning="FLOPs per byte read and written"),
    Column("parameters", "count", 80, meaning="all parameters of the network"),
    Column("active_parameters", "count", 81, meaning="parameters that one token uses"),
    Column("status", "status", 3, meaning="partial if some work is not counted"),
)

ON_A_DEVICE = (
    Column("time_at_least", "count", 2, "time at least, ps", bound=True, bound_by="timed", meaning="in picoseconds"),
    Column("tokens_per_second", "rate", 1, "tokens/s at most", meaning="tokens ÷ time at least"),
    Column("bound_by", priority=8, heading="bound by", meaning="what most of the time is spent on"),
    Column("timed", "status", 9, meaning="partial if some operation has no known time"),
    Column("reason", "text", 20, width=30, meaning="why some time is not known"),
)
"""The columns that only a profile with a device has."""

SUBJECT = "Generation: what the new tokens cost"

WHOLE = "whole generation"


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one row: their name, the tokens that they give, and the tokens in the cache before the first run.

    ``tokens`` is their number in all texts together, and ``ends`` the number of tokens in the cache of a text when they
    have ended.
    """

    name: str
    writes: str
    cached: int
    tokens: int
    ends: int
    pieces: tuple[Piece, ...]


def runs_of(generation: Generation) -> Iterator[Runs]:
    """The runs of each row, in order."""
    prompt, steps, batch = generation.prompt, generation.steps, generation.batch
    yield Runs("prefill", "token 1", 0, prompt * batch, prompt, generation.whole_prefill)
    end = prompt + steps
    if steps:
        yield Runs("first decode step", "token 2", prompt, batch, prompt + 1, generation.step(prompt))
        last = generation.step(end - 1)
        yield Runs("last decode step", f"token {thousands(steps + 1)}", end - 1, batch, end, last)
        every = f"tokens 2 to {thousands(steps + 1)}" if steps > 1 else "token 2"
        yield Runs("all decode steps", every, prompt, steps * batch, end, generation.all_steps)
    every = f"tokens 1 to {thousands(steps + 1)}" if steps else "token 1"
    pieces = (*generation.whole_prefill, *generation.all_steps)
    yield Runs(WHOLE, every, 0, generation.new_tokens * batch, end, pieces)


def row_of(generation: Generation, runs: Runs) -> tuple[object, ...]:
    """The values of :data:`COLUMNS` for these runs."""
    names = ("macs", "flops", "bytes_read", "bytes_written", "parameter_bytes")
    macs, flops, read, written, parameters = (figure(runs.pieces, name) for name in names)
    moved = None if read is None or written is None else read + written
    partial = generation.unseen or bool(uncounted(runs.pieces))
    return (
        runs.name,
        runs.writes,
        runs.cached,
        runs.tokens,
        macs,
        flops,
        read,
        written,
        parameters,
        generation.cache_before(runs.ends),
        flops / moved if moved and flops is not None else None,
        generation.parameters,
        generation.active_parameters,
        "partial" if partial else "complete",
    )


def table(work: Work) -> Table:
    """One row for prefill, the first and the last decode step, all of them, and the whole; none without a generation.

    It is about the whole network, whatever is excluded.
    """
    generation, device = work.trace.whole.generation, work.device
    columns = COLUMNS if device is None else (*COLUMNS, *ON_A_DEVICE)
    if generation is None:
        return Table.of("generation", SUBJECT, columns, ())
    rows = [
        (*row_of(generation, runs), *(() if device is None else _on_device(runs, device)))
        for runs in runs_of(generation)
    ]
    subject = SUBJECT if device is None else f"{SUBJECT}, on {device.name}"
    return Table.of("generation", subject, columns, rows, 1)


def _on_device(runs: Runs, device: Device) -> tuple[object, ...]:
    """The values of :data:`ON_A_DEVICE`."""
    time = least_time(runs.pieces, device)
    total, known = time.total, not time.reasons
    return (
        picoseconds(total) if total or known else None,
        float(runs.tokens / total) if total and known else None,
        time.bound_by,
        "complete" if known else "partial",
        "; ".join(time.reasons),
    )


def shown(table: Table) -> Table:
    """The table without statuses if all is known."""
    idle = [column.name for column in table.columns if column.unit == "status" and "partial" not in table[column.name]]
    return table.without([*idle, *(["reason"] if "timed" in idle else [])])


def remarks(work: Work) -> Iterator[str]:
    """How the figures were found, how many parameters one token uses, and what the times mean."""
    generation, device = work.trace.whole.generation, work.device
    if generation is None:
        return
    yield from how_found(generation)
    if device is None:
        return
    yield f"Times are those of one {device.name} at its peaks, each operation alone; no real run is as fast."
    parameters = sum(record.bytes for record in work.trace.whole.parameters if not record.buffer)
    if parameters + generation.cache_bytes > device.memory:
        yield (
            f"It does not fit: parameters of {bytes_text(parameters)} and a cache of "
            f"{bytes_text(generation.cache_bytes)} take more than the {bytes_text(int(device.memory))} of one device."
        )


def how_found(generation: Generation) -> Iterator[str]:
    """How the figures were found, and how many parameters one token uses."""
    steps = generation.steps
    yield (
        f"{thousands(generation.batch)} {'text' if generation.batch == 1 else 'texts'} with a prompt of "
        f"{thousands(generation.prompt)} tokens. Prefill reads the prompt and gives the first new token"
        + (f"; each of {thousands(steps)} decode steps gives one more." if steps else ".")
    )
    if steps:
        yield _how_found(generation)
    found, every = generation.active_parameters, generation.parameters
    if found is None:
        yield f"How many of the {thousands(every)} parameters one token uses is not known: {generation.reason}."
    elif found < every:
        yield f"One token uses {thousands(found)} of {thousands(every)} parameters ({share_text(found / every)})."
    most = generation.positions
    if most and generation.prompt + generation.new_tokens > most:
        yield (
            f"The configuration has {thousands(most)} positions (max_position_embeddings), fewer than the "
            f"{thousands(generation.prompt + generation.new_tokens)} tokens of a text."
        )
    missing = uncounted((*generation.whole_prefill, *generation.all_steps))
    if missing:
        yield f"Without a rule: {', '.join(missing)}; the figures are lower bounds."


def _how_found(generation: Generation) -> str:
    """Which steps were traced, and which of them checked the formulas."""
    if len(generation.traced) >= generation.steps:
        return "Each decode step was traced by itself."
    spans = len(generation.spans)
    formulas = (
        "a formula that is linear" if spans == 1 else f"formulas that are linear in {spans} spans of lengths, each"
    )
    return (
        f"The figures of decode steps follow {formulas} in the length of the cache; sums are exact. "
        f"Steps were traced at {_listed(generation.traced)} tokens; those at {_listed(generation.held_out)} were held "
        "out and agree exactly in every figure of every operation."
    )


def _listed(lengths: tuple[int, ...], most: int = 12) -> str:
    more = f" and {len(lengths) - most} more" if len(lengths) > most else ""
    return ", ".join(map(thousands, lengths[:most])) + more
