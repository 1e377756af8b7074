"""A :class:`Formula`: what a network costs as a function of named sizes, and the sizes for which it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from profiler.errors import ProfilerError, did_you_mean
from profiler.opcount import COUNT_COLUMNS
from profiler.records import Mode

if TYPE_CHECKING:
    from profiler.symbolic.conditions import Domain
    from profiler.symbolic.expressions import Expression

FIGURES = ("parameters", *COUNT_COLUMNS)
"""The figures that have a formula."""


class FormulaError(ProfilerError):
    """A formula that cannot be derived, or that does not hold for the given sizes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one row, each a sympy expression of the sizes.

    ``str(figures.macs)`` is sympy's own text; ``profiler.symbolic.writing`` has others.
    """

    parameters: Expression
    multiplies: Expression
    adds: Expression
    divides: Expression
    comparisons: Expression
    transcendentals: Expression
    macs: Expression
    flops: Expression

    def __iter__(self) -> Iterator[tuple[str, Expression]]:
        """The names of the figures with their expressions."""
        return ((name, getattr(self, name)) for name in FIGURES)


@dataclass(frozen=True, slots=True)
class Layer:
    """A module that ran operations itself, with the figures of its own work."""

    name: str
    type: str
    kind: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class FixedSize:
    """A size that the network fixes: its name, the number, and the code or operation that asks for it."""

    name: str
    value: int
    reason: str


@dataclass(frozen=True, repr=False)
class Formula:
    """What a network costs as a function of its ``sizes``, whose values are those of the tables.

    ``total``, ``kinds`` and ``layers`` have an expression for each figure.  ``domain`` says for which sizes they hold.
    ``fixed`` are sizes that the network fixes.  ``fitted`` names the sizes whose part of the formula was found by
    interpolation between the profiles at ``points``; for all others the formula follows from the shapes that torch
    computes.  ``because`` says why sizes of inputs were fitted, and ``remainders`` has a number for a fitted size whose
    part is a polynomial for each remainder by this number.  ``checked`` are points where the formula was compared with
    a profile, in all figures of all layers.
    """

    name: str
    target: str
    mode: Mode
    sizes: Mapping[str, int]
    total: Figures
    kinds: Mapping[str, Figures]
    layers: tuple[Layer, ...]
    domain: Domain
    fixed: tuple[FixedSize, ...] = ()
    fitted: tuple[str, ...] = ()
    points: tuple[Mapping[str, int], ...] = ()
    checked: tuple[Mapping[str, int], ...] = ()
    status: str = "complete"
    remainders: Mapping[str, int] = field(default_factory=dict)
    because: str = ""

    @cached_property
    def by_layer(self) -> Mapping[str, Figures]:
        """The figures of each layer by its name."""
        return {layer.name: layer.figures for layer in self.layers}

    def check(self, **sizes: int) -> dict[str, int]:
        """All sizes: the given ones, and those of the tables for names that are not given.

        Raises :class:`FormulaError` for an unknown name and for sizes for which the formula does not hold.
        """
        for name, value in sizes.items():
            if name not in self.sizes:
                raise FormulaError(
                    f"{self.name}: size {name!r} is not in the formula, expected one of {', '.join(self.sizes)}"
                    + did_you_mean(name, self.sizes)
                )
            if isinstance(value, bool) or not isinstance(value, int):
                raise FormulaError(f"{self.name}: {name}: found {value!r}, expected a whole number")
        values = {**self.sizes, **sizes}
        violated = self.domain.violated(values)
        if violated:
            raise FormulaError(
                f"{self.name}: the formula does not hold for {_point(values)}: it needs {violated}; "
                "profile the network at these sizes instead"
            )
        return values

    def at(self, **sizes: int) -> dict[str, int]:
        """All figures of the whole network at these sizes, exact.

        Sizes that are not given have the values of the tables.  Raises :class:`FormulaError`, see :meth:`check`.
        """
        return self._evaluated(self.total, self.check(**sizes))

    def kinds_at(self, **sizes: int) -> dict[str, dict[str, int]]:
        """The figures of each kind of work at these sizes."""
        values = self.check(**sizes)
        return {kind: self._evaluated(figures, values) for kind, figures in self.kinds.items()}

    def layers_at(self, **sizes: int) -> dict[str, dict[str, int]]:
        """The figures of each layer at these sizes."""
        values = self.check(**sizes)
        return {layer.name: self._evaluated(layer.figures, values) for layer in self.layers}

    def _evaluated(self, figures: Figures, values: Mapping[str, int]) -> dict[str, int]:
        from profiler.symbolic.expressions import value_of

        return {name: value_of(expression, values) for name, expression in figures}

    def text(self, figure: str = "macs") -> str:
        """A figure of the whole network as text, ``23232·B·⌊(H − 3)/4⌋``."""
        from profiler.symbolic.writing import simplified, text

        return text(simplified(self._of_total(figure)), tuple(self.sizes))

    def latex(self, figure: str = "macs") -> str:
        """A figure of the whole network as LaTeX's mathematics."""
        from profiler.symbolic.writing import latex, simplified

        return latex(simplified(self._of_total(figure)), tuple(self.sizes))

    def python(self, figure: str = "macs") -> str:
        """A figure of the whole network as the source of a function of the sizes; it may need the module ``math``."""
        from profiler.symbolic.writing import python, simplified

        body = python(simplified(self._of_total(figure)), tuple(self.sizes))
        names = ", ".join(self.sizes)
        holds = "; ".join(self.domain.words())
        return f'def {figure}({names}):\n    """Holds for {holds}."""\n    return {body}\n'

    def function(self, figure: str = "macs") -> Callable[..., int]:
        """A figure of the whole network as a plain function of the sizes; it checks nothing."""
        from profiler.symbolic.writing import function_of

        return function_of(self._of_total(figure), tuple(self.sizes))

    def _of_total(self, figure: str) -> Expression:
        if figure not in FIGURES:
            raise FormulaError(f"figure {figure!r} is not known, expected one of {', '.join(FIGURES)}")
        return getattr(self.total, figure)

    def to_json(self) -> str:
        """The formula as JSON; every expression is text that ``sympy.sympify`` reads."""
        from profiler.symbolic.writing import machine

        def figures(of: Figures) -> dict[str, str]:
            return {name: machine(expression) for name, expression in of}

        content: dict[str, Any] = {
            "name": self.name,
            "target": self.target,
            "mode": self.mode,
            "status": self.status,
            "sizes": dict(self.sizes),
            "guards": [machine(relation) for relation in self.domain.relations()],
            "words": self.domain.words(),
            "fixed": [{"name": item.name, "value": item.value, "reason": item.reason} for item in self.fixed],
            "fitted": list(self.fitted),
            "remainders": dict(self.remainders),
            "because": self.because,
            "points": [dict(point) for point in self.points],
            "checked": [dict(point) for point in self.checked],
            "total": figures(self.total),
            "kinds": {kind: figures(of) for kind, of in self.kinds.items()},
            "layers": {
                layer.name: {"type": layer.type, "kind": layer.kind, **figures(layer.figures)} for layer in self.layers
            },
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    def __repr__(self) -> str:
        return f"<Formula {self.name}: {self.text('macs')} MACs, {', '.join(self.domain.words())}>"

    def __str__(self) -> str:
        """What the command ``formula`` prints, 80 columns wide."""
        from profiler.render.formulas import text

        return text(self).rstrip("\n")

    def _repr_latex_(self) -> str:
        """The MACs of the whole network, for a notebook."""
        return f"$\\displaystyle {self.latex('macs')}$ MACs"


def _point(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())
