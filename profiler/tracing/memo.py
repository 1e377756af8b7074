"""A memo of what torch's kernels return on the meta device, so that each runs once for the same arguments.

On meta an operation computes nothing but the shape, strides and dtype of its results, mostly in Python.  Here an
operation that has run once is answered from the metadata of its arguments.  ``docs/memo.md`` says why that is sound.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import empty_strided, nn

from profiler.tracing.constants import Constants
from profiler.tracing.made_results import Layout, Results, results_of
from profiler.tracing.makes import MAKES
from profiler.tracing.private import (
    MOST_OPERATORS,
    autograd_is_skipped,
    is_mutable,
    is_zero,
    settings_of_kernels,
)
from profiler.tracing.strides import contiguous
from profiler.tracing.tensors import collect

META = torch.device("meta")

LARGEST = 2**14
"""The maximum number of answers that the memo holds; the oldest ones are forgotten first."""

MOST_CALLS = 2**16
"""The maximum number of calls of operations in the whole runs that the memo holds."""

NAMESPACE = "aten"
"""The operators of torch itself: the shape function of any other operator is its author's code."""

PLAIN = frozenset({torch.Tensor, nn.Parameter})

CONSTANTS = frozenset({type(None), int, bool, float, str, torch.dtype, torch.layout, torch.memory_format})
"""The types of arguments that are part of a key as they are, together with their type, since 1 and True are equal."""

_LISTS = frozenset({list, tuple, torch.Size})
_SIZES = {int}
_STRIDED = torch.strided
_COMPLEX = frozenset({torch.complex32, torch.complex64, torch.complex128})

_MASKS = frozenset({torch.bool, torch.uint8})

INDEX = torch.ops.aten.index.Tensor

COMPARING = frozenset(
    {
        torch.ops.aten.batch_norm.default,
        torch.ops.aten.native_batch_norm.default,
        torch.ops.aten.native_batch_norm_backward.default,
    }
)
"""Operators besides the pointwise ones whose shape functions only compare sizes: see :func:`pattern_of`."""

_compares: dict[Any, bool] = {}
"""For operators that were met, whether they are pointwise or among ``COMPARING``."""

_numbers_of_layouts: dict[Any, int] = {}
"""For the metadata of tensors in keys: shape, strides, offset, dtype and whether they need a gradient."""

_next_layout = itertools.count()

View = tuple[tuple[int, ...], tuple[int, ...], int]
"""Shape, strides and offset of a view."""


class Answer:
    """What an operation returned for arguments with the same metadata; it does not change.

    ``results`` are the layouts of new tensors, the places of arguments that it returned, and None; ``together`` is the
    type of the list that holds them, and None for a single result.  ``described`` has what recorders have found out
    about such calls.  ``is_new`` says that the result is one new tensor.  A result that is a view of the first argument
    has its shape, strides and offset in ``view``.  An operation without ``results`` and ``view`` has to run each time.
    """

    __slots__ = ("described", "is_new", "results", "together", "view")

    def __init__(self, results: Results | None = None, together: type | None = None, view: View | None = None) -> None:
        self.results = results
        self.together = together
        self.view = view
        self.described: dict[Any, Any] = {}
        self.is_new = bool(results) and together is None and type((results or (None,))[0]) is tuple

    def make(self, args: Any) -> Any:
        """A new result; there must be ``results``."""
        results: Any = self.results
        if self.is_new:
            return empty_strided(results[0][0], results[0][1], dtype=results[0][2], device=META)
        made = [
            empty_strided(result[0], result[1], dtype=result[2], device=META)
            if type(result) is tuple
            else None
            if result is None
            else args[result]
            for result in results
        ]
        return made[0] if self.together is None else self.together(made)


