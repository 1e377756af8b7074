"""The dispatch mode: every operation that runs → an :class:`~profiler.records.OpCall` with its terms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from profiler.errors import FOREIGN_ERRORS, DataDependentError, UncountedError
from profiler.opcount import Term
from profiler.records import OpCall, Phase, Status, TensorSpec
from profiler.rules.registry import Entry, Registry
from profiler.tracing.asking import ask
from profiler.tracing.backward import BackwardScope, Place, kind_of_gradient, nodes_between, without_unasked
from profiler.tracing.copying import to_meta
from profiler.tracing.failures import FunctionFailure, OpFailure
from profiler.tracing.gradients import Autograd
from profiler.tracing.meta_results import META_RESULTS
from profiler.tracing.origins import Origins, storage_of
from profiler.tracing.padding import PaddedTensors, is_all_zero
from profiler.tracing.private import (
    TorchDispatchMode,
    can_be_taken_apart,
    is_mutable,
    operator_name,
    overload_name,
    takes_script_objects,
    transforming,
    written_by,
)
from profiler.tracing.scope import ModuleScope
from profiler.tracing.scripts import DIVIDE, DIVIDED, ENTER, LEAVE
from profiler.tracing.tensors import PaddedTensorSpec, collect, dtype_name, map_arguments, shape_of, stored_in
from profiler.tracing.transforms import for_all_samples, may_carry_tangents
from profiler.tracing.unseen import UnseenWork
from profiler.tracing.values import OF_ANY_VALUES, UNKNOWN, KnownValues, by_positions
from profiler.tracing.zeros import COPY, NAMESPACE, ZeroTensors

META = torch.device("meta")
PLAIN = frozenset({torch.Tensor, nn.Parameter})

OF_SCRIPTS = frozenset({ENTER, LEAVE, DIVIDE, DIVIDED, "aten::equal"})
"""Operators that scripts run for other reasons than that the network asks for them."""

TAKES_SIZES = frozenset({"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"})
"""Operators that are told the lengths of packed sequences by a tensor, which has to be on the CPU."""

KEPT_OVERLOADS = frozenset({"padding"})
"""Overloads that are recorded, since other counters take them for operators of their own."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one operator, looked up once."""

    name: str
    entry: Entry | None
    decompose: bool = False
    mutable: bool = False
    of_any_values: bool = False
    overload: str = ""
    of_scripts: bool = False
    takes_objects: bool = False
    may_be_of_zeros: bool = False


class OpRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation that runs while it is active.

    Where operators skip ``autograd`` they arrive whole, as the network called them.  One without an entry that is
    made of others is taken apart, and its parts are recorded instead; one that cannot be is uncounted.
    Tensors that live elsewhere are turned into meta tensors when they meet one.

    While it is ``muted`` nothing is recorded, since the operations are parts of one that will be; ``kind_within``
    is the kind of work that a running function says its parts are.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        registry: Registry,
        scope: ModuleScope,
        origins: Origins,
        graph: BackwardScope | None,
        autograd: Autograd | None = None,
        unseen: UnseenWork | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.autograd = autograd or Autograd(may_skip=False)
        self.unseen = unseen or UnseenWork(scope.model, (), origins)
        self.calls: list[OpCall] = []
        self.in_backward = False
        self.in_optimizer = False
        self.failure: OpFailure | None = None
        self.function_failure: FunctionFailure | None = None
        self.data_dependent: dict[str, bool] = {}
        self.met_meta = False
        self.stood_in_for_gradients = False
        self.closed = False
        self.claims_nodes = False
        self.muted = False
        self.kind_within: str | None = None
        self._registry = registry
        self._scope = scope
        self._origins = origins
        self._graph = graph
        self._divisions: list[tuple[AbstractContextManager[Any], Callable[[Any], None]]] = []
        self._known: dict[Any, _Known] = {}
        self._meta_twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._values = KnownValues()
        self._zeros = ZeroTensors()
        self._padded = PaddedTensors(self._is_zero)

    def in_other_thread(self, kind_within: str | None) -> OpRecorder:
        """A recorder for another thread: of its own calls, of the same tensors and places."""
        other = copy.copy(self)
        other.muted, other.kind_within = False, kind_within
        TorchDispatchMode.__init__(other)  # type: ignore[no-untyped-call]
        other.autograd = self.autograd.in_other_thread()
        other.calls, other._divisions = [], []
        other.failure = other.function_failure = None
        other._zeros = ZeroTensors()
        if self._graph is not None:
            other._graph = self._graph.in_other_thread()
            other.claims_nodes = True
        return other

    def claiming_nodes(self, call: Callable[..., Any], func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function, whose autograd nodes are noted as made in this thread."""
        inputs: list[torch.Tensor] = []
        collect((args, kwargs), inputs)
        before = [tensor.grad_fn for tensor in inputs]
        result = call(func, args, kwargs)
        outputs: list[torch.Tensor] = []
        collect(result, outputs)
        if self._graph is not None:
            self._graph.claim(nodes_between(before, [tensor.grad_fn for tensor in outputs]))
        return result

    def close(self) -> None:
        """The run is over: a thread that goes on is left alone."""
        self.closed = True
        self.autograd.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not PLAIN.issuperset(types):
            # A tensor that is made of others (a jagged one): it runs its operations on those, which come here.
            return NotImplemented
        if self.closed:
            return func(*args, **(kwargs or {}))
        known = self._known.get(func)
        if known is None:
            known = self._known[func] = self._look_up(func)
        if known.of_scripts and self._done_for_script(known.name, args):
            return torch.equal(*args) if known.name == "aten::equal" else None
        self.autograd.check()
        before, self.autograd.held = self.autograd.held, True
        try:
            return self._handle(func, known, args, kwargs or {})
        finally:
            self.autograd.held = before

    def _handle(self, func: Any, known: _Known, args: Any, kwargs: Any) -> Any:
        """The result of an operation, which is recorded."""
        inputs: list[torch.Tensor] = []
        collect((args, kwargs), inputs)
        devices = {tensor.is_meta for tensor in inputs}
        if True in devices:
            self.met_meta = True
            mixed = len(devices) > 1 and known.name not in TAKES_SIZES
            args, kwargs, inputs = self._move(args, kwargs, inputs, mixed=mixed)
        try:
            if known.decompose:
                with self:
                    result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            result = self._run(func, known, args, kwargs, inputs, True in devices)
        except FOREIGN_ERRORS as error:
            while self._divisions:  # a script that divides was left
                self._divisions.pop()[0].__exit__(type(error), error, error.__traceback__)
            if self.failure is None or self.failure.error is not error:
                shapes = tuple(map(shape_of, inputs))
                self.failure = OpFailure(error, known.name, shapes, True in devices, func, args, kwargs)
            raise
        if known.mutable:
            written: list[torch.Tensor] = []
            collect(list(written_by(func, args, kwargs)), written)
            self._padded.written(written)
            self.unseen.written(written)
        elif known.name.startswith("higher_order::"):  # it may write to what it is given, and does not say so
            self.unseen.written(inputs)
        if known.may_be_of_zeros and self._zeros.only_shape(known.name, inputs, result):
            self._origins.follow(known.name, inputs, [result])
        else:
            self._record(known, args, kwargs, inputs, result)
        return result

    def _done_for_script(self, name: str, args: Any) -> bool:
        """Whether the operation is no work of the network: it marks a call, or compares a script's constants."""
        if name == ENTER:
            self._scope.enter_part(*args)
        elif name == LEAVE:
            self._scope.leave_part(*args)
        elif name == DIVIDE:
            division = self.as_one("aten::div", (2, args[0][0]), {})  # 2 for any number: what matters is that it is one
            self._divisions.append((division, division.__enter__()))
        elif name == DIVIDED:
            begun, give = self._divisions.pop()
            give(args[0][0])
            begun.__exit__(None, None, None)
        else:
            constants = set(map(storage_of, self._scope.script_constants))
            return all(storage_of(tensor) in constants for tensor in args)
        return True

    def _run(self, func: Any, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], on_meta: bool) -> Any:
        """The result of an operation; of one on values that are known the true one."""
        if not on_meta and (inputs or kwargs.get("device") != META):
            return func(*args, **kwargs)
        if known.name.startswith("higher_order::"):
            return func(*args, **kwargs)
        if known.name == "aten::expand_as":  # of the second tensor it takes the size alone
            func, args, inputs = torch.ops.aten.expand.default, (args[0], list(args[1].shape)), inputs[:1]
        if not (known.of_any_values or self._values.may_know(inputs)):
            if known.mutable:
                self._values.forget_written(func, args, kwargs)
            return self._without_values(func, known, args, kwargs)
        twins = self._values.run(func, known.name, args, kwargs, inputs)
        if twins is UNKNOWN:
            return self._without_values(func, known, args, kwargs)
        made: list[torch.Tensor] = []
        collect(twins, made)
        if not made:  # a number; without tensors among the arguments it is what torch makes of one moved to the CPU
            return twins if inputs else func(*args, **kwargs)
        result = _as_on_meta(func, args, kwargs, twins)
        results: list[torch.Tensor] = []
        collect(result, results)
        self._values.note_results(results, made)
        return result

    def _without_values(self, func: Any, known: _Known, args: Any, kwargs: Any) -> Any:
        """The result on meta of an operation on tensors whose values are not all known."""
        if known.name == "aten::index":
            args = (args[0], by_positions(args[1], self._values.of), *args[2:])
        return META_RESULTS.get(known.name, func)(*args, **kwargs)

    def note_failing_function(self, error: BaseException, func: Any, args: Any) -> None:
        """The function of torch raised ``error``; the innermost one that did is noted."""
        if self.function_failure is None or self.function_failure.error is not error:
            self.function_failure = FunctionFailure(error, func, args)

    def note_result(self, module: str, result: Any) -> None:
        """The module of that name has returned ``result``."""
        self.unseen.check_result(module, result, on_meta=self.met_meta)

    def note_values_read(self, func: Any, tensor: torch.Tensor) -> None:
        """A function of torch has handed out the values of ``tensor``, or where they are."""
        self.unseen.values_read(self._scope.current[0], func, tensor)

    def note_made_of_data(self, tensor: torch.Tensor) -> None:
        """``tensor`` was made of Python numbers."""
        self.unseen.made_of_data(self._scope.current[0], tensor)

    def note_values(self, tensor: torch.Tensor, real: torch.Tensor) -> None:
        """The meta tensor has the values of ``real``."""
        self._values.note(tensor, real)

    def values_of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor with the values of a meta tensor, or nothing where they are not known."""
        return self._values.of(tensor)

    def _look_up(self, func: Any) -> _Known:
        name = operator_name(func)
        entry = self._registry.find(name)
        return _Known(
            name,
            entry,
            decompose=entry is None and can_be_taken_apart(func),
            mutable=is_mutable(func),
            takes_objects=takes_script_objects(func),
            of_any_values=name in OF_ANY_VALUES,
            overload=overload if (overload := overload_name(func)) in KEPT_OVERLOADS else "",
            of_scripts=name in OF_SCRIPTS,
            may_be_of_zeros=name == COPY or name.startswith(NAMESPACE),
        )

    def _move(self, args: Any, kwargs: Any, inputs: list[torch.Tensor], *, mixed: bool) -> Any:
        """The arguments with stray tensors and explicit devices on meta."""

        def move(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor) and not leaf.is_meta:
                if id(leaf) not in self._meta_twins:
                    twin = to_meta(leaf)
                    self.stood_in_for_gradients = self.stood_in_for_gradients or leaf.requires_grad
                    self._origins.stand_in(leaf, twin)
                    self._values.note(twin, leaf)
                    self._meta_twins[id(leaf)] = (leaf, twin)
                return self._meta_twins[id(leaf)][1]
            if isinstance(leaf, torch.device):
                return torch.device("meta")
            return leaf

        if mixed or any(isinstance(leaf, torch.device) for leaf in (*args, *kwargs.values())):
            args = map_arguments(args, move)
            kwargs = {key: map_arguments(value, move) for key, value in kwargs.items()}
            inputs = []
            collect((args, kwargs), inputs)
        return args, kwargs, inputs

    @contextmanager
    def as_one(self, name: str, args: Any, kwargs: Any) -> Iterator[Callable[[Any], None]]:
        """Record what runs inside as one call of the operation ``name``; give its result to what is yielded.

        Under ``vmap`` that is the call for all samples.  Where forward-mode derivatives are computed with it, which no
        rule gives, what runs is recorded as it is, as work of the operation's kind.
        """
        inputs: list[torch.Tensor] = []
        collect((args, kwargs), inputs)
        results: list[Any] = []
        nodes: list[int] = []
        before, self.muted = self.muted, True
        in_parts = may_carry_tangents(inputs)
        self.muted = before or not in_parts
        first = len(self.calls)
        try:
            with self._graph.gathering(nodes) if self._graph is not None else nullcontext():
                yield results.append
        finally:
            self.muted = before
        known = _Known(name, self._registry.find(name))
        if in_parts and not self.muted:
            kind = self._give_kind(known, args, kwargs, inputs, results[0], first)
        else:
            self._record(known, args, kwargs, inputs, results[0])
            if self.muted:
                return
            outputs: list[torch.Tensor] = []
            collect(results[0], outputs)
            if transforming():
                self.calls[-1] = for_all_samples(self.calls[-1], inputs, outputs)
            kind = self.calls[-1].kind
        if self._graph is not None:
            self._graph.say(nodes, kind)

    def _give_kind(
        self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], result: Any, first: int
    ) -> str:
        """The calls from the ``first`` on are parts of an operation: its kind, which their arithmetic gets."""
        outputs: list[torch.Tensor] = []
        collect(result, outputs)
        tensors = (*inputs, *outputs)
        specs = {id(tensor): self._spec(tensor) for tensor in tensors}
        kind, _ = self._cost(known, args, kwargs, result, tensors, specs)
        self.calls[first:] = [replace(call, kind=kind) if call.terms else call for call in self.calls[first:]]
        return kind

    @contextmanager
    def apart(self, kind: str) -> Iterator[None]:
        """Record what runs inside :meth:`as_one` all the same, as work of that kind."""
        before = self.muted, self.kind_within
        self.muted, self.kind_within = False, kind
        try:
            yield
        finally:
            self.muted, self.kind_within = before

    def _record(self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], result: Any) -> None:
        outputs: list[torch.Tensor] = []
        collect(result, outputs)
        if self.muted:
            self._follow(known, args, kwargs, inputs, outputs)
            self._where(known.name, "elementwise")
            return
        input_specs = tuple(map(self._spec, inputs))
        padded = self._padded_specs(inputs, input_specs) if self._padded else {}
        self._follow(known, args, kwargs, inputs, outputs)
        output_specs = tuple(map(self._spec, outputs))
        specs = dict(zip(map(id, (*outputs, *inputs)), (*output_specs, *input_specs), strict=True)) | padded
        kind, terms = self._cost(known, args, kwargs, result, (*inputs, *outputs), specs)
        status: Status = "uncounted" if kind == "uncounted" else "counted" if terms else "free"
        phase, (module, module_call), kind = self._where(known.name, kind)
        if terms:
            self.unseen.check_blanks(module, inputs)
        self._origins.note_use(inputs, self.calls, len(self.calls))
        if known.takes_objects:
            self._origins.note_packed_use((args, kwargs), module, self.calls, len(self.calls))
        self.calls.append(
            OpCall(
                known.name, kind, status, module, module_call, phase, input_specs, output_specs, terms, known.overload
            )
        )

    def _padded_specs(self, inputs: list[torch.Tensor], specs: tuple[TensorSpec, ...]) -> dict[int, TensorSpec]:
        """The specs of those inputs that are known to have zeros around them, by the tensors' ids."""
        around = map(self._padded.around, inputs)
        return {
            id(tensor): PaddedTensorSpec(spec.shape, spec.dtype, spec.parameter, spec.stored, zeros)
            for tensor, spec, zeros in zip(inputs, specs, around, strict=True)
            if zeros
        }

    def _follow(
        self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        """Note where the results of an operation come from, and whether they have zeros around them."""
        unknown = self._origins.follow(known.name, inputs, outputs)
        if unknown and not self.in_optimizer:
            self.unseen.check_origins(self._scope.current[0], known.name, unknown)
        self.unseen.made(inputs, outputs)
        if outputs:
            self._padded.follow(known.name, args, kwargs, inputs, outputs, moves=_moves_values(known, inputs))

    def _is_zero(self, tensor: torch.Tensor) -> bool | None:
        """Whether a tensor is all zeros, whatever the data is; None for a constant whose values nobody knows."""
        if not (tensor.is_floating_point() or tensor.is_complex()):
            return False
        of_data = self._origins.is_activation(tensor)
        values = None if of_data and not tensor.is_meta else self._values.of(tensor)
        if values is not None:
            return is_all_zero(values)
        return False if of_data or self._origins.is_parameter(tensor) else None

    def _where(self, op: str, kind: str) -> tuple[Phase, Place, str]:
        """The phase and the place of the operation that runs now, and its kind in that place."""
        if self.in_optimizer:
            return "optimizer", ("", 1), kind
        if not self.in_backward or self._graph is None or self._scope.stack:
            place = self._scope.current
            if self._graph is not None:
                self._graph.note(place, kind)
            return "recompute" if self.in_backward else "forward", place, kind
        source = self._graph.current()
        return "backward", source.place, kind_of_gradient(op, kind, source)

    def _cost(
        self,
        known: _Known,
        args: Any,
        kwargs: Any,
        result: Any,
        tensors: tuple[torch.Tensor, ...],
        specs: dict[int, TensorSpec],
    ) -> tuple[str, tuple[Term, ...]]:
        """The kind and the terms of a call; ``uncounted`` where there is no rule, or the rule cannot say.

        ``specs`` are those of all ``tensors`` among arguments and results, by their ids.
        """
        entry = known.entry
        if (entry is None or entry.cost is not None) and any(spec.stored is not None for spec in specs.values()):
            # The rule of an operator is for dense operands.
            entry = self._registry.find(known.name.replace("aten::", "sparse::"))
        if entry is None:
            return "uncounted", ()
        if entry.cost is None or not (entry.integers or any(spec.is_arithmetic for spec in specs.values())):
            return "movement", ()
        try:
            options = {key: value for key, value in kwargs.items() if key != "out"}
            out = without_unasked(known.name, result) if self.in_backward else result
            kind, terms = ask(entry, (args, options, out), tensors, specs, self._values.of)
        except DataDependentError:
            self.data_dependent[known.name] = True
            return "uncounted", ()
        except UncountedError:
            return "uncounted", ()
        if not terms:
            return "movement", ()
        within = self.kind_within
        return (kind if within is None or (within == "attention" and kind == "linear") else within), terms

    def _spec(self, tensor: torch.Tensor) -> TensorSpec:
        return TensorSpec(*self._facts(tensor))

    def _facts(self, tensor: torch.Tensor) -> tuple[tuple[int, ...], str, bool, int | None]:
        parameter = self._origins.is_parameter(tensor)
        return shape_of(tensor), dtype_name(tensor.dtype), parameter, stored_in(tensor)


def _as_on_meta(func: Any, args: Any, kwargs: Any, twins: Any) -> Any:
    """The result on meta of an operation whose result on the CPU is ``twins``."""
    if torch.Tag.dynamic_output_shape not in func.tags:
        try:
            return func(*args, **kwargs)
        except RuntimeError:  # its shape depends on values (repeat_interleave) though no tag of it says so
            pass
    return map_arguments(twins, _shape_only)


def _shape_only(leaf: Any) -> Any:
    """A tensor without its values; anything else as it is."""
    return to_meta(leaf) if isinstance(leaf, torch.Tensor) else leaf


def _moves_values(known: _Known, inputs: list[torch.Tensor]) -> bool:
    """Whether zeros in what an operation reads may be in what it makes: where it moves values, or works on each."""
    entry = known.entry
    if entry is None or entry.cost is None:
        return True
    return len(inputs) == 1 and entry.kind in ("elementwise", "activation")
