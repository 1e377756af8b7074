"""The types of a saved profile, for pydantic.

Python's own types are not enough: True is an int, and so is -1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    with_config,
)
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from profiler import catalog
from profiler.errors import did_you_mean
from profiler.files import DOTTED_EXPECTED, NAME_EXPECTED, is_dotted_name, is_folder_name
from profiler.opcount import Role
from profiler.records import KINDS, Direction, Mode, Phase, Status
from profiler.signatures import TensorSpec
from profiler.stored.generation import GenerationFields
from profiler.stored.machines import DeviceFields, EnergyFields
from profiler.stored.memory import MemoryFields
from profiler.stored.values import COUNT_LIMIT, SIZE_LIMIT, check_product, expected, read_spec, read_value

T = TypeVar("T")


def _check_dotted(name: str) -> str:
    if not is_dotted_name(name):
        raise expected(DOTTED_EXPECTED)
    return name


DottedName = Annotated[str, AfterValidator(_check_dotted)]


def _one_of(what: str, names: tuple[str, ...]) -> AfterValidator:
    known = frozenset(names)

    def check(name: str) -> str:
        if name not in known:
            raise expected(f"{what} ({', '.join(names)}){did_you_mean(name, names)}")
        return name

    return AfterValidator(check)


def _folder_name(name: str) -> str:
    if not is_folder_name(name):
        raise expected(NAME_EXPECTED)
    return name


def _check_word(text: str) -> str:
    if not text.strip():
        raise expected("a name")
    return text


def _not_empty(values: list[T]) -> list[T]:
    if not values:
        raise expected("at least one of them")
    return values


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise expected("each of them once")
    return values


Listed = Annotated[list[T], FailFast()]
"""A list of which only the first error is reported: a hostile file could have millions."""

Size = Annotated[int, Field(ge=0, le=SIZE_LIMIT)]
Count = Annotated[int, Field(ge=0, le=COUNT_LIMIT)]
Part = Annotated[int, Field(ge=-COUNT_LIMIT, le=COUNT_LIMIT)]
"""What one term adds to a count; a term may be negative to correct an earlier one."""

Touched = Annotated[int, Field(ge=-1, le=SIZE_LIMIT)]
"""A number of elements of an operand, or −1 for all of them."""

Ordinal = Annotated[int, Field(ge=1, le=SIZE_LIMIT)]
Word = Annotated[str, AfterValidator(_check_word)]
"""The name of an operation, a type or a dtype."""

Kind = Annotated[str, _one_of("a kind", KINDS)]


def _check_product(sizes: list[int]) -> list[int]:
    check_product(sizes)
    return sizes


Sizes = Annotated[Listed[Size], AfterValidator(_check_product)]

Spec = Annotated[TensorSpec, BeforeValidator(read_spec)]
Value = Annotated[Any, BeforeValidator(read_value)]
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
    role: NotRequired[Role]


@_strict
class _TermOfVersion1(_Term):
    on_padding: NotRequired[Count]
    masked: NotRequired[Count]


@_strict
class _Answer(TypedDict):
    kind: Kind
    status: Status
    terms: Listed[_Term]
    reason: NotRequired[str]
    data_dependent: NotRequired[bool]
    figures: NotRequired[dict[str, Count]]
    direction: NotRequired[Direction]


@_strict
class _Signature(TypedDict):
    op: Word
    arguments: dict[str, Value]
    positional: Size
    result: Value
    overload: NotRequired[str]
    samples: NotRequired[Sizes]
    whole: NotRequired[bool]
    answer: _Answer


@_strict
class _Event(TypedDict):
    signature: Size
    kind: NotRequired[Kind]
    module: str
    module_call: Ordinal
    phase: Phase
    within: NotRequired[Kind]
    source: NotRequired[Size]
    part_of: NotRequired[Size]
    parameters: NotRequired[Listed[str]]
    blanks: NotRequired[Listed[Size]]
    reads: NotRequired[Listed[Size]]
    writes: NotRequired[Listed[Size]]
    makes: NotRequired[Listed[Size]]
    touched: NotRequired[list[Touched] | None]


@_strict
class _CallOfVersion1(TypedDict):
    op: Word
    kind: Kind
    status: Status
    module: str
    module_call: Ordinal
    phase: Phase
    inputs: Listed[Spec]
    outputs: Listed[Spec]
    terms: Listed[_TermOfVersion1]
    overload: NotRequired[str]


@_strict
class _Module(TypedDict):
    name: str
    type: Word
    calls: Size
    first_name: NotRequired[str]
    input_shapes: NotRequired[Listed[Listed[Sizes]]]
    output_shapes: NotRequired[Listed[Listed[Sizes]]]


@_strict
class _Parameter(TypedDict):
    names: Annotated[Listed[str], AfterValidator(_not_empty)]
    module: str
    shape: Sizes
    dtype: Word
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


class _AnyVersion(TypedDict):
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
    counters: Listed[_Counter]


@_strict
class _Profile(_AnyVersion):
    memory: NotRequired[MemoryFields]
    generation: NotRequired[GenerationFields]
    throughput: NotRequired[dict[str, int | str]]
    device: NotRequired[DeviceFields]
    energy_model: NotRequired[EnergyFields]
    signatures: Listed[_Signature]
    calls: Listed[_Event]


@_strict
class _ProfileOfVersion1(_AnyVersion):
    calls: Listed[_CallOfVersion1]


_THIS: TypeAdapter[Any] = TypeAdapter(_Profile)

ADAPTERS: dict[int, TypeAdapter[Any]] = {1: TypeAdapter(_ProfileOfVersion1), 2: _THIS, 3: _THIS}
"""What each version of the file holds."""
