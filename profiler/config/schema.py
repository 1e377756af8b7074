"""The schema of a config: its sections, their keys and the allowed values, as frozen pydantic models."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ModelWrapValidatorHandler, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from profiler import catalog
from profiler.config.budget import check_section
from profiler.config.errors import expected, known
from profiler.config.inputs import FLOATING_DTYPES, Inputs, InputsFrom, InputSpec, Kwarg, PlainSize, Size
from profiler.config.section import Section, as_tuple, at_least_one, unique
from profiler.config.sizes import NOTHING_WRITTEN, Written, is_size_name
from profiler.errors import ProfilerError, did_you_mean
from profiler.files import DOTTED_EXPECTED, NAME_EXPECTED, is_dotted_name, is_folder_name
from profiler.throughput import KEYS, Throughput

DEFAULT_COUNTERS = ("fvcore",)
"""The counters that ``crosscheck: true`` runs."""


def _counters(value: object) -> object:
    if value is True:
        return DEFAULT_COUNTERS
    if value is False:
        return ()
    if not isinstance(value, (list, tuple)):
        raise expected(f"true, false or a list of counters ({', '.join(catalog.counters())})")
    return tuple(value)


def _check_name(name: str) -> str:
    if not is_folder_name(name):
        raise expected(NAME_EXPECTED)
    return name


def _check_target(target: str) -> str:
    source, colon, name = target.rpartition(":")
    if not (source.strip() and colon and name.strip()):
        raise expected("source:name, such as torchvision:resnet50, package.module:Net or path/to/net.py:Net")
    return target


def _check_picture(name: str) -> str:
    picture, dash, figure = name.partition("-")
    if picture not in catalog.pictures() or (dash and figure not in catalog.measures()):
        names = catalog.pictures()
        hint = did_you_mean(name, names)
        raise expected(f"a picture ({', '.join(names)}), or one with its figure, such as icicle-parameters{hint}")
    return name


def _check_named_or_file(what: str, names: Callable[[], Sequence[str]], name: str) -> str:
    if name not in names() and not name.endswith((".yaml", ".yml")):
        hint = did_you_mean(name, names())
        raise expected(f"{what} ({', '.join(names())}), or the path of a YAML file{hint}")
    return name


Format = Annotated[str, known("a format", catalog.formats())]
Table = Annotated[str, known("a table", catalog.tables())]
Picture = Annotated[str, AfterValidator(_check_picture)]
Convention = Annotated[str, known("a convention", catalog.conventions())]
View = Annotated[str, known("a view", catalog.views())]
Counter = Annotated[str, known("a counter", catalog.counters())]
Device = Annotated[str, AfterValidator(partial(_check_named_or_file, "a device", catalog.devices))]
EnergyModel = Annotated[str, AfterValidator(partial(_check_named_or_file, "a model", catalog.energy_models))]
FloatingDtype = Annotated[str, known("a floating dtype", FLOATING_DTYPES)]


def _check_dotted(name: str) -> str:
    if not is_dotted_name(name):
        raise expected(DOTTED_EXPECTED)
    return name


def _check_pattern(pattern: str) -> str:
    if not pattern.strip():
        raise expected("the name of modules, such as aux*, or a type of modules, such as Dropout")
    return pattern


def _check_size_name(name: str) -> str:
    if not is_size_name(name):
        raise expected("a Python identifier as the name of a size, such as B")
    return name


SizeName = Annotated[str, AfterValidator(_check_size_name)]
Optimizer = Literal["sgd", "momentum", "adam", "adamw"]
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)
Pattern = Annotated[str, AfterValidator(_check_pattern)]
DottedName = Annotated[str, AfterValidator(_check_dotted)]


class ModelSection(Section):
    """Which network: the target that names its builder, and the arguments of the builder."""

    target: Annotated[str, AfterValidator(_check_target)]
    kwargs: dict[str, Kwarg] = Field(default_factory=dict)


class CacheSection(Section):
    """The cache of a generative network: ``length`` is the number of tokens in it."""

    length: Size


class GenerateSection(Section):
    """A generation: ``new_tokens`` tokens after a prompt of ``prompt`` tokens, for ``batch`` texts at once."""

    prompt: Size
    new_tokens: Size
    batch: Size = 1


class ReportSection(Section):
    """What is written: the formats (by default those of the command), the tables, and pictures.

    Pictures of several networks are drawn by ``profiler report``, in the comparison.
    """

    formats: (
        Annotated[tuple[Format, ...], BeforeValidator(as_tuple), AfterValidator(at_least_one), AfterValidator(unique)]
        | None
    ) = None
    tables: Annotated[
        tuple[Table, ...], BeforeValidator(as_tuple), AfterValidator(at_least_one), AfterValidator(unique)
    ] = catalog.tables()
    pictures: Annotated[tuple[Picture, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()


def _check_throughput(value: object) -> object:
    if value is None or isinstance(value, Throughput):
        return value
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise expected(f"a mapping with some of the keys {', '.join(KEYS)}")
    try:
        return Throughput.read(**value)
    except ProfilerError as error:
        raise PydanticCustomError("budget", "{text}", {"text": str(error)}) from error


def _check_rewrite(step: object) -> object:
    if isinstance(step, str) or (isinstance(step, dict) and len(step) == 1 and isinstance(next(iter(step)), str)):
        return step
    raise expected("the name of a rewrite, or a mapping of one name to its options")


def _check_tolerance(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        written = isinstance(value, str) and re.fullmatch(r"[0-9]+e-?[0-9]+", value, re.ASCII)
        hint = f"; YAML takes {value} as text, write {str(value).replace('e', '.0e')}" if written else ""
        raise expected(f"a number{hint}")
    if not 0 < value < 1e300:
        raise expected("a positive, finite number")
    return value


class EquivalenceSection(Section):
    """How a rewritten network is compared with the original, on real, seeded inputs.

    ``tolerance`` is the largest allowed value of the figure ``measure``.
    """

    tolerance: Annotated[float, BeforeValidator(_check_tolerance)] = 1e-5
    measure: Literal["largest_absolute", "largest_relative", "largest_squared", "mean_squared"] = "largest_relative"


class Config(Section):
    """What to profile and how: the content of the file with defaults filled in.

    ``inputs`` is None if the file does not have them; the target's source may know them.  ``cache`` describes the cache
    of a generative network, ``generate`` what it generates.  ``method`` is the method to call, and ``part`` names the
    module to profile if it is not the whole network; ``exclude`` names modules to leave out.  ``memory`` says whether
    live tensors are followed too.
    ``device`` and ``energy`` name those by which times and energies are shown; a relative path starts from the file.
    ``crosscheck`` holds the names of the counters to run, by default none; true in the file means fvcore.  ``budget``
    says what the network may cost, see :func:`profiler.config.budget.parse_budget`.

    Shapes, kwargs and the length of the cache may name ``sizes`` in the file.  The config has their values in place of
    the names, and ``written`` has these parts with the names.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    sizes: dict[SizeName, PlainSize] = Field(default_factory=dict)
    model: ModelSection
    inputs: Inputs | None = None
    cache: CacheSection | None = None
    generate: GenerateSection | None = None
    method: DottedName = "forward"
    part: DottedName | None = None
    exclude: Annotated[tuple[Pattern, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()
    mode: Literal["inference", "training"] = "inference"
    optimizer: Optimizer | None = None
    memory: bool = False
    device: Device | None = None
    energy: EnergyModel | None = None
    throughput: Annotated[Any, BeforeValidator(_check_throughput)] = None
    dtype: FloatingDtype = "float32"
    convention: Convention = "exact"
    views: Annotated[tuple[View, ...], BeforeValidator(as_tuple), AfterValidator(unique)] = ()
    crosscheck: Annotated[tuple[Counter, ...], BeforeValidator(_counters), AfterValidator(unique)] = ()
    report: ReportSection = Field(default_factory=ReportSection)
    rewrites: Annotated[tuple[Annotated[Any, BeforeValidator(_check_rewrite)], ...], BeforeValidator(as_tuple)] = ()
    equivalence: EquivalenceSection = Field(default_factory=EquivalenceSection)
    budget: Annotated[dict[str, Any] | None, BeforeValidator(check_section)] = None
    _path: Path | None = PrivateAttr(default=None)
    _written: Written = PrivateAttr(default=NOTHING_WRITTEN)

    @model_validator(mode="wrap")
    @classmethod
    def _with_numbers(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        sizes = data.get("sizes") if isinstance(data, dict) else None
        if not isinstance(sizes, dict) or not all(type(size) is int for size in sizes.values()) or not sizes:
            return handler(data)
        model = data.get("model")
        kwargs = model.get("kwargs") if isinstance(model, dict) else None
        written = Written(data.get("inputs"), kwargs, data.get("cache"))
        numbers = written.at(sizes)
        named = {"inputs": numbers.inputs, "cache": numbers.cache}
        if isinstance(model, dict) and kwargs is not None:
            named["model"] = {**model, "kwargs": numbers.kwargs}
        config = handler({**data, **{key: value for key, value in named.items() if key in data}})
        config._written = written
        return config

    @model_validator(mode="after")
    def _check_optimizer(self) -> Self:
        if self.optimizer is not None and self.mode != "training":
            raise expected("mode: training where an optimizer is given", found=f"optimizer {self.optimizer}")
        return self

    @model_validator(mode="after")
    def _check_generate(self) -> Self:
        if self.generate is None:
            return self
        usual = (
            ("inputs", self.inputs is None, "no inputs, which it makes itself"),
            ("cache", self.cache is None, "no cache, which it makes itself"),
            ("mode: training", self.mode == "inference", "mode: inference"),
            (f"method {self.method}", self.method == "forward", "method forward"),
            (f"part {self.part}", self.part is None, "no part"),
            ("rewrites", not self.rewrites, "no rewrites"),
        )
        for found, right, wanted in usual:
            if not right:
                raise expected(f"{wanted} where generate is given", found=found)
        return self

    @model_validator(mode="after")
    def _check_speed(self) -> Self:
        if self.throughput is not None and self.mode != "training":
            raise expected("mode: training where throughput is given", found=f"mode {self.mode}")
        return self

    @property
    def path(self) -> Path | None:
        """The file it was read from, if any."""
        return self._path

    @property
    def written(self) -> Written:
        """The inputs, kwargs and cache with the names of ``sizes``; empty if the config has no sizes."""
        return self._written

    @property
    def base(self) -> Path:
        """The folder that a relative ``path/to/net.py`` starts from: that of the config file, or the current one."""
        return Path.cwd() if self._path is None else self._path.absolute().parent


def known_keys(location: Sequence[int | str], from_function: bool) -> list[str]:
    """The keys that are allowed in the section of ``location``; for inputs from a function, the keys of that form."""
    if from_function:
        return [field.alias or name for name, field in InputsFrom.model_fields.items()]
    sections: dict[str, type[Section]] = {
        "model": ModelSection,
        "report": ReportSection,
        "equivalence": EquivalenceSection,
        "inputs": InputSpec,
        "cache": CacheSection,
        "generate": GenerateSection,
    }
    return list(sections[str(location[0])].model_fields if len(location) > 1 else Config.model_fields)
