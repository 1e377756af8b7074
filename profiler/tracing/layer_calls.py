"""Answers calls of modules from an earlier call with the same arguments, without running the module.

A layer of ``torch.nn`` without submodules computes the same operations whenever the metadata of its tensors, its other
arguments and its attributes are the same.  So does any module of a network whose make is known, with all modules inside
it.  ``docs/memo.md`` says what is checked before a call is answered.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter, is_
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import empty_strided, nn

from profiler.signatures import Signature
from profiler.tracing import memo, symbols
from profiler.tracing.closed_code import CONSTANTS, definition, frozen, layer_definition, torch_is_intact
from profiler.tracing.libraries import CONTAINERS, TRUSTED, same_contents, same_items
from profiler.tracing.made_results import Layout
from profiler.tracing.makes import pattern
from profiler.tracing.memo import META, PLAIN
from profiler.tracing.noted import Noted
from profiler.tracing.noticed import NOTICED, Looks, is_noticed
from profiler.tracing.objects import named as named_attributes
from profiler.tracing.origins import Memory, Numbers, Origins
from profiler.tracing.private import (
    has_hooks,
    number_of_function_modes,
    settings_of_kernels,
    transforming,
    without_dispatch,
    without_functions,
)
from profiler.tracing.state import settings
from profiler.tracing.tensors import shapes_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from profiler.tracing.describing import Signatures
    from profiler.tracing.makes import Make
    from profiler.tracing.padding import PaddedTensors
    from profiler.tracing.recorder import OpRecorder
    from profiler.tracing.scope import ModuleScope, Seen
    from profiler.tracing.values import KnownValues

INNER = frozenset({nn.modules.linear.NonDynamicallyQuantizableLinear})
"""Classes of submodules that only hold the tensors of a layer, which does not call them."""

NOT_ANSWERED = object()
"""Stands for the result of a call that has to run."""

OF_EVERY_MODULE = frozenset({*vars(nn.Module()), "forward", "_compiled_call_impl"}) - {"training"}
"""Attributes without a part in what a layer computes, or that are looked at apart: parameters, buffers, hooks."""


_STORAGE_OF = torch.Tensor.untyped_storage

_IS_ACTIVATION = attrgetter("is_activation")

Shapes = tuple[tuple[int, ...], ...]

Given = tuple[bool, Any, Any]
"""What is known of the memory of an argument: whether it follows from an input of the network, its constant if its
values are known, and where it may have zeros."""

DATA: Given = (True, None, None)
"""The memory of an argument whose values are not known."""

Lists = tuple[()] | list[tuple[list[Any], list[Any]]]
"""Lists, each with a copy."""

Before = tuple[int, int, int, int, int, int]
"""How many there were before: calls, operations that were not plain, things seen of modules, notes, draws, and looks at
attributes that are noticed."""


@dataclass(slots=True, eq=False)
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


@dataclass(slots=True, eq=False)
class Block:
    """A module of a network whose make is known: its calls may be answered, with those of all modules inside it.

    ``make`` is the number of its make, with the patterns of the objects and the tensors that its modules share.
    ``modules`` are the places of its modules in the network, ``tensors``, ``spaces`` and ``objects`` those of what they
    hold (:class:`Blocks`).  ``changing`` are attributes whose contents may change: of a module, with their names and
    values.  ``contents`` are those of the objects in them when the run began.
    """

    make: Any
    modules: slice
    tensors: slice
    spaces: slice
    objects: slice
    changing: Sequence[tuple[dict[str, Any], str, Any]]
    contents: Sequence[tuple[Any, Any]]


@dataclass(slots=True, eq=False)
class _Operation:
    """An operation of a call.

    It ran in the module of that number, in its ``call``-th call since the answered call began.  Its operands are
    numbers: those of the tensors of the call, and −1, −2, … for what its operations have made.
    """

    signature: Signature
    module: int
    call: int
    within: str | None
    part_of: Signature | None
    parameters: Numbers
    reads: Numbers
    writes: Numbers
    makes: Numbers
    touched: Numbers


@dataclass(slots=True, eq=False)
class _Answer:
    """What a call has done: its operations, and its result, which is one of its tensors or a new one.

    ``seen`` are the shapes with which modules were called, and which they returned, in order.  A new result has a
    ``layout`` and is the ``result``-th thing that the operations have made.  With ``together`` it is returned in a
    tuple: at this place, of that number of places, of which the others are None.
    """

    operations: tuple[_Operation, ...]
    made: int
    result: int
    layout: Layout | None
    seen: tuple[tuple[int, bool, Shapes], ...] = ()
    together: tuple[int, int] | None = None

    def given(self, result: torch.Tensor) -> Any:
        """What the layer returns if that is its tensor."""
        if self.together is None:
            return result
        place, number = self.together
        return tuple([result if at == place else None for at in range(number)])


_RUNS = _Answer((), 0, 0, None)
"""Stands for calls that have to run each time."""


class Key:
    """The key of a call with its tensors, what is known of their memory, and what was seen of its modules.

    ``given`` are the states of the memory of its arguments, the first of its tensors.  ``lists`` are those among its
    arguments, each with a copy.
    """

    __slots__ = ("given", "lists", "memories", "modules", "parts", "tensors")

    def __init__(
        self,
        parts: Any,
        tensors: list[torch.Tensor],
        memories: list[Memory],
        given: list[Given],
        modules: list[Seen],
        lists: Lists = (),
    ) -> None:
        self.parts = parts
        self.tensors = tensors
        self.memories = memories
        self.given = given
        self.modules = modules
        self.lists = lists


class LayerCalls:
    """Answers the calls of layers in one run without gradients, and learns from those that have to run.

    It is made when all modes of the run are active.  With ``blocks`` it answers the calls of any module of the network.
    """

    def __init__(
        self,
        recorder: OpRecorder,
        scope: ModuleScope,
        origins: Origins,
        values: KnownValues,
        padded: PaddedTensors,
        shared: Signatures,
        blocks: Blocks | None,
    ) -> None:
        self._recorder = recorder
        self._scope = scope
        self._origins = origins
        self._values = values
        self._padded = padded
        self._shared = shared
        self._blocks = blocks
        self._settings = settings()
        self._function_modes = number_of_function_modes()
        self._intact = torch_is_intact()
        self._classes: dict[type, bool] = {}

    def holds_as_before(self) -> bool:
        """Whether all modules of a network of a known make hold the same modules and tensors as when the run began."""
        return self._blocks is not None and self._blocks.hold_as_before()

    def layer_of(self, module: nn.Module) -> Layer | Block | None:
        """The layer or the block that a watched ``module`` is; None if its calls are not answered."""
        if self._blocks is not None:
            return self._blocks.of(module)
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
            first = layer_definition(kind)
            known = first is not None and all(same_items(definition(base), values) for base, values in first)
            self._classes[kind] = known
        return known

    def answer(self, seen: Seen, layer: Layer | Block, args: Any, kwargs: Any) -> tuple[Any, Key | None]:
        """The result of a call of ``layer`` if it is known; else ``NOT_ANSWERED``, with a key to learn it by."""
        if not self._may_answer():
            return NOT_ANSWERED, None
        with without_functions():
            if isinstance(layer, Block):
                key = self._key_of_block(layer, args, kwargs)
                if key is None and self._blocks is not None:
                    self._blocks.divide(seen.module)
            else:
                key = self._key(layer, seen, args, kwargs)
            if key is None:
                return NOT_ANSWERED, None
            found = memo.MEMO.layers.get(key.parts)
            if found is None:
                return NOT_ANSWERED, key
            if type(found) is _Call:
                found = found.answer()
                memo.MEMO.learn_layer(key.parts, found)
            if found is _RUNS or (found.layout is None and key.tensors[found.result].is_inference()):
                return NOT_ANSWERED, None  # torch decides whether an inference tensor may change in place
            return self._again(found, key), None

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

    def _key_of_block(self, block: Block, args: Any, kwargs: Any) -> Key | None:
        """The key of a call of a block; None if it has to run."""
        of_kernels = settings_of_kernels(modes=1)
        if of_kernels is None or self._blocks is None or not self._is_as_before(block):
            return None
        parts: list[Any] = [block.make, of_kernels, self._settings, self._shared, tuple(kwargs)]
        tensors: list[torch.Tensor] = []
        lists: list[tuple[list[Any], list[Any]]] = []
        if not _add_arguments(args if not kwargs else (*args, *kwargs.values()), parts, tensors, lists):
            return None
        memories: list[Memory] = []
        given = self._add_given(tensors, parts, memories)
        if given is None:
            return None
        memories += self._blocks.memories[block.tensors]
        return Key(tuple(parts), tensors, memories, given, self._blocks.seen[block.modules], lists)

    def _is_as_before(self, block: Block) -> bool:
        """Whether the tensors and attributes of all modules in a block are unchanged since the run began."""
        assert self._blocks is not None
        blocks, values, padded = self._blocks, self._values.ids, self._padded.storages
        tensors, storages, spaces = (
            blocks.tensors[block.tensors],
            blocks.storages[block.tensors],
            blocks.spaces[block.spaces],
        )
        return (
            list(map(id, map(_STORAGE_OF, tensors))) == storages
            and not any(map(_IS_ACTIVATION, blocks.memories[block.tensors]))
            and not (values and not values.isdisjoint(map(id, tensors)))
            and not (padded and not padded.keys().isdisjoint(storages))
            and list(map(len, spaces)) == blocks.lengths[block.spaces]
            and all(map(is_, _values_of(spaces), blocks.objects[block.objects]))
            and all(held.get(name) is value for held, name, value in block.changing)
            and all(same_contents(container, values) for container, values in block.contents)
        )

    def _add_given(self, tensors: list[torch.Tensor], parts: list[Any], memories: list[Memory]) -> list[Given] | None:
        """Add the memories of the tensors that a call was given, and to its key which of them share one.

        Those that do not just follow from an input of the network are part of the key too.  None if the call has to
        run: one of the tensors follows from parameters, or not all that is known of it can be a part of a key.
        """
        entries, values, padded = self._origins.memories, self._values.ids, self._padded.storages
        states: list[Given] = []
        for place, tensor in enumerate(tensors):
            storage = id(tensor.untyped_storage())
            memory = entries.get(storage)
            if memory is None or not memory.known or memory.is_parameter or memory.roots:
                return None
            has_values = id(tensor) in values
            if memory.is_activation and memory.constant is None and storage not in padded and not has_values:
                states.append(DATA)
            else:
                state = of_data, constant, zeros = memory.is_activation, memory.constant, padded.get(storage)
                if has_values and (constant is None or not constant.shared):
                    return None
                parts.append((place, of_data, None if constant is None else constant.number, zeros))
                states.append(state)
            if memory in memories:
                same = [other is tensor for other in tensors[:place]]
                parts.append((place, memories.index(memory), tuple(same)))
            memories.append(memory)
        return states

    def _is_known_as_before(self, key: Key) -> bool:
        """Whether nothing else is known of the memory of the arguments than before the call."""
        padded = self._padded.storages
        for memory, tensor, (of_data, constant, zeros) in zip(key.memories, key.tensors, key.given, strict=False):
            if memory.is_activation is not of_data or memory.constant is not constant:
                return False
            if padded and padded.get(id(tensor.untyped_storage())) != zeros:
                return False
        return bool(padded) or all(zeros is None for _, _, zeros in key.given)

    def _key(self, layer: Layer, seen: Seen, args: Any, kwargs: Any) -> Key | None:
        """The key of a call of a layer; None if it has to run."""
        of_kernels = settings_of_kernels(modes=1)
        if of_kernels is None or layer.changed:
            return None
        attributes = layer.module.__dict__
        parameters, buffers = attributes["_parameters"], attributes["_buffers"]
        parts: list[Any] = [type(layer.module), of_kernels, self._shared, tuple(kwargs)]
        parts += (layer.attributes, tuple(parameters), tuple(buffers))
        tensors: list[torch.Tensor] = []
        given = args if not kwargs else (*args, *kwargs.values())
        if not memo.add_to_key(given, parts, tensors):
            return None
        memories: list[Memory] = []
        states = self._add_given(tensors, parts, memories)
        if states is None:
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
        entries, values, padded = self._origins.memories, self._values.ids, self._padded.storages
        known = 0  # two bits for each tensor of the layer: whether its memory is a parameter, and whether it has values
        for tensor in tensors[number:]:
            storage = id(tensor.untyped_storage())
            memory = entries.get(storage)
            if memory is None or not memory.known or storage in padded:
                return None
            if memory.is_activation or len(memory.roots) > 1 or memory in memories:
                return None
            known = 4 * known + 2 * memory.is_parameter + (id(tensor) in values)
            memories.append(memory)
        parts.append(known)
        return Key(tuple(parts), tensors, memories, states, [seen])

    def _again(self, answer: _Answer, key: Key) -> Any:
        """Record the operations of a call that was answered; returns its result."""
        recorder, memories = self._recorder, key.memories
        numbers = [memory.number for memory in memories]
        new_number = self._origins.new_number
        names = [seen.name for seen in key.modules]
        before = [seen.calls for seen in key.modules]
        log, learned, calls = self._scope.log, self._scope.learned, recorder.calls
        for module, has_returned, shapes in answer.seen:
            seen = key.modules[module]
            if learned:
                log.append((seen, has_returned, shapes))
            if has_returned:
                seen.outputs.setdefault(shapes)
            else:
                seen.calls += 1
                seen.inputs.setdefault(shapes)
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
                    names[operation.module],
                    before[operation.module] + operation.call,
                    "forward",
                    operation.within,
                    None,
                    tuple([memories[place].roots[0] for place in operation.parameters]),
                    (),
                    tuple(reads),
                    tuple([made[-1 - place] if place < 0 else numbers[place] for place in operation.writes]),
                    tuple([made[-1 - place] for place in operation.makes]),
                    operation.part_of,
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
        notes, looks = len(recorder.unseen.notes), 0 if self._blocks is None else self._blocks.looks.number
        return len(recorder.calls), recorder.not_plain, len(self._scope.log), notes, recorder.drawn, looks

    def learn(self, layer: Layer | Block, key: Key, before: Before, result: Any) -> None:
        """Remember what a call has done that has just returned ``result``."""
        with without_functions():
            plain = self._is_as_before(layer) if type(layer) is Block else self._recorder.not_plain == before[1]
            plain = plain and all(same_contents(given, copied) for given, copied in key.lists)
            answer = self._learned(key, before, result) if plain else _RUNS
        memo.MEMO.learn_layer(key.parts, answer)
        if self._blocks is not None and len(self._recorder.calls) <= before[0] + 1:
            self._blocks.note_quick(key.modules[0].module)

    def _learned(self, key: Key, before: Before, result: Any) -> _Answer | _Call:
        """What is to be remembered of a call that has returned ``result``."""
        recorder = self._recorder
        first, _, first_seen, notes, drawn, looks = before
        if len(recorder.unseen.notes) != notes or recorder.unseen.has_blanks:
            return _RUNS
        if self._blocks is not None and self._blocks.looks.number != looks:
            return _RUNS  # it has read an attribute that is no part of its make
        if recorder.drawn != drawn:
            return _RUNS  # it may have read random numbers
        outputs, together = shapes_in(result), None
        if type(result) is tuple:
            found = [place for place, value in enumerate(result) if value is not None]
            if len(found) != 1:
                return _RUNS
            together = found[0], len(result)
            result = result[found[0]]
        if type(result) not in PLAIN or result.is_inference() != torch.is_inference_mode_enabled():
            return _RUNS
        if not self._is_known_as_before(key):
            return _RUNS  # it has changed what is known of an argument
        own = next((place for place, tensor in enumerate(key.tensors) if tensor is result), None)
        number, layout = -1, None
        if own is None:
            storage = result.untyped_storage()
            memory = self._origins.memories.get(id(storage))
            if memory is None or memory.is_parameter or memory.roots or not memory.is_activation:
                return _RUNS
            if id(result) in self._values.ids or id(storage) in self._padded.storages:
                return _RUNS
            if not memo.is_new(result, {id(tensor.untyped_storage()) for tensor in key.tensors}):
                return _RUNS
            number, layout = memory.number, (tuple(result.shape), result.stride(), result.dtype)
        modules, ids = key.modules, self._values.ids
        log = [(seen.name, has_returned, shapes) for seen, has_returned, shapes in self._scope.log[first_seen:]]
        log.append((modules[0].name, True, outputs))
        return _Call(
            recorder.calls[first:],
            log,
            {seen.name: seen.calls for seen in modules},
            [memory.number for memory in key.memories],
            [memory.roots for memory in key.memories],
            {
                memory.number
                for memory, tensor in zip(key.memories, key.tensors, strict=False)
                if id(tensor) in ids and memory.constant is None
            }
            if ids
            else set(),
            own,
            number,
            layout,
            together,
        )


@dataclass(slots=True, eq=False)
class _Call:
    """A call as it was recorded, from which its answer follows when it is needed first.

    ``log`` is what was seen of its modules, ``calls`` how often each of them had been called when it returned.
    ``numbers`` and ``roots`` are those of the memories of its tensors; nothing may read those ``with_values``.  The
    result is the tensor at the place ``own``, or a new one of a ``layout`` with the memory of the number ``result``.
    """

    events: list[Noted]
    log: list[tuple[str, bool, Shapes]]
    calls: dict[str, int]
    numbers: list[int]
    roots: list[tuple[str, ...]]
    with_values: set[int]
    own: int | None
    result: int
    layout: Layout | None
    together: tuple[int, int] | None

    def answer(self) -> _Answer:
        """What the call has done; ``_RUNS`` if that depends on more than its tensors."""
        modules = {name: number for number, name in enumerate(self.calls)}
        if any(name not in modules for name, _, _ in self.log):
            return _RUNS  # it has called a module of others
        before = dict(self.calls)
        for name, has_returned, _ in self.log:
            before[name] -= not has_returned
        operations = self._operations(modules, before)
        made = [number for event in self.events for number in event.makes]
        if operations is None or (self.own is None and self.result not in made):
            return _RUNS
        if any(place >= 0 and place != self.own for operation in operations for place in operation.writes):
            return _RUNS  # the version of another tensor has changed
        result = made.index(self.result) if self.own is None else self.own
        seen = tuple([(modules[name], has_returned, shapes) for name, has_returned, shapes in self.log])
        return _Answer(operations, len(made), result, self.layout, seen, self.together)

    def _operations(self, modules: Mapping[str, int], before: Mapping[str, int]) -> tuple[_Operation, ...] | None:
        """The operations of the call, in ``modules`` that had been called as often ``before``."""
        places: dict[int, int] = {}
        roots: dict[str, int] = {}
        for place, number in enumerate(self.numbers):
            if number >= 0:
                places.setdefault(number, place)
        for place, names in enumerate(self.roots):
            if names:
                roots[names[0]] = place
        made = 0
        operations: list[_Operation] = []
        for event in self.events:
            for number in event.makes:
                made += 1
                places[number] = -made
            known = all(number in places for number in (*event.reads, *event.writes))
            known = known and self.with_values.isdisjoint(event.reads)
            known = known and all(name in roots for name in event.parameters)
            if not known or event.module not in modules or event.phase != "forward":
                return None
            if event.source is not None or event.blanks:
                return None
            operations.append(
                _Operation(
                    event.signature,
                    modules[event.module],
                    event.module_call - before[event.module],
                    event.within,
                    event.part_of,
                    tuple([roots[name] for name in event.parameters]),
                    tuple([places[number] for number in event.reads]),
                    tuple([places[number] for number in event.writes]),
                    tuple([places[number] for number in event.makes]),
                    event.touched,
                )
            )
        return tuple(operations)


class Blocks:
    """The modules of a network of a known make, with all that they hold, in the order of the make.

    The copy that runs has the ``make`` of the original.  ``seen`` are what is seen of its modules.  ``tensors`` are its
    parameters and buffers, ``storages`` the ids of their storages, and ``memories`` theirs.  ``spaces`` are the
    dictionaries of the modules that code may change without setting an attribute; ``lengths`` and ``objects`` are their
    numbers of values and all these values when the run began.  ``looks`` at attributes that are no part of a make are
    noticed from now on.
    """

    def __init__(self, make: Make, scope: ModuleScope, origins: Origins) -> None:
        named = scope.named
        self.looks = Looks()
        kinds: dict[type, tuple[bool, bool]] = {}
        self.seen = [scope.seen_as(name) for name, _ in named]
        self.tensors: list[torch.Tensor] = []
        self.spaces: list[dict[str, Any]] = []
        self._places = {id(module): place for place, (_, module) in enumerate(named)}
        self._parents = [0] * len(named)
        self._starts: list[tuple[int, int, int]] = []
        self._changing: list[tuple[dict[str, Any], str, Any]] = []
        for place, ((_, module), names) in enumerate(zip(named, make.changing, strict=True)):
            held, kind = module.__dict__, cast(Any, type(module))
            if NOTICED in held and is_noticed(module):
                self.looks.notice(module)
            if kind not in kinds:
                kinds[kind] = issubclass(kind, _MAY_GROW), _is_of_trusted(kind)
            may_grow, of_trusted = kinds[kind]
            self._starts.append((len(self.tensors), len(self.spaces), len(self._changing)))
            if (modules := held["_modules"]) or may_grow:
                self.spaces.append(modules)
                for part in modules.values():
                    if part is not None:
                        self._parents[self._places[id(part)]] = place
            for name in ("_parameters", "_buffers"):
                if (tensors := held[name]) or may_grow:
                    self.spaces.append(tensors)
                    self.tensors += [tensor for tensor in tensors.values() if tensor is not None]
            if of_trusted:
                self.spaces.append(held)  # code that was not read may set attributes
            for name in names:
                self._changing.append((held, name, held[name]))
        self._starts.append((len(self.tensors), len(self.spaces), len(self._changing)))
        with without_functions():
            self.storages = list(map(id, map(_STORAGE_OF, self.tensors)))
        self.memories = [origins.memories[storage] for storage in self.storages]
        self.lengths = list(map(len, self.spaces))
        self.objects = list(_values_of(self.spaces))
        self._first_objects = [0, *accumulate(self.lengths)]
        self._ends = list(range(1, len(named) + 1))
        for place in range(len(named) - 1, 0, -1):
            parent = self._parents[place]
            self._ends[parent] = max(self._ends[parent], self._ends[place])
        self._contents = _Objects([value for _, _, value in self._changing])
        self._tied = make.tied
        self._numbers, self._counts = make.numbers, Counter(make.numbers)
        self._units = set(map(id, _units(scope.model)))
        self._divided: set[int] = set()
        self._quick: set[int] = set()

    def hold_as_before(self) -> bool:
        """Whether the modules hold the same modules and tensors as at first, in the same memory."""
        return (
            list(map(len, self.spaces)) == self.lengths
            and all(map(is_, _values_of(self.spaces), self.objects))
            and list(map(id, map(_STORAGE_OF, self.tensors))) == self.storages
        )

    def divide(self, module: nn.Module) -> None:
        """Called when a call of a block has to run: the modules that it consists of may be answered."""
        if id(module) not in self._divided:
            self._divided.add(id(module))
            self._units.update(map(id, _units(module)))

    def note_quick(self, module: nn.Module) -> None:
        """Called when a call of ``module`` has run at most one operation.

        If the module holds nothing, modules of its make run from now on: that takes as long as an answer.
        """
        held = module.__dict__
        if not (held["_modules"] or held["_parameters"] or held["_buffers"]):
            self._quick.add(self._numbers[self._places[id(module)]])

    def of(self, module: nn.Module) -> Block | None:
        """The block of a module that may be called again in the same way, in this network or in one of its family.

        It occurs more often than the module that holds it, it is a part of one that has to run, or networks of other
        sizes have it too; None for any other.
        """
        place, numbers, counts = self._places.get(id(module)), self._numbers, self._counts
        if not place:  # the network itself, or a module that it does not have
            return None
        if counts[numbers[place]] <= counts[numbers[self._parents[place]]] and id(module) not in self._units:
            return None
        if numbers[place] in self._quick:
            return None
        end = self._ends[place]
        tensors, spaces, changing = map(slice, self._starts[place], self._starts[end])
        inside = self._changing[changing]
        shared, contents = self._contents.of([value for _, _, value in inside])
        held = self.storages[tensors] if self._tied else ()
        tied = tuple(map(held.index, held)) if len(set(held)) < len(held) else ()
        objects = slice(self._first_objects[spaces.start], self._first_objects[spaces.stop])
        return Block((numbers[place], shared, tied), slice(place, end), tensors, spaces, objects, inside, contents)


class _Objects:
    """The objects in the ``values`` of attributes whose contents may change, each with its contents at first."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._inside: dict[int, list[Any]] = {}
        self._contents: dict[int, tuple[Any, Any]] = {}
        for value in values:
            if id(value) not in self._inside:
                if type(value) is list and CONSTANTS.issuperset(map(type, value)):
                    self._inside[id(value)] = [value]
                    self._contents[id(value)] = value, value.copy()
                else:
                    self._add(value)

    def _add(self, value: Any) -> None:
        frozen(value, {}, found := list[Any]())
        self._inside[id(value)] = found
        for item in found:
            if id(item) not in self._contents:
                space = item if type(item) in CONTAINERS else named_attributes(item)
                self._contents[id(item)] = space, space.copy()

    def of(self, values: Iterable[Any]) -> tuple[tuple[int, ...], list[tuple[Any, Any]]]:
        """The pattern of the objects in ``values``, empty if all differ, and each object's contents with a copy."""
        objects = [item for value in values for item in self._inside[id(value)]]
        distinct = dict.fromkeys(map(id, objects))
        shared = pattern(objects) if len(distinct) < len(objects) else ()
        return shared, [self._contents[key] for key in distinct]