class Memo:
    """Answers by key, bounded in number; threads share it."""

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest = largest
        self.used = True
        self.answers: dict[Any, Answer] = {}
        self.layers: dict[Any, Any] = {}
        self.constants = Constants()
        self.runs: dict[Any, Any] = {}
        self._calls = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.answers)

    def find(self, key: Any) -> Answer | None:
        """The answer for this key; None if the operation never ran."""
        return self.answers.get(key) if self.used else None

    def learn(self, key: Any, answer: Answer) -> None:
        """Remember the answer for this key."""
        if not self.used:
            return
        if len(self.answers) >= self.largest:
            with self._lock:
                _forget_oldest(self.answers, self.largest)
        self.answers[key] = answer

    def learn_layer(self, key: Any, answer: Any) -> None:
        """Remember what a call of a layer with this key does (see :mod:`~profiler.tracing.layer_calls`)."""
        with self._lock:
            if self.used:
                _forget_oldest(self.layers, self.largest)
                self.layers[key] = answer

    def learn_run(self, key: Any, result: Any, calls: int) -> None:
        """Remember what a whole run of so many calls of operations results in (see ``profiler/traces.py``)."""
        with self._lock:
            if not self.used or calls > MOST_CALLS:
                return
            if self._calls + calls > MOST_CALLS:
                self.runs.clear()
                self._calls = 0
            self.runs[key] = result
            self._calls += calls

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self.answers.clear()
            self.layers.clear()
            self.constants.clear()
            self.runs.clear()
            self._calls = 0


