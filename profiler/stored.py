"""The text of a saved profile ↔ records.  What is read is held to its types and to itself before any of it is used.

A file is input like any other: it may be cut, edited by hand, or made to do harm.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from math import prod
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from profiler import catalog
from profiler.config import DottedName
from profiler.errors import ProfilerError, StoredProfileError, did_you_mean, shown
from profiler.excluding import leave_out
from profiler.files import NAME_EXPECTED, is_folder_name, read_bytes
from profiler.opcount import SCALAR_OPERATIONS, OpCount, Term
from profiler.records import (
    KINDS,
    CounterFigure,
    CounterRecord,
    Mode,
    ModuleRecord,
    OpCall,
    ParameterRecord,
    Phase,
    Status,
    Trace,
    Unseen,
)
from profiler.signatures import TensorSpec

SCHEMA = "static-flop-profiler/profile"
SCHEMA_VERSION = 1

BYTES_LIMIT = 256 * 2**20
"""Above this many bytes a file is not read: about half a million operation calls."""

SIZE_LIMIT = 2**63 - 1
"""The largest size that a tensor can have."""

COUNT_LIMIT = 2**128
"""No single figure is larger: a product of two tensors of the largest size there is costs less."""

T = TypeVar("T")


class ProfileFields(TypedDict):
    """What a file says of a profile: the arguments of :class:`~profiler.profiles.Profile`."""

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


def read_profile(path: Path) -> ProfileFields:
    """What is in the file ``path``.

    Raises StoredProfileError, whose one line names the file, the key, what was found and what was expected.
    """
    data = _parse(path)
    try:
        found = _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise StoredProfileError(f"{path}: {_explain(error.errors(include_url=False), data)}") from error
    fields: ProfileFields = {
        "name": found["name"],
        "target": found["target"],
        "mode": found["mode"],
        "environment": found["environment"],
        "trace": Trace(
            tuple(map(_call, found["calls"])),
            tuple(ModuleRecord(**_with_tuples(item)) for item in found["modules"]),
            tuple(ParameterRecord(**_with_tuples(item)) for item in found["parameters"]),
            found["real_run"],
            unseen=tuple(Unseen(**item) for item in found.get("unseen", ())),
        ),
        "counters": tuple(map(_counter, found["counters"])),
        "convention": found["convention"],
        "views": tuple(found["views"]),
        "method": found.get("method", "forward"),
        "part": found.get("part", ""),
        "part_calls": found.get("part_calls", 0),
        "cache": found.get("cache", 0),
    }
    for problem in _contradictions(fields):
        raise StoredProfileError(f"{path}: {problem}")
    try:
        fields["trace"] = leave_out(fields["trace"], tuple(found.get("exclude", ())))
    except ProfilerError as error:
        raise StoredProfileError(f"{path}: {error}") from error
    return fields


def _parse(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``, which says that it is a profile of this version."""
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
    if type(version) is not int or version != SCHEMA_VERSION:
        raise StoredProfileError(
            f"{path}: version: found {shown(version)}, expected {SCHEMA_VERSION}; profile the network again"
        )
    if _SURROGATE.search(text):
        for place, value in _strings(data, ()):
            if _is_broken(value):
                raise StoredProfileError(
                    f"{path}: {place[:200]}: found {shown(value)}, expected text without half a surrogate pair"
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
    raise ValueError(f"{name} is not a number that JSON has")


# What the file holds, type by type. Python's own types are not enough: True is an int, and so is -1.


def _expected(text: str, **context: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{text}", {"text": text, **context})


def _one_of(what: str, names: tuple[str, ...]) -> AfterValidator:
    known = frozenset(names)

    def check(name: str) -> str:
        if name not in known:
            raise _expected(f"{what} ({', '.join(names)}){did_you_mean(name, names)}")
        return name

    return AfterValidator(check)


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise _expected(NAME_EXPECTED)
    return name


def _not_empty(values: list[T]) -> list[T]:
    if not values:
        raise _expected("at least one of them")
    return values


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise _expected("each of them once")
    return values


Listed = Annotated[list[T], FailFast()]
"""A list of which only the first mistake is told: a hostile file could hold millions."""

Size = Annotated[int, Field(ge=0, le=SIZE_LIMIT)]
Count = Annotated[int, Field(ge=0, le=COUNT_LIMIT)]
Part = Annotated[int, Field(ge=-COUNT_LIMIT, le=COUNT_LIMIT)]
"""What one term adds to a count; a later one may take back what an earlier one has too much."""

Ordinal = Annotated[int, Field(ge=1, le=SIZE_LIMIT)]
Kind = Annotated[str, _one_of("a kind", KINDS)]


def _check_product(sizes: list[int]) -> list[int]:
    product = 0 if 0 in sizes else 1
    for size in sizes:
        product *= size
        if product > COUNT_LIMIT:
            raise _expected("sizes whose product is at most 2^128")
    return sizes


Sizes = Annotated[Listed[Size], AfterValidator(_check_product)]

_SPEC = re.compile(r"(scalar|[0-9]+(?:x[0-9]+)*) ([a-z][a-z0-9_]*)( parameter)?(?: stored=([0-9]+))?", re.ASCII)


@lru_cache(maxsize=4096)
def _read_spec(text: str) -> TensorSpec:
    match = _SPEC.fullmatch(text) if len(text) <= 2000 else None
    if match is None:
        raise _expected("a shape and a dtype, such as '1x3x224x224 float32' or '64 float32 parameter'")
    sizes, dtype, parameter, stored = match.groups()
    shape = [] if sizes == "scalar" else [int(size) for size in sizes.split("x")]
    held = None if stored is None else int(stored)
    if max((*shape, held or 0)) > SIZE_LIMIT:
        raise _expected("sizes of at most 2^63 - 1")
    _check_product(shape)
    return TensorSpec(tuple(shape), dtype, parameter is not None, held)


def _spec(text: object) -> TensorSpec:
    if not isinstance(text, str):
        raise _expected("a string")
    return _read_spec(text)


Spec = Annotated[TensorSpec, BeforeValidator(_spec)]
_strict = with_config(ConfigDict(extra="forbid", strict=True))


@_strict
class _OpCount(TypedDict, total=False):
    multiplies: Part
    adds: Part
    divides: Part
    comparisons: Part
    transcendentals: Part
    macs: Count


@_strict
class _Term(TypedDict):
    what: str
    how_many: Sizes
    one: _OpCount
    contracted: NotRequired[Sizes]
    on_padding: NotRequired[Count]
    masked: NotRequired[Count]


@_strict
class _Call(TypedDict):
    op: str
    kind: Kind
    status: Status
    module: str
    module_call: Ordinal
    phase: Phase
    inputs: Listed[Spec]
    outputs: Listed[Spec]
    terms: Listed[_Term]
    overload: NotRequired[str]


@_strict
class _Module(TypedDict):
    name: str
    type: str
    calls: Size
    first_name: NotRequired[str]
    input_shapes: NotRequired[Listed[Listed[Sizes]]]
    output_shapes: NotRequired[Listed[Listed[Sizes]]]


@_strict
class _Parameter(TypedDict):
    names: Annotated[Listed[str], AfterValidator(_not_empty)]
    module: str
    shape: Sizes
    dtype: str
    itemsize: Size
    trainable: bool
    buffer: NotRequired[bool]
    use: NotRequired[Kind]


@_strict
class _CounterFigure(TypedDict):
    module: str
    op: str
    figure: Count


@_strict
class _Counter(TypedDict):
    counter: Annotated[str, _one_of("a counter", catalog.counters())]
    version: str
    status: Literal["ok", "skipped", "failed"]
    message: NotRequired[str]
    figures: NotRequired[Listed[_CounterFigure]]
    unsupported: NotRequired[Listed[_CounterFigure]]
    uncalled: NotRequired[Listed[str]]
    seen: NotRequired[Listed[_CounterFigure]]
    factor: NotRequired[Ordinal]


@_strict
class _Unseen(TypedDict):
    module: str
    reason: str


@_strict
class _Profile(TypedDict):
    schema: str
    version: int
    name: Annotated[str, AfterValidator(_folder_name)]
    target: str
    mode: Mode
    environment: dict[str, str]
    real_run: str
    convention: Annotated[str, _one_of("a convention", catalog.conventions())]
    views: Annotated[Listed[Annotated[str, _one_of("a view", catalog.views())]], AfterValidator(_unique)]
    exclude: NotRequired[Annotated[Listed[str], AfterValidator(_unique)]]
    unseen: NotRequired[Listed[_Unseen]]
    method: NotRequired[DottedName]
    part: NotRequired[DottedName]
    part_calls: NotRequired[Ordinal]
    cache: NotRequired[Ordinal]
    modules: Annotated[Listed[_Module], AfterValidator(_not_empty)]
    parameters: Listed[_Parameter]
    calls: Listed[_Call]
    counters: Listed[_Counter]


_ADAPTER: TypeAdapter[Any] = TypeAdapter(_Profile)

EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "an integer",
    "list_type": "a list",
    "dict_type": "a mapping",
    "greater_than_equal": "an integer of at least {ge}",
    "less_than_equal": "an integer of at most {le}",
}
"""pydantic's error types, in plain words; its own words serve for the rest."""


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


# From what was read to records, and back.


def _call(item: _Call) -> OpCall:
    return OpCall.of(
        item["op"],
        item["kind"],
        item["status"],
        item["module"],
        item["module_call"],
        item["phase"],
        tuple(item["inputs"]),
        tuple(item["outputs"]),
        tuple(map(_term, item["terms"])),
        item.get("overload", ""),
    )


def _term(item: _Term) -> Term:
    return Term(
        what=item["what"],
        how_many=tuple(item["how_many"]),
        one=OpCount(**item["one"]),
        contracted=tuple(item.get("contracted", ())),
        on_padding=item.get("on_padding", 0),
        masked=item.get("masked", 0),
    )


def _counter(item: _Counter) -> CounterRecord:
    whole = _with_tuples(item)
    for key in ("figures", "unsupported", "seen"):
        whole[key] = tuple(CounterFigure(**figure) for figure in whole.get(key, ()))
    return CounterRecord(**whole)


def _with_tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    """The same with JSON's lists as the tuples that records hold."""
    return {key: _as_tuple(value) for key, value in item.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def write_call(call: OpCall) -> dict[str, Any]:
    """An operation call as JSON holds it: its tensors as text, its terms without what is zero."""
    item = {
        "op": call.op,
        "kind": call.kind,
        "status": call.status,
        "module": call.module,
        "module_call": call.module_call,
        "phase": call.phase,
        "inputs": [_write_spec(spec) for spec in call.inputs],
        "outputs": [_write_spec(spec) for spec in call.outputs],
        "terms": [_write_term(term) for term in call.terms],
    }
    return {**item, "overload": call.overload} if call.overload else item


def _write_spec(spec: TensorSpec) -> str:
    """``1x3x224x224 float32``, with ``parameter`` behind where it is one, and ``stored=6`` where it is sparse."""
    words = ["x".join(map(str, spec.shape)) or "scalar", spec.dtype]
    words += ["parameter"] if spec.parameter else []
    return " ".join([*words, f"stored={spec.stored}"] if spec.stored is not None else words)


def _write_term(term: Term) -> dict[str, Any]:
    one = {name: getattr(term.one, name) for name in (*SCALAR_OPERATIONS, "macs") if getattr(term.one, name)}
    item: dict[str, Any] = {"what": term.what, "how_many": list(term.how_many), "one": one}
    if term.contracted:
        item["contracted"] = list(term.contracted)
    if term.on_padding:
        item["on_padding"] = term.on_padding
    if term.masked:
        item["masked"] = term.masked
    return item


# What each part may say of the others.


def _contradictions(fields: ProfileFields) -> Iterator[str]:
    """What is of the right type and cannot be, as ``key: found …, expected …``."""
    trace = fields["trace"]
    yield from _wrong_modules(trace)
    modules = {record.name for record in trace.modules}
    for number, parameter in enumerate(trace.parameters):
        if parameter.module not in modules:
            yield f"parameters.{number}.module: found {shown(parameter.module)}, expected one of the modules"
        if parameter.size * parameter.itemsize > COUNT_LIMIT:
            yield f"parameters.{number}: found more than 2^128 bytes, expected no more"
    for number, call in enumerate(trace.calls):
        if call.module not in modules:
            yield f"calls.{number}.module: found {shown(call.module)}, expected one of the modules"
        for problem in chain(_wrong_status(call), _wrong_terms(call)):
            yield f"calls.{number}.{problem}"
    for number, unseen in enumerate(trace.unseen):
        if unseen.module not in modules:
            yield f"unseen.{number}.module: found {shown(unseen.module)}, expected one of the modules"
    names = [counter.counter for counter in fields["counters"]]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield f"counters.{number}.counter: found {shown(name)} again, expected each counter once"


def _wrong_modules(trace: Trace) -> Iterator[str]:
    if trace.modules[0].name:
        yield f"modules.0.name: found {shown(trace.modules[0].name)}, expected '', the network itself"
    seen: set[str] = set()
    for number, record in enumerate(trace.modules):
        if record.name in seen:
            yield f"modules.{number}.name: found {shown(record.name)} again, expected each module once"
        seen.add(record.name)
    for number, record in enumerate(trace.modules):
        if record.first_name not in seen:
            yield f"modules.{number}.first_name: found {shown(record.first_name)}, expected one of the modules"


def _wrong_status(call: OpCall) -> Iterator[str]:
    if bool(call.terms) != (call.status == "counted"):
        found = f"{len(call.terms)} terms of an operation that is {call.status}"
        yield f"terms: found {found}, expected {'at least one' if call.status == 'counted' else 'none'}"
    if (call.kind == "uncounted") != (call.status == "uncounted"):
        yield f"kind: found {shown(call.kind)} where the status is {call.status}, expected uncounted in both or neither"


def _wrong_terms(call: OpCall) -> Iterator[str]:
    negative = False
    for place, term in enumerate(call.terms):
        figures = _figures(term.one)
        negative = negative or min(figures) < 0
        for problem in _wrong_term(term, figures):
            yield f"terms.{place}{problem}"
    if negative:
        for name, figure in zip(_FIGURES, _figures(call.count), strict=True):
            if figure < 0:
                yield f"terms: found {figure} {name} in all, expected no fewer than 0"


_FIGURES = (*SCALAR_OPERATIONS, "macs")
_figures = attrgetter(*_FIGURES)


def _wrong_term(term: Term, figures: tuple[int, ...]) -> Iterator[str]:
    one = term.one
    results = prod(term.how_many)
    if results * max(max(figures), -min(figures)) > COUNT_LIMIT:
        yield ": found more than 2^128 operations, expected no more"
    if one.macs > one.multiplies:
        yield f".one.macs: found {one.macs}, expected no more than its multiplies ({one.multiplies})"
    if term.contracted and one.macs % max(1, prod(term.contracted)):
        yield f".one.macs: found {one.macs}, expected a multiple of what is contracted ({prod(term.contracted)})"
    macs = results * one.macs
    if term.on_padding > macs:
        yield f".on_padding: found {term.on_padding}, expected no more than its macs ({macs})"
    if term.masked > macs:
        yield f".masked: found {term.masked}, expected no more than its macs ({macs})"
