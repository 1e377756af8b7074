"""The raw records of a trace: what ran where, on which shapes, and what it costs.

Everything that is shown later is a group-by of these.  They hold plain Python values only, so the
reporting side can read a saved profile without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from profiler.errors import DataDependentError
from profiler.opcount import OpCount, Term, total

ROOT = "(root)"
"""How the network itself, whose fully qualified name is empty, is named in tables."""

EXCLUDED = "(excluded)"
"""How the modules that were left out of a profile are named in tables, all in one row."""

Status = Literal["counted", "free", "uncounted"]
Phase = Literal["forward", "recompute", "backward", "optimizer"]
Mode = Literal["inference", "training"]

KINDS = (
    "conv",
    "linear",
    "depthwise",
    "attention",
    "recurrent",
    "matmul",
    "norm",
    "activation",
    "softmax",
    "pool",
    "resample",
    "elementwise",
    "reduction",
    "loss",
    "fft",
    "sort",
    "embedding",
    "movement",
    "uncounted",
    "unused",
)
"""Every kind of work, in the order in which tables show them.

``depthwise`` is used where convolutions that do not mix channels are set apart; ``movement`` is known to be free;
``uncounted`` has no rule; ``embedding`` is for parameters of which rows are looked up, ``unused`` for those that no
operation read.
"""


IN_A_BYTE = {"quint4x2": 2, "quint2x4": 4}
"""How many elements of a dtype share a byte, where it is more than one."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a rule may know of a tensor: its shape and dtype, and whether it is a parameter.

    ``parameter`` is true for a parameter, a view of one, and whatever is computed from parameters alone
    (a cast or normalised weight).  ``stored`` is the number of elements that a sparse tensor holds, missing for a
    dense one.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    parameter: bool = False
    stored: int | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    @property
    def is_arithmetic(self) -> bool:
        """Whether work on it is counted: floating-point, complex and quantised tensors, not integers and booleans."""
        return self.dtype.startswith(("float", "bfloat", "complex", "qint", "quint"))

    @property
    def zeros(self) -> tuple[tuple[int, int], ...]:
        """For each dimension, how many zeros an explicit padding put in front and behind; empty where none is known."""
        return ()

    @property
    def values(self) -> Any:
        """The numbers in a real tensor as nested lists, for a rule whose cost depends on them.

        Raises DataDependentError where there are none, as on the meta device.
        """
        raise DataDependentError("the values of a tensor are known in a real run only")

    @property
    def positions(self) -> tuple[tuple[int, ...], ...]:
        """Where the stored elements of a real sparse tensor are: for each dimension, the index of every element.

        Raises DataDependentError as ``values`` does.
        """
        raise DataDependentError("the positions of stored elements are known in a real run only")


