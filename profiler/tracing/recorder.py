"""The dispatch mode: every operation that runs is recorded with its signature, without its cost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from profiler.errors import FOREIGN_ERRORS, TraceError
from profiler.records import Phase, show_shape
from profiler.signatures import Signature
from profiler.tracing import memo, symbols
from profiler.tracing.backward import WITHOUT_MASK, BackwardScope, Place, nodes_between, without_unneeded
from profiler.tracing.copying import to_meta
from profiler.tracing.describing import Described, Describer, Operators, Signatures, samples_of, shared_signatures
from profiler.tracing.failures import FunctionFailure, OpFailure
from profiler.tracing.gradients import Autograd
from profiler.tracing.layer_calls import Blocks, LayerCalls
from profiler.tracing.makes import Make
from profiler.tracing.meta_results import META_RESULTS
from profiler.tracing.noted import Noted
from profiler.tracing.origins import Memory, Numbers, Origins, roots_of, storage_of
from profiler.tracing.padding import CONSTANT_PADDING, JOINS, PaddedTensors, is_all_zero
from profiler.tracing.phases import Phases
from profiler.tracing.private import (
    DispatchMode,
    argument_names,
    can_be_decomposed,
    is_mutable,
    is_zero,
    named_operator,
    operator_name,
    overload_name,
    takes_script_objects,
    transforming,
    without_functions,
    writes_of,
    written_by,
)
from profiler.tracing.scope import ModuleScope
from profiler.tracing.scripts import DIVIDE, DIVIDED, ENTER, LEAVE
from profiler.tracing.symbolic_layouts import symbolic_result
from profiler.tracing.tensors import collect, map_arguments, shape_of
from profiler.tracing.touching import touched
from profiler.tracing.transforms import may_carry_tangents
from profiler.tracing.unseen import PARAMETER_OUTSIDE, UnseenWork
from profiler.tracing.values import OF_ANY_VALUES, UNKNOWN, KnownValues, by_positions
from profiler.tracing.zeros import COPY, NAMESPACE, ZeroTensors

META = torch.device("meta")
PLAIN = frozenset({torch.Tensor, nn.Parameter})
is_contiguous = torch.Tensor.is_contiguous

OF_SCRIPTS = frozenset({ENTER, LEAVE, DIVIDE, DIVIDED, "aten::equal"})
"""Operators of scripts that are not work of the network."""

TAKES_SIZES = frozenset({"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"})
"""Operators that take the lengths of packed sequences as a tensor, which has to be on the CPU."""

KEPT_OVERLOADS = frozenset({"padding"})
"""Overloads that are recorded, since other counters treat them as separate operators."""


INDEX = "aten::index"

OTHER = object()
"""Stands for the result of an operation that is not on plain tensors."""

HANDLED_APART = frozenset({INDEX, "aten::expand_as", *OF_SCRIPTS, *META_RESULTS})
"""Operators whose arguments or results are changed here, or that are not recorded in every case."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Facts about one operator, looked up once.

    The memo may have its result if it is ``answered``; its signature follows from the metadata of its arguments if it
    is ``plain`` too.  It ``mixes`` one operand, or several, if zeros in any of them may be in its result.  If
    it ``pads``, there may be zeros in its result whatever is in its operands.
    """

    name: str
    names: tuple[str, ...] = ()
    read: frozenset[int | str] = frozenset()
    decompose: bool = False
    mutable: bool = False
    of_any_values: bool = False
    overload: str = ""
    of_scripts: bool = False
    takes_objects: bool = False
    may_be_of_zeros: bool = False
    keeps_zeros: bool = False
    keeps_zeros_alone: bool = False
    answered: bool = False
    plain: bool = False
    of_function: bool = False
    mixes: tuple[bool, bool] = (False, False)
    pads: bool = False
    draws: bool = False
    writes: tuple[tuple[int, str], ...] = ()

    def written(self, args: Any, kwargs: Any) -> list[torch.Tensor]:
        """The tensors that a call writes to."""
        found: list[torch.Tensor] = []
        for place, name in self.writes:
            collect(args[place] if place < len(args) else kwargs.get(name), found)
        return found


class OpRecorder(DispatchMode):
    """Records every operation that runs while it is active.

    If operators skip ``autograd``, they arrive whole, as the network called them.  A composite operator that
    ``operators`` do not know is decomposed, and its parts are recorded instead.  Tensors on other devices become meta
    tensors if they are used with one.

    While it is ``muted`` nothing is recorded, since the operations are parts of one that will be; ``kind_within`` is
    the kind of work of the running function, if it sets the kind of its parts.  ``phases`` tells the phases of code;
    without it ``in_backward`` and ``in_optimizer`` do.  With ``as_called`` every operation runs as the code called it,
    whatever device its tensors are on.
    """

    supports_higher_order_operators = True

    replaced: Mapping[Any, Callable[..., Any]] = {}
    """Functions that run in place of functions that are recorded as one operation."""

    def __init__(
        self,
        operators: Operators,
        scope: ModuleScope,
        origins: Origins,
        graph: BackwardScope | None,
        autograd: Autograd | None = None,
        unseen: UnseenWork | None = None,
        phases: Phases | None = None,
        *,
        as_called: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.as_called = as_called
        self._runs_copies = unseen is not None and not as_called
        self.autograd = autograd or Autograd(may_skip=False)
        self.unseen = unseen or UnseenWork(scope.model, (), origins)
        self.calls: list[Noted] = []
        self.in_backward = False
        self.in_optimizer = False
        self.failure: OpFailure | None = None
        self.function_failure: FunctionFailure | None = None
        self.met_meta = False
        self.moved_with_gradients = False
        self.closed = False
        self.claims_nodes = False
        self.muted = False
        self.kind_within: str | None = None
        self.not_plain = 0
        self.drawn = 0
        self._operators = operators
        self._shared = shared_signatures()
        self._signatures = Signatures(self._shared.known)
        self._scope = scope
        self._origins = origins
        self._graph = graph
        self._phases = phases
        self._divisions: list[tuple[AbstractContextManager[Any], Callable[[Any], None]]] = []
        self._known: dict[Any, _Known] = {}
        self._meta_copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._named: dict[str, _Known] = {}
        self._values = KnownValues(origins)
        self._zeros = ZeroTensors()
        self._padded = PaddedTensors(partial(_is_zero, origins, self._values))
        self.symbolic = symbols.ACTIVE.run
        if self.symbolic is not None:
            self.symbolic.module = lambda: scope.current[0]
        self._describer = Describer(origins.is_parameter, self._padded.around, self._values.of, self._shared.specs)

    def layer_calls(self, make: Make | None) -> LayerCalls:
        """What answers the calls of layers in a run that keeps no gradients.

        If the ``make`` of the network is known, it answers the calls of all modules.
        """
        blocks = None
        if make is not None and make.tree:
            blocks = Blocks(make, self._scope, self._origins)
        return LayerCalls(self, self._scope, self._origins, self._values, self._padded, self._shared, blocks)

    def in_other_thread(self, kind_within: str | None) -> OpRecorder:
        """A recorder for another thread: with its own calls, and the same tensors and modules."""
        other = copy.copy(self)
        other.muted, other.kind_within = False, kind_within
        DispatchMode.__init__(other)  # type: ignore[no-untyped-call]
        other.autograd = self.autograd.in_other_thread()
        other.calls, other._divisions = [], []
        other.failure = other.function_failure = None
        other._zeros = ZeroTensors()
        if self._graph is not None:
            other._graph = self._graph.in_other_thread()
            other.claims_nodes = True
        return other

    def claiming_nodes(self, call: Callable[..., Any], func: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function, whose autograd nodes are recorded as created in this thread."""
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
        """End the run: a thread that continues is not traced any more."""
        self.closed = True
        self.autograd.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.as_called and any(issubclass(kind, (UninitializedParameter, UninitializedBuffer)) for kind in types):
            return func(*args, **(kwargs or {}))  # it gets its shape, which is not work
        if not PLAIN.issuperset(types):
            # A tensor subclass that wraps others (a jagged one): it runs operations on those, which arrive here.
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
            if self.symbolic is None:
                return self._handle(func, known, args, kwargs or {})
            with self.symbolic.running(known.name):
                return self._handle(func, known, args, kwargs or {})
        finally:
            self.autograd.held = before

    def _handle(self, func: Any, known: _Known, args: Any, kwargs: Any) -> Any:
        """Run and record an operation; returns its result."""
        key: Any = None
        if known.answered and not self.as_called and self.symbolic is None:
            with without_functions():
                result, key = self._handle_plain(func, known, args, kwargs)
            if result is not OTHER:
                return result
        return self._handle_any(func, known, args, kwargs, key)

    def _handle_any(self, func: Any, known: _Known, args: Any, kwargs: Any, key: Any) -> Any:
        """The same for any operation; ``key`` is its key in the memo, if it has one."""
        self.not_plain += 1
        inputs: list[torch.Tensor] = []
        collect((args, kwargs), inputs)
        devices = {tensor.is_meta for tensor in inputs}
        if self._runs_copies and not self.in_optimizer:
            self._check_foreign(func, known, args, kwargs, inputs)
        if True in devices and not self.as_called:
            self.met_meta = True
            mixed = len(devices) > 1 and known.name not in TAKES_SIZES
            args, kwargs, inputs = self._move(args, kwargs, inputs, mixed=mixed)
        try:
            if known.decompose:
                with self:
                    result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            result = self._run(func, known, args, kwargs, inputs, True in devices, key)
        except FOREIGN_ERRORS as error:
            self._note_failure(error, func, known, args, kwargs, inputs, True in devices)
            raise
        written: list[torch.Tensor] = []
        if known.mutable:
            collect(list(written_by(func, args, kwargs)), written)
            self._padded.written(written)
            self.unseen.written(written)
        elif known.name.startswith("higher_order::"):  # it may write to its arguments without saying so
            self.unseen.written(inputs)
        if known.may_be_of_zeros and self._zeros.only_shape(known.name, inputs, result):
            self._origins.follow(known.name, inputs, [result])
        else:
            self._record(known, args, kwargs, inputs, result, written)
        return result

    def _note_failure(
        self, error: BaseException, func: Any, known: _Known, args: Any, kwargs: Any, inputs: Any, on_meta: bool
    ) -> None:
        """Record that an operation has raised ``error``."""
        while self._divisions:  # a script with a division has ended
            self._divisions.pop()[0].__exit__(type(error), error, error.__traceback__)
        if self.failure is None or self.failure.error is not error:
            self.failure = OpFailure(error, known.name, tuple(map(shape_of, inputs)), on_meta, func, args, kwargs)

    def _handle_plain(self, func: Any, known: _Known, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The same for an operation on plain tensors of a known origin: its signature follows from its key in the memo.

        Returns ``OTHER`` for any other one, such as one with zeros around a tensor, or mapped sizes.  The second result
        is the key.
        """
        inputs: list[torch.Tensor] = []
        key = memo.key_of(func, args, kwargs, inputs)
        if known.may_be_of_zeros and (not inputs or any(map(is_zero, inputs))):
            return OTHER, None  # a copy for the shape function of an operation with a ZeroTensor, or of a number
        if key is None or not known.plain or transforming():
            return OTHER, key
        if not inputs and kwargs.get("device") != META:
            return OTHER, key
        origins, padded, values = self._origins, self._padded.storages, self._values.ids
        origins.meet(inputs)
        entries = origins.memories
        memories = []
        parameters = 0  # two bits for each tensor: whether it has the class, and whether its memory is one
        has_values, of_activation, may_be_zero, may_have_zeros = True, False, False, False
        for tensor in inputs:
            storage = id(tensor.untyped_storage())
            memory = entries.get(storage)
            if memory is None or not memory.known:
                return OTHER, key
            if padded and storage in padded:
                if self._padded.around(tensor):
                    return OTHER, key
                may_have_zeros = True
            memories.append(memory)
            parameters = 4 * parameters + 2 * (tensor.__class__ is not torch.Tensor) + memory.is_parameter
            is_known = id(tensor) in values
            has_values = has_values and is_known
            of_activation = of_activation or memory.is_activation
            may_be_zero = may_be_zero or is_known or not memory.is_activation
        has_values = known.of_any_values or has_values
        if inputs:
            self.met_meta = True
        try:
            result, answer = memo.run(func, args, kwargs, key)
        except FOREIGN_ERRORS as error:
            if has_values:  # the shape of its result may depend on them
                return OTHER, key
            self._note_failure(error, func, known, args, kwargs, inputs, True)
            raise
        pure = has_values and memo.MEMO.used and (known.of_any_values or all(map(_is_shared_constant, memories)))
        if has_values and not pure:
            self._follow_values(func, known, args, kwargs, inputs, result)
        writes: Numbers = ()
        written: list[torch.Tensor] = []
        if known.mutable:
            if not has_values:
                self._values.forget_written(func, args, kwargs)
            written = known.written(args, kwargs)
            self._padded.written(written)
            self.unseen.written(written)
            writes = origins.numbers_of(written)
        signature = described = None
        if not self.muted:
            facts = self._shared, parameters, of_activation
            signature = answer.described.get(facts)
            if signature is None:
                described = self._describer.plain_arguments(known.names, args, kwargs, inputs, memories)
        reads = roots_of(memories)
        if answer.is_new:
            outputs = [result]
            made = [origins.add_new(result, known.name, memories, of_activation, parameters > 0)]
        elif answer.view is not None:
            outputs, made = [result], memories[:1]
            if of_activation:
                made[0].is_activation, made[0].is_parameter = True, False
        else:
            outputs = []
            collect(result, outputs)
            made = origins.derive(known.name, memories, outputs, of_activation, parameters > 0)
        if pure:
            self._values.follow(*(func, known.name, args, kwargs), (inputs, memories), (outputs, made), written, answer)
        elif values and not has_values:  # they may have the ids of tensors that no longer exist
            if len(outputs) == 1:
                values.discard(id(outputs[0]))
            else:
                values.difference_update(map(id, outputs))
        blanks: Numbers = ()
        if self.unseen.has_blanks:
            blanks = origins.numbers_of(self.unseen.blank(inputs))
            self.unseen.made(inputs, outputs)
        if known.pads or may_have_zeros or (known.mixes[len(inputs) > 1] and (padded or may_be_zero)):
            moves = known.keeps_zeros if len(inputs) > 1 else known.keeps_zeros_alone
            self._padded.follow(known.name, args, kwargs, inputs, outputs, moves=moves)
        if self.muted:
            if self._graph is not None:
                self._note_node(self._scope.current, None, self._phase())
            return result, key
        if signature is None:
            assert described is not None
            if answer.is_new or answer.view is not None:
                value = self._describer.plain_spec(result.shape, result.dtype, made[0].is_parameter)
            else:
                value = self._describer.plain(result, described.types)
            signature = self._signatures.of(known.name, known.overload, described, value, ())
            answer.described[facts] = signature
        numbers = origins.numbers(memories)
        if answer.is_new:
            made[0].number = origins.new_number()
            new: Numbers = (made[0].number,)
        else:
            new = () if answer.view is not None else origins.new_numbers(made, memories)
        sharing = None if len(numbers) == len(inputs) else tuple([memories.index(memory) for memory in memories])
        together = answer.described.get(sharing)
        if together is None:
            in_order = sharing is None and all(map(is_contiguous, inputs))
            together = () if in_order else touched(inputs, share=sharing is not None)
            answer.described[sharing] = together
        self._note_event(signature, reads, blanks, numbers, writes, new, together)
        return result, key

    def _follow_values(self, func: Any, known: _Known, args: Any, kwargs: Any, inputs: Any, result: Any) -> None:
        """Compute the values of the ``result`` of an operation whose operands may have known values."""
        on_cpu = self._values.run(func, known.name, args, kwargs, inputs)
        if on_cpu is not UNKNOWN:
            made: list[torch.Tensor] = []
            results: list[torch.Tensor] = []
            collect(on_cpu, made)
            collect(result, results)
            self._values.note_results(results, made)

    def _note_event(
        self, signature: Signature, parameters: Any, blanks: Any, reads: Any, writes: Any, makes: Any, together: Numbers
    ) -> Noted:
        """Note a call at the place that runs now."""
        if self._graph is None and self._phases is None:
            phase: Phase = "forward"
            place, source = self._scope.current, None
        else:
            phase, place, source = self._where()
        module, call = place
        event = Noted(
            *(signature, module, call, phase, self.kind_within, source, parameters, blanks, reads, writes, makes),
            touched=together,
        )
        if self._graph is not None:
            self._note_node(place, event, phase)
        self.calls.append(event)
        return event

    def _note_node(self, place: Place, event: Noted | None, phase: Phase) -> None:
        """Note that the running operation, which ``event`` records, has made the last node of autograd.

        It makes one if it is part of a forward pass, or is differentiated itself.
        """
        if self._graph is None:
            return
        again = phase == "backward" and self._phases is not None and torch.is_grad_enabled()
        if again or phase in ("forward", "recompute"):
            self._graph.note(place, event)

    def check_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse a step of an optimizer of the caller: it would change parameters and its own state."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if self.unseen.is_foreign(parameter):
                    raise _would_change(parameter, "")

    def _check_foreign(self, func: Any, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor]) -> None:
        """Refuse an operation that would change a tensor of the caller; report a parameter that is only read."""
        for tensor in inputs:
            if tensor.requires_grad and tensor.is_leaf and self.unseen.is_foreign(tensor):
                if torch.is_grad_enabled():
                    raise _would_change(tensor, "the gradient of")
                self.unseen.note(self._scope.current[0], PARAMETER_OUTSIDE)
        if known.mutable:
            written: list[torch.Tensor] = []
            collect(list(written_by(func, args, kwargs)), written)
            for tensor in written:
                if not tensor.is_meta and self.unseen.is_foreign(tensor):
                    raise _would_change(tensor, "")

    def _done_for_script(self, name: str, args: Any) -> bool:
        """Whether the operation is not work of the network: it marks a call, or compares a script's constants."""
        if name == ENTER:
            self._scope.enter_part(*args)
        elif name == LEAVE:
            self._scope.leave_part(*args)
        elif name == DIVIDE:
            division = self.as_one("aten::div", (2, args[0][0]), {})  # 2 stands for any number
            self._divisions.append((division, division.__enter__()))
        elif name == DIVIDED:
            begun, give = self._divisions.pop()
            give(args[0][0])
            begun.__exit__(None, None, None)
        else:
            constants = set(map(storage_of, self._scope.script_constants))
            return all(storage_of(tensor) in constants for tensor in args)
        return True

    def _run(
        self, func: Any, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], on_meta: bool, key: Any
    ) -> Any:
        """The result of an operation, computed on real values if they are known."""
        if self.symbolic is not None and not inputs and symbols.has_symbols(args):
            kwargs = {**kwargs, "device": META}  # a new tensor, which has no memory for a symbol of elements
        if self.as_called or (not on_meta and (inputs or kwargs.get("device") != META)):
            self.drawn += known.draws
            return func(*args, **kwargs)
        if known.name.startswith("higher_order::"):
            return func(*args, **kwargs)
        if known.name == "aten::expand_as":  # only the size of the second tensor is used
            func, args, inputs = torch.ops.aten.expand.default, (args[0], list(args[1].shape)), inputs[:1]
        if not (known.of_any_values or self._values.may_know(inputs)):
            if known.mutable:
                self._values.forget_written(func, args, kwargs)
            return self._without_values(func, known, args, kwargs, key)
        on_cpu = self._values.run(func, known.name, args, kwargs, inputs)
        if on_cpu is UNKNOWN:
            return self._without_values(func, known, args, kwargs, key)
        made: list[torch.Tensor] = []
        collect(on_cpu, made)
        if not made:  # a number; without tensor arguments torch made it from one moved to the CPU
            return on_cpu if inputs else func(*args, **kwargs)
        result = _as_on_meta(func, args, kwargs, on_cpu)
        results: list[torch.Tensor] = []
        collect(result, results)
        self._values.note_results(results, made)
        return result

    def _without_values(self, func: Any, known: _Known, args: Any, kwargs: Any, key: Any) -> Any:
        """The result on meta of an operation on tensors whose values are not all known."""
        if key is not None:
            with without_functions():
                return memo.run(func, args, kwargs, key)[0]
        if known.name == INDEX:
            args = (args[0], by_positions(args[1], self._values.of), *args[2:])
        if self.symbolic is not None:
            made = symbolic_result(known.name, args, kwargs)
            if made is not None:
                return made
        return META_RESULTS.get(known.name, func)(*args, **kwargs)

    @property
    def follows_nodes(self) -> bool:
        """Whether it records which operation makes each node of autograd."""
        return self._graph is not None

    def note_transforms(self) -> bool:
        """Record whether a transform of ``torch.func`` runs the function that is called now, and return it."""
        running = transforming()
        if self._graph is not None:
            self._graph.transforming = running
        return running

    def note_failing_function(self, error: BaseException, func: Any, args: Any) -> None:
        """Record that the function of torch raised ``error``; the innermost one is kept."""
        if self.function_failure is None or self.function_failure.error is not error:
            self.function_failure = FunctionFailure(error, func, args)

    def note_result(self, module: str, tensors: list[torch.Tensor]) -> None:
        """Record that the module of that name returned ``tensors``."""
        self.unseen.check_result(module, tensors, on_meta=self.met_meta)

    def note_values_read(self, func: Any, tensor: torch.Tensor) -> None:
        """Record that a function of torch returned the values of ``tensor`` or their address."""
        self.unseen.values_read(self._scope.current[0], func, tensor)

    def note_made_of_data(self, tensor: torch.Tensor) -> None:
        """Record that ``tensor`` was created from Python numbers."""
        self.unseen.made_of_data(self._scope.current[0], tensor)

    def note_values(self, tensor: torch.Tensor, real: torch.Tensor) -> None:
        """Record that the meta tensor has the values of ``real``."""
        self._values.note(tensor, real)

    def values_of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """A tensor with the values of a meta tensor, or None if they are not known."""
        return self._values.given_to_code(tensor)

    def _look_up(self, func: Any) -> _Known:
        name = operator_name(func)
        read = self._operators.read_by(name)
        decompose = not self._operators.is_known(name) and can_be_decomposed(func)
        answered = memo.may_answer(func) and not decompose and (name not in HANDLED_APART or name == INDEX)
        return _Known(
            name,
            argument_names(func),
            read,
            decompose=decompose,
            mutable=is_mutable(func),
            takes_objects=takes_script_objects(func),
            of_any_values=name in OF_ANY_VALUES,
            overload=overload if (overload := overload_name(func)) in KEPT_OVERLOADS else "",
            of_scripts=name in OF_SCRIPTS,
            may_be_of_zeros=name == COPY or name.startswith(NAMESPACE),
            keeps_zeros=self._operators.keeps_zeros(name, 2),
            keeps_zeros_alone=self._operators.keeps_zeros(name, 1),
            answered=answered,
            plain=answered and not (read or name in WITHOUT_MASK),
            mixes=(name in JOINS, name in JOINS or self._operators.keeps_zeros(name, 2)),
            pads=name in CONSTANT_PADDING or JOINS.get(name) is not None,
            draws=torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()),
            writes=writes_of(func) if answered else (),
        )

    def _look_up_name(self, name: str) -> _Known:
        """Facts about the operation as which a function is recorded."""
        known = self._named.get(name)
        if known is None:
            names = argument_names(named_operator(name))
            read = self._operators.read_by(name)
            known = self._named[name] = _Known(
                name,
                names,
                read,
                of_function=not (read or name in WITHOUT_MASK),
                keeps_zeros=self._operators.keeps_zeros(name, 2),
                keeps_zeros_alone=self._operators.keeps_zeros(name, 1),
            )
        return known

    def _move(self, args: Any, kwargs: Any, inputs: list[torch.Tensor], *, mixed: bool) -> Any:
        """The arguments with stray tensors and explicit devices on meta."""

        def move(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor) and not leaf.is_meta:
                return self._meta_copy(leaf)
            if isinstance(leaf, torch.device):
                return torch.device("meta")
            return leaf

        if mixed or any(isinstance(leaf, torch.device) for leaf in (*args, *kwargs.values())):
            args = map_arguments(args, move)
            kwargs = {key: map_arguments(value, move) for key, value in kwargs.items()}
            inputs = []
            collect((args, kwargs), inputs)
        return args, kwargs, inputs

    def _meta_copy(self, leaf: torch.Tensor) -> torch.Tensor:
        """The tensor on meta that stands for a stray one."""
        if id(leaf) not in self._meta_copies:
            copied = self._moved(leaf, leaf)
            self._meta_copies[id(leaf)] = (leaf, copied)
        return self._meta_copies[id(leaf)][1]

    def _moved(self, leaf: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """A new tensor on meta that stands for a stray one, with these values."""
        copied = to_meta(leaf)
        self.moved_with_gradients = self.moved_with_gradients or leaf.requires_grad
        self._origins.replace(leaf, copied)
        self._values.note(copied, values)
        return copied

    @contextmanager
    def as_one(self, name: str, args: Any, kwargs: Any) -> Iterator[Callable[[Any], None]]:
        """Record everything within it as one call of the operation ``name``; yields a function that takes the result.

        Under ``vmap`` that is the call for all samples.  If it also computes forward-mode derivatives, for which there
        is no rule, the operations within it are recorded one by one, as work of the operation's kind.
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
        known = self._look_up_name(name)
        if in_parts and not self.muted:
            self._make_part_of(known, args, kwargs, inputs, results[0], first)
            return
        event = self._record(known, args, kwargs, inputs, results[0])
        if event is not None and self._graph is not None:
            self._graph.make_part_of(event, nodes)

    def _make_part_of(
        self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], result: Any, first: int
    ) -> None:
        """Mark the calls from ``first`` on as parts of an operation, whose kind their arithmetic gets."""
        outputs: list[torch.Tensor] = []
        collect(result, outputs)
        described = self._describer.arguments(known.names, args, kwargs, known.read)
        whole = self._signature(known, described, result, inputs, outputs)
        for event in self.calls[first:]:
            event.part_of = whole

    @contextmanager
    def apart(self, kind: str) -> Iterator[None]:
        """Record operations within :meth:`as_one` separately, as work of that kind."""
        before = self.muted, self.kind_within
        self.muted, self.kind_within = False, kind
        try:
            yield
        finally:
            self.muted, self.kind_within = before

    def _record(
        self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], result: Any, written: Any = ()
    ) -> Noted | None:
        """Record a call that has run, unless the recorder is muted."""
        outputs: list[torch.Tensor] = []
        collect(result, outputs)
        if self.muted:
            self._follow(known, args, kwargs, inputs, outputs)
            self._note_node(self._scope.current, None, self._phase())
            return None
        memories = self._known_memories(known, inputs, outputs)
        calls = None if memories is None else self._described_calls(known, args, kwargs)
        if memories is not None and calls is not None:
            return self._record_plain(known, args, kwargs, (inputs, memories), outputs, result, calls)
        described = self._describer.arguments(known.names, args, kwargs, known.read)
        parameters = self._origins.parameters_read(inputs)
        blanks = self._origins.numbers_of(self.unseen.blank(inputs)) if self.unseen.has_blanks else ()
        self._follow(known, args, kwargs, inputs, outputs)
        if known.takes_objects:
            parameters = (*parameters, *self._origins.packed_read((args, kwargs), self._where()[1][0]))
        signature = self._signature(known, described, result, inputs, outputs)
        reads, writes = self._origins.numbers_of(inputs), self._origins.numbers_of(written)
        makes = self._origins.new_numbers_of(outputs, inputs)
        with without_functions():
            together = touched(inputs, share=len(reads) < len(inputs))
        return self._note_event(signature, parameters, blanks, reads, writes, makes, together)

    def _known_memories(
        self, known: _Known, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> list[Memory] | None:
        """What is known of the memory of the operands of a function that the memo may describe; None for any other.

        See :meth:`_handle_plain`, which does the same for an operation.
        """
        if not known.of_function or self.unseen.has_blanks or not PLAIN.issuperset(map(type, inputs)):
            return None
        if self.as_called or self.symbolic is not None or not memo.MEMO.used or transforming():
            return None
        entries, padded = self._origins.memories, self._padded.storages
        memories: list[Memory] = []
        with without_functions():
            for tensor in inputs:
                if tensor.layout is not torch.strided:
                    return None
                storage = id(tensor.untyped_storage())
                memory = entries.get(storage)
                if memory is None or not memory.known or (storage in padded and self._padded.around(tensor)):
                    return None
                memories.append(memory)
            for tensor in outputs:
                if type(tensor) not in PLAIN or tensor.layout is not torch.strided or tensor.is_nested:
                    return None
        return memories

    def _described_calls(self, known: _Known, args: Any, kwargs: Any) -> dict[Any, Any] | None:
        """What is known of calls of a function with the same metadata; None where the memo has no key for it."""
        with without_functions():
            key = memo.key_of(known.name, args, kwargs, [], modes=1)
        return None if key is None else memo.described_calls(key)

    def _record_plain(
        self,
        known: _Known,
        args: Any,
        kwargs: Any,
        operands: tuple[list[torch.Tensor], list[Memory]],
        outputs: list[torch.Tensor],
        result: Any,
        calls: dict[Any, Any],
    ) -> Noted:
        """Record a call of a function on plain tensors of a known origin; ``calls`` is what is known of such calls."""
        inputs, memories = operands
        origins, padded = self._origins, self._padded.storages
        with without_functions():
            origins.meet(inputs)
            of_parameters = tuple([memory.is_parameter for memory in memories])
            of_activations = tuple([memory.is_activation for memory in memories])
            kinds = tuple(map(type, inputs))
            layouts = tuple([(tensor.shape, tensor.dtype) for tensor in outputs])
            facts = self._shared, kinds, of_parameters, of_activations, layouts
            signature: Signature | None = calls.get(facts)
            described = None
            if signature is None:
                described = self._describer.arguments(known.names, args, kwargs, known.read)
            parameters = roots_of(memories)
            of_parameter = nn.Parameter in kinds or any(of_parameters)
            made = origins.derive(known.name, memories, outputs, any(of_activations), of_parameter)
            if outputs and (padded or (known.keeps_zeros and len(inputs) > 1)):
                moves = known.keeps_zeros if len(inputs) > 1 else known.keeps_zeros_alone
                self._padded.follow(known.name, args, kwargs, inputs, outputs, moves=moves)
            reads = origins.numbers(memories)
            makes = origins.new_numbers(made, memories)
            sharing = tuple([memories.index(memory) for memory in memories])
            together = calls.get(sharing)
            if together is None:
                together = calls[sharing] = touched(inputs, share=len(reads) < len(inputs))
        if described is not None:
            signature = calls[facts] = self._signature(known, described, result, inputs, outputs)
        assert signature is not None
        return self._note_event(signature, parameters, (), reads, (), makes, together)

    def _signature(
        self, known: _Known, described: Described, result: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> Signature:
        given = without_unneeded(known.name, result) if self._phase() == "backward" else result
        samples = samples_of((*inputs, *outputs)) if transforming() else ()
        value = self._describer.result(given, described.types, keep="out" in known.read)
        return self._signatures.of(known.name, known.overload, described, value, samples)

    def _follow(
        self, known: _Known, args: Any, kwargs: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        """Record the origins of the results of an operation, and the zeros around them."""
        unknown = self._origins.follow(known.name, inputs, outputs)
        if unknown and self._phase() != "optimizer":
            self.unseen.check_origins(self._scope.current[0], known.name, unknown)
        self.unseen.made(inputs, outputs)
        if outputs:
            moves = known.keeps_zeros if len(inputs) > 1 else known.keeps_zeros_alone
            self._padded.follow(known.name, args, kwargs, inputs, outputs, moves=moves)

    def _phase(self) -> Phase:
        """The phase of the running operation."""
        if self._phases is not None:
            return self._phases.now(self._scope.stack)
        if self.in_optimizer:
            return "optimizer"
        if not self.in_backward:
            return "forward"
        return "recompute" if self._scope.stack else "backward"

    def _where(self) -> tuple[Phase, Place, Noted | None]:
        """The phase and the call site of the running operation, and the event that it is the gradient of."""
        phase = "forward" if self._graph is None and self._phases is None else self._phase()
        if phase == "optimizer":
            return phase, ("", 1), None
        if self._graph is None or phase != "backward":
            return phase, self._scope.current, None
        source = self._graph.current()
        return phase, source.place, source.event


def _is_zero(origins: Origins, known: KnownValues, tensor: torch.Tensor) -> bool | Callable[[], bool] | None:
    """Whether a tensor is all zeros, independent of the data; None for a constant with unknown values."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    of_data = origins.is_activation(tensor)
    if not (of_data and not tensor.is_meta):
        later = known.later(tensor)
        if later is not None:
            return partial(_are_zero, later)
        values = known.of(tensor)
        if values is not None:
            return is_all_zero(values)
    return False if of_data or origins.is_parameter(tensor) else None


def _are_zero(values: Callable[[], torch.Tensor | None]) -> bool:
    found = values()
    return found is not None and is_all_zero(found)


def _is_shared_constant(memory: Memory) -> bool:
    """Whether the values of memory are known, and the same for the same operations."""
    return memory.constant is not None and memory.constant.shared


def _would_change(tensor: torch.Tensor, what: str) -> TraceError:
    return TraceError(
        f"a run would change {f'{what} ' if what else ''}a tensor of shape {show_shape(shape_of(tensor))} that no copy "
        "holds: pass the module, optimizer or tensor that has it as an argument, or make it an attribute of the network"
    )


def _as_on_meta(func: Any, args: Any, kwargs: Any, on_cpu: Any) -> Any:
    """The result on meta of an operation whose result on the CPU is ``on_cpu``."""
    if torch.Tag.dynamic_output_shape not in func.tags:
        try:
            return func(*args, **kwargs)
        except RuntimeError:  # its shape depends on values (repeat_interleave), although it has no tag for that
            pass
    return map_arguments(on_cpu, _shape_only)


def _shape_only(leaf: Any) -> Any:
    """A tensor without its values; anything else unchanged."""
    return to_meta(leaf) if isinstance(leaf, torch.Tensor) else leaf
