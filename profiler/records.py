"""The raw records of a trace: what ran where, on which shapes, and its cost.

All tables are group-bys of these.  They only have plain Python values, so a saved profile can be read without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import Any, Literal

from profiler.generations import Generation
from profiler.memory import MemoryRecord
from profiler.opcount import OpCount, Term, total
from profiler.signatures import IN_A_BYTE, Signature, TensorSpec

ROOT = "(root)"
"""The name in tables of the network itself, whose fully qualified name is empty."""

EXCLUDED = "(excluded)"
"""The name in tables of the excluded modules, which share one row."""

Status = Literal["counted", "free", "uncounted"]
Phase = Literal["forward", "recompute", "backward", "optimizer"]
Mode = Literal["inference", "training"]
Direction = Literal["forward", "backward"]
"""Whether an operation is one of its own or gives the gradients of another, whenever it is called."""

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

``depthwise`` is used by the view that separates convolutions that do not mix channels; ``movement`` is known to be
free; ``uncounted`` has no rule; ``embedding`` is for parameters whose rows are looked up, ``unused`` for those that no
operation reads.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """One call of one operation: where it ran and what it touched, without its cost.

    ``module`` is the fully qualified name of the innermost module that was running ("" for the network itself) and
    ``module_call`` says during which of its calls, counted from 1.  ``phase`` is ``"recompute"`` for a forward
    operation that runs again during the backward pass (activation checkpointing).  ``within`` is the kind of work of
    the function that is running, for functions that set the kind of their parts.  ``source`` is the number of the
    forward event that this is the gradient of.  ``part_of`` is the number of the signature of a larger operation that
    gives its kind to this one.  ``parameters`` names the parameters that it reads, directly or through tensors computed
    from them alone.  ``reads``, ``writes`` and ``makes`` are numbers of storages: those of its operands, those that it
    writes to, and those of its results that are new; ``blanks`` are those that it reads and no operation wrote to.
    ``touched`` has for each tensor among its operands the number of elements of memory that it adds to those before
    it, −1 for all of its own; it is empty if all of them add all, and None if it is not known (of a profile of an
    earlier version).
    """

    signature: int
    module: str
    module_call: int
    phase: Phase
    within: str | None = None
    source: int | None = None
    part_of: int | None = None
    parameters: tuple[str, ...] = ()
    blanks: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    makes: tuple[int, ...] = ()
    touched: tuple[int, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of the rules for one signature.

    ``kind`` is ``"movement"`` for a free operation, and ``"uncounted"`` for one without a rule or whose rule cannot
    give the cost; ``reason`` then says why.  ``data_dependent`` is true if the reason is that values were not known.
    ``figures`` are pairs of figures in a file of an earlier version that do not follow from its signature.
    ``direction`` is that of the operator.
    """

    kind: str
    status: Status
    terms: tuple[Term, ...] = ()
    reason: str = ""
    data_dependent: bool = False
    figures: tuple[tuple[str, int], ...] = ()
    direction: Direction = "forward"
    count: OpCount = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", total(self.terms))


