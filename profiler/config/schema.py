"""What a config file may say, and the file read into it.

Nothing here imports torch: dtypes are names, targets are text, and what they stand for is found out later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypeAliasType

from profiler.config.yaml_files import read_yaml
from profiler.errors import ConfigError, did_you_mean, shown
from profiler.files import NAME_EXPECTED, folder_name, is_folder_name

FLOATING_DTYPES = (
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
)
INTEGER_DTYPES = {
    "int8": (-(2**7), 2**7),
    "int16": (-(2**15), 2**15),
    "int32": (-(2**31), 2**31),
    "int64": (-(2**63), 2**63 - 1),
    "uint8": (0, 2**8),
    "uint16": (0, 2**16),
    "uint32": (0, 2**32),
    "uint64": (0, 2**63 - 1),
}
"""The integer dtypes, each with the bounds of ``low`` and ``high``: what ``torch.randint`` can draw."""
DTYPES = (*FLOATING_DTYPES, "complex64", "complex128", *INTEGER_DTYPES, "bool")

FORMATS = ("csv", "markdown", "json")
CONVENTIONS = ("exact", "macs", "torchvision", "fvcore", "paper")
VIEWS = ("pointwise_as_linear", "depthwise_apart")
TABLES = ("layers", "shares", "modules", "operations", "parameters", "uncounted", "training", "crosscheck")
COUNTERS = ("fvcore", "torch", "torch-cpu", "ptflops", "thop", "torchinfo", "calflops", "torchprofile")
DEFAULT_COUNTERS = ("fvcore",)

T = TypeVar("T")


def _known(what: str, names: Sequence[str]) -> AfterValidator:
    """Accept one of ``names``; anything else is an error that offers the nearest."""

    def check(name: str) -> str:
        if name not in names:
            hint = did_you_mean(name, names)
            raise _expected(f"{what} ({', '.join(names)}){hint}")
        return name

    return AfterValidator(check)


def _expected(text: str, **context: str) -> PydanticCustomError:
    """An error that says what was expected, and ``found=`` what was found where that is not the whole value."""
    return PydanticCustomError("expected", "{text}", {"text": text, **context})


def _sequence(value: object) -> object:
    """YAML has lists only; a frozen config holds tuples."""
    return tuple(value) if isinstance(value, list) else value


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _counters(value: object) -> object:
    if value is True:
        return DEFAULT_COUNTERS
    if value is False:
        return ()
    if not isinstance(value, (list, tuple)):
        raise _expected(f"true, false or a list of counters ({', '.join(COUNTERS)})")
    return tuple(value)


def _check_name(name: str) -> str:
    if not is_folder_name(name):
        raise _expected(NAME_EXPECTED)
    return name


def _check_target(target: str) -> str:
    source, colon, name = target.rpartition(":")
    if not (source.strip() and colon and name.strip()):
        raise _expected("source:name, such as torchvision:resnet50, package.module:Net or path/to/net.py:Net")
    return target


def _check_constructor(text: str) -> str:
    source, colon, name = text.rpartition(":")
    if not (source.strip() and colon and name.strip()):
        raise _expected("path/to/net.py:make_inputs or package.module:make_inputs")
    return text


def _flat(value: object) -> object:
    """The numbers in nested lists, in their order."""
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        if isinstance(value, int) and value.bit_length() > 64:
            raise _expected("numbers of at most 64 bits; a floating one has a point, such as 1.0e+30")
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise _expected("numbers, or lists of them")
    numbers: list[object] = []
    for item in value:
        flat = _flat(item)
        if not isinstance(flat, tuple):
            raise _expected("numbers, or lists of them")
        numbers.extend(flat)
    return tuple(numbers)


MOST_DIMENSIONS = 64
"""How many torch's tensors may have."""


def _shape_of(values: object, depth: int = 0) -> list[int]:
    """How long nested lists are at each level; those of one level have one length."""
    if not isinstance(values, (list, tuple)):
        return []
    if depth == MOST_DIMENSIONS:
        raise _expected(f"lists at most {MOST_DIMENSIONS} deep", found="values that are deeper")
    inner = [_shape_of(item, depth + 1) for item in values]
    if any(shape != inner[0] for shape in inner):
        lengths = "lists and numbers" if [] in inner else f"lists of {min(inner)[0]} and of {max(inner)[0]}"
        raise _expected("lists of one length, or a shape", found=f"values that hold {lengths} beside each other")
    return [len(values), *(inner[0] if inner else [])]


