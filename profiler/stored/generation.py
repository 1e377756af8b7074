"""A generation ↔ its form in a file: for each span of steps its operations, each with its figures as differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from profiler.generations import FIGURES, Generation, Known, Series, Span, StepOperation
from profiler.stored.schemas import BOOL, ORDINAL, SIGNED_COUNT, SIZE, TEXT, list_of, literal, mapping, optional

_SERIES = list_of(SIGNED_COUNT, 1, 3)

_OPERATION = mapping(
    {
        "op": TEXT,
        "kind": TEXT,
        "dtype": TEXT,
        "status": literal(Known),
        "times": ORDINAL,
        "figures": list_of(_SERIES, len(FIGURES), len(FIGURES)),
        "moves": optional(BOOL),
    }
)

_SPAN = mapping({"first": SIZE, "last": SIZE, "cache_bytes": _SERIES, "operations": list_of(_OPERATION)})

GENERATION = mapping(
    {
        "prompt": ORDINAL,
        "new_tokens": ORDINAL,
        "batch": ORDINAL,
        "prefill": _SPAN,
        "spans": list_of(_SPAN),
        "cache_bytes": SIZE,
        "parameters": SIZE,
        "active_parameters": optional(SIZE),
        "reason": optional(TEXT),
        "traced": list_of(ORDINAL),
        "held_out": list_of(ORDINAL),
        "unseen": optional(BOOL),
        "positions": optional(SIZE),
    }
)
"""A generation, in a file."""


def write_generation(record: Generation) -> dict[str, Any]:
    """The generation as it is in a file."""
    item: dict[str, Any] = {
        "prompt": record.prompt,
        "new_tokens": record.new_tokens,
        "batch": record.batch,
        "cache_bytes": record.cache_bytes,
        "parameters": record.parameters,
    }
    if record.active_parameters is not None:
        item["active_parameters"] = record.active_parameters
    if record.reason:
        item["reason"] = record.reason
    if record.unseen:
        item["unseen"] = True
    if record.positions:
        item["positions"] = record.positions
    item |= {"traced": list(record.traced), "held_out": list(record.held_out)}
    return {**item, "prefill": _write_span(record.prefill), "spans": list(map(_write_span, record.spans))}


def _write_span(span: Span) -> dict[str, Any]:
    return {
        "first": span.first,
        "last": span.last,
        "cache_bytes": list(span.cache_bytes.differences),
        "operations": list(map(_write_operation, span.operations)),
    }


def _write_operation(operation: StepOperation) -> dict[str, Any]:
    item: dict[str, Any] = {name: getattr(operation, name) for name in ("op", "kind", "dtype", "status", "times")}
    item["figures"] = [list(series.differences) for series in operation.figures]
    return item if operation.moves else {**item, "moves": False}


def read_generation(item: Mapping[str, Any]) -> Generation:
    """The generation in a file without problems."""
    return Generation(
        item["prompt"],
        item["new_tokens"],
        item["batch"],
        _span(item["prefill"]),
        tuple(map(_span, item["spans"])),
        item["cache_bytes"],
        item.get("active_parameters"),
        item["parameters"],
        item.get("reason", ""),
        tuple(item["traced"]),
        tuple(item["held_out"]),
        item.get("unseen", False),
        item.get("positions", 0),
    )


def _span(item: Mapping[str, Any]) -> Span:
    operations = tuple(
        StepOperation(
            one["op"],
            one["kind"],
            one["dtype"],
            one["status"],
            one["times"],
            tuple(Series(tuple(differences)) for differences in one["figures"]),
            one.get("moves", True),
        )
        for one in item["operations"]
    )
    return Span(item["first"], item["last"], operations, Series(tuple(item["cache_bytes"])))


def problems_of(item: Mapping[str, Any]) -> Iterator[str]:
    """The first impossible value in a generation in a file, as ``key: found …, expected …``."""
    first, last = item["prompt"], item["prompt"] + item["new_tokens"] - 2
    ends = [(span["first"], span["last"]) for span in item["spans"]]
    covered = [after == end + 1 for (_, end), (after, _) in pairwise(ends)] + [begin <= end for begin, end in ends]
    right = (ends[0][0], ends[-1][1]) == (first, last) if ends else last < first
    if not right or not all(covered):
        yield f"generation.spans: found {ends[:8]}, expected spans from {first} to {last} tokens in the cache"
    if (item["prefill"]["first"], item["prefill"]["last"]) != (0, 0):
        yield "generation.prefill: found tokens in its cache, expected none"
    for span in (item["prefill"], *item["spans"]):
        steps = span["last"] - span["first"]
        for operation in span["operations"]:
            lines = [Series(tuple(differences)) for differences in operation["figures"]]
            if any(line.at(0) < 0 or line.at(steps) < 0 for line in lines):
                yield f"generation: found a negative figure of {operation['op'][:60]!r}, expected none"
                return
    if ("active_parameters" in item) == bool(item.get("reason")):
        yield "generation.active_parameters: expected their number, or the reason why it is not known"
    elif item.get("active_parameters", 0) > item["parameters"]:
        yield f"generation.active_parameters: found {item['active_parameters']}, expected at most all parameters"
