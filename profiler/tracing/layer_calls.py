"""Answers calls of torch's own layers from an earlier call with the same arguments, without running the layer.

A layer of ``torch.nn`` without submodules computes the same operations whenever the metadata of its tensors, its other
arguments and its attributes are the same.  ``docs/memo.md`` says what is checked before a call is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import is_
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import empty_strided, nn

from profiler.signatures import Signature
from profiler.tracing import memo, symbols
from profiler.tracing.made_results import Layout
from profiler.tracing.memo import META, PLAIN
from profiler.tracing.noted import Noted
from profiler.tracing.origins import Memory, Numbers, Origins
from profiler.tracing.private import (
    has_hooks,
    number_of_function_modes,
    settings_of_kernels,
    transforming,
    without_dispatch,
    without_functions,
)
from profiler.tracing.tensors import shapes_in

if TYPE_CHECKING:
    from profiler.tracing.describing import Signatures
    from profiler.tracing.padding import PaddedTensors
    from profiler.tracing.recorder import OpRecorder
    from profiler.tracing.scope import ModuleScope, Seen
    from profiler.tracing.values import KnownValues

LAYERS = "torch.nn.modules."
"""Where the classes are defined whose calls may be answered."""

INNER = frozenset({nn.modules.linear.NonDynamicallyQuantizableLinear})
"""Classes of submodules that only hold the tensors of a layer, which does not call them."""

NOT_ANSWERED = object()
"""Stands for the result of a call that has to run."""

OF_EVERY_MODULE = frozenset({*vars(nn.Module()), "forward", "_compiled_call_impl"}) - {"training"}
"""Attributes without a part in what a layer computes, or that are looked at apart: parameters, buffers, hooks."""


def _functions_of(space: ModuleType, kinds: tuple[type, ...]) -> tuple[dict[str, Any], list[str], list[Any]]:
    """A namespace of torch, with the names of torch's functions of these kinds in it and the functions themselves."""
    found = {name: value for name, value in vars(space).items() if isinstance(value, kinds) and _is_of_torch(value)}
    return vars(space), list(found), list(found.values())


def _is_of_torch(function: Any) -> bool:
    return not isinstance(function, FunctionType) or function.__globals__["__name__"].partition(".")[0] == "torch"


_functions = (_functions_of(F, (FunctionType, BuiltinFunctionType)), _functions_of(torch, (BuiltinFunctionType,)))
"""The functions that layers call, as they were when the profiler was imported.

Those of ``torch`` that are written in Python are not among them: torch itself replaces some, such as ``manual_seed``.
"""

_were_replaced = not all(map(_is_of_torch, vars(F).values()))
"""Whether someone had replaced functions of ``torch.nn.functional`` before the profiler was imported."""

Shapes = tuple[tuple[int, ...], ...]

Before = tuple[int, int, int, int]
"""The numbers of calls, of operations that were not plain, of calls of modules, and of notes."""


@cache
def _definition(kind: type[nn.Module]) -> tuple[tuple[type, dict[str, Any]], ...] | None:
    """The class of a layer and its bases, with what they defined when the class was first met; None for other classes.

    The bases of a layer are classes of torch, and all their functions are defined where they are.
    """
    found = []
    for base in kind.__mro__[:-1]:
        functions = [value for value in vars(base).values() if isinstance(value, FunctionType)]
        own = all(function.__globals__.get("__name__") == base.__module__ for function in functions)
        if not (base.__module__.startswith(LAYERS) and own):
            return None
        found.append((base, dict(vars(base))))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose calls may be answered, with the names of its own ``attributes``."""

    module: nn.Module
    attributes: tuple[str, ...]
    number_of_attributes: int
    forward: Any

    @property
    def changed(self) -> bool:
        """Whether it got another forward, other attributes or hooks since."""
        held = self.module.__dict__
        return len(held) != self.number_of_attributes or held["forward"] is not self.forward or has_hooks(self.module)


@dataclass(frozen=True, slots=True)
class _Operation:
    """An operation of a layer.

    Its operands are numbers: those of the tensors of the call, and −1, −2, … for what its operations have made.
    """

    signature: Signature
    within: str | None
    parameters: Numbers
    reads: Numbers
    writes: Numbers
    makes: Numbers
    touched: Numbers


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call has done: its operations, and its result, which is one of its tensors or a new one.

    A new result has a ``layout`` and is the ``result``-th thing that the operations have made.  With ``together`` it is
    returned in a tuple: at this place, of that number of places, of which the others are None.
    """

    operations: tuple[_Operation, ...]
    made: int
    result: int
    layout: Layout | None
    inputs: Shapes
    outputs: Shapes
    together: tuple[int, int] | None = None

    def given(self, result: torch.Tensor) -> Any:
        """What the layer returns if that is its tensor."""
        if self.together is None:
            return result
        place, number = self.together
        return tuple([result if at == place else None for at in range(number)])


_RUNS = _Answer((), 0, 0, None, (), ())
"""Stands for calls that have to run each time."""


