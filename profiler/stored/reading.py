"""The text of a saved profile → records.  Types and consistency are checked before anything is used.

A file may be truncated, edited or malicious.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from pydantic_core import ErrorDetails, ValidationError

from profiler.devices import Device
from profiler.energy import EnergyModel
from profiler.errors import ProfilerError, StoredProfileError, shown
from profiler.excluding import leave_out
from profiler.files import read_bytes
from profiler.records import CounterRecord, Mode, Trace
from profiler.stored import machines
from profiler.stored.checks import contradictions
from profiler.stored.converting import counter_of, trace_of, trace_of_version_1
from profiler.stored.fields import VERSIONS, validator
from profiler.stored.generation import problems_of as problems_of_generation
from profiler.stored.generation import read_generation
from profiler.stored.memory import problems_of, read_memory
from profiler.throughput import Throughput

SCHEMA = "static-flop-profiler/profile"

SCHEMA_VERSION = 3
"""The version that is written.

Older ones can be read too: version 2 does not say which elements of memory operands share, so that the bytes that
calls move are not known; version 1 only has the tensors of each call.
"""

BYTES_LIMIT = 256 * 2**20
"""A file with more bytes is not read: about half a million operation calls."""


class ProfileFields(TypedDict):
    """The profile in a file: the arguments of :class:`~profiler.profiles.Profile`."""

    name: str
    target: str
    mode: Mode
    trace: Trace
    environment: Mapping[str, str]
    counters: tuple[CounterRecord, ...]
    convention: str
    views: tuple[str, ...]
    method: str
    part: str
    part_calls: int
    cache: int
    device: Device | None
    energy_model: EnergyModel | None
    throughput: Throughput | None


def read_profile(path: Path) -> ProfileFields:
    """The profile in the file ``path``.

    Raises StoredProfileError; its one-line message names the file, the key, what was found and what was expected.
    """
    data = _parse(path)
    try:
        found = validator(data["version"]).validate_python(data)
    except ValidationError as error:
        raise StoredProfileError(f"{path}: {_explain(error.errors(include_url=False), data)}") from error
    try:
        trace = trace_of(found) if data["version"] > 1 else trace_of_version_1(found)
    except IndexError as error:
        last = len(found["signatures"]) - 1
        number = next(number for number, item in enumerate(found["calls"]) if item["signature"] > last)
        problem = f"calls.{number}.signature: found {shown(found['calls'][number]['signature'])}"
        raise StoredProfileError(f"{path}: {problem}, expected the number of a signature, at most {last}") from error
    if "memory" in found:
        for problem in problems_of(found["memory"], frozenset(record.name for record in trace.modules)):
            raise StoredProfileError(f"{path}: {problem}")
        trace = replace(trace, memory=read_memory(found["memory"]))
    if "generation" in found:
        for problem in problems_of_generation(found["generation"]):
            raise StoredProfileError(f"{path}: {problem}")
        trace = replace(trace, generation=read_generation(found["generation"]))
    try:
        throughput = Throughput.of_written(found["throughput"]) if "throughput" in found else None
    except ProfilerError as error:
        raise StoredProfileError(f"{path}: {error}") from error
    for problem in machines.problems_of(found):
        raise StoredProfileError(f"{path}: {problem}")
    counters = tuple(map(counter_of, found["counters"]))
    for problem in contradictions(trace, counters):
        raise StoredProfileError(f"{path}: {problem}")
    try:
        trace = leave_out(trace, tuple(found.get("exclude", ())))
    except ProfilerError as error:
        raise StoredProfileError(f"{path}: {error}") from error
    return {
        "name": found["name"],
        "target": found["target"],
        "mode": found["mode"],
        "environment": found["environment"],
        "trace": trace,
        "counters": counters,
        "convention": found["convention"],
        "views": tuple(found["views"]),
        "method": found.get("method", "forward"),
        "part": found.get("part", ""),
        "part_calls": found.get("part_calls", 0),
        "cache": found.get("cache", 0),
        "device": machines.read_device(found),
        "energy_model": machines.read_energy_model(found),
        "throughput": throughput,
    }


def _parse(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, which has the schema and a known version."""
    try:
        text = read_bytes(path, BYTES_LIMIT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoredProfileError(f"{path}: not UTF-8 text (byte {error.start}), expected a saved profile") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoredProfileError(f"{path}: cannot be read: {reason}; expected a saved profile") from error
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise StoredProfileError(f"{path}: nested too deeply, expected a saved profile") from error
    except ValueError as error:
        raise StoredProfileError(f"{path}: expected a saved profile (JSON): {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise StoredProfileError(f"{path}: expected a saved profile with schema: {SCHEMA!r}")
    version = data.get("version")
    if type(version) is not int or version not in VERSIONS:
        known = " or ".join(map(str, VERSIONS))
        raise StoredProfileError(
            f"{path}: version: found {shown(version)}, expected {known}; profile the network again"
        )
    if _SURROGATE.search(text):
        for place, value in _strings(data, ()):
            if _is_broken(value):
                raise StoredProfileError(
                    f"{path}: {place[:200]}: found {shown(value)}, expected text without unpaired surrogates"
                )
    return data


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _strings(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every string in nested lists and mappings, the keys too, with its place."""
    if isinstance(value, str):
        yield ".".join(place), value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield ".".join((*place, ascii(key)[1:-1])), key
            yield from _strings(item, (*place, ascii(key)[1:-1]))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _strings(item, (*place, str(number)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {shown(twice)} is given twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "an integer",
    "list_type": "a list",
    "dict_type": "a mapping",
    "greater_than_equal": "an integer of at least {ge}",
    "less_than_equal": "an integer of at most {le}",
}
"""pydantic's error types in plain words; the others keep pydantic's text."""


def _explain(problems: list[ErrorDetails], data: Mapping[str, Any]) -> str:
    """The first of ``problems`` as ``key: found …, expected …``, and how many more there are."""
    problem = problems[0]
    kind, location, context = problem["type"], [part for part in problem["loc"] if part != "[key]"], problem.get("ctx")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = ".".join(
        shown(part) if isinstance(part, str) and not part.isidentifier() else str(part) for part in location
    )
    if kind == "missing":
        return f"{place}: missing, expected the key {location[-1]}{more}"
    if kind == "extra_forbidden":
        return f"{place}: unknown key{more}; the file may be of a newer profiler"
    expected = EXPECTED.get(kind, problem["msg"].removeprefix("Input should be ")).format(**(context or {}))
    return f"{place}: found {shown(problem['input'])}, expected {expected}{more}"