@dataclass(frozen=True, slots=True)
class OpCall:
    """One call of one operation.

    ``module`` is the fully qualified name of the innermost module that was running ("" for the network
    itself) and ``module_call`` says during which of its calls, counted from 1.  ``phase`` is
    ``"recompute"`` for a forward operation that runs again during the backward pass (activation checkpointing).
    ``terms`` is empty for an operation that is free, and for one that is uncounted.  ``overload`` is ``"padding"`` for
    a convolution whose padding is a word (``"same"``), which is an operator of its own to other counters, else empty.
    """

    op: str
    kind: str
    status: Status
    module: str
    module_call: int
    phase: Phase
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    terms: tuple[Term, ...] = ()
    overload: str = ""

    @property
    def count(self) -> OpCount:
        """What the call costs; nothing where it is uncounted."""
        return total(self.terms)

    @property
    def macs_on_padding(self) -> int:
        """How many of its macs have a padded zero as operand."""
        return sum(term.on_padding for term in self.terms)


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """One module of the network, under the name by which it is reached.

    ``calls`` is how often it ran under this name (0: it never did).  The shapes are those of the tensors
    that went in and came out, in the order of its calls, without repetition.  ``first_name`` is the first of
    the names that reach the same module.
    """

    name: str
    type: str
    calls: int
    first_name: str = ""
    input_shapes: tuple[tuple[tuple[int, ...], ...], ...] = ()
    output_shapes: tuple[tuple[tuple[int, ...], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """One parameter or buffer, once per network, with every name that reaches it.

    ``module`` is the first module that holds it; ``names`` are fully qualified, the first one first.
    ``use`` is its kind: that of the costliest operation of the forward pass that reads it, or what is made of it alone;
    "embedding" for a table of which rows are looked up, "unused" where nothing reads it.
    """

    names: tuple[str, ...]
    module: str
    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    trainable: bool
    buffer: bool = False
    use: str = "unused"

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes it takes; several elements of fewer than 8 bits share one."""
        return -(-self.size * self.itemsize // IN_A_BYTE.get(self.dtype, 1))


@dataclass(frozen=True, slots=True)
class CounterFigure:
    """What another counter says of one operation type inside one module, its children left out."""

    module: str
    op: str
    figure: int


@dataclass(frozen=True, slots=True)
class CounterRecord:
    """What another counter said of the same network.

    ``status`` is ``"ok"``, ``"skipped"`` (with the reason in ``message``) or ``"failed"`` (likewise).
    ``figures`` are in multiply–accumulates: the counter's own divided by ``factor``.  ``seen`` says, for each of
    them, how many calls it is made of.  ``unsupported`` names, per module, the operations that the counter met and
    has no rule for, with their calls; ``uncalled`` the modules that it did not see run.
    """

    counter: str
    version: str
    status: Literal["ok", "skipped", "failed"]
    message: str = ""
    figures: tuple[CounterFigure, ...] = ()
    unsupported: tuple[CounterFigure, ...] = ()
    uncalled: tuple[str, ...] = ()
    seen: tuple[CounterFigure, ...] = ()
    factor: int = 1

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> CounterRecord:
        """The record that ``dataclasses.asdict`` turned into ``item``, by way of JSON."""
        figures = {
            key: tuple(CounterFigure(**figure) for figure in item.get(key, ()))
            for key in ("figures", "unsupported", "seen")
        }
        return cls(**{**item, **figures, "uncalled": tuple(item["uncalled"])})


@dataclass(frozen=True, slots=True)
class Excluded:
    """What was left out of a trace: by which patterns, the names of the modules, and their records.

    ``whole`` is the trace before that.
    """

    patterns: tuple[str, ...]
    modules: tuple[str, ...]
    calls: tuple[OpCall, ...]
    parameters: tuple[ParameterRecord, ...]
    whole: Trace


@dataclass(frozen=True, slots=True)
class Unseen:
    """Work of ``module`` that is not among the calls, and why it is not: counts are lower bounds then."""

    module: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All that one trace of one network recorded.

    ``real_run`` is empty for a trace on the meta device; for one that had to run on real tensors it says why.
    ``data_dependent`` names the operations that are uncounted because their cost depends on data; ``unseen`` says what
    else may be missing.  ``excluded`` is what was left out of the other fields, if anything was.
    """

    calls: tuple[OpCall, ...]
    modules: tuple[ModuleRecord, ...]
    parameters: tuple[ParameterRecord, ...]
    real_run: str = ""
    data_dependent: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    excluded: Excluded | None = None

    @property
    def whole(self) -> Trace:
        """The trace with what was left out of it."""
        return self.excluded.whole if self.excluded is not None else self


def show_shape(shape: tuple[int, ...]) -> str:
    """``1×3×224×224``; a tensor without dimensions is ``scalar``."""
    return "×".join(map(str, shape)) or "scalar"


def show_shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    """Shapes as they are written everywhere: ``1×3×224×224, 1×10``."""
    return ", ".join(map(show_shape, shapes)) or "no tensors"
