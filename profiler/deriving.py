"""A network whose input sizes have names → its :class:`~profiler.formulas.Formula`, derived and checked.

The network runs once with symbols for the sizes.  Torch's own shape functions say what every other size is, and the
rules, which price numbers and symbols alike, give the cost of each operation.  The formula is then compared with
profiles at some points within its conditions; where they differ, there is no derived formula.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy
import torch
from torch import nn

from profiler.api import profile, profile_config
from profiler.calls import tallies
from profiler.config import Config, with_sizes
from profiler.config.sizes import Written
from profiler.errors import FOREIGN_ERRORS, NeedsDataError, ProfilerError
from profiler.files import folder_name
from profiler.formulas import FIGURES, Figures, FixedSize, Formula, FormulaError, Layer
from profiler.models.naming import called
from profiler.opcount import COUNT_COLUMNS, ZERO, OpCount
from profiler.pricing import answer, calls_of
from profiler.profiles import Profile
from profiler.records import ROOT, Mode, OpCall
from profiler.rules import REGISTRY
from profiler.subjects import Subject, configured, given
from profiler.symbolic.conditions import Domain, domain_of
from profiler.symbolic.expressions import symbol, value_of
from profiler.symbolic.sizes import Guards, expression_of
from profiler.tracing import record
from profiler.tracing.objects import tensors_in
from profiler.tracing.symbols import Dimension, SymbolicRun

Key = tuple[str, str]
"""A row of a formula: ``("total", "")``, ``("kind", "conv")``, or ``("layer", "features.0")``."""

Counts = dict[Key, tuple[Any, ...]]
"""The figures of each row, in the order of ``FIGURES``: numbers, or expressions."""

Values = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Family:
    """A network for each choice of sizes.

    ``subject`` builds the network and its inputs for these values, ``profile`` profiles it.  ``values`` are those of
    the tables.  ``structural`` are the names that change the network itself and not only its inputs.
    """

    name: str
    target: str
    mode: Mode
    values: Values
    subject: Callable[[Values], Subject]
    profile: Callable[[Values], Profile]
    structural: tuple[str, ...] = ()


def counts_of(profile: Profile) -> Counts:
    """The figures of a profile, row by row: a row for each kind, and one for each module that ran operations."""
    held: dict[Key, int] = {("total", ""): profile.parameters_total}
    for parameter in profile.trace.parameters:
        if not parameter.buffer:
            for key in (("kind", parameter.use), ("layer", parameter.module or ROOT)):
                held[key] = held.get(key, 0) + parameter.size
    counts: dict[Key, OpCount] = {("total", ""): ZERO}
    for tally in profile.work.tallies:
        call = tally.call
        for key in _rows_of(call):
            counts[key] = counts.get(key, ZERO) + call.count * tally.times
    rows = [*counts, *(key for key in held if key[0] == "kind" and key not in counts)]
    return {
        key: (held.get(key, 0), *(getattr(counts.get(key, ZERO), figure) for figure in COUNT_COLUMNS)) for key in rows
    }


def _rows_of(call: OpCall) -> tuple[Key, ...]:
    return ("total", ""), ("kind", call.kind), ("layer", call.module or ROOT)


def derive(family: Family) -> Formula:
    """The formula of a family.

    The names that only change the inputs are symbols of a run.  The part of other names, and of those with which the
    network does not run, is interpolated (see :mod:`profiler.fitting`).  Raises :class:`FormulaError` if neither gives
    a formula that equals the profiles it is compared with, and the errors of a profile at the values of the tables.
    """
    from profiler.fitting import fit

    inputs = [name for name in family.values if name not in family.structural]
    if not family.structural:
        try:
            return _derive(family)
        except NotSymbolicError as error:
            family.profile(family.values)  # its error, if it cannot run at all, says more than that of a fit
            return replace(fit(family, inputs), because=str(error))
    return fit(family, family.structural)


def _derive(family: Family) -> Formula:
    start = start_of(family.values)
    derived = derived_at(family, start)
    start = dict(derived.values)
    numbers = counts_of(family.profile(start))
    counts = with_parameters(derived.counts, numbers)
    try:
        compare(family.name, counts, numbers, start)
        checked = checked_points(family, counts, derived.domain, start)
    except FormulaError as error:
        raise NotSymbolicError(str(error)) from error
    domain, more = _from_one(family, counts, derived.domain)
    if not domain.violated(family.values):
        compare(family.name, counts, counts_of(family.profile(family.values)), family.values)
    return formula_of(family, counts, replace(derived, domain=domain), (start, *checked, *more))


class NotSymbolicError(FormulaError):
    """A network that does not run with symbols, or does something else with them than with numbers."""


def start_of(values: Values) -> dict[str, int]:
    """The point where a run with symbols is made: that of the tables, but not at 1, which is special to torch."""
    return {name: max(value, 2) for name, value in values.items()}


MOST_CONDITIONS = 8
"""The maximum number of conditions that are not bounds of a name; sizes with more are kept as numbers."""


def derived_at(family: Family, values: Values, names: Sequence[str] | None = None) -> Derived:
    """The figures at ``values`` with symbols for ``names``, by default all that a run can have symbols for.

    A size on which the network decides too much, such as one that is padded to windows, is kept as a number.
    """
    names = tuple(values) if names is None else tuple(names)
    derived = _derived(family, values, names)
    if len(derived.domain.conditions) <= MOST_CONDITIONS:
        return derived
    guards: dict[str, int] = {}
    for condition in derived.domain.conditions:
        for decided in condition.relation.free_symbols:
            guards[decided.name] = guards.get(decided.name, 0) + 1
    kept = [name for name in names if guards.get(name, 0) > MOST_CONDITIONS // 2] or list(guards)
    kept = [name for name in kept if not is_alone(derived.counts, name)] or kept
    rest = [name for name in names if name not in kept]
    if not rest:
        raise NotSymbolicError(
            f"{family.name}: the network decides on {' and '.join(kept)} by {len(derived.domain.conditions)} conditions"
        )
    numbers = {name: family.values[name] for name in kept}
    again = derived_at(family, {**values, **numbers}, rest)
    fixed = tuple(
        FixedSize(
            name,
            numbers[name],
            f"the network decides on it by {guards[name]} conditions, the first in "
            f"{next(c.reason for c in derived.domain.conditions if symbol(name) in c.relation.free_symbols)}",
        )
        for name in kept
    )
    domain = again.domain
    domain = replace(
        domain, least={**domain.least, **numbers}, most={**domain.most, **numbers}, start={**domain.start, **numbers}
    )
    ordered = {name: domain.least[name] for name in values if name in domain.least}
    return replace(again, domain=replace(domain, least=ordered), fixed=(*again.fixed, *fixed))


@dataclass(frozen=True, slots=True)
class Derived:
    """The figures as expressions, where the run was made, where they hold, and what the network fixed."""

    counts: Counts
    values: Values
    domain: Domain
    fixed: tuple[FixedSize, ...]


def _derived(family: Family, values: Values, names: Sequence[str]) -> Derived:
    """The figures at ``values`` with symbols for ``names``."""
    model, inputs = family.subject(values).static()
    dimensions = _dimensions(family, values, names, inputs)
    guards = Guards()
    try:
        run = SymbolicRun({name: values[name] for name in names}, dimensions, guards)
        rules = REGISTRY.seen_from_here()
        with run.active():
            recording = record(model, inputs, family.mode, operators=rules)
            answers = [answer(signature, rules) for signature in recording.signatures]
            calls = calls_of(recording, answers)
    except NeedsDataError as error:
        raise NotSymbolicError(f"{family.name}: {error}; what it does depends on data") from error
    except ProfilerError as error:
        raise NotSymbolicError(f"{family.name}: it does not run with symbols for sizes: {error}") from error
    except FOREIGN_ERRORS as error:
        reason = " ".join(str(error).split()) or "no message"
        raise NotSymbolicError(
            f"{family.name}: it does not run with symbols for sizes: {type(error).__name__}: {reason}"
        ) from error
    counts: dict[Key, list[Any]] = {}
    for tally in tallies(calls):
        call = tally.call
        figures = [expression_of(getattr(call.count, figure)) * tally.times for figure in COUNT_COLUMNS]
        for key in _rows_of(call):
            row = counts.setdefault(key, [[] for _ in COUNT_COLUMNS])
            for place, figure in enumerate(figures):
                row[place].append(figure)
    numbers = run.replacements()
    expressions = {
        key: tuple(sympy.expand(sympy.Add(*column).subs(numbers)) for column in row) for key, row in counts.items()
    }
    conditions = run.conditions()
    fixed = tuple(FixedSize(name.name, int(number), run.reason_of(name.name)) for name, number in numbers.items())
    domain = domain_of({name: values[name] for name in names}, conditions, 2)
    return Derived(expressions, values, domain, fixed)


def _dimensions(family: Family, values: Values, names: Sequence[str], inputs: Any) -> dict[int, Sequence[Dimension]]:
    """The shapes of the inputs with names in them, by the ids of the inputs, from inputs at neighboring sizes.

    Raises :class:`FormulaError` if a size of an input is not a number plus multiples of names.
    """
    tensors = list(tensors_in(inputs))

    def shapes(changed: Values) -> list[tuple[int, ...]]:
        _, made = family.subject(changed).static()
        found = [tuple(tensor.shape) for tensor in tensors_in(made)]
        if len(found) != len(tensors) or any(len(a) != tensor.dim() for a, tensor in zip(found, tensors, strict=True)):
            raise FormulaError(f"{family.name}: its inputs have other dimensions for other sizes")
        return found

    here = [tuple(tensor.shape) for tensor in tensors]
    moved = {name: shapes({**values, name: values[name] + 1}) for name in names}
    together = shapes({name: value + (name in names) * 3 for name, value in values.items()})
    found: dict[int, Sequence[Dimension]] = {}
    for place, tensor in enumerate(tensors):
        dimensions: list[Dimension] = []
        for axis, size in enumerate(here[place]):
            times = {name: moved[name][place][axis] - size for name in names if moved[name][place][axis] != size}
            number = size - sum(factor * values[name] for name, factor in times.items())
            if together[place][axis] != size + 3 * sum(times.values()):
                raise FormulaError(f"{family.name}: a size of its inputs is not a sum of multiples of names")
            dimensions.append((number, times))
        if any(times for _, times in dimensions):
            found[id(tensor)] = dimensions
    unused = [name for name in names if not any(name in times for dims in found.values() for _, times in dims)]
    if unused:
        raise FormulaError(f"{family.name}: size {unused[0]!r} is in no shape of an input")
    return found


def with_parameters(counts: Counts, numbers: Counts) -> Counts:
    """The derived counts with the parameters of a profile, whose rows without work are added."""
    zero = (sympy.Integer(0),) * len(COUNT_COLUMNS)
    found: Counts = {}
    for key, row in numbers.items():
        found[key] = (sympy.Integer(row[0]), *counts.get(key, zero))
    for key, row in counts.items():
        found.setdefault(key, (sympy.Integer(0), *row))
    return found


def compare(name: str, counts: Counts, numbers: Counts, values: Values) -> None:
    """Raise FormulaError if the formula is not equal to a profile at these sizes."""
    for key, row in numbers.items():
        expected = counts.get(key)
        for place, number in enumerate(row):
            found = None if expected is None else value_of(expected[place], values)
            if found != number:
                raise FormulaError(
                    f"{name}: its formula differs from its profile at {_shown(values)}: "
                    f"{' '.join(filter(None, key))}: {found} {FIGURES[place]} by the formula, {number} by the profile"
                )
    for key, row in counts.items():
        if key not in numbers and any(value_of(cell, values) for cell in row):
            raise FormulaError(f"{name}: its profile at {_shown(values)} has no {' '.join(filter(None, key))}")


def _shown(values: Values) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


CHECKS = 3
"""The number of points at which a formula is compared with a profile, besides the point where it was derived."""


def checked_points(family: Family, counts: Counts, domain: Domain, start: Values) -> tuple[Values, ...]:
    """Compare the formula with profiles at further points within its domain, and return these points.

    Raises :class:`FormulaError` if they differ.
    """
    checked: list[Values] = []
    for point in _points(start, domain):
        if len(checked) == CHECKS:
            break
        if point != start and point not in checked:
            compare(family.name, counts, counts_of(family.profile(point)), point)
            checked.append(point)
    return tuple(checked)


Move = Callable[[int, int, int], int]
"""From the value of a size at the start, its least value and its place among the sizes, its value at another point."""

MOVES: tuple[Move, ...] = (
    lambda value, least, place: least,
    lambda value, least, place: value + 2 * place + 1,
    lambda value, least, place: max(value // 2 + place, 2),
    lambda value, least, place: value + 7 + 5 * place,
)
"""The points at which a formula is compared with a profile: the least sizes, and some around the start."""

FARTHEST = 300
"""How far a size is moved on until the formula holds for it."""


def _points(start: Values, domain: Domain) -> Iterator[dict[str, int]]:
    """Points within the domain, near those of ``MOVES``."""
    for move in MOVES:
        point = dict(start)
        for place, (name, value) in enumerate(start.items()):
            least = domain.least[name]
            if domain.most.get(name) == least:
                continue
            first = max(move(value, least, place), least)
            within = (size for size in range(first, first + FARTHEST) if not domain.violated({**point, name: size}))
            point[name] = next(within, point[name])
        if not domain.violated(point):
            yield point


def _from_one(family: Family, counts: Counts, domain: Domain) -> tuple[Domain, tuple[Values, ...]]:
    """The domain with names that may be 1 too: with that name as a number, the same formula is derived.

    Torch's shape functions treat 1 differently, so a symbol is at least 2.
    """
    allowed, checked = [], list[Values]()
    for name, least in domain.least.items():
        if least != 2 or domain.most.get(name, least + 1) < least or not is_alone(counts, name):
            continue
        values = {**{other: max(value, domain.least[other]) for other, value in family.values.items()}, name: 1}
        others = [other for other in values if other != name and domain.most.get(other) != domain.least[other]]
        try:
            numbers = counts_of(family.profile(values))
            compare(family.name, counts, numbers, values)
            if others:
                alone = with_parameters(derived_at(family, values, others).counts, numbers)
                if not _same(alone, counts, {name: 1}):
                    continue
        except ProfilerError:
            continue
        allowed.append(name)
        checked.append(values)
    for name in allowed:
        domain = domain.where(name, 1)
    return domain, tuple(checked)


def is_alone(counts: Counts, name: str) -> bool:
    """Whether the name is a factor itself, as a batch is, and not only within floors, as the size of an image is."""
    return any(
        factor.as_base_exp()[0] == symbol(name)
        for cell in counts["total", ""]
        for term in sympy.Add.make_args(cell)
        for factor in sympy.Mul.make_args(term)
    )


def _same(one: Counts, other: Counts, values: Values) -> bool:
    """Whether two formulas are equal once ``values`` are put in."""
    numbers = {symbol(name): value for name, value in values.items()}
    for key in {*one, *other}:
        zero = (0,) * len(FIGURES)
        for a, b in zip(one.get(key, zero), other.get(key, zero), strict=True):
            if sympy.expand(sympy.sympify(a) - sympy.sympify(b).subs(numbers)) != 0:
                return False
    return True


def formula_of(
    family: Family,
    counts: Counts,
    derived: Derived,
    checked: tuple[Values, ...],
    fitted: tuple[str, ...] = (),
    points: tuple[Values, ...] = (),
) -> Formula:
    """The formula with these counts; types and kinds of layers are those at the values of the tables."""
    profile = family.profile(family.values)
    table = profile.tabulated("layers")
    types = {
        name: (module, kind) for name, module, kind in zip(table["layer"], table["type"], table["kind"], strict=True)
    }
    layers = tuple(
        Layer(name, *types.get(name, ("", "")), Figures(*row)) for (of, name), row in counts.items() if of == "layer"
    )
    return Formula(
        family.name,
        family.target,
        family.mode,
        dict(family.values),
        Figures(*counts["total", ""]),
        {name: Figures(*row) for (of, name), row in counts.items() if of == "kind"},
        layers,
        derived.domain,
        derived.fixed,
        fitted,
        points,
        checked,
        profile.status,
    )


def formula(
    model: nn.Module | Config,
    *shapes: Sequence[int | str],
    sizes: Mapping[str, int] | None = None,
    mode: Mode = "inference",
    dtype: torch.dtype | Sequence[torch.dtype] = torch.float32,
) -> Formula:
    """What a network costs as a function of the sizes that have names.

    ``model`` is a network with the ``shapes`` of its inputs, in which names stand for sizes: ``("B", 3, "H", "W")``.
    ``sizes`` has the value of each name for which tables are made.  ``dtype`` is that of all inputs, or one for each.
    Or ``model`` is a config, whose shapes, kwargs and cache name sizes.  Raises
    :class:`~profiler.formulas.FormulaError` if there is no formula, and the errors of :func:`profiler.profile`.
    """
    if isinstance(model, Config):
        return derive(family_of(with_sizes(model, sizes) if sizes else model))
    return derive(_family_of_network(model, shapes, dict(sizes or {}), mode, dtype))


def family_of(config: Config) -> Family:
    """The networks of a config for all values of its sizes.  Raises :class:`FormulaError` for one without names."""
    names = config.written.names(config.sizes)
    if not names:
        raise FormulaError(
            f"{config.name}: no size has a name; write a shape such as [B, 3, H, W] with "
            "sizes: {B: 2, H: 224, W: 224}, or --input Bx3xHxW --size B=2 --size H=224 --size W=224"
        )
    values = {name: config.sizes[name] for name in names}
    structural = Written(kwargs=config.written.kwargs).names(config.sizes)

    # a formula has all modules, in the kinds that the rules give
    config = config.model_copy(update={"exclude": (), "views": ()})

    @functools.cache
    def profiled(point: tuple[tuple[str, int], ...]) -> Profile:
        return profile_config(with_sizes(config, dict(point)), crosscheck=False)

    return Family(
        config.name,
        config.model.target,
        config.mode,
        values,
        lambda point: configured(with_sizes(config, point)),
        lambda point: profiled(tuple(point.items())),
        structural,
    )


def _family_of_network(
    model: nn.Module,
    shapes: Sequence[Sequence[int | str]],
    sizes: Mapping[str, int],
    mode: Mode,
    dtype: torch.dtype | Sequence[torch.dtype],
) -> Family:
    names = tuple(dict.fromkeys(size for shape in shapes for size in shape if isinstance(size, str)))
    for name in names:
        if name not in sizes:
            raise FormulaError(f"size {name!r} has no value: give sizes={{{name!r}: …}}")
    for name in sizes:
        if name not in names:
            raise FormulaError(f"size {name!r} is in no shape, expected one of {', '.join(names)}")
    dtypes = [dtype] * len(shapes) if isinstance(dtype, torch.dtype) else list(dtype)

    def inputs(point: Values) -> tuple[torch.Tensor, ...]:
        return tuple(
            torch.empty([point[size] if isinstance(size, str) else size for size in shape], dtype=kind, device="meta")
            for shape, kind in zip(shapes, dtypes, strict=True)
        )

    @functools.cache
    def profiled(point: tuple[tuple[str, int], ...]) -> Profile:
        return profile(model, inputs(dict(point)), mode=mode)

    known, target = called(model)
    return Family(
        folder_name(known),
        target,
        mode,
        {name: sizes[name] for name in names},
        lambda point: given(model, inputs(point)),
        lambda point: profiled(tuple(point.items())),
    )