@dataclass(frozen=True, slots=True)
class OpCall:
    """One call of one operation with its cost: an event, its signature, and the answer for the signature.

    ``kind`` is that of the answer, or one that depends on the call site (a gradient has the kind of its forward
    operation).
    """

    event: Event
    signature: Signature
    answer: Answer
    kind: str

    @classmethod
    def of(
        cls,
        op: str,
        kind: str,
        status: Status,
        module: str,
        module_call: int,
        phase: Phase,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        terms: tuple[Term, ...] = (),
        overload: str = "",
    ) -> OpCall:
        """A call of which only the tensors are known, not its other arguments."""
        signature = Signature.of_tensors(op, inputs, outputs, overload)
        return cls(Event(0, module, module_call, phase), signature, Answer(kind, status, terms), kind)

    @property
    def op(self) -> str:
        return self.signature.op

    @property
    def overload(self) -> str:
        return self.signature.overload

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.signature.outputs

    @property
    def module(self) -> str:
        return self.event.module

    @property
    def module_call(self) -> int:
        return self.event.module_call

    @property
    def phase(self) -> Phase:
        return self.event.phase

    @property
    def status(self) -> Status:
        return self.answer.status

    @property
    def reason(self) -> str:
        """Why the call is uncounted."""
        return self.answer.reason

    @property
    def moves(self) -> Literal["view", "copy", "nothing"] | None:
        """What the call does to memory: it makes or writes some (``copy``), shares what it reads, or has no tensors.

        Missing for a call of which the storages are not known, as of a profile of version 1.
        """
        if not self.signature.whole:
            return None
        if self.event.makes or self.event.writes:
            return "copy"
        return "view" if self.outputs else "nothing"

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.answer.terms

    @property
    def count(self) -> OpCount:
        """The cost of the call; zero if it is uncounted."""
        return self.answer.count


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """One module of the network, under the name by which it is reached.

    ``calls`` is how often it ran under this name (0 if it never ran).  The shapes are those of its inputs and outputs,
    in the order of its calls, without repetition.  ``first_name`` is the first of the module's names.
    """

    name: str
    type: str
    calls: int
    first_name: str = ""
    input_shapes: tuple[tuple[tuple[int, ...], ...], ...] = ()
    output_shapes: tuple[tuple[tuple[int, ...], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterRecord:
    """One parameter or buffer, once per network, with all its names.

    ``module`` is the first module that holds it; ``names`` are fully qualified, the first one first.
    ``use`` is its kind: that of the costliest operation of the forward pass that reads it, directly or through a tensor
    computed from it alone; "embedding" for a table whose rows are looked up, "unused" if nothing reads it.
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
        """The size in bytes; elements of fewer than 8 bits are packed."""
        return -(-self.size * self.itemsize // IN_A_BYTE.get(self.dtype, 1))


@dataclass(frozen=True, slots=True)
class CounterFigure:
    """The figure of another counter for one type of operation in one module, without its children."""

    module: str
    op: str
    figure: int


@dataclass(frozen=True, slots=True)
class CounterRecord:
    """The report of another counter on the same network.

    ``status`` is ``"ok"``, ``"skipped"`` or ``"failed"`` (both with the reason in ``message``).  ``figures`` are in
    multiply–accumulates: the counter's own figures divided by ``factor``.  ``seen`` has the number of calls in each
    of them.  ``unsupported`` names, per module, the operations for which the counter has no rule, with their calls;
    ``uncalled`` the modules that it did not see run.
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
    """The excluded part of a trace: the patterns, the names of the modules, and their records.

    ``whole`` is the complete trace.
    """

    patterns: tuple[str, ...]
    modules: tuple[str, ...]
    calls: Sequence[OpCall]
    parameters: tuple[ParameterRecord, ...]
    whole: Trace


FILLED_OUTSIDE = "its forward reads memory that no operation has written; the work that wrote it is not counted"
"""The reason for unseen work if arithmetic reads memory that no operation wrote to."""


WHILE_IT_RAN = "recorded while the code ran"
"""The ``real_run`` of recorded code."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Work of ``module`` that is not among the calls, with the reason: counts are then lower bounds."""

    module: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recording:
    """The record of one run of one network, without costs.

    The ``use`` of ``parameters`` is not known yet.  ``real_run`` is empty for a run on the meta device; for a run on
    real tensors it says why.  ``unseen`` says what may be missing among the events.
    """

    signatures: tuple[Signature, ...]
    events: Sequence[Event]
    modules: tuple[ModuleRecord, ...]
    parameters: tuple[ParameterRecord, ...]
    real_run: str = ""
    unseen: tuple[Unseen, ...] = ()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Trace:
    """The record of one run of one network with its costs: a priced :class:`Recording`.

    ``real_run`` is empty for a trace on the meta device; for a run on real tensors it says why.  ``data_dependent``
    names the operations that are uncounted because their cost depends on data; ``unseen`` says what else may be
    missing.  ``excluded`` has the records of excluded modules, if any.  ``signatures`` and their ``answers`` are those
    of all calls, in the order of the recording.  ``memory`` has the storages of the run, if they were followed.
    ``generation`` has the decode steps that follow a run on a prompt.  ``kept`` has what was made from this trace and
    follows from it alone; see ``profiler.kept``.
    """

    calls: Sequence[OpCall]
    modules: tuple[ModuleRecord, ...]
    parameters: tuple[ParameterRecord, ...]
    real_run: str = ""
    data_dependent: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    excluded: Excluded | None = None
    signatures: tuple[Signature, ...] = ()
    answers: tuple[Answer, ...] = ()
    memory: MemoryRecord | None = None
    generation: Generation | None = None
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept, which can be made again."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.init}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in {**state, "kept": {}}.items():
            object.__setattr__(self, name, value)

    @property
    def numbered(self) -> Trace:
        """The same with its signatures listed, also if its calls were constructed one by one and not recorded."""
        if self.signatures or not self.calls:
            return self
        calls = tuple(
            replace(call, event=replace(call.event, signature=number)) for number, call in enumerate(self.calls)
        )
        signatures = tuple(call.signature for call in calls)
        return replace(self, calls=calls, signatures=signatures, answers=tuple(call.answer for call in calls))

    @property
    def whole(self) -> Trace:
        """The trace including what was excluded."""
        return self.excluded.whole if self.excluded is not None else self


def show_shape(shape: tuple[int, ...]) -> str:
    """``1×3×224×224``; a tensor without dimensions is ``scalar``."""
    return "×".join(map(str, shape)) or "scalar"


def show_shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    """Shapes as text: ``1×3×224×224, 1×10``."""
    return ", ".join(map(show_shape, shapes)) or "no tensors"