class Key:
    """The key of a call with its tensors, and with what is known of their memory."""

    __slots__ = ("memories", "parts", "tensors")

    def __init__(self, parts: Any, tensors: list[torch.Tensor], memories: list[Memory]) -> None:
        self.parts = parts
        self.tensors = tensors
        self.memories = memories


class LayerCalls:
    """Answers the calls of layers in one run without gradients, and learns from those that have to run.

    It is made when all modes of the run are active.
    """

    def __init__(
        self,
        recorder: OpRecorder,
        scope: ModuleScope,
        origins: Origins,
        values: KnownValues,
        padded: PaddedTensors,
        shared: Signatures,
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._origins = origins
        self._values = values
        self._padded = padded
        self._shared = shared
        self._function_modes = number_of_function_modes()
        self._intact = not _were_replaced and all(
            all(map(is_, map(space.get, names), values)) for space, names, values in _functions
        )
        self._classes: dict[type, bool] = {}

    def layer_of(self, module: nn.Module) -> Layer | None:
        """The layer that a watched ``module`` is; None if its calls are not answered."""
        held = module.__dict__
        forward = held.get("forward")
        original = getattr(forward, "__wrapped__", None)
        if not self._is_layer(type(module)) or not all(type(part) in INNER for part in held["_modules"].values()):
            return None
        if type(original) is not MethodType or original.__func__ is not type(module).forward:
            return None
        return Layer(module, tuple([name for name in held if name not in OF_EVERY_MODULE]), len(held), forward)

    def _is_layer(self, kind: type) -> bool:
        """Whether it is the class of a layer of torch, as it was when it was first met."""
        known = self._classes.get(kind)
        if known is None:
            definition = _definition(kind)
            known = definition is not None and all(vars(base) == values for base, values in definition)
            self._classes[kind] = known
        return known

    def answer(self, seen: Seen, layer: Layer, args: Any, kwargs: Any) -> tuple[Any, Key | None]:
        """The result of a call of ``layer`` if it is known; else ``NOT_ANSWERED``, with a key to learn it by."""
        if not self._may_answer() or layer.changed:
            return NOT_ANSWERED, None
        with without_functions():
            key = self._key(layer, args, kwargs)
            if key is None:
                return NOT_ANSWERED, None
            found = memo.MEMO.layers.get(key.parts)
            if found is None:
                return NOT_ANSWERED, key
            if found is _RUNS or (found.layout is None and key.tensors[found.result].is_inference()):
                return NOT_ANSWERED, None  # torch decides whether an inference tensor may change in place
            return self._again(found, seen, key), None

    def _may_answer(self) -> bool:
        """Whether the state of the run is a plain one."""
        recorder = self._recorder
        if recorder.muted or recorder.closed or recorder.kind_within is not None or recorder.unseen.has_blanks:
            return False
        autograd = recorder.autograd
        autograd.follow()
        return (
            self._intact
            and autograd.skipped
            and memo.MEMO.used
            and symbols.ACTIVE.run is None
            and self._scope.is_first(self._scope.stack)
            and number_of_function_modes() == self._function_modes
            and not transforming()
        )

    def _key(self, layer: Layer, args: Any, kwargs: Any) -> Key | None:
        settings = settings_of_kernels(modes=1)
        if settings is None:
            return None
        attributes = layer.module.__dict__
        parameters, buffers = attributes["_parameters"], attributes["_buffers"]
        parts: list[Any] = [type(layer.module), settings, self._shared, tuple(kwargs)]
        parts += (layer.attributes, tuple(parameters), tuple(buffers))
        tensors: list[torch.Tensor] = []
        given = args if not kwargs else (*args, *kwargs.values())
        if not memo.add_to_key(given, parts, tensors):
            return None
        number = len(tensors)
        held = chain(parameters.values(), buffers.values())
        inner = attributes["_modules"]
        if inner:
            if not all(type(part) in INNER for part in inner.values()):
                return None
            parts.append(tuple(inner))
            held = chain(held, *[part._parameters.values() for part in inner.values()])
        if not memo.add_to_key([attributes[name] for name in layer.attributes], parts, tensors):
            return None
        if not memo.add_to_key(held, parts, tensors):
            return None
        memories: list[Memory] = []
        entries, values, padded = self._origins.memories, self._values.ids, self._padded.storages
        known = 0  # two bits for each tensor of the layer: whether its memory is a parameter, and whether it has values
        for place, tensor in enumerate(tensors):
            storage = id(tensor.untyped_storage())
            memory = entries.get(storage)
            if memory is None or not memory.known or storage in padded:
                return None
            if place < number:
                if memory.is_parameter or not memory.is_activation or memory.roots or id(tensor) in values:
                    return None
            else:
                known = 4 * known + 2 * memory.is_parameter + (id(tensor) in values)
                if memory.is_activation or len(memory.roots) > 1:
                    return None
            if memory in memories:
                if place >= number:
                    return None
                parts.append((place, memories.index(memory)))
            memories.append(memory)
        parts.append(known)
        return Key(tuple(parts), tensors, memories)

    def _again(self, answer: _Answer, seen: Seen, key: Key) -> Any:
        """Record the operations of a call that was answered; returns its result."""
        recorder, memories = self._recorder, key.memories
        numbers = [memory.number for memory in memories]
        new_number = self._origins.new_number
        seen.calls += 1
        seen.inputs.setdefault(answer.inputs)
        seen.outputs.setdefault(answer.outputs)
        name, call, calls = seen.name, seen.calls, recorder.calls
        made: list[int] = []
        for operation in answer.operations:
            reads = []
            for place in operation.reads:
                if place < 0:
                    reads.append(made[-1 - place])
                    continue
                if numbers[place] < 0:
                    numbers[place] = memories[place].number = new_number()
                reads.append(numbers[place])
            for _ in operation.makes:
                made.append(new_number())
            calls.append(
                Noted(
                    operation.signature,
                    name,
                    call,
                    "forward",
                    operation.within,
                    None,
                    tuple([memories[place].roots[0] for place in operation.parameters]),
                    (),
                    tuple(reads),
                    tuple([made[-1 - place] if place < 0 else numbers[place] for place in operation.writes]),
                    tuple([made[-1 - place] for place in operation.makes]),
                    None,
                    operation.touched,
                )
            )
        recorder.met_meta = True
        if answer.layout is None:
            result = key.tensors[answer.result]
            if any(answer.result in operation.writes for operation in answer.operations):
                torch.autograd.graph.increment_version(result)
            return answer.given(result)
        shape, strides, dtype = answer.layout
        with without_dispatch():
            result = empty_strided(shape, strides, dtype=dtype, device=META)
        storage = result.untyped_storage()
        self._origins.memories[id(storage)] = Memory(made[answer.result], True, False, True, (), storage)
        self._values.ids.discard(id(result))
        if self._padded.storages:
            self._padded.storages.pop(id(storage), None)
        return answer.given(result)

    def before(self) -> Before:
        """The state before a call that is learned."""
        recorder = self._recorder
        return len(recorder.calls), recorder.not_plain, self._scope.pushed, len(recorder.unseen.notes)

    def learn(self, seen: Seen, key: Key, before: Before, inputs: Shapes, result: Any) -> None:
        """Remember what a call has done that has just returned ``result``."""
        with without_functions():
            answer = self._learned(seen, key, before, inputs, result)
        memo.MEMO.learn_layer(key.parts, answer)

    def _learned(self, seen: Seen, key: Key, before: Before, inputs: Shapes, result: Any) -> _Answer:
        recorder = self._recorder
        first, not_plain, pushed, notes = before
        if recorder.not_plain != not_plain or self._scope.pushed != pushed + 1 or len(recorder.unseen.notes) != notes:
            return _RUNS
        outputs, together = shapes_in(result), None
        if type(result) is tuple:
            found = [place for place, value in enumerate(result) if value is not None]
            if len(found) != 1:
                return _RUNS
            together = found[0], len(result)
            result = result[found[0]]
        if type(result) not in PLAIN or recorder.unseen.has_blanks:
            return _RUNS
        places = {memory.number: place for place, memory in reversed(list(enumerate(key.memories)))}
        places.pop(-1, None)
        ids = self._values.ids
        with_values = {m.number for m, tensor in zip(key.memories, key.tensors, strict=True) if id(tensor) in ids}
        roots = {memory.roots[0]: place for place, memory in enumerate(key.memories) if memory.roots}
        made: list[int] = []
        operations: list[_Operation] = []
        for event in recorder.calls[first:]:
            for number in event.makes:
                made.append(number)
                places[number] = -len(made)
            known = all(number in places for number in (*event.reads, *event.writes))
            known = known and with_values.isdisjoint(event.reads)
            plain = event.module == seen.name and event.module_call == seen.calls and event.phase == "forward"
            if not (known and plain and all(name in roots for name in event.parameters)):
                return _RUNS
            if event.source is not None or event.blanks or event.part_of is not None:
                return _RUNS
            operations.append(
                _Operation(
                    event.signature,
                    event.within,
                    tuple([roots[name] for name in event.parameters]),
                    tuple([places[number] for number in event.reads]),
                    tuple([places[number] for number in event.writes]),
                    tuple([places[number] for number in event.makes]),
                    event.touched,
                )
            )
        written = {place for operation in operations for place in operation.writes if place >= 0}
        own = next((place for place, tensor in enumerate(key.tensors) if tensor is result), None)
        if written - ({own} if own is not None else set()):
            return _RUNS  # the version of another tensor has changed
        if own is not None:
            return _Answer(tuple(operations), len(made), own, None, inputs, outputs, together)
        storage = result.untyped_storage()
        memory = self._origins.memories.get(id(storage))
        if memory is None or memory.number not in made or memory.is_parameter or memory.roots:
            return _RUNS
        if not memory.is_activation or id(result) in self._values.ids or id(storage) in self._padded.storages:
            return _RUNS
        if not memo.is_new(result, {id(tensor.untyped_storage()) for tensor in key.tensors}):
            return _RUNS
        layout = tuple(result.shape), result.stride(), result.dtype
        return _Answer(tuple(operations), len(made), made.index(memory.number), layout, inputs, outputs, together)
