"""Known values of memory, which are computed once for the same operations on the same values.

The blocks of a network often make the same mask again and again.  A constant that was made by operations without data
from elsewhere (``torch.zeros(…)``, and what follows from it) is a function of these operations.  So the process
remembers it by the answer of the memo, which stands for the operation and all its arguments, and by the constants of
its operands.  Since nobody writes to a constant, it can be computed later: most masks are never looked at.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import torch

from profiler.tracing.private import apart
from profiler.tracing.tensors import collect

LARGEST = 2**26
"""The maximum number of bytes of constants that are remembered; if there are more, all are forgotten."""

MOST = 2**12
"""The maximum number of operations whose constants are remembered."""


_numbers = itertools.count()


_new: Any = tuple.__new__
"""Makes a named tuple of a class in a small part of the time that a call of the class takes."""


class Layout(NamedTuple):
    """Where the elements of a tensor on meta are in its storage, which has room for ``elements`` if it is new."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int
    dtype: torch.dtype
    elements: int = 0

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Layout:
        """That of a tensor in any memory."""
        made: Layout = _new(cls, (tensor.shape, tensor.stride(), int(tensor.storage_offset()), tensor.dtype, 0))
        return made

    @classmethod
    def of_new(cls, tensor: torch.Tensor) -> Layout:
        """That of a tensor in new memory."""
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        made: Layout = _new(cls, (tensor.shape, tensor.stride(), int(tensor.storage_offset()), tensor.dtype, elements))
        return made

    @property
    def stored(self) -> int:
        """The number of elements of the tensor in memory: an expanded one has fewer than its size."""
        return min(prod(self.shape), self.elements)

    @property
    def nbytes(self) -> int:
        """The size of the storage."""
        return self.elements * self.dtype.itemsize


