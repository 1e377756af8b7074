"""The storages of a run with their lifetimes → how many bytes are alive after each operation, and who holds them.

``docs/memory.md`` defines every figure.  Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Role = Literal["input", "result", "seed", "gradient", "optimizer"]
"""What a storage is.

An input of the network, a result of an operation, a gradient of ones for a result of the network, the gradient of a
parameter, or a result in a step of the optimizer.
"""

ACTIVATIONS: tuple[Role, ...] = ("input", "result", "seed")
"""The roles of activations."""


@dataclass(frozen=True, slots=True)
class Storage:
    """One storage: its size in bytes, and between which operations it was alive.

    It was first seen as a result of operation ``born``, counted from 0, and was freed before operation ``died``; None
    if it was alive after the last one.  ``module`` and ``op`` made it in ``phase``.
    """

    bytes: int
    born: int
    died: int | None = None
    module: str = ""
    op: str = ""
    phase: str = "forward"
    role: Role = "result"


@dataclass(frozen=True, slots=True)
class Saved:
    """What one module itself saves for the backward pass: numbers of storages, and the bytes of parameters."""

    module: str
    storages: tuple[int, ...]
    parameter_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """The storages of one run.

    ``operations`` is the number of operations, and ``phases`` has each phase with the number of its first operation, in
    order.  ``saved`` is None where that is not known; it is empty in inference.  ``optimizer`` is the one that was
    named.
    """

    operations: int
    phases: tuple[tuple[str, int], ...]
    storages: tuple[Storage, ...]
    saved: tuple[Saved, ...] | None = ()
    optimizer: str | None = None

    @property
    def peak_activation_bytes(self) -> int:
        """The most bytes of activations alive at once."""
        return max(self.activations(), default=0)

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once of everything but parameters, buffers and the optimizer's state."""
        return max(self.timeline(self.storages), default=0)

    @property
    def gradient_bytes(self) -> int:
        """The bytes of the gradients of parameters."""
        return sum(storage.bytes for storage in self.storages if storage.role == "gradient")

    @property
    def at_peak(self) -> int:
        """The number of the operation at which most bytes of activations are alive; the first of several."""
        alive = self.activations()
        return alive.index(max(alive)) if alive else 0

    def activations(self) -> list[int]:
        """The bytes of activations alive after each operation."""
        return self.timeline(storage for storage in self.storages if storage.role in ACTIVATIONS)

    def timeline(self, storages: Iterable[Storage]) -> list[int]:
        """The bytes of these storages that are alive after each operation."""
        changes = [0] * (self.operations + 1)
        for storage in storages:
            changes[min(storage.born, self.operations)] += storage.bytes
            if storage.died is not None:
                changes[storage.died] -= storage.bytes
        return list(accumulate(changes[:-1]))

    def alive_at(self, operation: int) -> list[Storage]:
        """The storages of activations that are alive after that operation, the largest first."""
        found = [storage for storage in self.storages if storage.role in ACTIVATIONS and _is_alive(storage, operation)]
        return sorted(found, key=lambda storage: -storage.bytes)

    def saved_bytes(self, numbers: Iterable[int], *, of_inputs: bool = False) -> int:
        """The bytes of these storages, each once: those of inputs of the network, or all others."""
        found = (self.storages[number] for number in set(numbers))
        return sum(storage.bytes for storage in found if (storage.role == "input") == of_inputs)


def _is_alive(storage: Storage, operation: int) -> bool:
    return storage.born <= operation and (storage.died is None or operation < storage.died)


STATES = {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}
"""How many tensors of its size an optimizer keeps for each parameter; see ``tracing.optimizers``."""


def state_bytes(optimizer: str | None, gradients: int) -> int:
    """The bytes that an optimizer keeps, without its step counts, for parameters whose gradients have that many."""
    return 0 if optimizer is None else STATES[optimizer] * gradients


def peak_of(storages: Iterable[Storage]) -> int:
    """The most bytes of these storages that are alive at once."""
    changes: dict[int, int] = {}
    for storage in storages:
        changes[storage.born] = changes.get(storage.born, 0) + storage.bytes
        if storage.died is not None:
            changes[storage.died] = changes.get(storage.died, 0) - storage.bytes
    return max(accumulate(changes[place] for place in sorted(changes)), default=0)