def _values_of(spaces: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """The values in all of ``spaces``."""
    return chain.from_iterable([space.values() for space in spaces])


@cache
def _is_of_trusted(kind: Any) -> bool:
    return any(base.__module__.partition(".")[0] in TRUSTED for base in kind.__mro__)


def _add_arguments(values: Iterable[Any], parts: list[Any], tensors: list[torch.Tensor], lists: list[Any]) -> bool:
    """As :func:`memo.add_to_key`, for code that may distinguish a list from a tuple and 0.0 from -0.0.

    Lists, which the code may change, are added to ``lists``, each with a copy.
    """
    for value in values:
        kind = type(value)
        if kind is list or kind is tuple:
            parts += (kind, len(value))
            if kind is list:
                lists.append((value, list(value)))
            kinds = set(map(type, value))
            if len(kinds) == 1 and not kinds.isdisjoint(PLAIN):  # many tensors of one class
                parts += kinds
                if not memo.add_to_key(value, parts, tensors):
                    return False
            elif not _add_arguments(value, parts, tensors, lists):
                return False
        else:
            parts.append(kind if value.__class__ in PLAIN else str(value) if kind is float else kind)
            if not memo.add_to_key((value,), parts, tensors):
                return False
    return True


def _units(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that a network is a sequence of: what it holds, or what sequences of larger modules in it hold."""
    for part in module._modules.values():
        if part is None:
            continue
        if isinstance(part, _SEQUENCES) and any(
            inner is not None and inner._modules for inner in part._modules.values()
        ):
            yield from _units(part)
        else:
            yield part


_SEQUENCES = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

_MAY_GROW = (*_SEQUENCES, nn.ParameterList, nn.ParameterDict)
"""Modules to which code may add something without setting an attribute."""
