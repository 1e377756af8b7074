"""Known values of memory, which are computed once for the same operations on the same values.

The blocks of a network often make the same mask again and again.  A constant that was made by operations without data
from elsewhere (``torch.zeros(…)``, and what follows from it) is a function of these operations.  So the process
remembers it by the answer of the memo, which stands for the operation and all its arguments, and by the constants of
its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from profiler.tracing.tensors import collect

if TYPE_CHECKING:
    from profiler.tracing.origins import Memory

LARGEST = 2**26
"""The maximum number of bytes of constants that are remembered; if there are more, all are forgotten."""

MOST = 2**12
"""The maximum number of operations whose constants are remembered."""


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """The values of one storage on meta: ``content`` is a real tensor in a storage that is laid out like it.

    One that is ``shared`` may be the constant of other memory too, so nobody writes to it.
    """

    content: torch.Tensor
    shared: bool = True

    def seen_by(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values of a tensor on meta in that storage: a view of the content."""
        shape, strides, first = tensor.shape, tensor.stride(), tensor.storage_offset()
        if tensor.dtype is self.content.dtype:
            return self.content.as_strided(shape, strides, first)
        storage: Any = self.content.untyped_storage()
        return torch.empty(0, dtype=tensor.dtype, device="cpu").set_(storage, first, shape, strides)

    def copied(self, *, shared: bool) -> Constant:
        """The same values in new memory."""
        old = self.content
        whole: Any = old.untyped_storage()
        storage = whole.clone()
        content = torch.empty(0, dtype=old.dtype, device="cpu")
        return Constant(content.set_(storage, old.storage_offset(), old.shape, old.stride()), shared)


@dataclass(frozen=True, slots=True)
class Made:
    """The constants that an operation has made: of its results, and of operands that it wrote to, by their place.

    A result without one has unknown values, or those of an operand.
    """

    results: tuple[Constant | None, ...] = ()
    written: tuple[tuple[int, Constant], ...] = ()


UNKNOWN = Made()
"""Stands for an operation whose results have unknown values."""


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
        size = sum(constant.content.untyped_storage().nbytes() for constant in new)
        if self._bytes + size > self.largest or len(self._made) >= self.most:
            self.clear()
        if size <= self.largest:
            self._bytes += size
            self._made[key] = made

    def clear(self) -> None:
        """Forget everything."""
        self._made.clear()
        self._bytes = 0


def made_by(
    run: Callable[[dict[int, torch.Tensor]], Any],
    inputs: Sequence[torch.Tensor],
    memories: Sequence[Memory],
    written: Sequence[torch.Tensor],
    outputs: Sequence[torch.Tensor],
    made: Sequence[Memory],
) -> Made:
    """What an operation on constants makes.

    ``run`` computes it from real copies, by the identities of the ``inputs``, whose memory ``memories`` is.  It writes
    to ``written``, and its results on meta are ``outputs``, in the memory ``made``.
    """
    changed = {id(tensor) for tensor in written}
    new: dict[Memory, Constant] = {}
    for tensor, memory in zip(inputs, memories, strict=True):
        if id(tensor) in changed and memory not in new:
            new[memory] = memory.constant.copied(shared=True)
    copies = {
        id(tensor): new.get(memory, memory.constant).seen_by(tensor)
        for tensor, memory in zip(inputs, memories, strict=True)
        if memory.constant is not None
    }
    on_cpu = run(copies)
    if on_cpu is None:
        return UNKNOWN
    found: list[torch.Tensor] = []
    collect(on_cpu, found)
    results = [
        None if memory in memories else laid_out(real, tensor)
        for real, tensor, memory in zip(found, outputs, made, strict=True)
    ]
    return Made(tuple(results), tuple([(memories.index(memory), constant) for memory, constant in new.items()]))


def laid_out(real: torch.Tensor, tensor: torch.Tensor) -> Constant | None:
    """The constant of new memory in which ``tensor`` on meta has the values of ``real``; None if it has other sizes."""
    if real.shape != tensor.shape or real.dtype is not tensor.dtype or real.layout is not torch.strided:
        return None
    strides, first = tensor.stride(), tensor.storage_offset()
    if real.stride() == strides and real.storage_offset() == first:
        return Constant(real)
    elements = tensor.untyped_storage().nbytes() // tensor.element_size()
    content = torch.zeros(elements, dtype=real.dtype, device="cpu").as_strided(tensor.shape, strides, first)
    return Constant(content.copy_(real))