def _forget_oldest(answers: dict[Any, Any], largest: int) -> None:
    """Remove a quarter of the answers, the oldest ones, if there are ``largest`` of them."""
    if len(answers) >= largest:
        for oldest in list(answers)[: max(largest // 4, 1)]:
            del answers[oldest]


MEMO = Memo()
"""The memo of this process."""


def clear() -> None:
    """Forget all answers of this process, so that every kernel runs again, and all code that was read is read again."""
    MEMO.clear()
    MAKES.clear()


@contextmanager
def without_memo() -> Iterator[None]:
    """Within it, every kernel runs, in all threads of the process; nothing is remembered."""
    before, MEMO.used = MEMO.used, False
    try:
        yield
    finally:
        MEMO.used = before


@lru_cache(MOST_OPERATORS)
def may_answer(func: Any) -> bool:
    """Whether the result of the operator follows from the metadata of its arguments.

    It does not if it is a number, if its shape depends on data, or if the operator changes the metadata of an argument.
    Those of indexing only depend on data if an index is a mask, and then there is no key.
    """
    schema = getattr(func, "_schema", None)
    if schema is None or func.namespace != NAMESPACE or not all(map(_is_of_tensors, schema.returns)):
        return False
    if func is INDEX:
        return True
    tags = (torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output, torch.Tag.inplace_view)
    return not (any(tag in func.tags for tag in tags) or any(argument.is_out for argument in schema.arguments))


def _is_of_tensors(argument: Any) -> bool:
    """Whether the schema says that it is a tensor, or a list of tensors."""
    kind = argument.type.getElementType() if argument.type.kind() == "ListType" else argument.type
    return bool(kind.kind() == "TensorType")


def key_of(func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor], modes: int = 0) -> Any:
    """All that the result of an operation on meta tensors depends on; None if that is not known.

    The tensors among the arguments are appended to ``tensors``.  Besides ``modes`` no dispatch mode may be active.
    """
    settings = settings_of_kernels(modes)
    if settings is None or (func is INDEX and has_mask(args[1])):
        return None
    parts: list[Any] = [func, settings]
    if not add_to_key(args, parts, tensors):
        return None
    if kwargs:
        parts.append(tuple(kwargs))
        if not add_to_key(kwargs.values(), parts, tensors):
            return None
    return tuple(parts)


def described_calls(key: Any) -> dict[Any, Any]:
    """What recorders have found out about calls with this key of a function that is recorded as one operation."""
    answer = MEMO.find(key)
    if answer is None:
        answer = Answer()
        MEMO.learn(key, answer)
    return answer.described


def has_mask(indices: Iterable[Any]) -> bool:
    """Whether any of the indices is a mask, which selects a number of elements that depends on its values."""
    return any(index is not None and index.dtype in _MASKS for index in indices)


def _number_of(layout: Any) -> int:
    """The number of metadata that had none; no number is given to other metadata later."""
    if len(_numbers_of_layouts) >= LARGEST:
        _numbers_of_layouts.clear()  # keys with forgotten numbers are never found again
    return _numbers_of_layouts.setdefault(layout, next(_next_layout))


def add_to_key(values: Iterable[Any], parts: list[Any], tensors: list[torch.Tensor]) -> bool:
    """Append all of some arguments that a result may depend on; false if that is not known.

    A number stands for the metadata of a tensor: long lists of tensors are parts of many keys.
    """
    known = _numbers_of_layouts
    for value in values:
        kind = value.__class__
        if kind in PLAIN:
            dtype = value.dtype
            if not value.is_meta or value.layout is not _STRIDED or dtype in _COMPLEX or value.is_neg():
                return False
            layout = value.shape, value.stride(), value.storage_offset(), dtype, value.requires_grad
            number = known.get(layout)
            parts += (PLAIN, _number_of(layout) if number is None else number)
            tensors.append(value)
        elif kind in CONSTANTS:
            parts += (kind, value)
        elif kind in _LISTS:
            parts += (list, len(value))
            if set(map(type, value)) == _SIZES:
                parts.append(tuple(value))
            elif not add_to_key(value, parts, tensors):
                return False
        elif kind is torch.device and value == META:
            parts.append(value)
        else:
            return False
    return True


def run(func: Any, args: Any, kwargs: Any, key: Any) -> tuple[Any, Answer]:
    """The result of an operation that has this ``key``, from the memo if it has run before, with the answer.

    Function modes that are active would see it: it is called :func:`~profiler.tracing.private.without_functions`.
    """
    answer = MEMO.answers.get(key) if MEMO.used else None
    if answer is None:
        return _first(func, args, kwargs, key)
    results: Any = answer.results
    if answer.is_new:
        shape, strides, dtype = results[0]
        return empty_strided(shape, strides, dtype=dtype, device=META), answer
    if answer.view is not None:
        return args[0].as_strided(*answer.view), answer
    return func(*args, **kwargs) if results is None else answer.make(args), answer


def _first(func: Any, args: Any, kwargs: Any, key: Any) -> tuple[Any, Answer]:
    """The same for an operation that did not run with this key before."""
    pattern = pattern_of(func, args, kwargs, key[1])
    general = None if pattern is None else MEMO.find(pattern[0])
    if pattern is not None and general is not None:
        answer = _of_sizes(general, pattern[1])
        MEMO.learn(key, answer)
        return answer.make(args), answer
    known = results_of(func._schema.name, args, kwargs) if MEMO.used else None
    if known is not None:
        answer = Answer(*known)
        result = answer.make(args)
    else:
        result = func(*args, **kwargs)
        writes = is_mutable(func)
        # autograd, if it takes part, would record as_strided in place of the operator
        view = _view(args, result) if autograd_is_skipped() and not writes else None
        if view is not None:
            answer = Answer(view=view)
        elif writes and key_of(func, args, kwargs, []) != key:  # an argument has a new shape
            answer = Answer()
        else:
            answer = _answer(args, kwargs, result)
    MEMO.learn(key, answer)
    general = None if pattern is None else _in_general(answer, pattern[1])
    if pattern is not None and general is not None:
        MEMO.learn(pattern[0], general)
    return result, answer


def _view(args: Any, result: Any) -> View | None:
    """The layout of a result that is a view of the first argument, as ``as_strided`` makes it; None for any other."""
    base: Any = args[0] if args else None
    if type(base) not in PLAIN or type(result) is not torch.Tensor or result is base:
        return None
    if result.layout is not _STRIDED or result.dtype is not base.dtype or result.is_neg() or result.is_nested:
        return None
    if result.untyped_storage() is not base.untyped_storage():
        return None
    return tuple(result.shape), result.stride(), int(result.storage_offset())


def pattern_of(func: Any, args: Any, kwargs: Any, settings: Any) -> tuple[Any, list[int]] | None:
    """The key of an operation up to a renaming of its sizes, with those sizes in order; None if it may not be renamed.

    The shape function of a pointwise operator or a batch norm compares sizes with each other and with 1, and does
    nothing else with them.  So two calls with contiguous tensors whose sizes above 1 differ by a one-to-one renaming
    have results that differ by the same renaming.
    """
    compares = _compares.get(func)
    if compares is None:
        compares = _compares[func] = torch.Tag.pointwise in func.tags or func in COMPARING
    if not compares:
        return None
    parts: list[Any] = [func, settings]
    places: dict[int, int] = {}
    for value in (*args, *kwargs.values()):
        kind = value.__class__
        if kind in PLAIN:
            shape = value.shape
            if value.stride() != contiguous(shape):
                return None
            sizes = tuple([size if size < 2 else -1 - places.setdefault(size, len(places)) for size in shape])
            parts += (PLAIN, sizes, value.dtype, value.requires_grad)
        elif kind in CONSTANTS:
            parts += (kind, value)
        else:
            return None
    parts.append(tuple(kwargs))
    return tuple(parts), list(places)


def _in_general(answer: Answer, sizes: list[int]) -> Answer | None:
    """The answer with places of ``sizes`` (−1, −2, …) for the sizes themselves; None for other sizes or strides."""
    results: list[Layout | int | None] = []
    for result in answer.results or ():
        if type(result) is tuple:
            shape, strides, dtype = result
            if strides != contiguous(shape) or any(size > 1 and size not in sizes for size in shape):
                return None
            result = tuple([size if size < 2 else -1 - sizes.index(size) for size in shape]), (), dtype
        results.append(result)
    return Answer(tuple(results), answer.together) if results else None


def _of_sizes(general: Answer, sizes: list[int]) -> Answer:
    """The answer in which ``sizes`` stand for their places."""
    results: list[Layout | int | None] = []
    for result in general.results or ():
        if type(result) is tuple:
            shape = tuple([size if size >= 0 else sizes[-1 - size] for size in result[0]])
            result = shape, contiguous(shape), result[2]
        results.append(result)
    return Answer(tuple(results), general.together)


def _answer(args: Any, kwargs: Any, result: Any) -> Answer:
    """What is to be remembered of a result, which an operation has just returned."""
    together = None if result is None or isinstance(result, torch.Tensor) else type(result)
    if together not in (None, list, tuple):
        return Answer()
    given: list[torch.Tensor] = []
    collect((args, kwargs), given)
    memories = {id(tensor.untyped_storage()) for tensor in given}
    found: list[Layout | int | None] = []
    for value in (result,) if together is None else result:
        place = next((place for place, argument in enumerate(args) if argument is value), None)
        if value is None or place is not None:
            found.append(place if value is not None else None)
        elif is_new(value, memories):
            memories.add(id(value.untyped_storage()))
            found.append((tuple(value.shape), value.stride(), value.dtype))
        else:
            return Answer()
    return Answer(tuple(found), together)


def is_new(value: Any, memories: set[int]) -> bool:
    """Whether a result is a plain tensor that fills memory of its own, as ``empty_strided`` makes it."""
    if type(value) is not torch.Tensor or not value.is_meta or value.layout is not torch.strided:
        return False
    if value.is_quantized or value.dtype.is_complex or value.is_neg() or value.requires_grad or value.storage_offset():
        return False
    if is_zero(value):  # it has no memory, and torch does no arithmetic with it
        return False
    storage = value.untyped_storage()
    reach = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    elements = reach + 1 if value.numel() else 0
    return id(storage) not in memories and storage.nbytes() == elements * value.element_size()