class Constant:
    """The values of one storage on meta: ``content`` is a real tensor in a storage that is laid out like it.

    One that is ``shared`` may be the constant of other memory too, so nobody writes to it.  One that an operation makes
    is computed when somebody needs its content, which is None if it then turns out that it cannot be computed.
    ``stored`` is the number of its elements in memory, ``nbytes`` the size of the storage.  The ``number``
    is that of no other constant: it stands for this one in keys that outlive it.
    """

    __slots__ = ("_content", "_making", "_place", "nbytes", "number", "shared", "stored")

    def __init__(self, content: torch.Tensor | None, *, shared: bool = True) -> None:
        nbytes = 0 if content is None else content.untyped_storage().nbytes()
        stored = 0 if content is None else min(content.numel(), nbytes // content.element_size())
        self._set(content, shared, None, 0, stored, nbytes)

    def _set(
        self, content: torch.Tensor | None, shared: bool, making: Making | None, place: int, stored: int, nbytes: int
    ) -> None:
        self.number = next(_numbers)
        self.shared = shared
        self._content = content
        self._making = making
        self._place = place
        self.stored = stored
        self.nbytes = nbytes

    @classmethod
    def made_later(cls, making: Making, place: int, stored: int, nbytes: int) -> Constant:
        """The one that ``making`` makes at that place."""
        constant = cls.__new__(cls)
        constant._set(None, True, making, place, stored, nbytes)
        return constant

    @property
    def content(self) -> torch.Tensor | None:
        making = self._making
        if making is not None:
            self._content = making.contents()[self._place]
            self._making = None
        return self._content

    @property
    def waits_for(self) -> Making | None:
        """The operation that has to run before its content is known."""
        making = self._making
        return None if making is None or making.is_computed else making

    def seen_by(self, layout: Layout) -> torch.Tensor | None:
        """The values of a tensor on meta in that storage: a view of the content."""
        content = self.content
        if content is None:
            return None
        if layout.dtype is content.dtype:
            return content.as_strided(layout.shape, layout.strides, layout.first)
        storage: Any = content.untyped_storage()
        empty = torch.empty(0, dtype=layout.dtype, device="cpu")
        return empty.set_(storage, layout.first, layout.shape, layout.strides)

    def copied(self, *, shared: bool) -> Constant:
        """The same values in new memory."""
        old = self.content
        if old is None:
            return Constant(None, shared=shared)
        whole: Any = old.untyped_storage()
        storage = whole.clone()
        content = torch.empty(0, dtype=old.dtype, device="cpu")
        return Constant(content.set_(storage, old.storage_offset(), old.shape, old.stride()), shared=shared)


@dataclass(slots=True, eq=False)
class Operand:
    """An operand of an operation on constants: a tensor of that ``layout`` in the memory of ``constant``.

    If the operation writes to the memory, ``copy`` is the place of the memory among those that it writes to.
    """

    constant: Constant | None
    layout: Layout
    copy: int | None


DEEPEST = 2**10
"""The number of operations, one on the result of the other, that wait; one more computes them."""

_lock = threading.RLock()


class Making:
    """An operation on constants, which runs on the CPU when somebody needs what it makes.

    ``run`` is given a function that returns a real copy of an :class:`Operand`, and returns the real results, or None
    if there are none.  The operation writes to copies of the constants ``changed``; its ``results`` in new memory have
    these layouts, and it has other results where there is none.
    """

    def __init__(
        self,
        run: Callable[[Callable[[Operand], torch.Tensor | None]], Any],
        operands: Sequence[Operand],
        changed: Sequence[Constant],
        results: Sequence[Layout | None],
    ) -> None:
        self._run: Any = run
        self._operands = [operand.constant for operand in operands if operand.constant is not None]
        self._changed = changed
        self._results = results
        self._dtype = torch.get_default_dtype()
        self._contents: list[torch.Tensor | None] = []
        self.is_computed = False
        self.depth = 1
        for constant in self._operands:
            making = constant._making
            if making is not None and not making.is_computed and making.depth >= self.depth:
                self.depth = making.depth + 1

    def contents(self) -> list[torch.Tensor | None]:
        """The contents of the constants that are made: of the results, then of what is written to.

        Operations run as at their time: no mode or transform sees them, and the default dtype is that of then.
        """
        with _lock:
            if not self.is_computed:
                before = torch.get_default_dtype()
                try:
                    with apart():
                        for making in self._waiting():
                            torch.set_default_dtype(making._dtype)
                            making.compute()
                finally:
                    torch.set_default_dtype(before)
        return self._contents

    def _waiting(self) -> list[Making]:
        """The operations that have to run, each after those whose results it needs."""
        found: dict[Making, None] = {}
        rest = [self]
        while rest:
            making = rest.pop()
            if making not in found:
                found[making] = None
                rest += [each for constant in making._operands if (each := constant.waits_for) is not None]
        return sorted(found, key=lambda making: making.depth)

    def compute(self) -> None:
        """Run the operation."""
        self._contents = self._computed()
        self.is_computed = True
        self._run, self._operands, self._changed, self._results = None, [], (), ()

    def _computed(self) -> list[torch.Tensor | None]:
        nothing: list[torch.Tensor | None] = [None] * (len(self._results) + len(self._changed))
        if any(constant.content is None for constant in self._operands):
            return nothing
        copies = [constant.copied(shared=True) for constant in self._changed]

        def real(operand: Operand) -> torch.Tensor | None:
            constant = operand.constant if operand.copy is None else copies[operand.copy]
            return None if constant is None else constant.seen_by(operand.layout)

        on_cpu = self._run(real)
        if on_cpu is None:
            return nothing
        found: list[torch.Tensor] = []
        collect(on_cpu, found)
        made = [
            None if layout is None else laid_out(tensor, layout)
            for tensor, layout in zip(found, self._results, strict=True)
        ]
        return [*made, *(copy.content for copy in copies)]


@dataclass(frozen=True, slots=True)
class Made:
    """The constants that an operation has made: of its results, and of operands that it wrote to, by their place.

    A result without one has unknown values, or those of an operand.
    """

    results: tuple[Constant | None, ...] = ()
    written: tuple[tuple[int, Constant], ...] = ()


class Constants:
    """What operations on constants have made, by operation and operands; bounded in number and size."""

    def __init__(self, largest: int = LARGEST, most: int = MOST) -> None:
        self.largest = largest
        self.most = most
        self._made: dict[Any, Made] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._made)

    def find(self, key: Any) -> Made | None:
        """What the operation with this key has made; None if it did not run."""
        return self._made.get(key)

    def learn(self, key: Any, made: Made) -> None:
        """Remember what the operation with this key has made."""
        new = [constant for constant in (*made.results, *(each for _, each in made.written)) if constant is not None]
        size = sum(constant.nbytes for constant in new)
        if self._bytes + size > self.largest or len(self._made) >= self.most:
            self.clear()
        if size <= self.largest:
            self._bytes += size
            self._made[key] = made

    def clear(self) -> None:
        """Forget everything."""
        self._made.clear()
        self._bytes = 0


def laid_out(real: torch.Tensor, layout: Layout) -> torch.Tensor | None:
    """The content of new memory in which a tensor of that layout has the values of ``real``; None for other sizes."""
    if real.shape != layout.shape or real.dtype is not layout.dtype or real.layout is not torch.strided:
        return None
    if real.stride() == layout.strides and real.storage_offset() == layout.first:
        return real
    memory = torch.zeros(layout.elements, dtype=real.dtype, device="cpu")
    return memory.as_strided(layout.shape, layout.strides, layout.first).copy_(real)
