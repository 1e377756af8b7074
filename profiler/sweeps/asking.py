"""The work of a network at sizes between two points of a sweep: by its closed form if it has one, else by profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from profiler.config import Config
from profiler.errors import FOREIGN_ERRORS
from profiler.sweeps.axes import is_size, varied
from profiler.sweeps.crossings import CHECKED, FIGURE, Ask, Line, Work
from profiler.sweeps.measuring import Networks, figures_of

if TYPE_CHECKING:
    from profiler.formulas import Formula

Values = Mapping[str, Any]

CHECKED_BY_FORMULA = 50_000
"""The number of sizes between two points for which a closed form is evaluated; most often that is all of them."""

Evaluate = Callable[[Values], Work | None]
"""The work by a closed form at all sizes of a point; None where it does not hold."""


class Asking:
    """Answers for the lines of a sweep; ``configs`` are its sources by name.

    A closed form is derived once for each network and its settings, if the sizes that vary along the line are those of
    inputs.  It equals the profile wherever it holds; elsewhere the network is profiled.
    """

    def __init__(self, configs: Mapping[str, Config]) -> None:
        self._configs = configs
        self._networks = Networks()
        self._formulas: dict[str, Evaluate | None] = {}
        self._answers: dict[tuple[Any, ...], Work | None] = {}

    def about(self, line: Line) -> tuple[Ask, int]:
        """The function that answers for the sizes of a line, and how many sizes it should answer for."""
        formula = self.formula(line)

        def ask(size: int) -> Work | None:
            key = (line.target, line.names, repr(line.fixed), size)
            if key not in self._answers:
                values = {**dict(line.fixed), **dict.fromkeys(line.names, size)}
                work = None if formula is None else formula(values)
                self._answers[key] = self._profiled(line.target, values) if work is None else work
            return self._answers[key]

        return ask, CHECKED if formula is None else CHECKED_BY_FORMULA

    def formula(self, line: Line) -> Evaluate | None:
        """The closed form of the network of a line in the sizes of its inputs; None if it has none."""
        config = self._configs[line.target]
        structural = config.written.kwargs_names(config.sizes)
        if not all(is_size(name) and name not in structural for name in line.names):
            return None
        settings = {name: value for name, value in line.fixed if not is_size(name) or name in structural}
        key = f"{line.target} {settings!r}"
        if key not in self._formulas:
            self._formulas[key] = _derived(config, settings)
        return self._formulas[key]

    def _profiled(self, target: str, values: Mapping[str, Any]) -> Work | None:
        try:
            profile = self._networks.profile(varied(self._configs[target], values))
        except FOREIGN_ERRORS:
            self._networks.forget()
            return None
        if not profile.complete:
            return None
        return {kind: row[FIGURE] for kind, row in figures_of(profile)["kinds"].items() if row[FIGURE]}


def _derived(config: Config, settings: Mapping[str, Any]) -> Evaluate | None:
    """The formula at these settings, in the sizes of the inputs alone."""
    from profiler.deriving import derive, family_of

    try:
        at = varied(config, settings)
        family = family_of(at)
        if family.structural:
            return None
        found = derive(family)
    except FOREIGN_ERRORS:
        return None
    return _evaluating(found) if found.status == "complete" else None


def _evaluating(formula: Formula) -> Evaluate:
    """The formula as a function, which takes microseconds."""
    from profiler.symbolic.writing import function_of

    functions = {
        kind: function_of(getattr(figures, FIGURE), tuple(formula.sizes)) for kind, figures in formula.kinds.items()
    }

    def evaluate(values: Values) -> Work | None:
        at = {name: values.get(name, size) for name, size in formula.sizes.items()}
        if formula.domain.violated(at):
            return None
        return {kind: number for kind, function in functions.items() if (number := function(**at))}

    return evaluate