MOST_ELEMENTS = 2**59
"""How many elements a tensor may have: with 16 bytes each, torch can still count its bytes."""


def _check_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > MOST_DIMENSIONS:
        raise _expected(f"at most {MOST_DIMENSIONS} sizes", found=f"{len(shape)} sizes")
    if prod(shape) > MOST_ELEMENTS:
        raise _expected("a shape of at most 2^59 elements")
    return shape


def _at_least_one(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise _expected("at least one of them; leave the key out for all")
    return values


Size = Annotated[int, Field(gt=0, le=MOST_ELEMENTS)]
Format = Annotated[str, _known("a format", FORMATS)]
Table = Annotated[str, _known("a table", TABLES)]
Convention = Annotated[str, _known("a convention", CONVENTIONS)]
View = Annotated[str, _known("a view", VIEWS)]
Counter = Annotated[str, _known("a counter", COUNTERS)]
Dtype = Annotated[str, _known("a dtype", DTYPES)]
FloatingDtype = Annotated[str, _known("a floating dtype", FLOATING_DTYPES)]


def _check_dotted(name: str) -> str:
    if not all(part.isidentifier() or part.isdecimal() for part in name.split(".")):
        raise _expected("names with dots between them, such as backbone.layer3")
    return name


def _check_pattern(pattern: str) -> str:
    if not pattern.strip():
        raise _expected("the name of modules, such as aux*, or a type of them, such as Dropout")
    return pattern


Pattern = Annotated[str, AfterValidator(_check_pattern)]
DottedName = Annotated[str, AfterValidator(_check_dotted)]


class _Section(BaseModel):
    # Another process is given a config as JSON, where infinity is a value like any other.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, ser_json_inf_nan="constants")


class InputSpec(_Section):
    """One tensor that the network is given.

    Without ``dtype`` it has the network's.  Integers are drawn from ``low`` ≤ value < ``high`` (0 and 1 by
    default) where a real run needs values.  With ``values`` they are these: sizes, lengths and masks that decide what
    the network does.  Without a ``shape``, the tensor is nested as they are; with one, they may be in one list too.
    """

    shape: Annotated[tuple[Size, ...], FailFast(), BeforeValidator(_sequence), AfterValidator(_check_shape)]
    dtype: Dtype | None = None
    low: int | None = None
    high: int | None = None
    values: Annotated[tuple[int | float | bool, ...] | None, BeforeValidator(_flat)] = None

    @model_validator(mode="before")
    @classmethod
    def _shape_from_values(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("values") is None or "shape" in data:
            return data
        try:
            _flat(data["values"])
        except PydanticCustomError:
            return {**data, "shape": (1,)}  # the error is then that of the key values
        return {**data, "shape": _shape_of(data["values"])}

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.values is None:
            return self
        if self.low is not None or self.high is not None:
            raise _expected("either of them", found="values with low or high")
        if len(self.values) != prod(self.shape):
            raise _expected(
                f"{prod(self.shape)} of them for shape {list(self.shape)}", found=f"{len(self.values)} values"
            )
        if self.dtype in INTEGER_DTYPES and not all(type(value) is int for value in self.values):
            raise _expected("integers", found=f"values for dtype {self.dtype} that are none")
        least, most = self._bounds()
        beyond = next((value for value in self.values if value < least or value > most), None)
        if beyond is not None:
            dtype = self.dtype or "a floating dtype"
            raise _expected(f"{shown(least)} to {shown(most)} for {dtype}", found=f"the value {shown(beyond)}")
        return self

    def _bounds(self) -> tuple[float, float]:
        """The least and the largest of ``values`` that the dtype can hold; of floating ones, infinity is one."""
        if self.dtype == "bool":
            return 0, 1
        if self.dtype not in INTEGER_DTYPES:
            return float("-inf"), float("inf")
        bits = int(self.dtype.lstrip("uint"))
        return (0, 2**bits - 1) if self.dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.low is None and self.high is None:
            return self
        if self.dtype not in INTEGER_DTYPES:
            found = f"low or high for dtype {self.dtype or '(none given)'}"
            raise _expected(f"them with an integer dtype only ({', '.join(INTEGER_DTYPES)})", found=found)
        least, most = INTEGER_DTYPES[self.dtype]
        low, high = self.integer_range
        if low >= high:
            raise _expected("low < high", found=f"low {low} and high {high}")
        if low < least or high > most:
            raise _expected(f"{least} <= low and high <= {most} for {self.dtype}", found=f"low {low} and high {high}")
        return self

    @property
    def integer_range(self) -> tuple[int, int]:
        """``low`` and ``high``, of which ``high`` itself is never drawn."""
        low = 0 if self.low is None else self.low
        return low, low + 2 if self.high is None else self.high


def _scalar(value: object) -> object:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise _expected("a tensor ({shape: ...}), a number, a string, true, false, null, a list or a mapping")
    return value


def _only_values(value: Mapping[str, object]) -> bool:
    """Whether it is a tensor that has its shape from its values, and not a mapping with an input of that name."""
    known = InputSpec.model_fields
    meant = all(key in known or did_you_mean(str(key), known) for key in value)
    return meant and isinstance(value.get("values"), (bool, int, float, list, tuple))


def _input_tag(value: object) -> str:
    if isinstance(value, InputSpec) or (isinstance(value, dict) and ("shape" in value or _only_values(value))):
        return "<tensor>"
    if isinstance(value, dict):
        return "<mapping>"
    return "<list>" if isinstance(value, (list, tuple)) else "<value>"


Scalar = Annotated[bool | int | float | str | None, BeforeValidator(_scalar)]
InputValue = TypeAliasType(
    "InputValue",
    Annotated[
        "Annotated[InputSpec, Tag('<tensor>')]"
        " | Annotated[tuple[InputValue, ...], BeforeValidator(_sequence), Tag('<list>')]"
        " | Annotated[dict[str, InputValue], Tag('<mapping>')]"
        " | Annotated[Scalar, Tag('<value>')]",
        Discriminator(_input_tag),
    ],
)
"""A tensor, a plain value, or a list or mapping of such; a mapping with the key ``shape`` or ``values`` is a tensor."""


class InputsFrom(_Section):
    """A function that makes the inputs: ``from`` names it, and it is called with the network and with ``kwargs``."""

    model_config = ConfigDict(populate_by_name=True)

    constructor: Annotated[str, AfterValidator(_check_constructor), Field(alias="from")]
    kwargs: dict[str, Any] = Field(default_factory=dict)


class InputsOfCall(_Section):
    """Positional and keyword arguments together: a list of inputs, and a mapping of names to inputs."""

    args: Annotated[tuple[InputValue, ...], BeforeValidator(_sequence)]
    kwargs: dict[str, InputValue]


def _inputs_tag(value: object) -> str:
    if isinstance(value, InputsOfCall) or (isinstance(value, dict) and set(value) == set(InputsOfCall.model_fields)):
        return "<call>"
    if isinstance(value, InputsFrom) or (isinstance(value, dict) and "from" in value):
        return "<from>"
    return "<mapping>" if isinstance(value, dict) else "<list>"


def _check_inputs(value: object) -> object:
    if not isinstance(value, (list, tuple, dict, InputsFrom, InputsOfCall)):
        raise _expected(
            "a list (positional arguments), a mapping (keyword arguments), {args: [...], kwargs: {...}}"
            " or {from: path/to/net.py:inputs}"
        )
    if isinstance(value, dict) and "shape" in value and set(value) <= set(InputSpec.model_fields):
        raise _expected("a list of inputs ('- shape: ...', with a dash) or a mapping of names to inputs")
    return value


Inputs = Annotated[
    Annotated[tuple[InputValue, ...], BeforeValidator(_sequence), Tag("<list>")]
    | Annotated[dict[str, InputValue], Tag("<mapping>")]
    | Annotated[InputsOfCall, Tag("<call>")]
    | Annotated[InputsFrom, Tag("<from>")],
    Discriminator(_inputs_tag),
    BeforeValidator(_check_inputs),
]


class ModelSection(_Section):
    """Which network: the target that names its builder, and what the builder is given."""

    target: Annotated[str, AfterValidator(_check_target)]
    kwargs: dict[str, Any] = Field(default_factory=dict)


class CacheSection(_Section):
    """The cache that a generative network goes on from: as many tokens as are in it."""

    length: Size


class ReportSection(_Section):
    """What is written: the formats, and the tables in them."""

    formats: Annotated[
        tuple[Format, ...], BeforeValidator(_sequence), AfterValidator(_at_least_one), AfterValidator(_unique)
    ] = FORMATS
    tables: Annotated[
        tuple[Table, ...], BeforeValidator(_sequence), AfterValidator(_at_least_one), AfterValidator(_unique)
    ] = TABLES


def _check_rewrite(step: object) -> object:
    if isinstance(step, str) or (isinstance(step, dict) and len(step) == 1 and isinstance(next(iter(step)), str)):
        return step
    raise _expected("the name of a rewrite, or a mapping of one name to its options")


def _check_tolerance(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        written = isinstance(value, str) and re.fullmatch(r"[0-9]+e-?[0-9]+", value, re.ASCII)
        hint = f"; YAML takes {value} as text, write {str(value).replace('e', '.0e')}" if written else ""
        raise _expected(f"a number{hint}")
    if not 0 < value < 1e300:
        raise _expected("a positive, finite number")
    return value


class EquivalenceSection(_Section):
    """How a rewritten network is held to the one before it: on real, seeded inputs.

    ``measure`` is the figure that ``tolerance`` is held against.
    """

    tolerance: Annotated[float, BeforeValidator(_check_tolerance)] = 1e-5
    measure: Literal["largest_absolute", "largest_relative", "largest_squared", "mean_squared"] = "largest_relative"


class Config(_Section):
    """What to profile and how; as the file says it, defaults filled in.

    ``inputs`` is None where the file leaves them to the target's source, which may know them.  ``cache`` is what a
    generative network goes on from, ``method`` is what is called, and ``part`` the module that is profiled where it is
    not the whole network; ``exclude`` names the modules that are left out.  ``crosscheck`` holds the names of the
    counters to check against; true in the file means fvcore.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    model: ModelSection
    inputs: Inputs | None = None
    cache: CacheSection | None = None
    method: DottedName = "forward"
    part: DottedName | None = None
    exclude: Annotated[tuple[Pattern, ...], BeforeValidator(_sequence), AfterValidator(_unique)] = ()
    mode: Literal["inference", "training"] = "inference"
    optimizer: Literal["sgd", "momentum", "adam", "adamw"] | None = None
    dtype: FloatingDtype = "float32"
    convention: Convention = "exact"
    views: Annotated[tuple[View, ...], BeforeValidator(_sequence), AfterValidator(_unique)] = ()
    crosscheck: Annotated[tuple[Counter, ...], BeforeValidator(_counters), AfterValidator(_unique)] = DEFAULT_COUNTERS
    report: ReportSection = Field(default_factory=ReportSection)
    rewrites: Annotated[tuple[Annotated[Any, BeforeValidator(_check_rewrite)], ...], BeforeValidator(_sequence)] = ()
    equivalence: EquivalenceSection = Field(default_factory=EquivalenceSection)
    _path: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _check_optimizer(self) -> Self:
        if self.optimizer is not None and self.mode != "training":
            raise _expected("mode: training where an optimizer is given", found=f"optimizer {self.optimizer}")
        return self

    @property
    def path(self) -> Path | None:
        """The file it was read from, if any."""
        return self._path

    @property
    def base(self) -> Path:
        """The folder that a relative ``path/to/net.py`` starts from: the file's own, else the current one."""
        return Path.cwd() if self._path is None else self._path.absolute().parent


def load_config(path: str | PathLike[str]) -> Config:
    """The config in the YAML file ``path``.

    Raises ConfigError, whose one line names the file, the key, what was found and what was expected.
    """
    path = Path(path)
    data = read_yaml(path)
    if data is None:
        raise ConfigError(f"{path}: empty, expected a mapping with the keys model and inputs")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {_shown(data)}, expected a mapping with the keys model and inputs")
    config = _validate({"name": path.stem, **data}, str(path))
    config._path = path
    return config


def quick_config(target: str, shapes: Iterable[str]) -> Config:
    """The config of ``target`` with one positional input for each of ``shapes``.

    A shape is written ``1x3x224x224``, with a dtype of its own as ``1x128:int64``.  Without any the inputs are
    left to the target's source.  Raises ConfigError.
    """
    inputs = [_parse_shape(shape) for shape in shapes] or None
    name = folder_name(target.rpartition(":")[2])
    return _validate({"name": name, "model": {"target": target}, "inputs": inputs}, target)


def with_options(config: Config, options: Mapping[str, Any]) -> Config:
    """The config with the keys in ``options`` in the place of its own.  Raises ConfigError, which names the option."""
    if not options:
        return config
    names = {"inputs": "inputs-from"}
    for key, value in options.items():
        try:
            part = Config.model_validate({"name": config.name, "model": config.model, key: value})
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            found, expected = _shown(problem["input"]), problem["msg"].removeprefix("Input should be ")
            raise ConfigError(f"--{names.get(key, key)}: found {found}, expected {expected}") from error
        config = config.model_copy(update={key: getattr(part, key)})
    return config


def _parse_shape(text: str) -> dict[str, object]:
    sizes, colon, dtype = text.partition(":")
    if not re.fullmatch(r"0*[1-9][0-9]{0,18}(x0*[1-9][0-9]{0,18})*", sizes, re.ASCII) or (
        colon and dtype not in DTYPES
    ):
        hint = did_you_mean(dtype, DTYPES) if dtype else ""
        raise ConfigError(
            f"--input {text}: expected positive sizes joined by x, such as 1x3x224x224,"
            f" or with a dtype, such as 1x128:int64{hint}"
        )
    return {"shape": [int(size) for size in sizes.split("x")], "dtype": dtype or None}


def _validate(data: Mapping[str, Any], where: str) -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # A misspelt key is also a missing one; the first is what helps.
        problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {_explain(problems[0], data)}{more}") from error


EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
    "greater_than": "a positive integer",
    "less_than_equal": "at most 2^59",
    "invalid_key": "a string as key",
    "recursion_loop": "something that does not contain itself",
}
"""pydantic's error types, in the words of a config file; its own words serve for the rest."""

TAGS = ("<tensor>", "<list>", "<mapping>", "<value>", "<from>", "<call>")
"""What pydantic puts into the place of an input; not keys of the file."""


def _explain(problem: ErrorDetails, data: Mapping[str, Any]) -> str:
    """One validation error as ``key: found …, expected …``."""
    kind, found = problem["type"], problem["input"]
    location = [part for part in problem["loc"][:-1] if part not in TAGS]
    location += [part for part in problem["loc"][-1:] if part not in TAGS or kind == "extra_forbidden"]
    if location[-1:] == ["[key]"]:
        location.pop()
        kind = "invalid_key"
    key = ".".join(str(part) if str(part).isidentifier() else shown(part).strip("'") for part in location)
    if kind == "extra_forbidden":
        known = _known_keys(location, "<from>" in problem["loc"])
        return f"{key}: unknown key{did_you_mean(str(location[-1]), known)} (expected one of {', '.join(known)})"
    if kind == "missing":
        example = {"target": " (such as torchvision:resnet50)", "shape": " (such as [1, 3, 224, 224])"}
        return f"{key}: missing, expected the key {location[-1]}{example.get(str(location[-1]), '')}"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"]
        hint = did_you_mean(found, re.findall(r"'(.*?)'", expected)) if isinstance(found, str) else ""
    else:
        expected = EXPECTED.get(kind, problem["msg"].removeprefix("Input should be "))
        hint = ""
    found = problem.get("ctx", {}).get("found") or _shown(found)
    return f"{f'{key}: ' if key else ''}found {found}, expected {expected}{hint}"


def _known_keys(location: Sequence[int | str], from_function: bool) -> list[str]:
    """The keys that the section which holds ``location`` may have; of inputs from a function those of that."""
    if from_function:
        return [field.alias or name for name, field in InputsFrom.model_fields.items()]
    sections: dict[str, type[_Section]] = {
        "model": ModelSection,
        "report": ReportSection,
        "equivalence": EquivalenceSection,
        "inputs": InputSpec,
    }
    return list(sections[str(location[0])].model_fields if len(location) > 1 else Config.model_fields)


def _shown(value: object) -> str:
    """A value as an error message shows it: on one line, and short."""
    return shown(value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value)
